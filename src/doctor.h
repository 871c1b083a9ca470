/* SPDX-License-Identifier: ISC */
/*
 * Can this handset run and move personas, and if not, what to do. Looks at the
 * machine when asked; changes nothing.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

struct control_request;
struct daemon;

/* Answer control_doctor; the KVM probe makes it take a moment. */
void	doctor_examine(struct daemon *d, struct control_request *req);

#endif
