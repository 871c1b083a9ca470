/* SPDX-License-Identifier: ISC */
/*
 * persona-vmm's side of vmm.proto: who may ask what in which state, and what
 * happens when an asker goes away. Deliberately knows no KVM.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <sys/types.h>

struct control;
struct event_base;
struct hv_host;

/*
 * Serve the owner on owner_fd (SOCK_SEQPACKET; -1: wait for one) and accept a new
 * owner of user owner_uid on listen_fd (-1: none) when the former is gone. Takes
 * both descriptors; the host stays the caller's. The loop is broken when the process
 * should end. 0 or -errno.
 */
int	control_new(struct control **cp, struct event_base *base,
	    struct hv_host *host, uid_t owner_uid, int owner_fd, int listen_fd);
void	control_free(struct control *c);

/* What the process should exit with: 0 for power-off and stop, else 1. */
int	control_exit_status(const struct control *c);

#endif
