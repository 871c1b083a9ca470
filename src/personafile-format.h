/* SPDX-License-Identifier: ISC */
/*
 * The numbers of persona-file(5), THE PAYLOAD, for the two halves of personafile.h
 * and nobody else.
 */
#ifndef PERSONAFILE_FORMAT_H
#define PERSONAFILE_FORMAT_H

#include "digest.h"
#include "le.h"
#include "personafile.h"

/* A record: u8 kind, u8 form, u16 zero, u32 bytes of the body, body. */
#define FILE_RECORD_HEAD_BYTES	8u

enum file_record {
	FILE_MANIFEST = 1,	/* first, once: a packed image.Manifest */
	FILE_CHUNK = 2,		/* u64 page, u32 pages, digest, content */
	FILE_SAME = 3,		/* u64 page, u32 pages, digest, u64 source page */
	FILE_STATE = 4,		/* a piece of the machine state */
	FILE_END = 5,		/* u64 chunks, u64 same, root, digest of all before */
};

/* The form of a chunk's content. */
enum file_form {
	FILE_RAW = 0,
	FILE_LZ4 = 1,
};

#define FILE_CHUNK_BYTES	(FILE_CHUNK_PAGES * PAGE_BYTES)
#define FILE_PLACE_BYTES	(12u + DIGEST_BYTES)
#define FILE_SAME_BYTES		(FILE_PLACE_BYTES + 8u)
#define FILE_STATE_PIECE_MAX	FILE_CHUNK_BYTES
#define FILE_END_BYTES		(16u + 2u * DIGEST_BYTES)
#define FILE_BODY_MAX		(FILE_PLACE_BYTES + FILE_CHUNK_BYTES)

_Static_assert(MANIFEST_MAX <= FILE_BODY_MAX, "one buffer for every body");

/* A chunk's digest is that of its pages' digests: each byte is hashed once. */
static inline void
file_chunk_digest(struct digest *out, const struct digest *pages,
    uint32_t n_pages)
{
	digest_bytes(out, pages, n_pages * sizeof(*pages));
}

#endif
