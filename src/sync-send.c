/* SPDX-License-Identifier: ISC */
/*
 * The source's state machine. Which pages and in which form is rounds.c's, when
 * to stop is sync-policy.c's, how frames travel is bundle.c's.
 */
#include "sync-send.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "bundle.h"
#include "effort.h"
#include "flow.h"
#include "log.h"
#include "pagecodec.h"
#include "reason.h"
#include "rounds.h"
#include "sync-offer.h"
#include "sync-policy.h"
#include "sync-role.h"
#include "sync-say.h"

#define MS			1000000ULL
#define NS			1000000000ULL
#define HARVEST_NS		(100 * MS)	/* while a round lasts */
/* Shorter rounds say nothing of how fast the guest changes its memory. */
#define ROUND_MIN_NS		(30 * MS)
#define PROGRESS_NS		(200 * MS)
#define SLICE_NS		(4 * MS)	/* encoding, before others run */
#define SLICE_PAGES		64u		/* between looks at the clock */
#define SETTLE_GROUPS		16u		/* a tick */
#define GOODBYE_NS		(500 * MS)	/* for last words to leave */
#define DRAINED_NS		(2 * MS)	/* of the link's time, at most */
#define FINISH_MS		150u		/* from the stop to the end */
#define RATE_GUESS		((uint64_t)4 << 20)	/* too little was sent */

struct sync_send {
	const struct sync_send_ops *ops;
	void			*arg;
	struct sync_role	role;
	struct sync_offer	offer;
	struct rounds		*rounds;
	struct policy		policy;
	struct effort		effort;
	uint64_t		tenure;		/* the one it will have */
	/* harvests */
	bool			harvest_pending, logging, accepted;
	uint64_t		harvested_ns, round_ns;
	bool			round_over;	/* waiting for its harvest */
	bool			last_live;	/* POLICY_STOP: then drain */
	/* the stop */
	struct digest		machine_digest;	/* of the saved state */
	uint64_t		stopped_at_ns;
	bool			final_harvested, root_sent;
	uint64_t		stop_bytes;	/* sent before it, later during */
	uint64_t		overhead_ns;
	/* figures */
	uint64_t		progress_ns;
};

/* Over by our own doing: the peer is told why. */
static void
give_up(struct sync_send *s, uint32_t reason, const char *text)
{
	sync_role_give_up(&s->role, reason, text);
}

static void
give_up_r(struct sync_send *s, int r)
{
	char text[96];

	snprintf(text, sizeof(text), "sending failed: %s", strerror(-r));
	give_up(s, REASON_INTERNAL, text);
}

static void
ask_harvest(struct sync_send *s, bool start)
{
	if (s->harvest_pending)
		return;
	s->harvest_pending = true;
	s->ops->harvest(s->arg, start);
}

/* --- rounds ----------------------------------------------------------------- */

static void
say_round(struct sync_send *s)
{
	struct sync_progress p;

	sync_send_progress(s, &p);
	(void)sync_say_round(s->role.bundle, &p);
}

/* Once the target has accepted and every change is logged, whichever is later. */
static void
begin_copy(struct sync_send *s)
{
	if (!s->accepted || !s->logging)
		return;
	sync_role_enter(&s->role, SYNC_COPY);
	s->round_ns = sync_role_now_ns(&s->role);
	/* No stop is near while all of memory is on its way. */
	bundle_set_queue(s->role.bundle, FLOW_QUEUE_LONG_NS);
	say_round(s);
	sync_role_again(&s->role);
}

/* The round is sent and what was dirtied meanwhile is known: what now? */
static void
next_round(struct sync_send *s)
{
	uint64_t now = sync_role_now_ns(&s->role);
	uint64_t rate = bundle_rate(s->role.bundle);
	struct policy_round round = {
		.dirty_pages = rounds_pages_next(s->rounds),
		.interval_ns = now - s->round_ns,
		.page_cost = rounds_page_cost(s->rounds),
		.rate = rate > 0 ? rate : RATE_GUESS,
		.rtt_ns = bundle_rtt_ns(s->role.bundle),
		.inflight = bundle_unacked(s->role.bundle),
	};
	enum policy_verdict verdict = policy_decide(&s->policy, &round);

	log_debug("persona %s: round %u: %llu pages left, %llu ms projected "
	    "stop, %llu KiB/s", s->role.name, rounds_number(s->rounds),
	    (unsigned long long)round.dirty_pages,
	    (unsigned long long)(s->policy.projected_ns / MS),
	    (unsigned long long)(round.rate >> 10));
	if (verdict == POLICY_GIVE_UP) {
		give_up(s, REASON_NOT_CONVERGING, NULL);
		return;
	}
	if (verdict == POLICY_THROTTLE) {
		log_info("persona %s: held back by %u %% so that the move can "
		    "end", s->role.name, s->policy.throttle);
		s->ops->throttle(s->arg, s->policy.throttle);
	}
	s->last_live = verdict == POLICY_STOP;
	s->round_over = false;
	s->round_ns = now;
	bundle_set_queue(s->role.bundle, FLOW_QUEUE_SHORT_NS);
	rounds_begin(s->rounds);
	say_round(s);
}

