/* SPDX-License-Identifier: ISC */
/*
 * The target's state machine. What pages look like is pagedecode.c's, how frames
 * travel is bundle.c's; who may run the persona is its owner's.
 */
#include "sync-receive.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "bundle.h"
#include "digest.h"
#include "log.h"
#include "pagedecode.h"
#include "reason.h"
#include "region.h"

#define MS		1000000ULL
#define PROGRESS_NS	(200 * MS)
#define SETTLE_GROUPS	16u		/* a tick */
#define GOODBYE_NS	(2000 * MS)	/* for last words to be acknowledged */

struct sync_receive {
	const struct sync_receive_ops *ops;
	void			*arg;
	enum sync_state		state;
	struct bundle		*bundle;
	struct region		*region;	/* from accept on */
	struct digest_tree	*tree;
	struct decoder		*decoder;
	char			name[PERSONA_NAME_MAX + 1];
	uint64_t		ram_pages;
	uint64_t		tenure;		/* the one it will have here */
	uint8_t			*machine;	/* saved state as it comes */
	size_t			machine_len, machine_size;
	uint64_t		running_ns;	/* when we said Running */
	/* figures */
	uint32_t		round;
	uint64_t		round_pages, round_done, rate, eta_ms;
	uint64_t		progress_ns;
	/* the end */
	bool			ending, link_dead;
	uint64_t		ending_ns;
	uint32_t		reason;
	char			text[REASON_TEXT_MAX + 1];
};

static uint64_t
now_ns(const struct sync_receive *s)
{
	return s->ops->now_ns(s->arg);
}

static void
enter(struct sync_receive *s, enum sync_state state)
{
	log_debug("persona %s: receiving: %s -> %s", s->name,
	    sync_state_name(s->state), sync_state_name(state));
	s->state = state;
}

/* Over, for this reason; the owner is told once last words have left. */
static void
finish(struct sync_receive *s, uint32_t reason, const char *text)
{
	if (s->ending)
		return;
	s->ending = true;
	s->ending_ns = now_ns(s);
	s->reason = reason;
	sync_copy_text(s->text, sizeof(s->text), reason, text);
	s->ops->again(s->arg);
}

/* Over by our own doing: the peer is told why. */
static void
give_up(struct sync_receive *s, uint32_t reason, const char *text)
{
	if (s->ending)
		return;
	if (!s->link_dead)
		(void)sync_say_cancel(s->bundle, reason, text);
	finish(s, reason, text);
}

/* --- what the source says --------------------------------------------------- */

static int
take_hello(struct sync_receive *s, const Persona__Sync__Hello *hello)
{
	char text[96];

	if (hello->version != PROTOCOL_VERSION) {
		snprintf(text, sizeof(text), "this handset speaks version %u, "
		    "the other one %u", PROTOCOL_VERSION, hello->version);
		give_up(s, REASON_VERSION, text);
		return 0;
	}
	enter(s, SYNC_OFFER);
	return sync_say_hello(s->bundle);
}

static int
take_offer(struct sync_receive *s, const Persona__Sync__Offer *offer)
{
	const Persona__Transfer__Persona *p = offer->persona;
	const char *why;

	if (s->ram_pages != 0)
		return -EPROTO;		/* one offer a transfer */
	if (sync_check_persona(p, &why) < 0) {
		give_up(s, REASON_PROTOCOL, why);
		return 0;
	}
	snprintf(s->name, sizeof(s->name), "%s", p->name);
	s->ram_pages = p->ram_bytes / PAGE_BYTES;
	s->tenure = p->tenure + 1;
	s->ops->offered(s->arg, bundle_attempt(s->bundle), p);
	return 0;
}

static int
take_round(struct sync_receive *s, const Persona__Sync__Round *round)
{
	s->round = round->round;
	s->round_pages = round->pages;
	s->round_done = decoder_pages(s->decoder);
	s->rate = round->has_rate ? round->rate : 0;
	s->eta_ms = round->has_eta_ms ? round->eta_ms : 0;
	return 0;
}

static int
take_stop(struct sync_receive *s, const Persona__Sync__Stop *stop)
{
	if (stop->state_bytes == 0 || stop->state_bytes > STATE_BLOB_MAX)
		return -EPROTO;
	enter(s, SYNC_STOPPED);
	s->machine_size = stop->state_bytes;
	s->machine = malloc(s->machine_size);
	if (s->machine == NULL)
		return -ENOMEM;
	/* While the last pages are under way. */
	(void)digest_tree_settle(s->tree, UINT64_MAX);
	return 0;
}

static int
take_root(struct sync_receive *s, const Persona__Sync__Root *msg)
{
	struct digest state, root, theirs;

	if (msg->root.len != sizeof(theirs.b) ||
	    s->machine_len != s->machine_size)
		return -EPROTO;
	memcpy(theirs.b, msg->root.data, sizeof(theirs.b));
	digest_bytes(&state, s->machine, s->machine_len);
	digest_tree_root(s->tree, &state, &root);
	if (!digest_equal(&root, &theirs)) {
		give_up(s, REASON_CORRUPT, NULL);
		return 0;
	}
	enter(s, SYNC_VERIFIED);
	s->ops->verified(s->arg, s->machine, s->machine_len);
	return 0;
}

