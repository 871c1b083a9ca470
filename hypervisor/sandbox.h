/* SPDX-License-Identifier: ISC */
/*
 * What persona-vmm keeps when the first byte of a guest or of a saved state
 * arrives: its descriptors, its memory, KVM. Nothing that opens a file, makes a
 * socket or starts a program.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

/*
 * Give up the rest, for all threads and for good. A call outside the list ends
 * the process with a line that names it. 0 or -errno.
 */
int	sandbox_enter(void);

#endif
