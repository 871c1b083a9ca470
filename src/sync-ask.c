/* SPDX-License-Identifier: ISC */
/*
 * The asking state machine: the peer's answer, the link and the guest measured at
 * the same time, then one estimate. How it is worked out is estimate.c's.
 */
#include "sync-ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "bundle.h"
#include "effort.h"
#include "estimate.h"
#include "flow.h"
#include "reason.h"
#include "sample.h"
#include "sync-offer.h"
#include "sync-role.h"
#include "sync-say.h"

#define MS			1000000ULL
#define NS			1000000000ULL
#define ANSWER_NS		(10 * NS)	/* for all of it, from the first word */
#define GOODBYE_NS		(500 * MS)
#define HARVEST_NS		(100 * MS)
#define WINDOWS_MIN		4u
#define PROBE_NS		(1000 * MS)
#define PROBE_BYTES		((uint64_t)4 << 20)
#define PROBE_FRAME_BYTES	(32u << 10)
/* The first of it may pass through empty buffers and says nothing. */
#define PROBE_SKIP_BYTES	((uint64_t)128 << 10)
/* For what is under way to be acknowledged: a link so slow is known by then. */
#define PROBE_TAIL_NS		(2000 * MS)
#define TEXT_MAX		63u

/* Where the measuring of the link stands. */
struct probe {
	bool		over;
	uint64_t	begun_ns, over_ns;
	uint64_t	sent_bytes;
	uint64_t	from_ns, from_bytes;	/* measured from here */
};

struct sync_ask {
	const struct sync_ask_ops *ops;
	void			*arg;
	struct sync_role	role;
	struct sync_offer	offer;
	struct estimate_input	in;
	Persona__Transfer__Answer *answer;	/* a copy */
	uint64_t		started_ns;
	struct probe		probe;
	uint8_t			*noise;
	struct sample		*sample;
	bool			harvest_pending, logging;
	uint64_t		harvested_ns;
};

static void
give_up(struct sync_ask *s, uint32_t reason, const char *text)
{
	sync_role_give_up(&s->role, reason, text);
}

static void
unreadable(struct sync_ask *s, int r)
{
	char text[96];

	snprintf(text, sizeof(text), "the persona's pages cannot be read: %s",
	    strerror(-r));
	give_up(s, REASON_INTERNAL, text);
}

static void
ask_harvest(struct sync_ask *s, bool start)
{
	if (s->harvest_pending)
		return;
	s->harvest_pending = true;
	s->ops->harvest(s->arg, start);
}

/* --- the answer ------------------------------------------------------------- */

static bool
word_ok(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return len <= TEXT_MAX;
}

static void
tidy_text(char **text)
{
	if (*text != NULL && !word_ok(*text)) {
		free(*text);
		*text = NULL;
	}
}

static int
tidy_objection(Persona__Transfer__Objection *o)
{
	char text[REASON_TEXT_MAX + 1], *copy;

	/* An objection without a reason is one all the same. */
	if (o->reason == REASON_OK)
		o->reason = REASON_TARGET_FAILED;
	sync_copy_text(text, sizeof(text), o->reason, o->message);
	if ((copy = strdup(text)) == NULL)
		return -ENOMEM;
	free(o->message);
	o->message = copy;
	return 0;
}

int
sync_ask_check_answer(Persona__Transfer__Answer *a)
{
	int r = 0;

	if (a->n_objections > OBJECTIONS_MAX)
		return -EPROTO;
	for (size_t i = 0; i < a->n_objections && r == 0; i++)
		r = tidy_objection(a->objections[i]);
	tidy_text(&a->cpu_highest);
	tidy_text(&a->cpu_needed);
	tidy_text(&a->version);
	if (a->battery_percent > 100)
		a->has_battery_percent = false;
	return r;
}

/* As it stands, for longer than the message it came in. */
static int
keep_answer(struct sync_ask *s, const Persona__Transfer__Answer *answer)
{
	size_t len = persona__transfer__answer__get_packed_size(answer);
	uint8_t *packed = malloc(len > 0 ? len : 1);

	if (packed == NULL)
		return -ENOMEM;
	persona__transfer__answer__pack(answer, packed);
	s->answer = persona__transfer__answer__unpack(NULL, len, packed);
	free(packed);
	return s->answer != NULL ? sync_ask_check_answer(s->answer) : -EPROTO;
}

static void
tell(struct sync_ask *s, Persona__Transfer__Estimate *estimate)
{
	Persona__Transfer__Preflight p = PERSONA__TRANSFER__PREFLIGHT__INIT;

	p.answer = s->answer;
	p.estimate = estimate;
	s->ops->answered(s->arg, &p);
	give_up(s, REASON_OK, NULL);
}

/* --- the link ----------------------------------------------------------------- */

/* Nothing shortens it on the way: a compressing tunnel would flatter the link. */
static void
fill_noise(uint8_t *noise, size_t len)
{
	uint64_t x = 0x9e3779b97f4a7c15ULL;

	for (size_t i = 0; i + sizeof(x) <= len; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(noise + i, &x, sizeof(x));
	}
}

