/* SPDX-License-Identifier: ISC */
/*
 * personad's one TCP port. A caller's first four bytes decide: "SSH-" starts an
 * sshd on that socket, "PAIR" hands the socket to whoever pairs, anything else
 * is closed. Nothing of the caller is read or parsed here. Knows no keys.
 */
#ifndef LISTEN_H
#define LISTEN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Callers that have not said anything yet, and sshds: per address, in all. */
#define LISTENER_PER_ADDRESS	8u	/* an IPv6 /64 counts as one */
#define LISTENER_MAX		64u

struct event_base;
struct listener;

struct listener_config {
	const char *const *hosts;	/* numeric; none: every address */
	size_t		n_hosts;
	uint16_t	port;		/* 0: any free one */
	const char	*sshd_config;	/* path, from sshd_conf_write() */
	const char	*user;		/* from sshd_conf_user() */

	/* An sshd was started. Whoever reaps it calls listener_child_ended. */
	void		(*spawned)(void *arg, pid_t pid);
	/* A caller who wants to pair; takes fd. `address` is numeric. */
	void		(*pair)(void *arg, int fd, const char *address);
	void		*arg;
};

/*
 * Listen; everything in cfg is copied. 0, -EADDRINUSE, -EINVAL for a host that
 * is no numeric address, else -errno.
 */
int	listener_open(struct listener **lp, struct event_base *base,
	    const struct listener_config *cfg);

/* The port, also when the kernel chose it. */
uint16_t listener_port(const struct listener *l);

/* This child was reaped; a pid that is none of ours is fine. */
void	listener_child_ended(struct listener *l, pid_t pid);

/* Stop listening; sshds that run stay. NULL is fine. */
void	listener_close(struct listener *l);

#endif
