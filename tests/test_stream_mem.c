/* SPDX-License-Identifier: ISC */
/* The in-memory link loses, reorders and invents nothing it was not told to. */
#include <errno.h>
#include <string.h>

#include "fakes/stream-mem.h"
#include "unit.h"

#define TOTAL	300000u

static uint8_t
pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 9));
}

struct reader {
	size_t	got, wrong;
	int	end;	/* the last result that was not a byte count */
};

static void
read_all(struct stream *s, void *arg)
{
	struct reader *r = arg;
	uint8_t buf[1000];
	ssize_t n;

	while ((n = stream_read(s, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			r->wrong += buf[i] != pattern(r->got++);
	r->end = (int)n;
}

static void
write_more(struct stream *s, void *arg)
{
	size_t *sent = arg;
	uint8_t buf[777];
	ssize_t n = 1;

	while (*sent < TOTAL && n > 0) {
		size_t len = TOTAL - *sent;

		if (len > sizeof(buf))
			len = sizeof(buf);
		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(*sent + i);
		if ((n = stream_write(s, buf, len)) > 0)
			*sent += (size_t)n;
	}
	stream_want(s, *sent < TOTAL);
}

static void
bytes_arrive_whole_and_in_order(void)
{
	static const struct stream_mem_config shapes[] = {
		{ .capacity = 0 },
		{ .capacity = 1000, .delay_steps = 5 },
		{ .capacity = 5000, .step_bytes = 700, .chunk_max = 90 },
		{ .capacity = 9999, .delay_steps = 64, .chunk_max = 4000,
		    .step_bytes = 900, .seed = 7 },
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct reader r = { 0 };
		struct stream *ends[2];
		struct stream_mem *l;
		size_t sent = 0;

		CU_ASSERT_EQUAL_FATAL(stream_mem_open(&l, ends, &shapes[i]),
		    0);
		stream_set_ready(ends[0], write_more, &sent);
		stream_set_ready(ends[1], read_all, &r);
		stream_want(ends[0], true);
		while (stream_mem_step(l))
			;
		CU_ASSERT_EQUAL(r.got, TOTAL);
		CU_ASSERT_EQUAL(r.wrong, 0);
		CU_ASSERT_EQUAL(r.end, -EAGAIN);
		CU_ASSERT_EQUAL(stream_mem_written(l, 0), TOTAL);
		stream_close(ends[0]);
		while (stream_mem_step(l))
			;
		CU_ASSERT_EQUAL(r.end, 0);
		CU_ASSERT_EQUAL(stream_write(ends[1], "x", 1), -EPIPE);
		stream_close(ends[1]);
		stream_mem_free(l);
	}
}

static void
a_cut_loses_what_is_in_flight(void)
{
	struct stream_mem_config cfg = { .delay_steps = 2 };
	struct stream *ends[2];
	struct stream_mem *l;
	char c[4];

	CU_ASSERT_EQUAL_FATAL(stream_mem_open(&l, ends, &cfg), 0);
	CU_ASSERT_EQUAL(stream_write(ends[0], "ab", 2), 2);
	CU_ASSERT_EQUAL(stream_unsent(ends[0]), 2);
	CU_ASSERT_EQUAL(stream_read(ends[1], c, 4), -EAGAIN);
	stream_mem_step(l);
	CU_ASSERT_EQUAL(stream_write(ends[0], "cd", 2), 2);
	stream_mem_step(l);
	CU_ASSERT_EQUAL(stream_unsent(ends[0]), 2);
	stream_mem_cut(l);
	CU_ASSERT_EQUAL(stream_read(ends[1], c, 4), 2);
	CU_ASSERT_EQUAL(memcmp(c, "ab", 2), 0);
	CU_ASSERT_EQUAL(stream_read(ends[1], c, 4), -ECONNRESET);
	CU_ASSERT_EQUAL(stream_write(ends[0], "ef", 2), -EPIPE);
	stream_close(ends[0]);
	stream_close(ends[1]);
	stream_mem_free(l);
}

static void
a_frozen_link_fills_up_and_a_flip_flips_one_bit(void)
{
	struct stream_mem_config cfg = { .capacity = 3 };
	struct stream *ends[2];
	struct stream_mem *l;
	char c[4];

	CU_ASSERT_EQUAL_FATAL(stream_mem_open(&l, ends, &cfg), 0);
	stream_mem_freeze(l, true);
	stream_mem_flip(l, 1, 1);
	CU_ASSERT_EQUAL(stream_write(ends[1], "abcd", 4), 3);
	CU_ASSERT_EQUAL(stream_write(ends[1], "d", 1), -EAGAIN);
	stream_mem_step(l);
	CU_ASSERT_EQUAL(stream_read(ends[0], c, 4), -EAGAIN);
	stream_mem_freeze(l, false);
	stream_mem_step(l);
	CU_ASSERT_EQUAL(stream_read(ends[0], c, 4), 3);
	CU_ASSERT_EQUAL(memcmp(c, "arc", 3), 0);
	stream_mem_free(l);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "bytes arrive whole and in order",
		    bytes_arrive_whole_and_in_order },
		{ "a cut loses what is in flight",
		    a_cut_loses_what_is_in_flight },
		{ "a frozen link fills up, a flip flips one bit",
		    a_frozen_link_fills_up_and_a_flip_flips_one_bit },
	};

	return unit_main("stream-mem", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
