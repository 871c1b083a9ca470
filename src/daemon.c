/* SPDX-License-Identifier: ISC */
/* What every room of personad needs: the paths of the helpers, and one nudge. */
#include "daemon.h"

#include <event2/event.h>
#include <stdio.h>

const char *
daemon_program(const struct daemon *d, const char *name,
    char buf[DAEMON_PROGRAM_MAX])
{
	snprintf(buf, DAEMON_PROGRAM_MAX, "%s/%s", d->conf.libexec_dir,
	    name);
	return buf;
}

void
daemon_policies_look(struct daemon *d)
{
	const struct timeval now = { 0 };

	if (d->policy_look != NULL)
		(void)evtimer_add(d->policy_look, &now);
}
