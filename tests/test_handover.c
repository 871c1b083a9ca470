/* SPDX-License-Identifier: ISC */
/*
 * The handover keeps "one owner" (invariant 1): every state against every event,
 * and both sides played together with durable stores, messages that get lost,
 * and a crash at every single step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handover.h"
#include "unit.h"

#define ATTEMPT	3
#define TENURE	5	/* n; the target owns n + 1 */

/* --- one side alone ------------------------------------------------------------------ */

static struct handover_action out[HANDOVER_ACTIONS_MAX];

static size_t
feed(struct handover *h, enum handover_event_kind kind, uint64_t tenure,
    uint32_t reason)
{
	struct handover_event e = { .kind = kind, .attempt = ATTEMPT,
	    .tenure = tenure, .reason = reason };

	return handover_step(h, &e, 1000, out);
}

static bool
did(size_t n, enum handover_action_kind kind)
{
	for (size_t i = 0; i < n; i++)
		if (out[i].kind == kind)
			return true;
	return false;
}

static void
source_walks_to_moved(void)
{
	struct handover h;
	size_t n;

	handover_source_init(&h, ATTEMPT, TENURE, 0);
	n = feed(&h, HANDOVER_WANT_STOP, 0, 0);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(out[0].kind, HANDOVER_STORE);
	CU_ASSERT_EQUAL(out[0].record, HANDOVER_RECORD_STOPPED);
	n = feed(&h, HANDOVER_STORED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_PARK));
	n = feed(&h, HANDOVER_PARKED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_SEND_STOPPED));
	n = feed(&h, HANDOVER_PEER_PREPARED, TENURE + 1, 0);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(out[0].record, HANDOVER_RECORD_RELEASED);
	CU_ASSERT_FALSE(handover_is_binding(&h));
	n = feed(&h, HANDOVER_STORED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_SEND_RELEASE));
	CU_ASSERT_TRUE(handover_is_binding(&h));
	n = feed(&h, HANDOVER_PEER_RUNNING, TENURE + 1, 0);
	CU_ASSERT_EQUAL(out[0].record, HANDOVER_RECORD_MOVED);
	CU_ASSERT_FALSE(did(n, HANDOVER_FORGET));
	n = feed(&h, HANDOVER_STORED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_FORGET));
	CU_ASSERT_TRUE(did(n, HANDOVER_END));
	CU_ASSERT_TRUE(handover_is_over(&h));
}

static void
target_walks_to_owner(void)
{
	struct handover h;
	size_t n;

	handover_target_init(&h, ATTEMPT, TENURE);
	n = feed(&h, HANDOVER_VERIFIED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_LOAD));
	n = feed(&h, HANDOVER_LOADED, 0, 0);
	CU_ASSERT_EQUAL(out[0].record, HANDOVER_RECORD_PREPARED);
	CU_ASSERT_FALSE(did(n, HANDOVER_SEND_PREPARED));
	n = feed(&h, HANDOVER_STORED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_SEND_PREPARED));
	n = feed(&h, HANDOVER_PEER_RELEASED, TENURE + 1, 0);
	CU_ASSERT_EQUAL(out[0].record, HANDOVER_RECORD_OWNER);
	CU_ASSERT_FALSE(did(n, HANDOVER_WAKE));
	n = feed(&h, HANDOVER_STORED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_WAKE));
	n = feed(&h, HANDOVER_RESUMED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_SEND_RUNNING));
	n = feed(&h, HANDOVER_LINK_ENDED, 0, REASON_LINK_LOST);
	CU_ASSERT_EQUAL(out[0].kind, HANDOVER_END);
	CU_ASSERT_EQUAL(out[0].reason, REASON_OK);
}

