/* SPDX-License-Identifier: ISC */
/*
 * How the answer to move --dry-run looks: a table, the reasons, and one line that
 * says yes or no. Pure functions of what personad told; knows no connection.
 */
#ifndef CTL_PREFLIGHT_H
#define CTL_PREFLIGHT_H

#include <stdbool.h>
#include <stdio.h>

#include "control.pb-c.h"
#include "ctl-json.h"

#define PREFLIGHT_LINE_MAX 256

/* What is needed and what is there, a row each, on f. 0 or -ENOMEM. */
int	preflight_table(const Persona__Transfer__Preflight *p, FILE *f);

/* "yes: about 14 s (11 s to 19 s), 180 MiB, pause about 60 ms" */
void	preflight_yes(char out[PREFLIGHT_LINE_MAX],
	    const Persona__Transfer__Estimate *e);

/* Is the answer yes? */
bool	preflight_is_yes(const Persona__Transfer__Preflight *p);

/* A warning about a battery that may not last, "" when there is none. */
void	preflight_care(char out[PREFLIGHT_LINE_MAX],
	    const Persona__Transfer__Preflight *p);

/* The members of an object named key. */
void	preflight_json(struct json *j, const char *key,
	    const Persona__Transfer__Preflight *p);

#endif
