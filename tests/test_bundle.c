/* SPDX-License-Identifier: ISC */
/* Frames over several streams: in order, bounded, measured, and never silent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "bytes.h"
#include "fakes/stream-mem.h"
#include "flow.h"
#include "sync.pb-c.h"
#include "unit.h"

#define LINKS	4u
#define MS	1000000ULL

struct end {
	struct bundle	*b;
	uint64_t	*now;
	uint64_t	got;		/* frames, each must say its number */
	uint64_t	wrong, urgent;
	int		failed;
};

struct two {
	struct stream_mem	*links[LINKS];
	struct end		a, b;
	uint64_t		now;
};

static uint64_t
end_now(void *arg)
{
	return *((struct end *)arg)->now;
}

static int
end_frame(void *arg, const struct frame *f, const uint8_t *payload)
{
	struct end *e = arg;

	if (f->sequence == 0)
		e->urgent++;
	else if (f->length < 8 || le_get64(payload) != e->got++)
		e->wrong++;
	return 0;
}

static void
end_room(void *arg)
{
	(void)arg;
}

static void
end_failed(void *arg, int r, const char *why)
{
	(void)why;
	((struct end *)arg)->failed = r;
}

static const struct bundle_ops ops = { .now_ns = end_now, .frame = end_frame,
    .room = end_room, .failed = end_failed };

/* Links of different pace, so that frames overtake each other. */
static void
two_open(struct two *t, uint64_t attempt_a, uint64_t attempt_b)
{
	memset(t, 0, sizeof(*t));
	t->now = 1000 * MS;
	t->a.now = t->b.now = &t->now;
	CU_ASSERT_EQUAL_FATAL(bundle_new(&t->a.b, &ops, &t->a, attempt_a), 0);
	CU_ASSERT_EQUAL_FATAL(bundle_new(&t->b.b, &ops, &t->b, attempt_b), 0);
	for (unsigned int i = 0; i < LINKS; i++) {
		struct stream_mem_config cfg = { .capacity = 30000 + 10000 * i,
		    .delay_steps = 1 + 3 * i, .step_bytes = 4000 + 3000 * i,
		    .chunk_max = 5000, .seed = i };
		struct stream *ends[2];

		CU_ASSERT_EQUAL_FATAL(stream_mem_open(&t->links[i], ends, &cfg),
		    0);
		CU_ASSERT_EQUAL(bundle_add(t->a.b, ends[0]), 0);
		CU_ASSERT_EQUAL(bundle_add(t->b.b, ends[1]), 0);
	}
}

static void
two_close(struct two *t)
{
	bundle_free(t->a.b);
	bundle_free(t->b.b);
	for (unsigned int i = 0; i < LINKS; i++)
		stream_mem_free(t->links[i]);
}

static void
two_step(struct two *t)
{
	t->now += MS;
	for (unsigned int i = 0; i < LINKS; i++)
		(void)stream_mem_step(t->links[i]);
	if (t->now / MS % 10 == 0) {
		bundle_tick(t->a.b);
		bundle_tick(t->b.b);
	}
}

/* Send n frames of `len` bytes as room allows; the most that was unacked. */
static size_t
send_many(struct two *t, uint64_t n, size_t len, unsigned int max_steps)
{
	uint8_t *payload = calloc(1, len);
	size_t most = 0;
	uint64_t sent = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
	while (max_steps-- > 0 && t->b.got < n && t->a.failed == 0) {
		while (sent < n && bundle_room(t->a.b) > 0) {
			le_put64(payload, sent++);
			CU_ASSERT_EQUAL(bundle_send(t->a.b, FRAME_PAGES, 0,
			    payload, len), 0);
		}
		if (bundle_unacked(t->a.b) > most)
			most = bundle_unacked(t->a.b);
		two_step(t);
	}
	free(payload);
	return most;
}

static void
frames_arrive_in_order_over_uneven_links(void)
{
	struct two t;
	size_t most;

	two_open(&t, 7, 0);
	most = send_many(&t, 3000, 9000, 20000);
	CU_ASSERT_EQUAL(t.b.got, 3000);
	CU_ASSERT_EQUAL(t.b.wrong, 0);
	CU_ASSERT_EQUAL(bundle_attempt(t.b.b), 7);
	CU_ASSERT(most < 2 << 20);
	for (int i = 0; i < 100; i++)
		two_step(&t);
	CU_ASSERT_EQUAL(bundle_unacked(t.a.b), 0);
	CU_ASSERT(bundle_flushed(t.a.b));
	/* 4 + 7 + 10 + 13 KB a millisecond is what the links carry. */
	CU_ASSERT(bundle_rate(t.a.b) > 15000000);
	CU_ASSERT(bundle_rate(t.a.b) < 40000000);
	CU_ASSERT(bundle_rtt_ns(t.a.b) >= 2 * MS);
	CU_ASSERT(bundle_rtt_ns(t.a.b) < 40 * MS);
	two_close(&t);
}