/* What each state may do at all, whatever comes. */
static void
no_event_breaks_a_rule(void)
{
	for (int s = HANDOVER_COPYING; s <= HANDOVER_DROPPED; s++) {
		for (int k = HANDOVER_STORED; k <= HANDOVER_LINK_ENDED; k++) {
			struct handover h = { .state = (enum handover_state)s,
			    .attempt = ATTEMPT, .tenure = TENURE,
			    .deadline_ms = 1 };
			size_t n = feed(&h, (enum handover_event_kind)k,
			    TENURE + 1, REASON_LINK_LOST);

			CU_ASSERT_TRUE(n <= HANDOVER_ACTIONS_MAX);
			for (size_t i = 0; i + 1 < n; i++)
				CU_ASSERT_NOT_EQUAL(out[i].kind,
				    HANDOVER_STORE);
			/* It runs on here only while RELEASED is not written. */
			if (did(n, HANDOVER_RESUME))
				CU_ASSERT_TRUE(s == HANDOVER_PARKING ||
				    s == HANDOVER_STOPPED ||
				    (s == HANDOVER_RELEASING &&
				    k == HANDOVER_STORE_FAILED));
			if (did(n, HANDOVER_SEND_RELEASE))
				CU_ASSERT_TRUE(s == HANDOVER_RELEASING &&
				    k == HANDOVER_STORED);
			if (did(n, HANDOVER_WAKE))
				CU_ASSERT_TRUE(s == HANDOVER_OWNING &&
				    k == HANDOVER_STORED);
			if (did(n, HANDOVER_FORGET))
				CU_ASSERT_TRUE(s == HANDOVER_CONFIRMING &&
				    k == HANDOVER_STORED);
			if (did(n, HANDOVER_DROP))
				CU_ASSERT_TRUE(s == HANDOVER_RECEIVING ||
				    s == HANDOVER_LOADING ||
				    s == HANDOVER_PREPARING ||
				    (s == HANDOVER_ABORTING &&
				    k == HANDOVER_STORED));
			/* A name for everything that can be logged. */
			CU_ASSERT_PTR_NOT_NULL(handover_state_name(h.state));
		}
	}
}

static void
another_attempt_changes_nothing(void)
{
	for (int s = HANDOVER_COPYING; s <= HANDOVER_DROPPED; s++)
		for (int k = HANDOVER_STORED; k <= HANDOVER_LINK_ENDED; k++) {
			struct handover h = { .state = (enum handover_state)s,
			    .attempt = ATTEMPT + 1, .tenure = TENURE };
			struct handover before = h;

			CU_ASSERT_EQUAL(feed(&h, (enum handover_event_kind)k,
			    TENURE + 1, REASON_CANCELLED), 0);
			CU_ASSERT_EQUAL(memcmp(&h, &before, sizeof(h)), 0);
		}
}

static void
wrong_tenure_is_not_believed(void)
{
	struct handover h = { .state = HANDOVER_STOPPED, .attempt = ATTEMPT,
	    .tenure = TENURE };
	size_t n = feed(&h, HANDOVER_PEER_PREPARED, TENURE + 2, 0);

	CU_ASSERT_TRUE(did(n, HANDOVER_RESUME));
	CU_ASSERT_EQUAL(h.state, HANDOVER_KEPT);
	h.state = HANDOVER_PREPARED;
	CU_ASSERT_EQUAL(feed(&h, HANDOVER_PEER_RELEASED, TENURE, 0), 0);
	CU_ASSERT_EQUAL(h.state, HANDOVER_PREPARED);
	h.state = HANDOVER_RELEASED;
	CU_ASSERT_EQUAL(feed(&h, HANDOVER_PEER_RUNNING, TENURE, 0), 0);
	CU_ASSERT_EQUAL(h.state, HANDOVER_RELEASED);
}

