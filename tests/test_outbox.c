/* SPDX-License-Identifier: ISC */
/*
 * Both ends of a bundle's order: what the sender keeps until it is acknowledged, and
 * what the receiver keeps until its turn.
 */
#include <errno.h>
#include <stdlib.h>

#include "early.h"
#include "outbox.h"
#include "unit.h"

#define ATTEMPT	7u

static void
put(struct outbox *o, size_t len)
{
	static const uint8_t payload[100];

	CU_ASSERT_EQUAL_FATAL(outbox_put(o, ATTEMPT, FRAME_MESSAGE, 0, payload,
	    len), 0);
}

static uint64_t
write_next(struct outbox *o)
{
	struct outgoing *f = outbox_next(o);
	uint64_t sequence;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	sequence = f->sequence;
	outbox_written(f);
	return sequence;
}

static void
what_is_acknowledged_is_forgotten(void)
{
	struct outbox o;
	size_t bytes;

	outbox_init(&o);
	put(&o, 10);
	put(&o, 20);
	CU_ASSERT_EQUAL(outbox_put_urgent(&o, ATTEMPT, FRAME_LINK, "x", 1), 0);
	CU_ASSERT_EQUAL(o.unacked_bytes, 2 * FRAME_HEADER_BYTES + 30);
	CU_ASSERT_EQUAL(write_next(&o), 0);
	CU_ASSERT_EQUAL(write_next(&o), 1);
	CU_ASSERT_FALSE(outbox_idle(&o));
	CU_ASSERT_EQUAL(outbox_acked(&o, 2, &bytes), 0);
	CU_ASSERT_EQUAL(bytes, FRAME_HEADER_BYTES + 10);
	CU_ASSERT_EQUAL(o.unacked_bytes, FRAME_HEADER_BYTES + 20);
	CU_ASSERT_EQUAL(write_next(&o), 2);
	CU_ASSERT_TRUE(outbox_idle(&o));
	CU_ASSERT_PTR_NULL(outbox_next(&o));
	CU_ASSERT_EQUAL(outbox_acked(&o, 2, &bytes), 0);
	CU_ASSERT_EQUAL(bytes, 0);
	outbox_fini(&o);
}

static void
lies_are_refused(void)
{
	struct outbox o;
	struct outgoing *f;
	size_t bytes;

	outbox_init(&o);
	put(&o, 10);
	CU_ASSERT_EQUAL(outbox_put(&o, ATTEMPT, FRAME_PAGES, 0, NULL,
	    FRAME_PAYLOAD_MAX + (size_t)1), -EMSGSIZE);
	CU_ASSERT_EQUAL(o.next_sequence, 2);
	f = outbox_next(&o);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	/* Half of it is still here, so the peer cannot have it. */
	CU_ASSERT_EQUAL(outbox_acked(&o, 2, &bytes), -EPROTO);
	outbox_written(f);
	CU_ASSERT_EQUAL(outbox_acked(&o, 2, &bytes), 0);
	CU_ASSERT_EQUAL(outbox_acked(&o, 3, &bytes), -EPROTO);
	/* A stream that breaks leaves an urgent frame to nobody else. */
	CU_ASSERT_EQUAL(outbox_put_urgent(&o, ATTEMPT, FRAME_LINK, "x", 1), 0);
	outbox_abandon(outbox_next(&o));
	outbox_fini(&o);
}

static int
keep(struct early *e, uint64_t sequence, uint32_t len)
{
	static const uint8_t payload[FRAME_PAYLOAD_MAX];
	const struct frame f = { .kind = FRAME_PAGES, .length = len,
	    .sequence = sequence, .attempt = ATTEMPT };

	return early_keep(e, &f, payload);
}

static void
early_frames_wait_for_their_turn(void)
{
	static const uint64_t order[] = { 5, 3, 4, 3, 7 };
	struct early e;
	struct early_frame *f;

	early_init(&e);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		CU_ASSERT_EQUAL(keep(&e, order[i], 9), 0);
	CU_ASSERT_PTR_NULL(early_take(&e, 2));
	for (uint64_t s = 3; s <= 5; s++) {
		f = early_take(&e, s);
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		CU_ASSERT_EQUAL(f->f.sequence, s);
		CU_ASSERT_EQUAL(f->f.length, 9);
		free(f);
	}
	CU_ASSERT_PTR_NULL(early_take(&e, 6));
	early_fini(&e);
}

/* As much as sixteen streams may differ by, and not what a peer likes. */
static void
early_frames_are_bounded(void)
{
	struct early e;
	uint64_t n = 0;
	int r;

	early_init(&e);
	while ((r = keep(&e, n + 2, FRAME_PAYLOAD_MAX)) == 0)
		n++;
	CU_ASSERT_EQUAL(r, -EPROTO);
	CU_ASSERT_TRUE(n >= 64 && n < 256);
	free(early_take(&e, 2));
	CU_ASSERT_EQUAL(keep(&e, n + 2, FRAME_PAYLOAD_MAX), 0);
	early_fini(&e);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "what is acknowledged is forgotten",
		    what_is_acknowledged_is_forgotten },
		{ "what the peer cannot have is no acknowledgement",
		    lies_are_refused },
		{ "early frames come out in order",
		    early_frames_wait_for_their_turn },
		{ "early frames are bounded", early_frames_are_bounded },
	};

	return unit_main("outbox", tests, sizeof(tests) / sizeof(tests[0]));
}