static uint64_t
acked_bytes(const struct sync_ask *s)
{
	uint64_t unacked = bundle_unacked(s->role.bundle);

	return s->probe.sent_bytes > unacked ?
	    s->probe.sent_bytes - unacked : 0;
}

static void
run_probe(struct sync_ask *s)
{
	struct probe *p = &s->probe;
	uint64_t now = sync_role_now_ns(&s->role), acked;

	while (now - p->begun_ns < PROBE_NS && p->sent_bytes < PROBE_BYTES &&
	    bundle_room(s->role.bundle) > 0) {
		if (bundle_send(s->role.bundle, FRAME_PROBE, 0, s->noise,
		    PROBE_FRAME_BYTES) < 0)
			return;		/* the bundle tells why */
		p->sent_bytes += FRAME_HEADER_BYTES + PROBE_FRAME_BYTES;
	}
	acked = acked_bytes(s);
	if (p->from_ns == 0 && acked >= PROBE_SKIP_BYTES) {
		p->from_ns = now;
		p->from_bytes = acked;
	}
	if ((p->sent_bytes >= PROBE_BYTES || now - p->begun_ns >= PROBE_NS) &&
	    (acked == p->sent_bytes ||
	    now - p->begun_ns >= PROBE_NS + PROBE_TAIL_NS)) {
		p->over = true;
		p->over_ns = now;
	}
}

static void
find_rate(struct sync_ask *s)
{
	const struct probe *p = &s->probe;
	uint64_t bytes = acked_bytes(s) - p->from_bytes;
	uint64_t from = p->from_ns > 0 ? p->from_ns : p->begun_ns;
	uint64_t best = bundle_rate(s->role.bundle);

	s->in.rate_ns = p->over_ns - from;
	s->in.rate = s->in.rate_ns >= MS ?
	    bytes * 1000 / (s->in.rate_ns / MS) : 0;
	/* A moment in which nobody had time to send is not the link's. */
	if (best > s->in.rate)
		s->in.rate = best;
	s->in.rtt_ns = bundle_rtt_ns(s->role.bundle);
}

/* --- the estimate --------------------------------------------------------------- */

static int
find_costs(struct sync_ask *s)
{
	struct sample_change c;
	struct effort effort;
	int r;

	effort_init(&effort);
	r = sample_pages(s->sample, effort_choose(&effort, s->in.rate,
	    SIZE_MAX), s->ops->now_ns, s->arg, &s->in.pages,
	    &s->in.page_cost, &s->in.page_ns);
	sample_change(s->sample, &c);
	s->in.window_ns = c.window_ns;
	s->in.window_pages = c.window_pages;
	s->in.watched_ns = c.watched_ns;
	s->in.watched_pages = c.watched_pages;
	s->in.dirty_cost = c.page_cost;
	return r;
}

static void
conclude(struct sync_ask *s)
{
	Persona__Transfer__Estimate e = PERSONA__TRANSFER__ESTIMATE__INIT;
	struct estimate found;
	int r;

	find_rate(s);
	if ((r = find_costs(s)) < 0) {
		unreadable(s, r);
		return;
	}
	estimate_move(&s->in, &found);
	e.time_ms = found.time_ns / MS;
	e.time_low_ms = found.low_ns / MS;
	e.time_high_ms = found.high_ns / MS;
	e.bytes = found.bytes;
	e.blackout_ms = found.blackout_ns / MS;
	e.throttle_percent = found.throttle;
	e.ends = found.ends;
	e.rate = s->in.rate;
	e.rtt_us = s->in.rtt_ns / 1000;
	e.pages = s->in.pages;
	e.page_bytes = s->in.page_cost;
	e.dirty_rate = s->in.window_ns > 0 ?
	    s->in.window_pages * NS / s->in.window_ns : 0;
	tell(s, &e);
}

static void
begin_measuring(struct sync_ask *s)
{
	if (s->answer == NULL || !s->logging ||
	    s->role.state != SYNC_OFFER)
		return;
	sync_role_enter(&s->role, SYNC_COPY);
	/* As in the first round of a move. */
	bundle_set_queue(s->role.bundle, FLOW_QUEUE_LONG_NS);
	s->probe.begun_ns = sync_role_now_ns(&s->role);
	ask_harvest(s, false);
	sync_role_again(&s->role);
}

static void
run_measuring(struct sync_ask *s)
{
	if (!s->probe.over)
		run_probe(s);
	if (s->probe.over && !s->harvest_pending &&
	    sample_windows(s->sample) >= WINDOWS_MIN)
		conclude(s);
}

void
sync_ask_harvested(struct sync_ask *s)
{
	int r;

	if (!s->harvest_pending)
		return;
	s->harvest_pending = false;
	s->harvested_ns = sync_role_now_ns(&s->role);
	if (s->role.ending)
		return;
	if (!s->logging) {
		s->logging = true;
		begin_measuring(s);
		return;
	}
	if (s->role.state == SYNC_COPY &&
	    (r = sample_harvested(s->sample, s->harvested_ns)) < 0)
		unreadable(s, r);
	sync_role_again(&s->role);
}