static void
silence_is_not_an_answer(void)
{
	struct handover_event tick = { .kind = HANDOVER_TICK,
	    .attempt = ATTEMPT };
	struct handover h;
	size_t n;

	/* STOPPED: the guest does not wait for ever. */
	handover_source_init(&h, ATTEMPT, TENURE, 3000);
	feed(&h, HANDOVER_WANT_STOP, 0, 0);
	feed(&h, HANDOVER_STORED, 0, 0);
	feed(&h, HANDOVER_PARKED, 0, 0);
	/* At least as long as the user lets it stand still. */
	CU_ASSERT_EQUAL(handover_deadline_ms(&h),
	    1000 + HANDOVER_PREPARED_MS + 6000);
	CU_ASSERT_EQUAL(handover_step(&h, &tick, 1001, out), 0);
	n = handover_step(&h, &tick, 1000 + HANDOVER_PREPARED_MS + 6000, out);
	CU_ASSERT_TRUE(did(n, HANDOVER_RESUME));

	/* RELEASED: time only ends the waiting, never the release. */
	h = (struct handover){ .state = HANDOVER_RELEASED, .attempt = ATTEMPT,
	    .tenure = TENURE, .deadline_ms = 1 };
	n = handover_step(&h, &tick, 5000, out);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(out[0].kind, HANDOVER_END);
	CU_ASSERT_EQUAL(h.state, HANDOVER_RELEASED);
	/* The late answer is still good. */
	n = feed(&h, HANDOVER_PEER_RUNNING, TENURE + 1, 0);
	CU_ASSERT_EQUAL(out[0].record, HANDOVER_RECORD_MOVED);

	/* PREPARED: the source may have released, so it is kept. */
	h = (struct handover){ .state = HANDOVER_PREPARED, .attempt = ATTEMPT,
	    .tenure = TENURE };
	n = feed(&h, HANDOVER_LINK_ENDED, 0, REASON_LINK_LOST);
	CU_ASSERT_FALSE(did(n, HANDOVER_DROP));
	CU_ASSERT_EQUAL(h.state, HANDOVER_PREPARED);
	/* The source's own word is another matter. */
	n = feed(&h, HANDOVER_LINK_ENDED, 0, REASON_CANCELLED);
	CU_ASSERT_EQUAL(out[0].record, HANDOVER_RECORD_ABORTED);
}

static void
full_disk_leaves_it_where_it_is(void)
{
	struct handover h = { .state = HANDOVER_RELEASING, .attempt = ATTEMPT,
	    .tenure = TENURE };
	size_t n = feed(&h, HANDOVER_STORE_FAILED, 0, 0);

	CU_ASSERT_TRUE(did(n, HANDOVER_RESUME));
	h.state = HANDOVER_PREPARING;
	h.reported = false;
	n = feed(&h, HANDOVER_STORE_FAILED, 0, 0);
	CU_ASSERT_TRUE(did(n, HANDOVER_DROP));
	/* OWNER has to be written: it is tried again. */
	h.state = HANDOVER_OWNING;
	CU_ASSERT_EQUAL(feed(&h, HANDOVER_STORE_FAILED, 0, 0), 0);
	CU_ASSERT_EQUAL(handover_deadline_ms(&h), 1000 + HANDOVER_RETRY_MS);
	h.deadline_ms = 1;
	n = feed(&h, HANDOVER_TICK, 0, 0);
	CU_ASSERT_EQUAL(out[0].record, HANDOVER_RECORD_OWNER);
}

/* --- both sides together --------------------------------------------------------------- */

/*
 * A world of two handsets. Each has a durable record, a running machine or none,
 * and an inbox. A step is one event handled or one action done; a crash may come
 * before any of them and takes everything but the record (and the vCPUs, which
 * personad's death leaves running).
 */
enum durable { D_NONE, D_STOPPED, D_RELEASED, D_MOVED, D_PREPARED, D_OWNER,
    D_ABORTED };

struct side {
	struct handover		h;
	bool			alive;		/* personad's attempt is */
	enum durable		record;
	bool			runs;		/* vCPUs */
	bool			machine;	/* a persona-vmm exists */
};

struct world {
	struct side	src, dst;
	unsigned int	steps;		/* done so far */
	unsigned int	crash_at;	/* before this step ... */
	struct side	*crasher;	/* ... this side restarts; NULL: link */
	unsigned int	lose_at;	/* this message is lost */
	unsigned int	messages;
	bool		link_down;
};

static void event(struct world *w, struct side *s,
	    enum handover_event_kind kind, uint64_t tenure, uint32_t reason);

static void
check_one_owner(const struct world *w)
{
	CU_ASSERT_FALSE(w->src.runs && w->dst.runs);
	/* Nobody runs what its record does not give it. */
	if (w->dst.runs)
		CU_ASSERT_EQUAL(w->dst.record, D_OWNER);
	if (w->src.runs)
		CU_ASSERT_TRUE(w->src.record == D_NONE ||
		    w->src.record == D_STOPPED);
}

