/* SPDX-License-Identifier: ISC */
/* Frames come out of any cutting of the bytes, and damage never does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "frame.h"
#include "unit.h"

static void
checksum_is_xxh64(void)
{
	uint8_t seq[101];

	for (size_t i = 0; i < sizeof(seq); i++)
		seq[i] = (uint8_t)i;
	/* Published values of the reference implementation. */
	CU_ASSERT_EQUAL(frame_xxh64("", 0, 0), 0xEF46DB3751D8E999ULL);
	CU_ASSERT_EQUAL(frame_xxh64("a", 1, 0), 0xD24EC4F1A98C6E5BULL);
	CU_ASSERT_EQUAL(frame_xxh64("abc", 3, 0), 0x44BC2CF5AD770999ULL);
	/* Every tail length is its own path; none equals its neighbour. */
	for (size_t n = 1; n < sizeof(seq); n++)
		CU_ASSERT_NOT_EQUAL(frame_xxh64(seq, n, 1),
		    frame_xxh64(seq, n - 1, 1));
}

static size_t
make_frame(uint8_t *out, uint8_t kind, uint64_t sequence, size_t len)
{
	struct frame f = { .kind = kind, .flags = 3, .length = (uint32_t)len,
	    .sequence = sequence, .attempt = 9 };

	for (size_t i = 0; i < len; i++)
		out[FRAME_HEADER_BYTES + i] = (uint8_t)(i * 7 + sequence);
	frame_header_encode(out, &f, out + FRAME_HEADER_BYTES);
	return FRAME_HEADER_BYTES + len;
}

/* Feed `len` bytes in pieces of `piece`; the frames seen, or the error. */
static int
feed(const uint8_t *data, size_t len, size_t piece)
{
	struct frame_parser p;
	int seen = 0, r = 0;

	CU_ASSERT_EQUAL_FATAL(frame_parser_init(&p), 0);
	for (size_t at = 0; r >= 0 && at < len;) {
		const uint8_t *payload;
		struct frame f;
		size_t room, n = len - at;
		uint8_t *to = frame_parser_space(&p, &room);

		CU_ASSERT_FATAL(room > 0);
		n = n > piece ? piece : n;
		n = n > room ? room : n;
		memcpy(to, data + at, n);
		frame_parser_filled(&p, n);
		at += n;
		while ((r = frame_parser_next(&p, &f, &payload)) > 0) {
			seen++;
			CU_ASSERT_EQUAL(f.sequence, (uint64_t)seen);
			CU_ASSERT_EQUAL(f.attempt, 9);
			CU_ASSERT_EQUAL(f.flags, 3);
			for (size_t i = 0; i < f.length; i++)
				if (payload[i] != (uint8_t)(i * 7 + f.sequence))
					r = -EIO;
		}
	}
	frame_parser_fini(&p);
	return r < 0 ? r : seen;
}

static void
frames_come_out_of_any_cutting(void)
{
	static const size_t lens[] = { 0, 1, 39, 4096, FRAME_PAYLOAD_MAX, 5,
	    100000, FRAME_PAYLOAD_MAX, 0 };
	static const size_t pieces[] = { 1, 7, 40, 4096, 65536, 1 << 20 };
	const int n = sizeof(lens) / sizeof(lens[0]);
	uint8_t *data = malloc(2 << 20);
	size_t len = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(data);
	for (int i = 0; i < n; i++)
		len += make_frame(data + len, FRAME_PAGES, (uint64_t)i + 1,
		    lens[i]);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		CU_ASSERT_EQUAL(feed(data, len, pieces[i]), n);
	CU_ASSERT_EQUAL(feed(data, len - 1, 4096), n - 1);
	free(data);
}

static void
every_flipped_bit_is_found(void)
{
	uint8_t data[FRAME_HEADER_BYTES + 64];
	size_t len = make_frame(data, FRAME_STATE, 1, 64);

	for (size_t bit = 0; bit < len * 8; bit++) {
		int r;

		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = feed(data, len, len);
		/* A larger length only waits for bytes that do not come. */
		CU_ASSERT(r < 0 || (r == 0 && bit >= 32 && bit < 64));
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CU_ASSERT_EQUAL(feed(data, len, len), 1);
}

static void
claims_beyond_the_bounds_are_refused(void)
{
	uint8_t data[FRAME_HEADER_BYTES];
	struct frame f;

	make_frame(data, FRAME_PAGES, 1, 0);
	le_put32(data + 4, FRAME_PAYLOAD_MAX + 1);
	CU_ASSERT_EQUAL(frame_header_decode(&f, data), -EMSGSIZE);
	make_frame(data, FRAME_PAGES, 1, 0);
	data[24] = FRAME_KIND_MAX + 1;
	CU_ASSERT_EQUAL(frame_header_decode(&f, data), -EPROTO);
	data[24] = 0;
	CU_ASSERT_EQUAL(frame_header_decode(&f, data), -EPROTO);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "the checksum is XXH64", checksum_is_xxh64 },
		{ "frames come out of any cutting",
		    frames_come_out_of_any_cutting },
		{ "every flipped bit is found", every_flipped_bit_is_found },
		{ "claims beyond the bounds are refused",
		    claims_beyond_the_bounds_are_refused },
	};

	return unit_main("frame", tests, sizeof(tests) / sizeof(tests[0]));
}
