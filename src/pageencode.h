/* SPDX-License-Identifier: ISC */
/*
 * The sender's half of the page forms (pagecodec.h): chooses the cheapest form
 * of each page and fills frame payloads. It remembers by digest what the target
 * has, and for part of it the bytes. Knows no guest, no rounds, no stream.
 */
#ifndef PAGEENCODE_H
#define PAGEENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digest_tree;
struct encoder;

/* How the pages given so far have travelled. */
struct page_savings {
	uint64_t	zero_pages;
	uint64_t	known_pages;
	uint64_t	delta_pages, delta_bytes;
	uint64_t	lz4_pages, lz4_bytes;
	uint64_t	zstd_pages, zstd_bytes;
	uint64_t	raw_pages;
	uint64_t	unchanged_pages;	/* the target had just that */
};

/*
 * For a target whose memory is all zero. `tree` (the caller's, outliving this)
 * is kept at what the target will have once all payloads are applied in order.
 * At most shadow_bytes of sent pages are kept as bases of deltas. 0 or -ENOMEM.
 */
int	encoder_new(struct encoder **ep, struct digest_tree *tree,
	    uint64_t n_pages, uint64_t shadow_bytes);
void	encoder_free(struct encoder *e);

/* How hard to compress from here on: PAGE_EFFORT_* of pagecodec.h. */
void	encoder_set_effort(struct encoder *e, int effort);

/*
 * Encode one page as it is now; the guest may write it meanwhile, it is read
 * once. 0, or -EAGAIN: take the payload, then add this page again. A page may be
 * added once between two encoder_take(e, true, ...).
 */
int	encoder_add(struct encoder *e, uint64_t pfn, const uint8_t *page);

/* This page has changed and will be added: its last bytes are worth keeping. */
void	encoder_expect(struct encoder *e, uint64_t pfn);

/* So many pages are known to be zero here and there; for the figures. */
void	encoder_empty(struct encoder *e, uint64_t n_pages);

/*
 * The payload of one PAGES frame, or length 0 when there is nothing. With `all`
 * pages that wait for a fuller batch go too (end of a round). *payload is
 * valid until the next call.
 */
size_t	encoder_take(struct encoder *e, bool all, const uint8_t **payload);

/* True when a payload is worth taking. */
bool	encoder_ready(const struct encoder *e);

/* What each form has saved so far; lives as long as the encoder. */
const struct page_savings *encoder_savings(const struct encoder *e);

#endif