static void
choose_effort(struct sync_send *s)
{
	uint64_t rate = bundle_rate(s->role.bundle);
	size_t queued = bundle_unacked(s->role.bundle);

	rounds_set_effort(s->rounds, effort_choose(&s->effort, rate, queued));
	rounds_hurry(s->rounds, effort_hurries(rate, queued));
}

/* Of memory that does not happen. */
static void
unreadable(struct sync_send *s, int r)
{
	char text[96];

	snprintf(text, sizeof(text), "a disk of the persona cannot be read: %s",
	    strerror(-r));
	give_up(s, REASON_INTERNAL, text);
}

/* Encode and send while there is room; false when there is nothing to do. */
static bool
send_pages(struct sync_send *s)
{
	uint64_t until = sync_role_now_ns(&s->role) + SLICE_NS;

	while (!rounds_finished(s->rounds) && bundle_room(s->role.bundle) > 0) {
		const uint8_t *payload;
		size_t len;
		int r;

		choose_effort(s);
		r = rounds_payload(s->rounds, SLICE_PAGES, &payload, &len);
		if (r < 0) {
			unreadable(s, r);
			return false;
		}
		if (len > 0 && (r = bundle_send(s->role.bundle, FRAME_PAGES, 0,
		    payload, len)) < 0) {
			if (!s->role.link_dead)
				give_up_r(s, r);
			return false;
		}
		if (sync_role_now_ns(&s->role) >= until) {
			sync_role_again(&s->role);
			return false;
		}
	}
	return rounds_finished(s->rounds);
}

static void
run_copy(struct sync_send *s)
{
	if (!send_pages(s))
		return;
	if (s->last_live) {
		sync_role_enter(&s->role, SYNC_DRAIN);
		sync_role_again(&s->role);
		return;
	}
	if (sync_role_now_ns(&s->role) - s->round_ns < ROUND_MIN_NS)
		return;		/* the next tick asks again */
	/* A harvest under way will do: the last one comes after the stop. */
	s->round_over = true;
	ask_harvest(s, false);
}

/* What is under way would only make the stop longer. */
static void
run_drain(struct sync_send *s)
{
	uint64_t few = bundle_rate(s->role.bundle) / (NS / DRAINED_NS);

	rounds_settle(s->rounds, UINT64_MAX);
	if (bundle_unacked(s->role.bundle) > few || s->harvest_pending)
		return;
	sync_role_enter(&s->role, SYNC_STOPPING);
	s->ops->want_stop(s->arg);
}

/* --- the stop --------------------------------------------------------------- */

static void
run_stopped(struct sync_send *s)
{
	struct digest root;

	if (!s->final_harvested || s->root_sent || !send_pages(s))
		return;
	s->root_sent = true;
	rounds_root(s->rounds, &s->machine_digest, &root);
	if (sync_say_root(s->role.bundle, &root) < 0 && !s->role.link_dead)
		give_up(s, REASON_INTERNAL, NULL);
}

void
sync_send_stopped(struct sync_send *s, const void *state, size_t len,
    uint64_t stopped_at_ns)
{
	int r;

	if (s->role.state != SYNC_STOPPING || s->role.ending)
		return;
	if (len == 0 || len > STATE_BLOB_MAX) {
		give_up(s, REASON_VMM_FAILED,
		    "the saved machine state has an impossible size");
		return;
	}
	sync_role_enter(&s->role, SYNC_STOPPED);
	s->stopped_at_ns = stopped_at_ns;
	s->stop_bytes = bundle_bytes_out(s->role.bundle);
	/* Now nothing runs: this harvest is the last and complete. */
	ask_harvest(s, false);
	digest_bytes(&s->machine_digest, state, len);
	if ((r = sync_say_stop(s->role.bundle, len)) < 0 ||
	    (r = sync_say_state(s->role.bundle, state, len)) < 0)
		give_up_r(s, r);
}

