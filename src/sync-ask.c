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
#include "space.h"
#include "sync-role.h"

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
	struct space_plan	plan;
	struct estimate_input	in;
	uint8_t			*offer;		/* packed SyncMessage */
	size_t			offer_len;
	Persona__Transfer__Answer *answer;	/* a copy */
	uint64_t		started_ns;
	struct probe		probe;
	uint8_t			*noise;
	struct sample		*sample;
	bool			harvest_pending, logging;
	uint64_t		harvested_ns;
};

static uint64_t
now_ns(const struct sync_ask *s)
{
	return s->ops->now_ns(s->arg);
}

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
	uint64_t now = now_ns(s), acked;

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
	s->probe.begun_ns = now_ns(s);
	ask_harvest(s, false);
	s->ops->again(s->arg);
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
	s->harvested_ns = now_ns(s);
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
	s->ops->again(s->arg);
}

/* --- what the peer says --------------------------------------------------------- */

static int
take_hello(struct sync_ask *s, const Persona__Sync__Hello *hello)
{
	char text[96];

	if (hello->version != PROTOCOL_VERSION) {
		snprintf(text, sizeof(text), "this handset speaks version %u, "
		    "the other one %u", PROTOCOL_VERSION, hello->version);
		give_up(s, REASON_VERSION, text);
		return 0;
	}
	sync_role_enter(&s->role, SYNC_OFFER);
	return bundle_send(s->role.bundle, FRAME_MESSAGE, 0, s->offer,
	    s->offer_len);
}

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
take_message(void *arg, const Persona__Sync__SyncMessage *m)
{
	struct sync_ask *s = arg;

	switch (m->kind_case) {
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_HELLO:
		return s->role.state == SYNC_HELLO ?
		    take_hello(s, m->hello) : -EPROTO;
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
frame_cb(void *arg, const struct frame *f, const uint8_t *payload)
{
	struct sync_ask *s = arg;
	int r = -EPROTO;

	if (s->role.ending)
		return 0;
	if (f->kind == FRAME_MESSAGE)
		r = sync_role_message(f, payload, take_message, s);
	if (r < 0 && !s->role.link_dead)
		give_up(s, r == -EPROTO ? REASON_PROTOCOL : REASON_INTERNAL,
		    NULL);
	return 0;
}

static void
room_cb(void *arg)
{
	struct sync_ask *s = arg;

	s->ops->again(s->arg);
}

static void
failed_cb(void *arg, int r, const char *why)
{
	sync_role_link_failed(&((struct sync_ask *)arg)->role, r, why);
}

static uint64_t
bundle_now_ns(void *arg)
{
	return now_ns(arg);
}

/* --- life ------------------------------------------------------------------------ */

static int
pack_question(struct sync_ask *s, const Persona__Transfer__Persona *persona)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Offer offer = PERSONA__SYNC__OFFER__INIT;

	offer.persona = (Persona__Transfer__Persona *)(uintptr_t)persona;
	offer.has_question = offer.question = true;
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_OFFER;
	m.offer = &offer;
	s->offer_len = persona__sync__sync_message__get_packed_size(&m);
	if ((s->offer = malloc(s->offer_len)) == NULL)
		return -ENOMEM;
	persona__sync__sync_message__pack(&m, s->offer);
	return 0;
}

int
sync_ask_new(struct sync_ask **sp, const struct sync_send_config *cfg,
    const struct sync_ask_ops *ops, void *arg)
{
	static const struct bundle_ops bundle_ops = {
		.now_ns = bundle_now_ns,
		.frame = frame_cb,
		.room = room_cb,
		.failed = failed_cb,
	};
	struct sync_ask *s;
	const char *why;
	int r;

	if (cfg->attempt == 0 || sync_check_persona(cfg->persona, &why) < 0)
		return -EINVAL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->ops = ops;
	s->arg = arg;
	s->started_ns = now_ns(s);
	s->in.budget_ns = cfg->blackout_budget_ms * MS;
	s->in.may_throttle = cfg->allow_throttle;
	s->role = (struct sync_role){ .verb = "asking", .arg = arg,
	    .goodbye_ns = GOODBYE_NS, .now_ns = ops->now_ns,
	    .again = ops->again, .ended = ops->ended };
	snprintf(s->role.name, sizeof(s->role.name), "%s", cfg->persona->name);
	r = -ENOMEM;
	if ((s->noise = malloc(PROBE_FRAME_BYTES)) == NULL ||
	    (r = space_plan(&s->plan, cfg->persona->ram_bytes,
	    cfg->persona->spec)) < 0 ||
	    (r = pack_question(s, cfg->persona)) < 0 ||
	    (r = bundle_new(&s->role.bundle, &bundle_ops, s,
	    cfg->attempt)) < 0) {
		sync_ask_free(s);
		return r;
	}
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
	bundle_free(s->role.bundle);
	sample_free(s->sample);
	if (s->answer != NULL)
		persona__transfer__answer__free_unpacked(s->answer, NULL);
	free(s->offer);
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

	if (s->sample != NULL ||
	    !space_plan_equal(space_regions(space), &s->plan))
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
	uint64_t now = now_ns(s);

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
