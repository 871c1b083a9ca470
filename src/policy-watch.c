/* SPDX-License-Identifier: ISC */
/*
 * Looks at every persona that runs, when the next notice or end is due and at least
 * every half minute: the clock of a handset may jump. One that may run no longer is
 * paused, then suspended; where that fails it stays paused. Nothing of it is lost.
 */
#include "policy-watch.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "guest.h"
#include "log.h"
#include "move.h"
#include "persona.h"
#include "policy-check.h"
#include "saving.h"

#define LOOK_MAX_S	30u	/* between two looks */
#define BUSY_S		1u	/* something is under way that must end first */
#define AGAIN_S		60u	/* after a suspend that failed */

/* --- the end -------------------------------------------------------------------- */

static void
progress(void *arg, const Persona__Transfer__Progress *p)
{
	(void)arg;
	(void)p;
}

/* Its record says why it is suspended, for whoever wonders later. */
static void
suspended(void *arg, uint32_t reason, const char *why, unsigned int number,
    uint64_t pause_ns)
{
	char forbids[POLICY_WHY_MAX], end[REASON_TEXT_MAX + 1];
	struct persona *p = arg;

	(void)number;
	(void)pause_ns;
	if (p->guest != NULL) {
		log_err("persona %s: stays paused, it cannot be suspended: %s",
		    p->rec.name, why);
		return;
	}
	if (reason != 0 || policy_check(p->daemon, &p->rec.spec, POLICY_START,
	    NULL, forbids) == 0)
		return;
	snprintf(end, sizeof(end), "it was suspended: %s", forbids);
	if (registry_persona_ended(p->daemon->registry, p->rec.id, false,
	    end) == 0)
		persona_refresh(p);
}

static void
suspend(struct persona *p)
{
	static const struct saving_events events = {
		.progress = progress,
		.ended = suspended,
	};
	const char *why;
	int r;

	p->suspend_after_s = (uint64_t)time(NULL) + AGAIN_S;
	r = saving_start(p, SAVING_SUSPEND, 0, NULL, &events, p, &why);
	if (r < 0)
		log_err("persona %s: stays paused, it cannot be suspended: "
		    "%s: %s", p->rec.name, why, strerror(-r));
}

static void
paused(void *arg, int r, const char *why)
{
	struct persona *p = arg;

	p->closing = false;
	if (p->daemon->policy_look == NULL)
		return;		/* personad leaves; the next one looks again */
	if (r == 0 && p->guest != NULL && p->hook == NULL) {
		suspend(p);
	} else if (r < 0 && p->guest != NULL) {
		log_err("persona %s: cannot be paused: %s; killing it",
		    p->rec.name, why);
		guest_kill(p->guest);
	}
}

/* It may not run: see to it. Seconds until the next look at it. */
static uint64_t
close_down(struct persona *p, const char *forbids)
{
	if (p->hook != NULL && !p->hook->saving)
		(void)move_cancel(p);
	if (p->hook != NULL || p->closing || !p->ready)
		return BUSY_S;
	if (!p->paused) {
		log_warn("persona %s: %s; suspending it", p->rec.name, forbids);
		p->closing = true;
		persona_pause(p, paused, p);
		return BUSY_S;
	}
	if ((uint64_t)time(NULL) >= p->suspend_after_s)
		suspend(p);
	return AGAIN_S;
}

/* --- looking -------------------------------------------------------------------- */

static uint64_t
look_at(struct persona *p)
{
	char text[POLICY_WHY_MAX];
	const uint64_t now = (uint64_t)time(NULL);
	struct policy_view v;
	uint64_t notice;

	if (p->guest == NULL || p->rec.holding != HOLDING_OWNER ||
	    (p->hook != NULL && p->hook->incoming))
		return UINT64_MAX;
	/* Only time ends what runs: what else is wrong with it is asked at its start. */
	if (policy_view(p->daemon, &p->rec.spec, &v) < 0 || !v.present)
		return UINT64_MAX;
	if (v.policy.expires_unix_s != 0 && now >= v.policy.expires_unix_s)
		return policy_check(p->daemon, &p->rec.spec, POLICY_START, NULL,
		    text) < 0 ? close_down(p, text) : UINT64_MAX;
	notice = policy_notice_s(&v.policy, now);
	if (notice > 0 && notice != p->notice_s &&
	    policy_notice(&v.policy, now, text))
		log_warn("persona %s: %s", p->rec.name, text);
	p->notice_s = notice;
	return policy_next_s(&v.policy, now);
}

static void
look_cb(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = { .tv_sec = LOOK_MAX_S };
	struct daemon *d = arg;
	struct persona *p;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(p, &d->personas, entry) {
		uint64_t s = look_at(p);

		if (s < (uint64_t)tv.tv_sec)
			tv.tv_sec = (time_t)s;
	}
	(void)evtimer_add(d->policy_look, &tv);
}

int
policy_watch_open(struct daemon *d)
{
	if ((d->policy_look = evtimer_new(d->base, look_cb, d)) == NULL)
		return -ENOMEM;
	daemon_policies_look(d);
	return 0;
}

void
policy_watch_close(struct daemon *d)
{
	if (d->policy_look != NULL)
		event_free(d->policy_look);
	d->policy_look = NULL;
}
