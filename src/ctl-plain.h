/* SPDX-License-Identifier: ISC */
/*
 * The two shapes that plain commands have: one that names a persona, one that lists.
 * Knows no command's meaning.
 */
#ifndef CTL_PLAIN_H
#define CTL_PLAIN_H

#include <stdbool.h>

#include "control.pb-c.h"

struct ctl;

/*
 * A whole command that is nothing but a persona's name: its arguments, the request
 * `what`, which carries a Name, and what came of it. A ctl_exit.
 */
int	ctl_call_named(struct ctl *ctl, int argc, char **argv,
	    Persona__Control__Request__WhatCase what);

/*
 * A command without arguments that lists: *names says whether --names asks for
 * nothing else. As ctl_call(); a wrong command line has been reported.
 */
int	ctl_call_list(struct ctl *ctl, int argc, char **argv,
	    const Persona__Control__Request *req, bool *names,
	    Persona__Control__Reply **reply);

#endif
