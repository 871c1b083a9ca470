/* SPDX-License-Identifier: ISC */
/*
 * How other handsets reach this one: the identity key, the TCP port, sshd's files
 * and the gate, opened in order and kept in step with the paired keys. Knows no
 * transfer and no pairing; callers are handed on.
 */
#ifndef ACCESS_H
#define ACCESS_H

struct daemon;

/* Load or make the identity key. Waits for ssh-keygen. 0 or -errno. */
int	access_identity(struct daemon *d);

/* Gate, sshd's files, port. After access_identity. 0 or -errno. */
int	access_open(struct daemon *d);
void	access_close(struct daemon *d);

/* The paired keys have changed. 0 or -errno; the next caller sees it. */
int	access_reload(struct daemon *d);

#endif
