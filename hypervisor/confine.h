/* SPDX-License-Identifier: ISC */
/*
 * What surrounds a process that serves one persona: a user of its own, no network,
 * no file. Complements the system call filter (sandbox.h), which it comes before.
 * Knows no role: who calls says what it keeps.
 */
#ifndef CONFINE_H
#define CONFINE_H

#include <stdbool.h>
#include <sys/types.h>

struct confine {
	/* Become this user, of the same group number, when we are root; 0: stay
	 * who we are. */
	uid_t		uid;
	/* It needs the host's network and a file of it: only the user changes. */
	bool		keep_host;
};

/*
 * Leave the host's network, file system, IPC and host name behind: from here there
 * is an empty, read-only root and what is open already. Root does that as root and
 * then becomes `uid`; anybody else by way of a user namespace. Then no capability
 * is left. Before any thread runs and any stranger's byte is read.
 *
 * 0 when everything that was asked for is so, or all but the namespaces, which not
 * every host lets us make. -errno when the user cannot be changed; then leave. Logs
 * either.
 */
int	confine_enter(const struct confine *c);

#endif
