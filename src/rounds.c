/* SPDX-License-Identifier: ISC */
/*
 * Passes over a persona's pages, cold ones before hot ones. Knows no peer and no
 * time.
 */
#include "rounds.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pagecodec.h"
#include "pageset.h"
#include "space.h"

#define SHADOW_MIN	((uint64_t)32 << 20)
#define SHADOW_MAX	((uint64_t)512 << 20)
#define AGE_EVERY	16u	/* harvests */
#define GUESS_PAGES	256u
/* Fewer pages say too little about what a page costs. */
#define COST_PAGES_MIN	32u
/* Pages that are looked at for one that needs no packing. */
#define SCOUT_PAGES	64u

struct rounds {
	struct space		*space;
	uint64_t		n_pages, ram_pages;
	uint64_t		*dirty;
	uint64_t		dirty_words;
	struct digest_tree	*tree;
	struct encoder		*encoder;
	struct pageset		todo;	/* of this round */
	struct pageset		next;	/* dirtied since they were read */
	struct pageheat		heat;
	uint32_t		number;
	uint32_t		harvests;
	unsigned int		pass;		/* enum pass */
	uint64_t		cursor, pass_end;
	bool			hurry;
	uint64_t		scout;		/* no noise between cursor and here */
	bool			flushed;	/* the last payload is out */
	uint64_t		all_pages;	/* of the first round */
	uint64_t		guess_bytes;	/* what they may take */
	uint64_t		round_pages, round_bytes;
	uint64_t		cost;		/* of an earlier round, x 256 */
};

/*
 * The order of a round: what hardly changes first, and files before memory, whose
 * pages are often copies of theirs.
 */
enum pass { COLD_FILES, COLD_RAM, HOT_FILES, HOT_RAM, N_PASSES };

static void
begin_pass(struct rounds *r, enum pass pass)
{
	const bool files = pass == COLD_FILES || pass == HOT_FILES;

	r->pass = pass;
	r->cursor = files ? r->ram_pages : 0;
	r->scout = 0;
	r->pass_end = files ? r->n_pages : r->ram_pages;
}

static uint64_t
shadow_bytes(uint64_t ram_bytes)
{
	uint64_t n = ram_bytes / 4;

	return n < SHADOW_MIN ? SHADOW_MIN : n > SHADOW_MAX ? SHADOW_MAX : n;
}

