/* SPDX-License-Identifier: ISC */
/*
 * Frame headers, their checksum, and the incremental parser. Knows no message
 * and no order of frames.
 */
#include "frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define FRAME_MAGIC	0x31465350u	/* "PSF1" read as little-endian */
#define CHECKED_BYTES	32u		/* of the header, before the checksum */
/* Whole frames fit behind a partial one, so that reads stay large. */
#define PARSER_BYTES	((size_t)2 * FRAME_MAX_BYTES)
#define PARSER_MIN_ROOM	((size_t)32 << 10)

/* --- XXH64 ------------------------------------------------------------------ */

#define P1 0x9E3779B185EBCA87ULL
#define P2 0xC2B2AE3D27D4EB4FULL
#define P3 0x165667B19E3779F9ULL
#define P4 0x85EBCA77C2B2AE63ULL
#define P5 0x27D4EB2F165667C5ULL

static uint64_t
rotl64(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

static uint64_t
xxh_lane(uint64_t acc, uint64_t input)
{
	return rotl64(acc + input * P2, 31) * P1;
}

static uint64_t
xxh_merge(uint64_t h, uint64_t acc)
{
	return (h ^ xxh_lane(0, acc)) * P1 + P4;
}

/* The part of fewer than 32 bytes at the end, then the final mix. */
static uint64_t
xxh_tail(uint64_t h, const uint8_t *p, size_t len)
{
	for (; len >= 8; p += 8, len -= 8)
		h = rotl64(h ^ xxh_lane(0, le_get64(p)), 27) * P1 + P4;
	if (len >= 4) {
		h = rotl64(h ^ le_get32(p) * P1, 23) * P2 + P3;
		p += 4;
		len -= 4;
	}
	for (; len > 0; p++, len--)
		h = rotl64(h ^ *p * P5, 11) * P1;
	h = (h ^ h >> 33) * P2;
	h = (h ^ h >> 29) * P3;
	return h ^ h >> 32;
}

uint64_t
frame_xxh64(const void *data, size_t len, uint64_t seed)
{
	const uint8_t *p = data;
	size_t left = len;
	uint64_t h;

	if (left >= 32) {
		uint64_t v[4] = { seed + P1 + P2, seed + P2, seed, seed - P1 };

		for (; left >= 32; p += 32, left -= 32)
			for (int i = 0; i < 4; i++)
				v[i] = xxh_lane(v[i], le_get64(p + 8 * i));
		h = rotl64(v[0], 1) + rotl64(v[1], 7) + rotl64(v[2], 12) +
		    rotl64(v[3], 18);
		for (int i = 0; i < 4; i++)
			h = xxh_merge(h, v[i]);
	} else {
		h = seed + P5;
	}
	return xxh_tail(h + len, p, left);
}

/* --- headers ---------------------------------------------------------------- */

static uint64_t
checksum(const uint8_t *header, const void *payload, size_t len)
{
	return frame_xxh64(payload, len, frame_xxh64(header, CHECKED_BYTES, 0));
}

void
frame_header_encode(uint8_t out[FRAME_HEADER_BYTES], const struct frame *f,
    const void *payload)
{
	memset(out, 0, FRAME_HEADER_BYTES);
	le_put32(out, FRAME_MAGIC);
	le_put32(out + 4, f->length);
	le_put64(out + 8, f->sequence);
	le_put64(out + 16, f->attempt);
	out[24] = f->kind;
	out[25] = f->flags;
	le_put64(out + CHECKED_BYTES, checksum(out, payload, f->length));
}

int
frame_header_decode(struct frame *f, const uint8_t in[FRAME_HEADER_BYTES])
{
	if (le_get32(in) != FRAME_MAGIC || in[26] != 0 || in[27] != 0 ||
	    le_get32(in + 28) != 0)
		return -EPROTO;
	f->length = le_get32(in + 4);
	f->sequence = le_get64(in + 8);
	f->attempt = le_get64(in + 16);
	f->kind = in[24];
	f->flags = in[25];
	if (f->kind == 0 || f->kind > FRAME_KIND_MAX)
		return -EPROTO;
	return f->length > FRAME_PAYLOAD_MAX ? -EMSGSIZE : 0;
}

/* 0 when header and payload agree, else -EBADMSG. */
static int
verify(const uint8_t header[FRAME_HEADER_BYTES], const void *payload,
    size_t len)
{
	return le_get64(header + CHECKED_BYTES) ==
	    checksum(header, payload, len) ? 0 : -EBADMSG;
}

/* --- the parser ------------------------------------------------------------- */

int
frame_parser_init(struct frame_parser *p)
{
	p->start = 0;
	p->end = 0;
	p->buf = malloc(PARSER_BYTES);
	return p->buf != NULL ? 0 : -ENOMEM;
}

void
frame_parser_fini(struct frame_parser *p)
{
	free(p->buf);
	p->buf = NULL;
}

uint8_t *
frame_parser_space(struct frame_parser *p, size_t *room)
{
	if (p->start == p->end) {
		p->start = 0;
		p->end = 0;
	} else if (PARSER_BYTES - p->end < PARSER_MIN_ROOM) {
		/* What is left is less than one frame, so there is room after. */
		memmove(p->buf, p->buf + p->start, p->end - p->start);
		p->end -= p->start;
		p->start = 0;
	}
	*room = PARSER_BYTES - p->end;
	return p->buf + p->end;
}

void
frame_parser_filled(struct frame_parser *p, size_t n)
{
	p->end += n;
}

int
frame_parser_next(struct frame_parser *p, struct frame *f,
    const uint8_t **payload)
{
	const uint8_t *header = p->buf + p->start;
	size_t have = p->end - p->start;
	int r;

	if (have < FRAME_HEADER_BYTES)
		return 0;
	if ((r = frame_header_decode(f, header)) < 0)
		return r;
	if (have < FRAME_HEADER_BYTES + f->length)
		return 0;
	*payload = header + FRAME_HEADER_BYTES;
	if ((r = verify(header, *payload, f->length)) < 0)
		return r;
	p->start += FRAME_HEADER_BYTES + f->length;
	return 1;
}