void
sync_send_release(struct sync_send *s, uint64_t tenure)
{
	if (s->role.state != SYNC_PREPARED || s->role.ending || tenure != s->tenure)
		return;
	sync_role_enter(&s->role, SYNC_RELEASED);
	(void)sync_say_release(s->role.bundle, tenure,
	    sync_role_now_ns(&s->role) - s->stopped_at_ns);
}

void
sync_send_harvested(struct sync_send *s)
{
	if (!s->harvest_pending)
		return;
	s->harvest_pending = false;
	s->harvested_ns = sync_role_now_ns(&s->role);
	if (s->role.ending)
		return;
	(void)rounds_harvested(s->rounds);
	if (!s->logging) {
		/* From here on a page that is not looked at cannot be missed. */
		s->logging = true;
		rounds_survey(s->rounds);
		begin_copy(s);
	}
	if (s->role.state == SYNC_COPY && s->round_over) {
		next_round(s);
	} else if (s->role.state == SYNC_STOPPED && !s->final_harvested) {
		s->final_harvested = true;
		rounds_begin(s->rounds);
	}
	sync_role_again(&s->role);
}

/* --- what the target says --------------------------------------------------- */

static int
take_prepared(struct sync_send *s, const Persona__Sync__Prepared *prepared)
{
	if (!s->root_sent || prepared->tenure != s->tenure)
		return -EPROTO;
	sync_role_enter(&s->role, SYNC_PREPARED);
	/* All that the target needed has been written, and little else. */
	s->stop_bytes = bundle_bytes_out(s->role.bundle) - s->stop_bytes;
	s->ops->prepared(s->arg, prepared->tenure);
	return 0;
}

static int
take_running(struct sync_send *s, const Persona__Sync__Running *running)
{
	const struct blackout b = { .ns = running->has_blackout_ns ?
	    running->blackout_ns : 0, .by_guest = running->by_guest };

	if (running->tenure != s->tenure)
		return -EPROTO;
	sync_role_enter(&s->role, SYNC_RUNNING);
	if (b.ns > 0 && bundle_rate(s->role.bundle) > 0)
		s->overhead_ns = policy_overhead(b.ns, s->stop_bytes,
		    bundle_rate(s->role.bundle),
		    bundle_rtt_ns(s->role.bundle));
	s->ops->running(s->arg, running->tenure, &b);
	sync_role_finish(&s->role, REASON_OK, NULL);
	return 0;
}

/* A message the target may send in this state, else -EPROTO. */
static int
take_message(void *engine, const Persona__Sync__SyncMessage *m)
{
	struct sync_send *s = engine;

	switch (m->kind_case) {
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_HELLO:
		return s->role.state == SYNC_HELLO ?
		    sync_offer_send(&s->offer, &s->role, m->hello) :
		    -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_ACCEPT:
		if (s->role.state != SYNC_OFFER || s->accepted)
			return -EPROTO;
		s->accepted = true;
		begin_copy(s);
		return 0;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_REFUSE:
		if (s->role.state != SYNC_OFFER)
			return -EPROTO;
		sync_role_told(&s->role, m->refuse->reason,
		    m->refuse->message);
		return 0;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_PREPARED:
		return s->role.state == SYNC_STOPPED ?
		    take_prepared(s, m->prepared) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_RUNNING:
		return s->role.state == SYNC_RELEASED ?
		    take_running(s, m->running) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_CANCEL:
		sync_role_told(&s->role, m->cancel->reason,
		    m->cancel->message);
		return 0;
	default:
		return -EPROTO;
	}
}

static int
take_frame(void *engine, const struct frame *f, const uint8_t *payload)
{
	struct sync_send *s = engine;

	return f->kind == FRAME_MESSAGE ?
	    sync_role_message(&s->role, f, payload, take_message) : -EPROTO;
}

static void
frame_failed(void *engine, int r)
{
	give_up_r(engine, r);
}

/* --- life ------------------------------------------------------------------- */

