/* SPDX-License-Identifier: ISC */
/*
 * Passes over guest memory, cold pages before hot ones. Knows no peer and no
 * time.
 */
#include "rounds.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "pagecodec.h"
#include "pageset.h"
#include "region.h"

#define SHADOW_MIN	((uint64_t)32 << 20)
#define SHADOW_MAX	((uint64_t)512 << 20)
#define AGE_EVERY	16u	/* harvests */
#define GUESS_PAGES	256u
/* Fewer pages say too little about what a page costs. */
#define COST_PAGES_MIN	32u

struct rounds {
	struct region		*region;
	uint64_t		*dirty;
	struct digest_tree	*tree;
	struct encoder		*encoder;
	struct pageset		todo;	/* of this round */
	struct pageset		next;	/* dirtied since they were read */
	struct pageheat		heat;
	uint32_t		number;
	uint32_t		harvests;
	bool			hot_pass;	/* cold ones are through */
	bool			flushed;	/* the last payload is out */
	uint64_t		cursor;
	uint64_t		round_pages, round_bytes;
	uint64_t		cost;		/* of an earlier round, x 256 */
};

int
rounds_new(struct rounds **rp, struct region *region, uint64_t *dirty,
    uint64_t shadow_bytes)
{
	struct rounds *r = calloc(1, sizeof(*r));
	uint64_t n = region->n_pages;
	int e;

	if (r == NULL)
		return -ENOMEM;
	r->region = region;
	r->dirty = dirty;
	r->number = 1;
	if (shadow_bytes == 0) {
		shadow_bytes = n * PAGE_BYTES / 4;
		if (shadow_bytes < SHADOW_MIN)
			shadow_bytes = SHADOW_MIN;
		if (shadow_bytes > SHADOW_MAX)
			shadow_bytes = SHADOW_MAX;
	}
	if ((e = digest_tree_new(&r->tree, n)) < 0 ||
	    (e = encoder_new(&r->encoder, r->tree, n, shadow_bytes)) < 0 ||
	    (e = pageset_init(&r->todo, n)) < 0 ||
	    (e = pageset_init(&r->next, n)) < 0 ||
	    (e = pageheat_init(&r->heat, n)) < 0) {
		rounds_free(r);
		return e;
	}
	pageset_fill(&r->todo);
	*rp = r;
	return 0;
}

void
rounds_free(struct rounds *r)
{
	if (r == NULL)
		return;
	encoder_free(r->encoder);
	digest_tree_free(r->tree);
	pageset_fini(&r->todo);
	pageset_fini(&r->next);
	pageheat_fini(&r->heat);
	free(r);
}

/* What the bitmap names now will be sent, if it has been before, as a delta. */
static void
expect_changes(struct rounds *r)
{
	for (uint64_t w = 0; w < r->todo.n_words; w++) {
		uint64_t bits = __atomic_load_n(&r->dirty[w], __ATOMIC_RELAXED);

		for (bits = le64toh(bits); bits != 0; bits &= bits - 1)
			encoder_expect(r->encoder,
			    w * 64 + (uint64_t)__builtin_ctzll(bits));
	}
}

uint64_t
rounds_harvested(struct rounds *r)
{
	uint64_t n;

	/* A page written since may no longer be the hole it was. */
	region_forget_holes(r->region);
	expect_changes(r);
	n = pageset_absorb(r->dirty, r->todo.n_words, &r->heat, &r->todo, &r->next);
	if (++r->harvests % AGE_EVERY == 0)
		pageheat_age(&r->heat);
	return n;
}

void
rounds_begin(struct rounds *r)
{
	r->cost = rounds_page_cost(r);
	pageset_swap(&r->todo, &r->next);
	r->number++;
	r->heat.hot = PAGEHEAT_HOT;
	r->hot_pass = false;
	r->flushed = false;
	r->cursor = 0;
	r->round_pages = 0;
	r->round_bytes = 0;
}

