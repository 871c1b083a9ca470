/* SPDX-License-Identifier: ISC */
/*
 * How a move looks: a bar, a line, and what is said at the end. Pure functions of
 * what personad told. Knows no terminal, no connection and no clock.
 */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stddef.h>
#include <stdio.h>

#include "control.pb-c.h"
#include "ctl-json.h"

#define PROGRESS_LINE_MAX 512	/* bytes; lines that do not fit are cut */

/* What must be remembered between two pictures of one move. */
struct progress {
	unsigned int	percent;	/* shown last: a bar never goes back */
};

/*
 * How much of the move's time has passed, 0..100: 100 only when it has ended.
 * By the engine's estimate of the time left where there is one, else by the
 * pages of the first round.
 */
unsigned int progress_percent(struct progress *p,
	    const Persona__Control__MoveInfo *m);

/*
 * "work -> bob  [=======>      ]  52%  round 2  187 Mbit/s  201 MiB  6 s left",
 * no wider than `columns`; what matters least goes first.
 */
void	progress_bar(char out[PROGRESS_LINE_MAX], struct progress *p,
	    const Persona__Control__MoveInfo *m, unsigned int columns);

/* The same for a log: "work -> bob: round 2, 52 %, ...", no bar. */
void	progress_line(char out[PROGRESS_LINE_MAX], struct progress *p,
	    const Persona__Control__MoveInfo *m);

/*
 * The last line of a move that succeeded: total, blackout, bytes against memory,
 * how they were saved.
 */
void	progress_summary(char out[PROGRESS_LINE_MAX],
	    const Persona__Control__MoveInfo *m);

/* The members of one move in an object named key (or NULL in an array). */
void	progress_json(struct json *j, const char *key,
	    const Persona__Control__MoveInfo *m);

#endif