int
sync_send_new(struct sync_send **sp, const struct sync_send_config *cfg,
    const struct sync_send_ops *ops, void *arg)
{
	static const struct sync_role_ops role_ops = {
		.verb = "sending",
		.goodbye_ns = GOODBYE_NS,
		.frame = take_frame,
		.failed = frame_failed,
	};
	const struct sync_owner owner = { ops->now_ns, ops->again, ops->ended,
	    arg };
	struct sync_send *s;
	int r;

	if (cfg->attempt == 0)
		return -EINVAL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->ops = ops;
	s->arg = arg;
	s->tenure = cfg->persona->tenure + 1;
	effort_init(&s->effort);
	policy_init(&s->policy, cfg->blackout_budget_ms * MS,
	    cfg->allow_throttle, cfg->overhead_ns);
	if ((r = sync_offer_init(&s->offer, cfg->persona, false)) < 0 ||
	    (r = sync_role_init(&s->role, &role_ops, s, &owner,
	    cfg->attempt)) < 0) {
		sync_send_free(s);
		return r;
	}
	snprintf(s->role.name, sizeof(s->role.name), "%s", cfg->persona->name);
	bundle_set_cap(s->role.bundle, cfg->bandwidth_limit);
	*sp = s;
	return 0;
}

void
sync_send_free(struct sync_send *s)
{
	if (s == NULL)
		return;
	sync_role_fini(&s->role);
	rounds_free(s->rounds);
	sync_offer_fini(&s->offer);
	free(s);
}

int
sync_send_add_stream(struct sync_send *s, struct stream *stream)
{
	return bundle_add(s->role.bundle, stream);
}

int
sync_send_start(struct sync_send *s, struct space *space, uint64_t *dirty)
{
	int r;

	if (s->rounds != NULL || !sync_offer_fits(&s->offer, space))
		return -EINVAL;
	if ((r = rounds_new(&s->rounds, space, dirty)) < 0)
		return r;
	/* Early: what is hot is known before the first page is sent. */
	ask_harvest(s, true);
	return sync_say_hello(s->role.bundle);
}

void
sync_send_cancel(struct sync_send *s, uint32_t reason, const char *text)
{
	if (s->role.state < SYNC_RELEASED)
		give_up(s, reason, text);
}

void
sync_send_doubt_link(struct sync_send *s)
{
	bundle_doubt(s->role.bundle);
}

/* Whatever the reason, the guest is not held back for this move any more. */
static bool
run_ending(struct sync_send *s)
{
	if (s->role.ending && s->policy.throttle > 0) {
		s->policy.throttle = 0;
		s->ops->throttle(s->arg, 0);
	}
	return sync_role_run_ending(&s->role);
}

void
sync_send_step(struct sync_send *s)
{
	if (run_ending(s) || s->rounds == NULL || !s->logging)
		return;
	if (s->role.state == SYNC_COPY && !s->round_over)
		run_copy(s);
	else if (s->role.state == SYNC_DRAIN)
		run_drain(s);
	else if (s->role.state == SYNC_STOPPED)
		run_stopped(s);
}

void
sync_send_tick(struct sync_send *s)
{
	uint64_t now = sync_role_now_ns(&s->role);
	struct sync_progress p;

	if (s->role.state == SYNC_ENDED)
		return;
	bundle_tick(s->role.bundle);
	if (s->rounds != NULL && !s->role.ending) {
		rounds_settle(s->rounds, SETTLE_GROUPS);
		if ((s->role.state == SYNC_COPY || s->role.state == SYNC_OFFER) &&
		    s->logging && now - s->harvested_ns >= HARVEST_NS)
			ask_harvest(s, false);
		if (now - s->progress_ns >= PROGRESS_NS) {
			s->progress_ns = now;
			sync_send_progress(s, &p);
			s->ops->progress(s->arg, &p);
		}
	}
	sync_send_step(s);
}

uint64_t
sync_send_overhead_ns(const struct sync_send *s)
{
	return s->overhead_ns;
}

enum sync_state
sync_send_state(const struct sync_send *s)
{
	return s->role.state;
}

void
sync_send_progress(struct sync_send *s, struct sync_progress *p)
{
	memset(p, 0, sizeof(*p));
	p->state = s->role.state;
	p->bytes = bundle_bytes_out(s->role.bundle);
	p->rate = bundle_rate(s->role.bundle);
	p->throttle_percent = s->policy.throttle;
	p->projected_blackout_ms = s->policy.projected_ns / MS;
	if (s->rounds == NULL)
		return;
	p->round = rounds_number(s->rounds);
	p->pages_total = rounds_pages_all(s->rounds);
	p->pages_left = rounds_pages_left(s->rounds);
	p->savings = *rounds_savings(s->rounds);
	if (p->rate > 0)
		p->eta_ms = FINISH_MS + (rounds_bytes_left(s->rounds) +
		    bundle_unacked(s->role.bundle)) * 1000 / p->rate;
}