static int
take_release(struct sync_receive *s, const Persona__Sync__Release *release)
{
	uint64_t stopped = release->stopped_for_ns;

	if (release->tenure != s->tenure)
		return -EPROTO;
	enter(s, SYNC_RELEASED);
	/* It has been stopped for the way here as well. */
	stopped += bundle_rtt_ns(s->bundle) / 2;
	s->ops->released(s->arg, release->tenure, stopped);
	return 0;
}

/* The source gives up: nothing of it is ours, unless it had released. */
static int
take_cancel(struct sync_receive *s, const Persona__Sync__Cancel *cancel)
{
	if (s->state >= SYNC_RELEASED)
		return -EPROTO;
	finish(s, cancel->reason != REASON_OK ?
	    cancel->reason : REASON_PROTOCOL, cancel->message);
	return 0;
}

/* A message the source may send in this state, else -EPROTO. */
static int
take_message(struct sync_receive *s, const Persona__Sync__SyncMessage *m)
{
	switch (m->kind_case) {
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_HELLO:
		return s->state == SYNC_HELLO ?
		    take_hello(s, m->hello) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_OFFER:
		return s->state == SYNC_OFFER ?
		    take_offer(s, m->offer) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_ROUND:
		return s->state == SYNC_COPY ?
		    take_round(s, m->round) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_STOP:
		return s->state == SYNC_COPY ?
		    take_stop(s, m->stop) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_ROOT:
		return s->state == SYNC_STOPPED ?
		    take_root(s, m->root) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_RELEASE:
		return s->state == SYNC_PREPARED ?
		    take_release(s, m->release) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_CANCEL:
		return take_cancel(s, m->cancel);
	default:
		return -EPROTO;
	}
}

static int
take_machine(struct sync_receive *s, const uint8_t *data, size_t len)
{
	if (s->state != SYNC_STOPPED || len > s->machine_size - s->machine_len)
		return -EPROTO;
	memcpy(s->machine + s->machine_len, data, len);
	s->machine_len += len;
	return 0;
}

static int
take_frame(struct sync_receive *s, const struct frame *f,
    const uint8_t *payload)
{
	Persona__Sync__SyncMessage *m;
	int r = -EPROTO;

	switch (f->kind) {
	case FRAME_PAGES:
		if (f->sequence == 0 ||
		    (s->state != SYNC_COPY && s->state != SYNC_STOPPED))
			return -EPROTO;
		return decoder_apply(s->decoder, payload, f->length);
	case FRAME_STATE:
		return f->sequence != 0 ?
		    take_machine(s, payload, f->length) : -EPROTO;
	case FRAME_MESSAGE:
		m = persona__sync__sync_message__unpack(NULL, f->length,
		    payload);
		if (m == NULL)
			return -EPROTO;
		/* Only a cancel may come outside the order. */
		if (f->sequence != 0 || m->kind_case ==
		    PERSONA__SYNC__SYNC_MESSAGE__KIND_CANCEL)
			r = take_message(s, m);
		persona__sync__sync_message__free_unpacked(m, NULL);
		return r;
	default:
		return -EPROTO;
	}
}

static int
frame_cb(void *arg, const struct frame *f, const uint8_t *payload)
{
	struct sync_receive *s = arg;
	int r;

	if (s->ending)
		return 0;
	r = take_frame(s, f, payload);
	if (r == -EBADMSG)
		give_up(s, REASON_CORRUPT,
		    "a change arrived for a page that is not as it should be");
	else if (r == -EPROTO)
		give_up(s, REASON_PROTOCOL, NULL);
	else if (r < 0 && !s->link_dead)
		give_up(s, REASON_INTERNAL, strerror(-r));
	return 0;
}

static void
room_cb(void *arg)
{
	struct sync_receive *s = arg;

	if (s->ending || s->state == SYNC_RUNNING)
		s->ops->again(s->arg);
}

static void
failed_cb(void *arg, int r, const char *why)
{
	struct sync_receive *s = arg;

	s->link_dead = true;
	if (s->state == SYNC_RUNNING) {
		finish(s, REASON_OK, NULL);	/* the source said goodbye */
		return;
	}
	log_info("persona %s: %s: %s", s->name, why, strerror(-r));
	finish(s, sync_link_reason(r), why);
}

static uint64_t
bundle_now_ns(void *arg)
{
	return now_ns(arg);
}

/* --- what the owner says ---------------------------------------------------- */

void
sync_receive_accept(struct sync_receive *s, struct region *region)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Accept accept = PERSONA__SYNC__ACCEPT__INIT;
	int r;

	if (s->state != SYNC_OFFER || s->ending || s->region != NULL ||
	    s->ram_pages == 0)
		return;
	if (region->n_pages != s->ram_pages) {
		give_up(s, REASON_INTERNAL, "memory of the wrong size");
		return;
	}
	if ((r = digest_tree_new(&s->tree, region->n_pages)) < 0 ||
	    (r = decoder_new(&s->decoder, region, s->tree)) < 0) {
		give_up(s, REASON_NO_MEMORY, NULL);
		return;
	}
	s->region = region;
	enter(s, SYNC_COPY);
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_ACCEPT;
	m.accept = &accept;
	(void)sync_say(s->bundle, &m);
}

