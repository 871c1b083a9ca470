/* SPDX-License-Identifier: ISC */
/*
 * One persona-sync process and its socket (transfer.proto). It parses what a peer
 * says, so everything that comes from it is a claim. Knows no handover.
 */
#ifndef SYNCPROC_H
#define SYNCPROC_H

#include <stdint.h>
#include <sys/types.h>

#include "ipc.h"
#include "transfer.pb-c.h"

struct daemon;
struct syncproc;

struct syncproc_events {
	/* Descriptors may be taken from `in`. syncproc_free is allowed. */
	void	(*message)(void *arg,
		    const Persona__Transfer__TransferMessage *m,
		    struct ipc_msg *in);
	/* It has ended or broken off; nothing comes after. */
	void	(*gone)(void *arg);
};

/* `role` is "send" or "receive". 0 or -errno. */
int	syncproc_start(struct syncproc **sp, struct daemon *d,
	    const char *role, const struct syncproc_events *events, void *arg);

/*
 * Tell it something of this attempt; descriptors stay the caller's. A process
 * that is gone is no error: its `gone` says so.
 */
void	syncproc_send(struct syncproc *s, uint64_t attempt,
	    Persona__Transfer__TransferMessage *m, const int *fds, size_t n_fds);

/* 0 once it has ended. */
pid_t	syncproc_pid(const struct syncproc *s);

/* Close the socket and kill what does not leave by itself. NULL is fine. */
void	syncproc_free(struct syncproc *s);

#endif
