/* SPDX-License-Identifier: ISC */
/*
 * One guest on the terminal, without personad: for people who try things and for
 * tests. Deliberately has no control connection.
 */
#ifndef RUN_H
#define RUN_H

#include <stdint.h>

struct event_base;
struct hv_host;

struct run_config {
	int		kernel_fd;	/* stays the caller's */
	int		initrd_fd;	/* -1: none */
	const char	*cmdline;
	uint64_t	ram_bytes;
	unsigned int	vcpus;
	const char	*cpu_baseline;
};

/*
 * Boot it with its serial port on standard input and output; Ctrl-] ends it when
 * that is a terminal. The exit status: 0 after a power-off, else 1.
 */
int	run_guest(struct event_base *base, struct hv_host *host,
	    const struct run_config *c);

#endif
