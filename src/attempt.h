/* SPDX-License-Identifier: ISC */
/*
 * One event of an attempt, carried out: what a move from here and a persona
 * arriving here drive their handover with. Knows neither side; the caller owns
 * the handover, the timer and what the actions mean.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include <stdint.h>

#include "handover.h"

struct event;

typedef void attempt_act_fn(void *arg, const struct handover_action *action);

/*
 * Give the event to the handover, log a change of state under the persona's name,
 * and have each action done in order. `act` may come back here with the action's
 * own event; so it may not free what holds the handover.
 */
void	attempt_step(struct handover *h, const char *name,
	    const struct handover_event *e, attempt_act_fn *act, void *arg);

/* Let the timer fire at this moment of daemon_now_ms(); 0: not at all. */
void	attempt_timer(struct event *timer, uint64_t at_ms);

#endif