void
sync_receive_refuse(struct sync_receive *s, uint32_t reason, const char *text)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Refuse refuse = PERSONA__SYNC__REFUSE__INIT;
	char copy[REASON_TEXT_MAX + 1];

	if (s->state != SYNC_OFFER || s->ending)
		return;
	sync_copy_text(copy, sizeof(copy), reason, text);
	refuse.reason = reason;
	refuse.message = copy;
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_REFUSE;
	m.refuse = &refuse;
	(void)sync_say(s->bundle, &m);
	finish(s, reason, text);
}

void
sync_receive_prepared(struct sync_receive *s, uint64_t tenure)
{
	if (s->state != SYNC_VERIFIED || s->ending)
		return;
	if (tenure != s->tenure) {
		give_up(s, REASON_INTERNAL, "prepared with another tenure");
		return;
	}
	enter(s, SYNC_PREPARED);
	(void)sync_say_prepared(s->bundle, tenure);
}

void
sync_receive_running(struct sync_receive *s, uint64_t tenure,
    uint64_t blackout_ns)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Running running = PERSONA__SYNC__RUNNING__INIT;

	if (s->state != SYNC_RELEASED || s->ending || tenure != s->tenure)
		return;
	enter(s, SYNC_RUNNING);
	s->running_ns = now_ns(s);
	running.tenure = tenure;
	running.has_blackout_ns = 1;
	running.blackout_ns = blackout_ns;
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_RUNNING;
	m.running = &running;
	(void)sync_say(s->bundle, &m);
}

void
sync_receive_cancel(struct sync_receive *s, uint32_t reason, const char *text)
{
	if (s->state < SYNC_RELEASED)
		give_up(s, reason, text);
}

/* --- life ------------------------------------------------------------------- */

int
sync_receive_new(struct sync_receive **sp, const struct sync_receive_ops *ops,
    void *arg)
{
	static const struct bundle_ops bundle_ops = {
		.now_ns = bundle_now_ns,
		.frame = frame_cb,
		.room = room_cb,
		.failed = failed_cb,
	};
	struct sync_receive *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->ops = ops;
	s->arg = arg;
	snprintf(s->name, sizeof(s->name), "(not yet offered)");
	if ((r = bundle_new(&s->bundle, &bundle_ops, s, 0)) < 0) {
		sync_receive_free(s);
		return r;
	}
	*sp = s;
	return 0;
}

void
sync_receive_free(struct sync_receive *s)
{
	if (s == NULL)
		return;
	bundle_free(s->bundle);
	decoder_free(s->decoder);
	digest_tree_free(s->tree);
	free(s->machine);
	free(s);
}

int
sync_receive_add_stream(struct sync_receive *s, struct stream *stream)
{
	return bundle_add(s->bundle, stream);
}

/* Running is acknowledged, the peer left, or nobody answers. */
static bool
said_goodbye(struct sync_receive *s)
{
	return bundle_unacked(s->bundle) == 0 ||
	    now_ns(s) - s->running_ns >= GOODBYE_NS;
}

void
sync_receive_step(struct sync_receive *s)
{
	if (s->state == SYNC_ENDED)
		return;
	if (s->state == SYNC_RUNNING && said_goodbye(s))
		finish(s, REASON_OK, NULL);
	if (!s->ending)
		return;
	if (!s->link_dead && !bundle_flushed(s->bundle) &&
	    now_ns(s) - s->ending_ns < GOODBYE_NS)
		return;
	enter(s, SYNC_ENDED);
	s->ops->ended(s->arg, s->reason, s->text);	/* s may be gone */
}

void
sync_receive_tick(struct sync_receive *s)
{
	uint64_t now = now_ns(s);
	struct sync_progress p;

	if (s->state == SYNC_ENDED)
		return;
	bundle_tick(s->bundle);
	if (s->tree != NULL && s->state == SYNC_COPY)
		(void)digest_tree_settle(s->tree, SETTLE_GROUPS);
	if (s->tree != NULL && !s->ending &&
	    now - s->progress_ns >= PROGRESS_NS) {
		s->progress_ns = now;
		sync_receive_progress(s, &p);
		s->ops->progress(s->arg, &p);
	}
	sync_receive_step(s);
}

enum sync_state
sync_receive_state(const struct sync_receive *s)
{
	return s->state;
}

void
sync_receive_progress(const struct sync_receive *s, struct sync_progress *p)
{
	uint64_t done;

	memset(p, 0, sizeof(*p));
	p->state = s->state;
	p->round = s->round;
	p->pages_total = s->ram_pages;
	p->bytes = bundle_bytes_in(s->bundle);
	p->rate = s->rate;
	p->eta_ms = s->eta_ms;
	if (s->decoder == NULL)
		return;
	done = decoder_pages(s->decoder) - s->round_done;
	p->pages_left = done < s->round_pages ? s->round_pages - done : 0;
}