/* The next page of this round, cold ones first; n_pages when there is none. */
static uint64_t
next_page(struct rounds *r)
{
	const uint64_t n = r->region->n_pages;

	for (;;) {
		uint64_t pfn = pageset_next(&r->todo, r->cursor);

		if (pfn < n) {
			r->cursor = pfn;
			if (r->hot_pass || !pageheat_is_hot(&r->heat, pfn))
				return pfn;
			r->cursor++;
		} else if (!r->hot_pass && r->todo.count > 0) {
			r->hot_pass = true;
			r->cursor = 0;
		} else {
			return n;
		}
	}
}

static int
encode_page(struct rounds *r, uint64_t pfn)
{
	/* What was dirtied was written, so later rounds hold no hole. */
	if (r->number == 1 && region_is_hole(r->region, pfn))
		return encoder_add_zero(r->encoder, pfn);
	return encoder_add(r->encoder, pfn, region_page(r->region, pfn));
}

static size_t
take(struct rounds *r, bool all, const uint8_t **payload)
{
	size_t len = encoder_take(r->encoder, all, payload);

	r->round_bytes += len;
	return len;
}

size_t
rounds_payload(struct rounds *r, uint64_t max_pages, const uint8_t **payload)
{
	for (uint64_t i = 0; i < max_pages; i++) {
		uint64_t pfn = next_page(r);

		if (pfn == r->region->n_pages) {
			r->flushed = true;
			return take(r, true, payload);
		}
		if (encode_page(r, pfn) < 0)
			return take(r, false, payload);
		pageset_clear(&r->todo, pfn);
		r->round_pages++;
		if (encoder_ready(r->encoder))
			return take(r, false, payload);
	}
	return 0;
}

bool
rounds_finished(const struct rounds *r)
{
	return r->flushed;
}

void
rounds_set_effort(struct rounds *r, int effort)
{
	encoder_set_effort(r->encoder, effort);
}

void
rounds_settle(struct rounds *r, uint64_t max_groups)
{
	(void)digest_tree_settle(r->tree, max_groups);
}

void
rounds_root(struct rounds *r, const struct digest *state, struct digest *root)
{
	digest_tree_root(r->tree, state, root);
}

uint32_t
rounds_number(const struct rounds *r)
{
	return r->number;
}

uint64_t
rounds_pages_left(const struct rounds *r)
{
	return r->todo.count;
}

uint64_t
rounds_pages_next(const struct rounds *r)
{
	return r->next.count;
}

uint64_t
rounds_page_cost(const struct rounds *r)
{
	if (r->round_pages >= COST_PAGES_MIN || r->cost == 0)
		return r->round_pages == 0 ? r->cost :
		    r->round_bytes * 256 / r->round_pages;
	return r->cost;
}

const struct page_savings *
rounds_savings(const struct rounds *r)
{
	return encoder_savings(r->encoder);
}

uint64_t
rounds_guess_bytes(struct rounds *r)
{
	uint64_t n = r->region->n_pages, step = n / GUESS_PAGES, sum = 0;
	uint8_t page[PAGE_BYTES];
	struct page_packer *packer;
	uint8_t *out;

	if (step == 0)
		step = 1;
	if (page_packer_new(&packer) < 0)
		return n * PAGE_BYTES;
	if ((out = malloc(page_pack_bound(1))) == NULL) {
		page_packer_free(packer);
		return n * PAGE_BYTES;
	}
	for (uint64_t first = 0, i = 1; first + step <= n; first += step, i++) {
		/* Anywhere in its stretch: content comes in patterns of its own. */
		uint64_t pfn = first + i * 2654435761u % step;
		size_t len;

		if (region_is_hole(r->region, pfn))
			continue;
		memcpy(page, region_page(r->region, pfn), PAGE_BYTES);
		if (page_is_zero(page))
			continue;
		len = page_pack(packer, PAGE_EFFORT_FAST, page, 1, out,
		    page_pack_bound(1));
		sum += step * (len > 0 ? len : PAGE_BYTES);
	}
	region_forget_holes(r->region);
	free(out);
	page_packer_free(packer);
	return sum;
}
