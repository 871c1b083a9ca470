/* SPDX-License-Identifier: ISC */
/*
 * A helper process that works for us and dies with us (persona-sync,
 * persona-pair), and the socket to it. What it says was parsed from strangers'
 * bytes, so it is a claim. Knows no message type.
 */
#ifndef HELPER_H
#define HELPER_H

#include <sys/types.h>

#include "ipc.h"

struct daemon;
struct helper;

struct helper_events {
	/* Descriptors may be taken from `in`. helper_free is allowed. */
	void	(*message)(void *arg, struct ipc_msg *in);
	/* It has ended or broken off; nothing comes after. */
	void	(*gone)(void *arg);
};

/*
 * Start "<program> <role> --ipc-fd N"; `role` may be NULL. 0 or
 * -errno.
 */
int	helper_start(struct helper **hp, struct daemon *d,
	    const char *program, const char *role,
	    const struct helper_events *events, void *arg);

/*
 * Descriptors stay the caller's. A process that is gone is no error: `gone` says
 * so. One that does not read is killed.
 */
void	helper_send(struct helper *h, const ProtobufCMessage *m,
	    const int *fds, size_t n_fds);

/* 0 once it has ended. */
pid_t	helper_pid(const struct helper *h);

/* Close the socket and kill it if it is still there. NULL is fine. */
void	helper_free(struct helper *h);

#endif