static void
urgent_frames_overtake(void)
{
	struct two t;
	uint8_t payload[8] = { 0 };

	two_open(&t, 7, 0);
	for (uint64_t i = 0; i < 100; i++) {
		le_put64(payload, i);
		(void)bundle_send(t.a.b, FRAME_PAGES, 0, payload, 8);
	}
	for (uint64_t i = 100; i < 200; i++) {
		static uint8_t large[60000];

		le_put64(large, i);
		(void)bundle_send(t.a.b, FRAME_PAGES, 0, large, sizeof(large));
	}
	CU_ASSERT_EQUAL(bundle_send_urgent(t.a.b, FRAME_MESSAGE, payload, 8), 0);
	for (int i = 0; i < 60; i++)
		two_step(&t);
	CU_ASSERT_EQUAL(t.b.urgent, 1);
	CU_ASSERT(t.b.got < 200);
	two_close(&t);
}

static void
frames_of_another_attempt_change_nothing(void)
{
	struct two t;

	two_open(&t, 7, 8);
	(void)send_many(&t, 20, 100, 200);
	CU_ASSERT_EQUAL(t.b.got, 0);
	CU_ASSERT_EQUAL(t.b.failed, 0);
	two_close(&t);
}

static void
cut_and_silence_are_noticed(void)
{
	struct two t;

	two_open(&t, 7, 0);
	(void)send_many(&t, 20, 100, 200);
	/* One stream ends, and what was said on another is heard all the same. */
	CU_ASSERT_EQUAL(bundle_send_urgent(t.a.b, FRAME_MESSAGE, "!", 1), 0);
	stream_mem_cut(t.links[2]);
	for (int i = 0; i < 100; i++)
		two_step(&t);
	CU_ASSERT_EQUAL(t.b.urgent, 1);
	for (int i = 0; i < 300; i++)
		two_step(&t);
	CU_ASSERT_NOT_EQUAL(t.a.failed, 0);
	CU_ASSERT_NOT_EQUAL(t.b.failed, 0);
	CU_ASSERT_EQUAL(bundle_room(t.a.b), 0);
	CU_ASSERT_EQUAL(bundle_send(t.a.b, FRAME_PAGES, 0, "", 0), -EPIPE);
	two_close(&t);

	two_open(&t, 7, 0);
	for (int i = 0; i < 15000; i++)	/* idle, but beating */
		two_step(&t);
	CU_ASSERT_EQUAL(t.a.failed, 0);
	for (unsigned int i = 0; i < LINKS; i++)
		stream_mem_freeze(t.links[i], true);
	for (int i = 0; i < 9000; i++)
		two_step(&t);
	CU_ASSERT_EQUAL(t.a.failed, 0);
	for (int i = 0; i < 2000; i++)
		two_step(&t);
	CU_ASSERT_EQUAL(t.a.failed, -ETIMEDOUT);
	two_close(&t);
}

/* A peer of one stream that writes what it likes. */
struct liar {
	struct stream_mem	*link;
	struct stream		*mouth;
	struct end		victim;
	uint64_t		now;
};

static void
liar_open(struct liar *l)
{
	static const struct stream_mem_config cfg = { .capacity = 64 << 20 };
	struct stream *ends[2];

	memset(l, 0, sizeof(*l));
	l->now = 1000 * MS;
	l->victim.now = &l->now;
	CU_ASSERT_EQUAL_FATAL(bundle_new(&l->victim.b, &ops, &l->victim, 7), 0);
	CU_ASSERT_EQUAL_FATAL(stream_mem_open(&l->link, ends, &cfg), 0);
	CU_ASSERT_EQUAL(bundle_add(l->victim.b, ends[0]), 0);
	l->mouth = ends[1];
}

static void
liar_close(struct liar *l)
{
	bundle_free(l->victim.b);
	stream_close(l->mouth);
	stream_mem_free(l->link);
}