/* --- what the peer says --------------------------------------------------------- */

static int
take_answer(struct sync_ask *s, const Persona__Transfer__Answer *answer)
{
	int r;

	if (s->answer != NULL)
		return -EPROTO;
	if ((r = keep_answer(s, answer)) < 0)
		return r;
	if (s->answer->n_objections > 0)
		tell(s, NULL);
	else
		begin_measuring(s);
	return 0;
}

static int
take_message(void *engine, const Persona__Sync__SyncMessage *m)
{
	struct sync_ask *s = engine;

	switch (m->kind_case) {
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_HELLO:
		return s->role.state == SYNC_HELLO ?
		    sync_offer_send(&s->offer, &s->role, m->hello) :
		    -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_ANSWER:
		return s->role.state == SYNC_OFFER ?
		    take_answer(s, m->answer) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_ACCEPT:
		give_up(s, REASON_VERSION, "the other handset's version cannot "
		    "be asked beforehand; update it, or just move");
		return 0;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_REFUSE:
		sync_role_told(&s->role, m->refuse->reason,
		    m->refuse->message);
		return 0;
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
	struct sync_ask *s = engine;

	return f->kind == FRAME_MESSAGE ?
	    sync_role_message(&s->role, f, payload, take_message) : -EPROTO;
}

static void
frame_failed(void *engine, int r)
{
	(void)r;
	give_up(engine, REASON_INTERNAL, NULL);
}

/* --- life ------------------------------------------------------------------------ */

int
sync_ask_new(struct sync_ask **sp, const struct sync_send_config *cfg,
    const struct sync_ask_ops *ops, void *arg)
{
	static const struct sync_role_ops role_ops = {
		.verb = "asking",
		.goodbye_ns = GOODBYE_NS,
		.frame = take_frame,
		.failed = frame_failed,
	};
	const struct sync_owner owner = { ops->now_ns, ops->again, ops->ended,
	    arg };
	struct sync_ask *s;
	int r;

	if (cfg->attempt == 0)
		return -EINVAL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->ops = ops;
	s->arg = arg;
	s->started_ns = ops->now_ns(arg);
	s->in.budget_ns = cfg->blackout_budget_ms * MS;
	s->in.may_throttle = cfg->allow_throttle;
	s->in.overhead_ns = cfg->overhead_ns;
	r = -ENOMEM;
	if ((s->noise = malloc(PROBE_FRAME_BYTES)) == NULL ||
	    (r = sync_offer_init(&s->offer, cfg->persona, true)) < 0 ||
	    (r = sync_role_init(&s->role, &role_ops, s, &owner,
	    cfg->attempt)) < 0) {
		sync_ask_free(s);
		return r;
	}
	snprintf(s->role.name, sizeof(s->role.name), "%s", cfg->persona->name);
	fill_noise(s->noise, PROBE_FRAME_BYTES);
	bundle_set_cap(s->role.bundle, cfg->bandwidth_limit);
	*sp = s;
	return 0;
}

void
sync_ask_free(struct sync_ask *s)
{
	if (s == NULL)
		return;
	sync_role_fini(&s->role);
	sample_free(s->sample);
	if (s->answer != NULL)
		persona__transfer__answer__free_unpacked(s->answer, NULL);
	sync_offer_fini(&s->offer);
	free(s->noise);
	free(s);
}

int
sync_ask_add_stream(struct sync_ask *s, struct stream *stream)
{
	return bundle_add(s->role.bundle, stream);
}

int
sync_ask_start(struct sync_ask *s, struct space *space, uint64_t *dirty)
{
	int r;

	if (s->sample != NULL || !sync_offer_fits(&s->offer, space))
		return -EINVAL;
	if ((r = sample_new(&s->sample, space, dirty)) < 0)
		return r;
	ask_harvest(s, true);
	return sync_say_hello(s->role.bundle);
}

void
sync_ask_cancel(struct sync_ask *s, uint32_t reason, const char *text)
{
	give_up(s, reason, text);
}

void
sync_ask_step(struct sync_ask *s)
{
	if (s->role.state == SYNC_ENDED)
		return;
	if (!s->role.ending && s->role.state == SYNC_COPY)
		run_measuring(s);
	(void)sync_role_run_ending(&s->role);	/* s may be gone */
}

void
sync_ask_tick(struct sync_ask *s)
{
	uint64_t now = sync_role_now_ns(&s->role);

	if (s->role.state == SYNC_ENDED)
		return;
	bundle_tick(s->role.bundle);
	if (!s->role.ending && now - s->started_ns > ANSWER_NS)
		give_up(s, REASON_UNREACHABLE,
		    "the other handset did not answer in time");
	if (!s->role.ending && s->role.state == SYNC_COPY &&
	    now - s->harvested_ns >= HARVEST_NS)
		ask_harvest(s, false);
	sync_ask_step(s);
}
