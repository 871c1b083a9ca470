/* SPDX-License-Identifier: ISC */
/*
 * The forms in which guest pages travel, and the codecs below them. Knows no
 * guest, no digest and no transfer: bytes in, bytes out.
 *
 * A PAGES frame is a row of records, each a form byte and varints (bytes.h):
 *	ZERO	pfn, count			these pages are zero
 *	KNOWN	pfn, source			the same as page `source` now
 *	DELTA	pfn, base (8 bytes), len, body	changes to what the target has
 *	LZ4	count, count x gap, len, body	count pages in one LZ4 block
 *	RAW	pfn, count, count x 4096 bytes
 *	ZSTD	as LZ4, with one zstd frame
 * `base` is the start of the digest of what the target must have there; `gap`
 * is the distance to the page before it less one (the first counts from 0).
 * A delta body is a row of (skip, len, len bytes): new bytes, not differences.
 * Records take effect in order.
 */
#ifndef PAGECODEC_H
#define PAGECODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

/* Wire numbers: never reused. */
enum page_form {
	PAGE_ZERO = 1,
	PAGE_KNOWN = 2,
	PAGE_DELTA = 3,
	PAGE_LZ4 = 4,
	PAGE_RAW = 5,
	PAGE_ZSTD = 6,
};

#define PAGE_BATCH_MAX		32u	/* pages packed together */
#define PAGE_BASE_BYTES		8u
#define PAGE_DELTA_MAX		1024u	/* beyond this LZ4 does as well */

/* All of its PAGE_BYTES. */
bool	page_is_zero(const uint8_t *page);

/*
 * Would LZ4 make nothing of it? Cheap: a few samples, and a fast trial only
 * where those look random.
 */
bool	page_is_dense(const uint8_t *page);

/*
 * Describe `page` as changes to `base` in at most max bytes. The length, or
 * 0 when it does not fit; pages that are equal are the caller's to find.
 */
size_t	page_delta_encode(const uint8_t *base, const uint8_t *page,
	    uint8_t *out, size_t max);

/* Apply such a body in place. 0, or -EPROTO with the page half done. */
int	page_delta_apply(uint8_t *page, const uint8_t *body, size_t len);

/*
 * How hard to try: 0 is LZ4, the others are zstd's levels. Both save more than
 * LZ4-HC does at several times its pace.
 */
#define PAGE_EFFORT_FAST	0
#define PAGE_EFFORT_MORE	1
#define PAGE_EFFORT_MOST	5

/* Contexts of the codecs, for packing and unpacking alike. */
struct page_packer;

/* 0 or -ENOMEM; freeing NULL is fine. */
int	page_packer_new(struct page_packer **pp);
void	page_packer_free(struct page_packer *p);

/* The form that an effort yields: PAGE_LZ4 or PAGE_ZSTD. */
enum page_form page_pack_form(int effort);

/* Room that page_pack() may need for n_pages. */
size_t	page_pack_bound(size_t n_pages);

/* Pack n_pages pages. The length, 0 when packing does not pay. */
size_t	page_pack(struct page_packer *p, int effort, const uint8_t *pages,
	    size_t n_pages, uint8_t *out, size_t room);

/* Exactly n_pages pages must come out of this form. 0 or -EPROTO. */
int	page_unpack(struct page_packer *p, enum page_form form,
	    const uint8_t *packed, size_t len, uint8_t *pages, size_t n_pages);

#endif