/* What a restart makes of the record (persona-find.c, arrival-restore.c). */
static void
restart(struct world *w, struct side *s)
{
	bool source = s == &w->src;

	s->alive = false;
	if (source && s->record == D_STOPPED) {
		s->record = D_NONE;
		s->runs = s->machine;
	} else if (!source && s->record == D_NONE)
		s->machine = false;
	else if (!source && s->record == D_PREPARED) {
		handover_target_restore(&s->h, ATTEMPT, TENURE);
		s->alive = true;
	} else if (!source && s->record == D_OWNER)
		s->runs = s->machine;
	w->link_down = true;	/* persona-sync dies with personad */
}

static void
tick_world(struct world *w)
{
	if (w->steps++ == w->crash_at) {
		if (w->crasher != NULL)
			restart(w, w->crasher);
		w->link_down = true;
	}
	check_one_owner(w);
}

static void
say(struct world *w, struct side *to, enum handover_event_kind kind)
{
	if (w->messages++ == w->lose_at || w->link_down || !to->alive)
		return;
	event(w, to, kind, TENURE + 1, 0);
}

static void
write_down(struct side *s, enum handover_record r)
{
	static const enum durable as[] = {
		[HANDOVER_RECORD_STOPPED] = D_STOPPED,
		[HANDOVER_RECORD_KEPT] = D_NONE,
		[HANDOVER_RECORD_RELEASED] = D_RELEASED,
		[HANDOVER_RECORD_MOVED] = D_MOVED,
		[HANDOVER_RECORD_PREPARED] = D_PREPARED,
		[HANDOVER_RECORD_OWNER] = D_OWNER,
		[HANDOVER_RECORD_ABORTED] = D_ABORTED,
	};

	s->record = as[r];
}

static void
perform(struct world *w, struct side *s, const struct handover_action *a)
{
	switch (a->kind) {
	case HANDOVER_STORE:
		write_down(s, a->record);
		tick_world(w);
		if (s->alive)
			event(w, s, HANDOVER_STORED, 0, 0);
		break;
	case HANDOVER_PARK:
		s->runs = false;
		event(w, s, HANDOVER_PARKED, 0, 0);
		break;
	case HANDOVER_RESUME:
	case HANDOVER_WAKE:
		s->runs = s->machine;
		check_one_owner(w);
		if (a->kind == HANDOVER_WAKE)
			event(w, s, HANDOVER_RESUMED, 0, 0);
		break;
	case HANDOVER_SEND_STOPPED:
		say(w, &w->dst, HANDOVER_VERIFIED);
		break;
	case HANDOVER_LOAD:
		event(w, s, HANDOVER_LOADED, 0, 0);
		break;
	case HANDOVER_SEND_PREPARED:
		say(w, &w->src, HANDOVER_PEER_PREPARED);
		break;
	case HANDOVER_SEND_RELEASE:
		say(w, &w->dst, HANDOVER_PEER_RELEASED);
		break;
	case HANDOVER_SEND_RUNNING:
		say(w, &w->src, HANDOVER_PEER_RUNNING);
		break;
	case HANDOVER_FORGET:
	case HANDOVER_DROP:
		s->machine = s->runs = false;
		break;
	default:
		break;
	}
}

static void
event(struct world *w, struct side *s, enum handover_event_kind kind,
    uint64_t tenure, uint32_t reason)
{
	struct handover_action list[HANDOVER_ACTIONS_MAX];
	struct handover_event e = { .kind = kind, .attempt = ATTEMPT,
	    .tenure = tenure, .reason = reason };
	size_t n;

	tick_world(w);
	if (!s->alive)
		return;
	n = handover_step(&s->h, &e, w->steps, list);
	for (size_t i = 0; i < n; i++) {
		tick_world(w);
		/* A crash between two actions: the rest is not done. */
		if (!s->alive || (w->crasher == s && w->steps > w->crash_at))
			return;
		perform(w, s, &list[i]);
	}
}

