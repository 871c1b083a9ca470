/* SPDX-License-Identifier: ISC */
/* The clock and the helpers' paths, which every room of personad needs. */
#include "daemon.h"

#include <stdio.h>
#include <time.h>

uint64_t
daemon_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t
daemon_now_ms(void)
{
	return daemon_now_ns() / 1000000u;
}

const char *
daemon_program(const struct daemon *d, const char *name,
    char buf[DAEMON_PROGRAM_MAX])
{
	snprintf(buf, DAEMON_PROGRAM_MAX, "%s/%s", d->conf.libexec_dir,
	    name);
	return buf;
}
