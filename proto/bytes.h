/* SPDX-License-Identifier: ISC */
/*
 * Varints, and a reader of byte buffers that never leaves them. Knows no format;
 * numbers of a fixed size are le.h's.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "le.h"

/* Most bytes a 32-bit varint takes. */
#define VARINT32_MAX 5

/* Seven bits a byte, lowest first, high bit: more follow. The bytes used. */
static inline size_t
bytes_put_varint(uint8_t *p, uint32_t v)
{
	size_t n = 0;

	while (v >= 0x80) {
		p[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	p[n++] = (uint8_t)v;
	return n;
}

/* A reader that never leaves its buffer; `bad` stays set once it would have. */
struct bytes_in {
	const uint8_t	*at;
	const uint8_t	*end;
	bool		bad;
};

static inline size_t
bytes_left(const struct bytes_in *in)
{
	return (size_t)(in->end - in->at);
}

/* `n` bytes to look at, or NULL with `bad` set. */
static inline const uint8_t *
bytes_take(struct bytes_in *in, size_t n)
{
	const uint8_t *p = in->at;

	if (in->bad || n > bytes_left(in)) {
		in->bad = true;
		return NULL;
	}
	in->at += n;
	return p;
}

static inline uint8_t
bytes_take8(struct bytes_in *in)
{
	const uint8_t *p = bytes_take(in, 1);

	return p != NULL ? *p : 0;
}

static inline uint32_t
bytes_take_varint(struct bytes_in *in)
{
	uint64_t v = 0;

	for (int i = 0; i < VARINT32_MAX; i++) {
		uint8_t b = bytes_take8(in);

		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if ((b & 0x80) == 0) {
			if (v > UINT32_MAX)
				in->bad = true;
			return in->bad ? 0 : (uint32_t)v;
		}
	}
	in->bad = true;
	return 0;
}

#endif