static void
begin(struct world *w)
{
	memset(w, 0, sizeof(*w));
	handover_source_init(&w->src.h, ATTEMPT, TENURE, 0);
	handover_target_init(&w->dst.h, ATTEMPT, TENURE);
	w->src.alive = w->dst.alive = true;
	w->src.machine = w->dst.machine = true;
	w->src.runs = true;
	w->crash_at = w->lose_at = ~0u;
}

/* The link's end and time reach whoever is left. */
static void
settle(struct world *w)
{
	struct handover_event late = { .kind = HANDOVER_TICK,
	    .attempt = ATTEMPT };
	struct handover_action list[HANDOVER_ACTIONS_MAX];
	size_t n;

	w->crash_at = ~0u;
	w->crasher = NULL;
	if (w->src.alive)
		event(w, &w->src, HANDOVER_LINK_ENDED, 0, REASON_LINK_LOST);
	if (w->dst.alive)
		event(w, &w->dst, HANDOVER_LINK_ENDED, 0, REASON_LINK_LOST);
	if (w->src.alive) {
		n = handover_step(&w->src.h, &late, 1u << 30, list);
		for (size_t i = 0; i < n; i++)
			perform(w, &w->src, &list[i]);
	}
	check_one_owner(w);
}

/* Nothing is lost: it runs, or a record says where it waits to go on. */
static void
check_way_forward(const struct world *w)
{
	if (w->src.runs || w->dst.runs)
		return;
	CU_ASSERT_EQUAL(w->src.record, D_RELEASED);
	CU_ASSERT_TRUE(w->src.machine);
	CU_ASSERT_TRUE(w->dst.record == D_PREPARED || w->dst.record == D_OWNER);
	CU_ASSERT_TRUE(w->dst.machine);
}

static void
one_owner_without_trouble(void)
{
	struct world w;

	begin(&w);
	event(&w, &w.src, HANDOVER_WANT_STOP, 0, 0);
	settle(&w);
	CU_ASSERT_TRUE(w.dst.runs);
	CU_ASSERT_FALSE(w.src.runs);
	CU_ASSERT_EQUAL(w.src.record, D_MOVED);
	CU_ASSERT_EQUAL(w.dst.record, D_OWNER);
	CU_ASSERT_TRUE(w.steps > 20);
}

static void
one_owner_with_a_crash_at_every_step(void)
{
	struct world w;
	unsigned int steps;

	begin(&w);
	event(&w, &w.src, HANDOVER_WANT_STOP, 0, 0);
	steps = w.steps;
	for (int who = 0; who < 3; who++) {
		for (unsigned int at = 0; at <= steps; at++) {
			begin(&w);
			w.crash_at = at;
			w.crasher = who == 0 ? &w.src : who == 1 ? &w.dst :
			    NULL;
			event(&w, &w.src, HANDOVER_WANT_STOP, 0, 0);
			settle(&w);
			check_way_forward(&w);
		}
	}
}

static void
one_owner_with_any_message_lost(void)
{
	for (unsigned int lost = 0; lost < 6; lost++) {
		struct world w;

		begin(&w);
		w.lose_at = lost;
		event(&w, &w.src, HANDOVER_WANT_STOP, 0, 0);
		settle(&w);
		check_way_forward(&w);
	}
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "the source walks to MOVED", source_walks_to_moved },
		{ "the target walks to OWNER", target_walks_to_owner },
		{ "no event in any state breaks a rule",
		    no_event_breaks_a_rule },
		{ "another attempt changes nothing",
		    another_attempt_changes_nothing },
		{ "a wrong tenure is not believed",
		    wrong_tenure_is_not_believed },
		{ "silence is not an answer", silence_is_not_an_answer },
		{ "a full disk leaves it where it is",
		    full_disk_leaves_it_where_it_is },
		{ "one owner without trouble", one_owner_without_trouble },
		{ "one owner with a crash at every step",
		    one_owner_with_a_crash_at_every_step },
		{ "one owner with any message lost",
		    one_owner_with_any_message_lost },
	};

	return unit_main("handover", tests, sizeof(tests) / sizeof(tests[0]));
}
