/* SPDX-License-Identifier: ISC */
/*
 * The fixed header before everything two persona-syncs say to each other, and a
 * parser that takes bytes as they come. Knows no message, no page and no order:
 * a sequence number is only carried here.
 *
 * Layout, little-endian (persona-protocol(7)):
 *	0 u32 magic "PSF1"    4 u32 payload bytes    8 u64 sequence
 *	16 u64 attempt        24 u8 kind, u8 flags, u16 zero, u32 zero
 *	32 u64 checksum: XXH64 of the payload, seeded with XXH64 of bytes 0..31
 * The checksum finds accidents; against people there is SSH below.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

#define FRAME_HEADER_BYTES	40u
#define FRAME_MAX_BYTES		(FRAME_HEADER_BYTES + FRAME_PAYLOAD_MAX)

/* Wire numbers: never reused. */
enum frame_kind {
	FRAME_MESSAGE = 1,	/* one persona.sync.SyncMessage */
	FRAME_PAGES = 2,	/* guest pages, pagecodec.h */
	FRAME_STATE = 3,	/* a piece of the saved machine state */
	FRAME_LINK = 4,		/* one persona.sync.LinkMessage; sequence 0 */
	FRAME_PROBE = 5,	/* noise, to see what the link carries */
	FRAME_KIND_MAX = FRAME_PROBE,
};

struct frame {
	uint8_t		kind;		/* enum frame_kind */
	uint8_t		flags;		/* of the kind's own meaning */
	uint32_t	length;		/* payload bytes */
	uint64_t	sequence;	/* 1.. in order; 0: outside the order */
	uint64_t	attempt;	/* of the handover; in every frame */
};

/* The header for `f` with f->length bytes at payload. */
void	frame_header_encode(uint8_t out[FRAME_HEADER_BYTES],
	    const struct frame *f, const void *payload);

/*
 * Read and check a header; the payload is not looked at. 0, -EPROTO when it is
 * no frame of ours, -EMSGSIZE when it claims more than FRAME_PAYLOAD_MAX.
 */
int	frame_header_decode(struct frame *f,
	    const uint8_t in[FRAME_HEADER_BYTES]);

/* XXH64 as published (the xxHash specification). */
uint64_t frame_xxh64(const void *data, size_t len, uint64_t seed);

/* --- bytes as they come ----------------------------------------------------- */

struct frame_parser {
	uint8_t		*buf;
	size_t		start;	/* first byte not yet given out */
	size_t		end;	/* first free byte */
};

/* 0 or -ENOMEM. The buffer is all a peer can ever make us hold here. */
int	frame_parser_init(struct frame_parser *p);
void	frame_parser_fini(struct frame_parser *p);

/*
 * Where the next bytes of the stream go, and room for how many (at least one).
 * Tell how many came with frame_parser_filled(). Frames given out before are
 * no longer valid after this call.
 */
uint8_t	*frame_parser_space(struct frame_parser *p, size_t *room);
void	frame_parser_filled(struct frame_parser *p, size_t n);

/*
 * The next whole frame: 1 with *f and *payload (valid until the next
 * frame_parser_space), 0 when more bytes are needed, else as
 * frame_header_decode or -EBADMSG; then the stream is of no more use.
 */
int	frame_parser_next(struct frame_parser *p, struct frame *f,
	    const uint8_t **payload);

#endif
