/* SPDX-License-Identifier: ISC */
/*
 * What persona-net keeps when a guest's first frame arrives: its descriptors,
 * Internet sockets of its own, and one file, resolv.conf, which it may read.
 */
#ifndef NET_SANDBOX_H
#define NET_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

/* resolv.conf as it was when the sandbox closed. */
struct net_names {
	bool		follows;	/* another file in its place is seen too */
	uint64_t	dev, ino;
};

/*
 * Give up the rest for good. A call outside the list ends the process with a line
 * that names it. 0 or -errno.
 */
int	net_sandbox_enter(struct net_names *names);

/*
 * Has a file that cannot be read taken resolv.conf's place since? Then only a new
 * process can know the names of the new network.
 */
bool	net_names_outdated(const struct net_names *names);

#endif
