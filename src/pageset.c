/* SPDX-License-Identifier: ISC */
/*
 * Bitmaps of pages and their heat. Knows no guest, no content, no time.
 */
#include "pageset.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"

#define WORD_BITS	64u
#define HEAT_WORD	8u	/* pages aged at a time */

int
pageset_init(struct pageset *s, uint64_t n_pages)
{
	memset(s, 0, sizeof(*s));
	if (n_pages == 0 || n_pages > SPACE_MAX_PAGES)
		return -EINVAL;
	s->n_pages = n_pages;
	s->n_words = (n_pages + WORD_BITS - 1) / WORD_BITS;
	s->words = calloc(s->n_words, sizeof(*s->words));
	return s->words != NULL ? 0 : -ENOMEM;
}

void
pageset_fini(struct pageset *s)
{
	free(s->words);
	s->words = NULL;
}

/* The bits of the last word that stand for pages. */
static uint64_t
word_mask(const struct pageset *s, uint64_t w)
{
	uint64_t rest = s->n_pages % WORD_BITS;

	return w + 1 == s->n_words && rest != 0 ?
	    ((uint64_t)1 << rest) - 1 : UINT64_MAX;
}

bool
pageset_test(const struct pageset *s, uint64_t pfn)
{
	return (s->words[pfn / WORD_BITS] >> pfn % WORD_BITS & 1) != 0;
}

void
pageset_set(struct pageset *s, uint64_t pfn)
{
	s->count += !pageset_test(s, pfn);
	s->words[pfn / WORD_BITS] |= (uint64_t)1 << pfn % WORD_BITS;
}

void
pageset_clear(struct pageset *s, uint64_t pfn)
{
	s->count -= pageset_test(s, pfn);
	s->words[pfn / WORD_BITS] &= ~((uint64_t)1 << pfn % WORD_BITS);
}

uint64_t
pageset_next(const struct pageset *s, uint64_t from)
{
	uint64_t w = from / WORD_BITS, bits;

	if (from >= s->n_pages)
		return s->n_pages;
	bits = s->words[w] & UINT64_MAX << from % WORD_BITS;
	while (bits == 0) {
		if (++w == s->n_words)
			return s->n_pages;
		bits = s->words[w];
	}
	return w * WORD_BITS + (uint64_t)__builtin_ctzll(bits);
}

uint64_t
pageset_count(const struct pageset *s, uint64_t end)
{
	uint64_t n = 0, w;

	for (w = 0; (w + 1) * WORD_BITS <= end; w++)
		n += (uint64_t)__builtin_popcountll(s->words[w]);
	if (end % WORD_BITS != 0)
		n += (uint64_t)__builtin_popcountll(s->words[w] &
		    (((uint64_t)1 << end % WORD_BITS) - 1));
	return n;
}

uint64_t
pageset_skip(const struct pageset *s, uint64_t from, uint64_t skip)
{
	uint64_t first = UINT64_MAX << from % WORD_BITS;

	for (uint64_t w = from / WORD_BITS; w < s->n_words; w++) {
		uint64_t bits = s->words[w] & first;
		uint64_t here = (uint64_t)__builtin_popcountll(bits);

		first = UINT64_MAX;
		if (skip >= here) {
			skip -= here;
			continue;
		}
		while (skip-- > 0)
			bits &= bits - 1;
		return w * WORD_BITS + (uint64_t)__builtin_ctzll(bits);
	}
	return s->n_pages;
}

void
pageset_swap(struct pageset *a, struct pageset *b)
{
	struct pageset t = *a;

	*a = *b;
	*b = t;
}

int
pageheat_init(struct pageheat *h, uint64_t n_pages)
{
	h->n_pages = n_pages;
	h->hot = PAGEHEAT_HOT_FIRST;
	h->heat = calloc((n_pages + HEAT_WORD - 1) / HEAT_WORD, HEAT_WORD);
	return h->heat != NULL ? 0 : -ENOMEM;
}

void
pageheat_fini(struct pageheat *h)
{
	free(h->heat);
	h->heat = NULL;
}

void
pageheat_age(struct pageheat *h)
{
	for (uint64_t i = 0; i < h->n_pages; i += HEAT_WORD) {
		uint64_t w;

		memcpy(&w, h->heat + i, sizeof(w));
		if (w == 0)
			continue;	/* what was never hot is never touched */
		w = w >> 1 & 0x7f7f7f7f7f7f7f7fULL;
		memcpy(h->heat + i, &w, sizeof(w));
	}
}

static void
absorb_page(uint64_t pfn, struct pageheat *heat, struct pageset *todo,
    struct pageset *next)
{
	if (heat->heat[pfn] < UINT8_MAX)
		heat->heat[pfn]++;
	if (pageset_test(todo, pfn)) {
		if (!pageheat_is_hot(heat, pfn))
			return;
		pageset_clear(todo, pfn);
	}
	pageset_set(next, pfn);
}

uint64_t
pageset_absorb(uint64_t *dirty, uint64_t n_words, struct pageheat *heat,
    struct pageset *todo, struct pageset *next)
{
	uint64_t found = 0;

	for (uint64_t w = 0; w < n_words && w < todo->n_words; w++) {
		uint64_t bits;

		if (__atomic_load_n(&dirty[w], __ATOMIC_RELAXED) == 0)
			continue;
		bits = __atomic_exchange_n(&dirty[w], 0, __ATOMIC_ACQ_REL);
		bits = le64toh(bits) & word_mask(todo, w);
		for (; bits != 0; bits &= bits - 1, found++)
			absorb_page(w * WORD_BITS +
			    (uint64_t)__builtin_ctzll(bits), heat, todo, next);
	}
	return found;
}
