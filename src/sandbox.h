/* SPDX-License-Identifier: ISC */
/*
 * What each process that handles strangers' bytes gives up, once it holds what
 * it needs: privileges, new files, and every system call its role does not use.
 * Knows roles, not protocols.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>

enum sandbox_role {
	SANDBOX_PAIR,		/* persona-pair: sockets to one peer */
	SANDBOX_SEND,		/* persona-sync send: as above, and guest memory */
	SANDBOX_RECEIVE,	/* persona-sync receive: streams it is handed */
	SANDBOX_GATE,		/* persona-gate: waits */
	SANDBOX_FILE,		/* persona-sync export, import: files it is handed */
};

/*
 * Give it up, for good, also for threads and children to come. Call when every
 * descriptor and library is ready and before a byte of a stranger is read; no
 * thread may run yet. 0 or -errno (then leave: it is not done halves).
 *
 * A call outside the role's list ends the process with a line in the log that
 * names it. A file that is opened is not there (ENOENT) instead, as libraries
 * probe for optional files. Built with sanitizers, only privileges are given up.
 */
int	sandbox_enter(enum sandbox_role role);

/* Whether system calls are given up too: false in a build with sanitizers. */
bool	sandbox_filters(void);

#endif
