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
#include "pagedecode.h"
#include "reason.h"
#include "space.h"
#include "sync-role.h"
#include "sync-say.h"

#define MS		1000000ULL
#define PROGRESS_NS	(200 * MS)
#define SETTLE_GROUPS	16u		/* a tick */
#define GOODBYE_NS	(2000 * MS)	/* for last words to be acknowledged */

struct sync_receive {
	const struct sync_receive_ops *ops;
	void			*arg;
	struct sync_role	role;
	struct space_plan	plan;		/* of what was offered */
	struct space		*space;		/* from accept on */
	struct digest_tree	*tree;
	struct decoder		*decoder;
	uint64_t		tenure;		/* the one it will have here */
	uint8_t			*machine;	/* saved state as it comes */
	size_t			machine_len, machine_size;
	uint64_t		running_ns;	/* when we said Running */
	bool			asked, answered;	/* a question, no offer */
	uint64_t		probe_bytes;	/* of noise so far */
	/* figures */
	uint32_t		round;
	uint64_t		pages_all, round_pages, round_done;
	uint64_t		rate, eta_ms;
	uint64_t		progress_ns;
};

/* Over by our own doing: the peer is told why. */
static void
give_up(struct sync_receive *s, uint32_t reason, const char *text)
{
	sync_role_give_up(&s->role, reason, text);
}

/* --- what the source says --------------------------------------------------- */

static int
take_hello(struct sync_receive *s, const Persona__Sync__Hello *hello)
{
	if (!sync_role_same_version(&s->role, hello))
		return 0;
	sync_role_enter(&s->role, SYNC_OFFER);
	return sync_say_hello(s->role.bundle);
}

/* Nothing is made ready for it: only an answer, and perhaps noise, can follow. */
static void
take_question(struct sync_receive *s, const Persona__Transfer__Persona *p)
{
	s->asked = true;
	if (s->ops->asked == NULL)
		give_up(s, REASON_PROTOCOL, NULL);
	else
		s->ops->asked(s->arg, bundle_attempt(s->role.bundle), p);
}

static int
take_offer(struct sync_receive *s, const Persona__Sync__Offer *offer)
{
	const Persona__Transfer__Persona *p = offer->persona;
	const char *why = "the offered persona's sizes are out of bounds";

	if (s->plan.n_regions != 0)
		return -EPROTO;		/* one offer a transfer */
	if (sync_check_persona(p, &why) < 0 ||
	    space_plan(&s->plan, p->ram_bytes, p->spec) < 0) {
		give_up(s, REASON_PROTOCOL, why);
		return 0;
	}
	snprintf(s->role.name, sizeof(s->role.name), "%s", p->name);
	s->tenure = p->tenure + 1;
	if (offer->question) {
		take_question(s, p);
		return 0;
	}
	s->ops->offered(s->arg, bundle_attempt(s->role.bundle), p);
	return 0;
}

static int
take_round(struct sync_receive *s, const Persona__Sync__Round *round)
{
	s->round = round->round;
	s->round_pages = round->pages;
	if (round->round == 1)
		s->pages_all = round->pages;
	s->round_done = decoder_pages(s->decoder);
	s->rate = round->has_rate ? round->rate : 0;
	s->eta_ms = round->has_eta_ms ? round->eta_ms : 0;
	/* The bulk is here: so that the sync while the guest stands still is small. */
	return round->round == 2 ? space_sync(s->space) : 0;
}

static int
take_stop(struct sync_receive *s, const Persona__Sync__Stop *stop)
{
	if (stop->state_bytes == 0 || stop->state_bytes > STATE_BLOB_MAX)
		return -EPROTO;
	sync_role_enter(&s->role, SYNC_STOPPED);
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
	int r;

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
	/* What is called verified is on disk (persona-design, invariant 4). */
	if ((r = space_sync(s->space)) < 0)
		return r;
	sync_role_enter(&s->role, SYNC_VERIFIED);
	s->ops->verified(s->arg, s->machine, s->machine_len);
	return 0;
}

static int
take_release(struct sync_receive *s, const Persona__Sync__Release *release)
{
	uint64_t stopped = release->stopped_for_ns;

	if (release->tenure != s->tenure)
		return -EPROTO;
	sync_role_enter(&s->role, SYNC_RELEASED);
	/* It has been stopped for the way here as well. */
	stopped += bundle_rtt_ns(s->role.bundle) / 2;
	s->ops->released(s->arg, release->tenure, stopped);
	return 0;
}

