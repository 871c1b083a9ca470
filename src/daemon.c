/* SPDX-License-Identifier: ISC */
/* The helpers' paths, which every room of personad needs. */
#include "daemon.h"

#include <stdio.h>

const char *
daemon_program(const struct daemon *d, const char *name,
    char buf[DAEMON_PROGRAM_MAX])
{
	snprintf(buf, DAEMON_PROGRAM_MAX, "%s/%s", d->conf.libexec_dir,
	    name);
	return buf;
}
