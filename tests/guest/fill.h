/* SPDX-License-Identifier: ISC */
/*
 * What stands in each page: a pure function of a seed, the page's number and, for
 * hot pages, how often it was dirtied, so that any page can be made again and
 * compared. Knows no memory, clock or device; the host's tests compile it too.
 */
#ifndef FILL_H
#define FILL_H

#include <stdint.h>

#define FILL_PAGE_BYTES	4096u
#define FILL_WORDS	1024u	/* in the vocabulary of text pages */
#define FILL_WORD_MAX	10u	/* letters */
#define FILL_DICTIONARY	64u	/* distinct pages "repeat" draws from */

enum fill_kind { FILL_ZERO, FILL_TEXT, FILL_REPEAT, FILL_RANDOM, FILL_KINDS };

struct fill {
	uint64_t	seed;
	uint8_t		percent[FILL_KINDS];	/* sums to 100 */
	uint8_t		word_len[FILL_WORDS];
	char		words[FILL_WORDS][FILL_WORD_MAX];
};

/* Prepare the vocabulary. percent must sum to 100. */
void	fill_init(struct fill *f, uint64_t seed,
	    const uint8_t percent[FILL_KINDS]);

/* Which kind the static page `page` is. */
enum fill_kind fill_kind_of(const struct fill *f, uint64_t page);

/* Make the static page `page` into buf (FILL_PAGE_BYTES, 8-aligned). */
void	fill_static(const struct fill *f, uint64_t page, void *buf);

/*
 * A hot page after `count` dirtyings. Its first 8 bytes are the count. With
 * `whole`, each dirtying rewrites the page with new text; else it changes the
 * count and 32 bytes elsewhere.
 */
void	fill_hot(const struct fill *f, uint64_t page, uint64_t count, int whole,
	    void *buf);

/* Turn a hot page that stands at count - 1 into one at `count`, in place. */
void	fill_hot_step(const struct fill *f, uint64_t page, uint64_t count,
	    int whole, void *buf);

/* A well-mixed 64-bit number from any two; never needs a division. */
uint64_t fill_mix(uint64_t a, uint64_t b);

/* Digest of one page's bytes, to be summed over pages: order does not matter. */
uint64_t fill_page_sum(uint64_t page, const void *buf);

/* What a hot page adds to the sum: it follows from its count alone. */
uint64_t fill_hot_sum(uint64_t page, uint64_t count);

#endif
