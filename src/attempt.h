/* SPDX-License-Identifier: ISC */
/*
 * One event of an attempt, carried out, and one question of an attempt, answered:
 * what a move from here and a persona arriving here drive their handover with.
 * Knows neither side; the caller owns the handover, the timer, what the actions
 * mean and whom it asks.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include <stdint.h>

#include "handover.h"

struct daemon;
struct event;
struct persona;
struct question;

typedef void attempt_act_fn(void *arg, const struct handover_action *action);

/*
 * Give the event to the handover, log a change of state under the persona's name,
 * and have each action done in order. `act` may come back here with the action's
 * own event; so it may not free what holds the handover.
 */
void	attempt_step(struct handover *h, const char *name,
	    const struct handover_event *e, attempt_act_fn *act, void *arg);

/* Let the timer fire at this moment of clock_now_ms(); 0: not at all. */
void	attempt_timer(struct event *timer, uint64_t at_ms);

/*
 * A question that may outlive its attempt, as the argument of an answer's callback:
 * it holds the persona's id and the attempt instead of a pointer to either. NULL
 * when there is no memory; free() it if it could not be asked.
 */
struct question *attempt_ask(struct daemon *d, const char *id, uint64_t attempt);

/*
 * The answer has come, be it that nobody answers any more. Frees the question. The
 * persona, or NULL if it is gone; whether its hook still is that attempt's is for
 * the caller to see. `attempt` may be NULL.
 */
struct persona *attempt_answered(struct question *q, uint64_t *attempt);

#endif