int
rounds_new(struct rounds **rp, struct space *space, uint64_t *dirty)
{
	const struct space_plan *plan = space_regions(space);
	struct rounds *r = calloc(1, sizeof(*r));
	uint64_t n = plan->n_pages;
	int e;

	if (r == NULL)
		return -ENOMEM;
	r->space = space;
	r->n_pages = n;
	r->ram_pages = plan->regions[0].n_pages;
	r->dirty = dirty;
	r->dirty_words = (plan->n_dirty + 63) / 64;
	r->number = 1;
	if ((e = digest_tree_new(&r->tree, n)) < 0 ||
	    (e = encoder_new(&r->encoder, r->tree, n,
	    shadow_bytes(r->ram_pages * PAGE_BYTES))) < 0 ||
	    (e = pageset_init(&r->todo, n)) < 0 ||
	    (e = pageset_init(&r->next, n)) < 0 ||
	    (e = pageheat_init(&r->heat, n)) < 0) {
		rounds_free(r);
		return e;
	}
	begin_pass(r, COLD_FILES);
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

/* What a page would take if it were sent now, roughly. */
static size_t
guess_page(struct rounds *r, struct page_packer *packer, uint64_t pfn,
    uint8_t *out)
{
	uint8_t copy[PAGE_BYTES];
	const uint8_t *page;
	size_t len;

	if (space_page(r->space, pfn, &page) < 0)
		return PAGE_BYTES;
	memcpy(copy, page, PAGE_BYTES);
	if (page_is_zero(copy))
		return 0;
	len = page_pack(packer, PAGE_EFFORT_FAST, copy, 1, out,
	    page_pack_bound(1));
	return len > 0 ? len : PAGE_BYTES;
}

/* Payload bytes of the first round, from a few of its pages. */
static uint64_t
guess_bytes(struct rounds *r)
{
	uint64_t step = r->todo.count / GUESS_PAGES + 1, sum = 0, n = 0;
	uint64_t pfn = 0, seen = 0;
	struct page_packer *packer = NULL;
	uint8_t *out = malloc(page_pack_bound(1));

	if (out == NULL || page_packer_new(&packer) < 0) {
		free(out);
		return r->todo.count * PAGE_BYTES;
	}
	for (; (n + 1) * step <= r->todo.count; n++) {
		/* Anywhere in its stretch: content comes in patterns of its own. */
		uint64_t nth = n * step + (n + 1) * 2654435761u % step;

		pfn = pageset_skip(&r->todo, pfn, nth - seen);
		sum += step * guess_page(r, packer, pfn++, out);
		seen = nth + 1;
	}
	free(out);
	page_packer_free(packer);
	return sum;
}

void
rounds_survey(struct rounds *r)
{
	uint64_t first, end = 0;

	while (space_data(r->space, end, &first, &end))
		for (uint64_t pfn = first; pfn < end; pfn++)
			pageset_set(&r->todo, pfn);
	r->all_pages = r->todo.count;
	encoder_empty(r->encoder, r->ram_pages -
	    pageset_count(&r->todo, r->ram_pages));
	r->guess_bytes = guess_bytes(r);
}

/* What does not exist cannot have been written, whatever the bitmap says. */
static void
drop_gaps(struct rounds *r)
{
	const struct space_plan *plan = space_regions(r->space);

	for (size_t i = 1; i < plan->n_regions; i++) {
		const struct space_region *last = &plan->regions[i - 1];

		for (uint64_t pfn = last->first + last->n_pages;
		    pfn < plan->regions[i].first; pfn++)
			pageset_clear(&r->next, pfn);
	}
}

/* What the bitmap names now will be sent, if it has been before, as a delta. */
static void
expect_changes(struct rounds *r)
{
	for (uint64_t w = 0; w < r->dirty_words; w++) {
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

	/* What was read of a file is older than what the bitmap says. */
	space_changed(r->space);
	expect_changes(r);
	n = pageset_absorb(r->dirty, r->dirty_words, &r->heat, &r->todo,
	    &r->next);
	drop_gaps(r);
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
	r->flushed = false;
	begin_pass(r, COLD_FILES);
	r->round_pages = 0;
	r->round_bytes = 0;
}

static bool
is_noise(struct rounds *r, uint64_t pfn)
{
	uint8_t copy[PAGE_BYTES];
	const uint8_t *page;

	if (space_page(r->space, pfn, &page) < 0)
		return false;	/* in its turn it says why */
	memcpy(copy, page, PAGE_BYTES);
	return page_is_dense(copy);
}

/* A cold page of noise ahead of the cursor; n_pages when none is near. */
static uint64_t
next_noise(struct rounds *r)
{
	if (r->scout < r->cursor)
		r->scout = r->cursor;
	for (unsigned int i = 0; i < SCOUT_PAGES; i++) {
		r->scout = pageset_next(&r->todo, r->scout);
		if (r->scout >= r->pass_end)
			break;
		/* Not passed over yet: it may have to be added again. */
		if (!pageheat_is_hot(&r->heat, r->scout) &&
		    is_noise(r, r->scout))
			return r->scout;
		r->scout++;
	}
	return r->n_pages;
}

/* The next page of this round; n_pages when there is none. */
static uint64_t
next_page(struct rounds *r)
{
	/* Memory only: to read a file out of order costs more than it gains. */
	if (r->hurry && r->pass == COLD_RAM) {
		uint64_t pfn = next_noise(r);

		if (pfn < r->n_pages)
			return pfn;
	}
	while (r->todo.count > 0 && r->pass < N_PASSES) {
		uint64_t pfn = pageset_next(&r->todo, r->cursor);

		if (pfn >= r->pass_end) {
			begin_pass(r, r->pass + 1);
			continue;
		}
		r->cursor = pfn;
		if (r->pass >= HOT_FILES || !pageheat_is_hot(&r->heat, pfn))
			return pfn;
		r->cursor++;
	}
	return r->n_pages;
}

static int
encode_page(struct rounds *r, uint64_t pfn)
{
	const uint8_t *page;
	int e = space_page(r->space, pfn, &page);

	return e < 0 ? e : encoder_add(r->encoder, pfn, page);
}

static size_t
take(struct rounds *r, bool all, const uint8_t **payload)
{
	size_t len = encoder_take(r->encoder, all, payload);

	r->round_bytes += len;
	return len;
}

int
rounds_payload(struct rounds *r, uint64_t max_pages, const uint8_t **payload,
    size_t *len)
{
	*len = 0;
	for (uint64_t i = 0; i < max_pages; i++) {
		uint64_t pfn = next_page(r);
		int e;

		if (pfn == r->n_pages) {
			r->flushed = true;
			*len = take(r, true, payload);
			return 0;
		}
		if ((e = encode_page(r, pfn)) == -EAGAIN) {
			*len = take(r, false, payload);
			return 0;
		}
		if (e < 0)
			return e;
		pageset_clear(&r->todo, pfn);
		r->round_pages++;
		if (encoder_ready(r->encoder)) {
			*len = take(r, false, payload);
			return 0;
		}
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
rounds_hurry(struct rounds *r, bool hurry)
{
	r->hurry = hurry;
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
rounds_pages_all(const struct rounds *r)
{
	return r->all_pages;
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

uint64_t
rounds_bytes_left(const struct rounds *r)
{
	uint64_t left = r->todo.count, cost = rounds_page_cost(r), guess;

	if (r->number > 1)
		return (left + r->next.count) * cost / 256;
	if (r->all_pages == 0)
		return 0;
	/* The further the first round is, the more it is believed. */
	guess = r->guess_bytes * 256 / r->all_pages;
	cost = (cost * (r->all_pages - left) + guess * left) / r->all_pages;
	return (left + r->next.count) * cost / 256;
}

const struct page_savings *
rounds_savings(const struct rounds *r)
{
	return encoder_savings(r->encoder);
}