/* The source gives up: nothing of it is ours, unless it had released. */
static int
take_cancel(struct sync_receive *s, const Persona__Sync__Cancel *cancel)
{
	if (s->role.state >= SYNC_RELEASED)
		return -EPROTO;
	if (s->asked && cancel->reason == REASON_OK) {
		sync_role_finish(&s->role, REASON_OK, "asked");
		return 0;
	}
	sync_role_told(&s->role, cancel->reason, cancel->message);
	return 0;
}

/* A message the source may send in this state, else -EPROTO. */
static int
take_message(void *engine, const Persona__Sync__SyncMessage *m)
{
	struct sync_receive *s = engine;

	switch (m->kind_case) {
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_HELLO:
		return s->role.state == SYNC_HELLO ?
		    take_hello(s, m->hello) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_OFFER:
		return s->role.state == SYNC_OFFER ?
		    take_offer(s, m->offer) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_ROUND:
		return s->role.state == SYNC_COPY ?
		    take_round(s, m->round) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_STOP:
		return s->role.state == SYNC_COPY ?
		    take_stop(s, m->stop) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_ROOT:
		return s->role.state == SYNC_STOPPED ?
		    take_root(s, m->root) : -EPROTO;
	case PERSONA__SYNC__SYNC_MESSAGE__KIND_RELEASE:
		return s->role.state == SYNC_PREPARED ?
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
	if (s->role.state != SYNC_STOPPED || len > s->machine_size - s->machine_len)
		return -EPROTO;
	memcpy(s->machine + s->machine_len, data, len);
	s->machine_len += len;
	return 0;
}

static int
take_pages(struct sync_receive *s, const uint8_t *payload, size_t len)
{
	int r;

	if (s->role.state != SYNC_COPY && s->role.state != SYNC_STOPPED)
		return -EPROTO;
	if ((r = decoder_apply(s->decoder, payload, len)) == 0)
		space_settle(s->space);
	return r;
}

static int
take_probe(struct sync_receive *s, size_t len)
{
	s->probe_bytes += len;
	return s->answered && s->probe_bytes <= PROBE_MAX_BYTES ? 0 : -EPROTO;
}

static int
take_frame(void *engine, const struct frame *f, const uint8_t *payload)
{
	struct sync_receive *s = engine;

	if (f->kind == FRAME_MESSAGE)
		return sync_role_message(&s->role, f, payload, take_message);
	if (f->sequence == 0)
		return -EPROTO;
	switch (f->kind) {
	case FRAME_PAGES:
		return take_pages(s, payload, f->length);
	case FRAME_STATE:
		return take_machine(s, payload, f->length);
	case FRAME_PROBE:
		return take_probe(s, f->length);
	default:
		return -EPROTO;
	}
}

/* Our own trouble, in words that tell both persons what to do about it. */
static void
frame_failed(void *engine, int r)
{
	struct sync_receive *s = engine;
	char text[128];

	if (r == -EBADMSG)
		give_up(s, REASON_CORRUPT,
		    "a change arrived for a page that is not as it should be");
	else if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
		give_up(s, REASON_DISK_FULL, "the other handset has no room on "
		    "its disk for what the persona keeps");
	else {
		snprintf(text, sizeof(text), "the other handset cannot take "
		    "what comes: %s", strerror(-r));
		give_up(s, REASON_TARGET_FAILED, text);
	}
}

/* --- what the owner says ---------------------------------------------------- */

void
sync_receive_accept(struct sync_receive *s, struct space *space)
{
	int r;

	if (s->role.state != SYNC_OFFER || s->role.ending || s->asked ||
	    s->space != NULL || s->plan.n_regions == 0)
		return;
	if (!space_plan_equal(space_regions(space), &s->plan)) {
		give_up(s, REASON_INTERNAL, "memory or disk of the wrong size");
		return;
	}
	if ((r = digest_tree_new(&s->tree, s->plan.n_pages)) < 0 ||
	    (r = decoder_new(&s->decoder, space, s->tree)) < 0) {
		give_up(s, REASON_NO_MEMORY, NULL);
		return;
	}
	s->space = space;
	sync_role_enter(&s->role, SYNC_COPY);
	(void)sync_say_accept(s->role.bundle);
}

void
sync_receive_refuse(struct sync_receive *s, uint32_t reason, const char *text)
{
	char copy[REASON_TEXT_MAX + 1];

	if (s->role.state != SYNC_OFFER || s->role.ending)
		return;
	sync_copy_text(copy, sizeof(copy), reason, text);
	(void)sync_say_refuse(s->role.bundle, reason, copy);
	sync_role_finish(&s->role, reason, text);
}

void
sync_receive_answer(struct sync_receive *s,
    const Persona__Transfer__Answer *answer)
{

	if (!s->asked || s->answered || s->role.ending)
		return;
	s->answered = true;
	(void)sync_say_answer(s->role.bundle, answer);
}

void
sync_receive_prepared(struct sync_receive *s, uint64_t tenure)
{
	if (s->role.state != SYNC_VERIFIED || s->role.ending)
		return;
	if (tenure != s->tenure) {
		give_up(s, REASON_INTERNAL, "prepared with another tenure");
		return;
	}
	sync_role_enter(&s->role, SYNC_PREPARED);
	(void)sync_say_prepared(s->role.bundle, tenure);
}

void
sync_receive_running(struct sync_receive *s, uint64_t tenure,
    const struct blackout *b)
{

	if (s->role.state != SYNC_RELEASED || s->role.ending || tenure != s->tenure)
		return;
	sync_role_enter(&s->role, SYNC_RUNNING);
	s->running_ns = sync_role_now_ns(&s->role);
	(void)sync_say_running(s->role.bundle, tenure, b);
}

void
sync_receive_cancel(struct sync_receive *s, uint32_t reason, const char *text)
{
	if (s->role.state < SYNC_RELEASED)
		give_up(s, reason, text);
}

/* --- life ------------------------------------------------------------------- */

int
sync_receive_new(struct sync_receive **sp, const struct sync_receive_ops *ops,
    void *arg)
{
	static const struct sync_role_ops role_ops = {
		.verb = "receiving",
		.goodbye_ns = GOODBYE_NS,
		.frame = take_frame,
		.failed = frame_failed,
	};
	const struct sync_owner owner = { ops->now_ns, ops->again, ops->ended,
	    arg };
	struct sync_receive *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->ops = ops;
	s->arg = arg;
	if ((r = sync_role_init(&s->role, &role_ops, s, &owner, 0)) < 0) {
		sync_receive_free(s);
		return r;
	}
	snprintf(s->role.name, sizeof(s->role.name), "(not yet offered)");
	*sp = s;
	return 0;
}

void
sync_receive_free(struct sync_receive *s)
{
	if (s == NULL)
		return;
	sync_role_fini(&s->role);
	decoder_free(s->decoder);
	digest_tree_free(s->tree);
	free(s->machine);
	free(s);
}

int
sync_receive_add_stream(struct sync_receive *s, struct stream *stream)
{
	return bundle_add(s->role.bundle, stream);
}

/* Running is acknowledged, the peer left, or nobody answers. */
static bool
said_goodbye(struct sync_receive *s)
{
	return bundle_unacked(s->role.bundle) == 0 ||
	    sync_role_now_ns(&s->role) - s->running_ns >= GOODBYE_NS;
}

void
sync_receive_step(struct sync_receive *s)
{
	if (s->role.state == SYNC_ENDED)
		return;
	if (s->role.state == SYNC_RUNNING && said_goodbye(s))
		sync_role_finish(&s->role, REASON_OK, NULL);
	(void)sync_role_run_ending(&s->role);	/* s may be gone */
}

void
sync_receive_tick(struct sync_receive *s)
{
	uint64_t now = sync_role_now_ns(&s->role);
	struct sync_progress p;

	if (s->role.state == SYNC_ENDED)
		return;
	bundle_tick(s->role.bundle);
	if (s->tree != NULL && s->role.state == SYNC_COPY)
		(void)digest_tree_settle(s->tree, SETTLE_GROUPS);
	if (s->tree != NULL && !s->role.ending &&
	    now - s->progress_ns >= PROGRESS_NS) {
		s->progress_ns = now;
		sync_receive_progress(s, &p);
		s->ops->progress(s->arg, &p);
	}
	sync_receive_step(s);
}

void
sync_receive_progress(const struct sync_receive *s, struct sync_progress *p)
{
	uint64_t done;

	memset(p, 0, sizeof(*p));
	p->state = s->role.state;
	p->round = s->round;
	p->pages_total = s->pages_all;
	p->bytes = bundle_bytes_in(s->role.bundle);
	p->rate = s->rate;
	p->eta_ms = s->eta_ms;
	if (s->decoder == NULL)
		return;
	done = decoder_pages(s->decoder) - s->round_done;
	p->pages_left = done < s->round_pages ? s->round_pages - done : 0;
}