static void
liar_say(struct liar *l, uint8_t kind, uint64_t sequence, const void *payload,
    size_t len)
{
	struct frame f = { .kind = kind, .sequence = sequence, .attempt = 7,
	    .length = (uint32_t)len };
	uint8_t header[FRAME_HEADER_BYTES];

	frame_header_encode(header, &f, payload);
	(void)stream_write(l->mouth, header, sizeof(header));
	(void)stream_write(l->mouth, payload, len);
	(void)stream_mem_step(l->link);
}

static void
lies_about_the_order_are_refused(void)
{
	static uint8_t big[FRAME_PAYLOAD_MAX];
	Persona__Sync__LinkMessage m = PERSONA__SYNC__LINK_MESSAGE__INIT;
	uint8_t buf[64];
	struct liar l;

	/* An ack for what was never sent. */
	liar_open(&l);
	m.has_ack = 1;
	m.ack = 1000;
	liar_say(&l, FRAME_LINK, 0, buf,
	    persona__sync__link_message__pack(&m, buf));
	CU_ASSERT_EQUAL(l.victim.failed, -EPROTO);
	liar_close(&l);
	/* Frame after frame with the first one missing. */
	liar_open(&l);
	for (uint64_t i = 2; i < 200 && l.victim.failed == 0; i++)
		liar_say(&l, FRAME_PAGES, i, big, sizeof(big));
	CU_ASSERT_EQUAL(l.victim.failed, -EPROTO);
	CU_ASSERT_EQUAL(l.victim.got, 0);
	liar_close(&l);
	/* Repeats are harmless. */
	liar_open(&l);
	liar_say(&l, FRAME_PAGES, 1, big, 8);
	liar_say(&l, FRAME_PAGES, 1, big, 8);
	liar_say(&l, FRAME_PAGES, 3, big, 8);
	liar_say(&l, FRAME_PAGES, 3, big, 8);
	CU_ASSERT_EQUAL(l.victim.got, 1);
	CU_ASSERT_EQUAL(l.victim.failed, 0);
	/* Noise. */
	(void)stream_write(l.mouth, big, 4000);
	(void)stream_mem_step(l.link);
	CU_ASSERT_EQUAL(l.victim.failed, -EPROTO);
	liar_close(&l);
}

static void
flow_follows_the_link(void)
{
	struct flow f;
	uint64_t now = 0;

	flow_init(&f, now);
	CU_ASSERT(flow_inflight_limit(&f) >= FLOW_INFLIGHT_MIN);
	flow_rtt(&f, 4 * MS);
	for (int i = 0; i < 1000; i++) {
		now += MS;
		flow_acked(&f, now, 25000, 500000);
	}
	CU_ASSERT(f.rate > 24000000 && f.rate < 26000000);
	CU_ASSERT(flow_inflight_limit(&f) > 600000);
	CU_ASSERT(flow_inflight_limit(&f) < 900000);
	/* Our own queue makes trips longer; that must not feed the queue. */
	for (int i = 0; i < 100; i++)
		flow_rtt(&f, 900 * MS);
	CU_ASSERT(flow_inflight_limit(&f) < 900000);
	/* Far from a stop a longer queue rides out a reader's absence. */
	flow_set_queue(&f, FLOW_QUEUE_LONG_NS);
	CU_ASSERT(flow_inflight_limit(&f) > 5000000);
	flow_set_queue(&f, FLOW_QUEUE_SHORT_NS);
	/* A pause is no slow link. */
	flow_acked(&f, now, 25000, 0);
	now += 5000 * MS;
	flow_acked(&f, now, 25000, 500000);
	CU_ASSERT(f.rate > 24000000);
	/* The user's limit: so many bytes a second, bursts of little. */
	flow_set_cap(&f, now, 1000000);
	for (uint64_t i = 0, sent = 0; i < 3000; i++) {
		size_t n = flow_allowed(&f, now);

		flow_spend(&f, n);
		sent += n;
		now += MS;
		CU_ASSERT(sent <= (i + 1) * 1000 + 21000);
		CU_ASSERT(i < 100 || sent > i * 900);
	}
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "frames arrive in order over uneven links",
		    frames_arrive_in_order_over_uneven_links },
		{ "urgent frames overtake", urgent_frames_overtake },
		{ "frames of another attempt change nothing (1)",
		    frames_of_another_attempt_change_nothing },
		{ "cut and silence are noticed (2)",
		    cut_and_silence_are_noticed },
		{ "lies about the order are refused (7)",
		    lies_about_the_order_are_refused },
		{ "the flow follows the link", flow_follows_the_link },
	};

	return unit_main("bundle", tests, sizeof(tests) / sizeof(tests[0]));
}
