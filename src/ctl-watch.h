/* SPDX-License-Identifier: ISC */
/*
 * Follow the replies about moves until the last one, and show them: a bar on a
 * terminal, a line a second elsewhere, an object a line with --json. Knows how
 * Ctrl-C is answered; knows no request but cancel.
 */
#ifndef CTL_WATCH_H
#define CTL_WATCH_H

#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl.h"

/*
 * Watch c until its last reply. With `cancels` (a persona's name) Ctrl-C cancels
 * its move and a second one leaves; without, Ctrl-C ends us as usual. CTL_OK:
 * *last is the last reply, without an error, the caller's to free; every other
 * end has been reported.
 */
int	ctl_watch(struct ctl *ctl, struct ctl_client *c, const char *cancels,
	    Persona__Control__Reply **last);

#endif
