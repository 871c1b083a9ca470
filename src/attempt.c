/* SPDX-License-Identifier: ISC */
/*
 * The steps of a handover, in order and in the log, for whichever side drives it,
 * and the questions it asks. Knows no record, no process and no peer.
 */
#include "attempt.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "daemon.h"
#include "log.h"
#include "persona.h"

struct question {
	struct daemon	*daemon;
	char		id[PERSONA_ID_LEN + 1];
	uint64_t	attempt;
};

void
attempt_step(struct handover *h, const char *name,
    const struct handover_event *e, attempt_act_fn *act, void *arg)
{
	struct handover_action actions[HANDOVER_ACTIONS_MAX];
	enum handover_state before = h->state;
	size_t n;

	n = handover_step(h, e, clock_now_ms(), actions);
	if (h->state != before)
		log_debug("persona %s: attempt %llu: %s", name,
		    (unsigned long long)h->attempt,
		    handover_state_name(h->state));
	for (size_t i = 0; i < n; i++)
		act(arg, &actions[i]);
}

void
attempt_timer(struct event *timer, uint64_t at_ms)
{
	uint64_t now = clock_now_ms(), in = at_ms > now ? at_ms - now : 0;
	struct timeval tv = { .tv_sec = (time_t)(in / 1000),
	    .tv_usec = (suseconds_t)(in % 1000 * 1000) };

	if (at_ms == 0)
		(void)evtimer_del(timer);
	else
		(void)evtimer_add(timer, &tv);
}

struct question *
attempt_ask(struct daemon *d, const char *id, uint64_t attempt)
{
	struct question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->daemon = d;
	q->attempt = attempt;
	memcpy(q->id, id, sizeof(q->id));
	return q;
}

struct persona *
attempt_answered(struct question *q, uint64_t *attempt)
{
	struct persona *p = persona_by_id(q->daemon, q->id);

	if (attempt != NULL)
		*attempt = q->attempt;
	free(q);
	return p;
}
