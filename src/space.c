/* SPDX-License-Identifier: ISC */
/*
 * The pages of a persona under one numbering: which region a page is in, and the
 * block of a file that was read last. Knows no file (space-backing.c), and nothing
 * of what pages mean.
 */
#include "space.h"

#include <errno.h>
#include <stdlib.h>

#include "space-backing.h"

struct space {
	struct space_plan	plan;
	struct backing		backing[REGIONS_MAX];
	/* A block of a file as it was read */
	uint64_t		block_first;	/* page; UINT64_MAX: none */
	uint8_t			block[BLOCK_BYTES];
};

int
space_new(struct space **sp, const struct space_plan *plan)
{
	struct space *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->plan = *plan;
	s->block_first = UINT64_MAX;
	for (size_t i = 0; i < s->plan.n_regions; i++)
		backing_init(&s->backing[i], &s->plan.regions[i]);
	*sp = s;
	return 0;
}

void
space_free(struct space *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->plan.n_regions; i++)
		backing_fini(&s->backing[i]);
	free(s);
}

int
space_back(struct space *s, size_t i, const int *fds, size_t n_fds,
    bool writable)
{
	return backing_open(i < s->plan.n_regions ? &s->backing[i] : NULL, fds,
	    n_fds, writable);
}

const struct space_plan *
space_regions(const struct space *s)
{
	return &s->plan;
}

uint8_t *
space_memory(const struct space *s)
{
	return backing_memory(&s->backing[0]);
}

/* --- which region ----------------------------------------------------------- */

/* The region that holds `count` pages from pfn on; n_regions when none does. */
static size_t
find(const struct space *s, uint64_t pfn, uint64_t count)
{
	const struct space_region *r = s->plan.regions;
	size_t i;

	for (i = 0; i < s->plan.n_regions; i++)
		if (pfn >= r[i].first && pfn - r[i].first < r[i].n_pages)
			return count <= r[i].n_pages - (pfn - r[i].first) ?
			    i : s->plan.n_regions;
	return i;
}

bool
space_has(const struct space *s, uint64_t pfn, uint64_t count)
{
	return find(s, pfn, count) < s->plan.n_regions;
}

/* The number that a page of region i has there. */
static uint64_t
within(const struct space *s, size_t i, uint64_t pfn)
{
	return pfn - s->plan.regions[i].first;
}

bool
space_is_own(const struct space *s, uint64_t pfn)
{
	size_t i = find(s, pfn, 1);

	return i < s->plan.n_regions &&
	    backing_is_own(&s->backing[i], within(s, i, pfn), 1);
}

bool
space_claim(struct space *s, const struct space *from, uint64_t at,
    uint64_t *first, uint64_t *end)
{
	for (size_t i = 0; i < s->plan.n_regions; i++) {
		const struct space_region *r = &s->plan.regions[i];
		uint64_t block = at > r->first ?
		    (at - r->first) / BLOCK_PAGES : 0, page;

		if (!backing_claim(&s->backing[i], &from->backing[i], &block))
			continue;
		s->block_first = UINT64_MAX;
		page = block * BLOCK_PAGES;
		*first = r->first + page;
		*end = r->n_pages - page > BLOCK_PAGES ?
		    *first + BLOCK_PAGES : r->first + r->n_pages;
		return true;
	}
	return false;
}

/* --- reading and writing ---------------------------------------------------- */

/* The block around this page of a file. */
static int
read_block(struct space *s, size_t i, uint64_t pfn)
{
	uint64_t block = within(s, i, pfn) / BLOCK_PAGES;
	int r;

	s->block_first = UINT64_MAX;
	r = backing_read_block(&s->backing[i], block, s->block);
	if (r == 0)
		s->block_first = s->plan.regions[i].first +
		    block * BLOCK_PAGES;
	return r;
}

int
space_page(struct space *s, uint64_t pfn, const uint8_t **page)
{
	const uint8_t *mem;
	size_t i;
	int r;

	if (pfn >= s->block_first && pfn - s->block_first < BLOCK_PAGES) {
		*page = s->block + (pfn - s->block_first) * PAGE_BYTES;
		return 0;
	}
	if ((i = find(s, pfn, 1)) == s->plan.n_regions)
		return -EINVAL;
	if ((mem = backing_memory(&s->backing[i])) != NULL) {
		*page = mem + within(s, i, pfn) * PAGE_BYTES;
		return 0;
	}
	if ((r = read_block(s, i, pfn)) < 0)
		return r;
	*page = s->block + (pfn - s->block_first) * PAGE_BYTES;
	return 0;
}

void
space_changed(struct space *s)
{
	s->block_first = UINT64_MAX;
}

int
space_write(struct space *s, uint64_t pfn, const uint8_t *pages,
    uint64_t count)
{
	size_t i = find(s, pfn, count);

	if (i == s->plan.n_regions)
		return -EINVAL;
	s->block_first = UINT64_MAX;
	return backing_write(&s->backing[i], within(s, i, pfn), pages, count);
}

int
space_zero(struct space *s, uint64_t pfn, uint64_t count)
{
	size_t i = find(s, pfn, count);

	if (i == s->plan.n_regions)
		return -EINVAL;
	s->block_first = UINT64_MAX;
	return backing_zero(&s->backing[i], within(s, i, pfn), count);
}

/* --- all regions ------------------------------------------------------------ */

bool
space_data(struct space *s, uint64_t from, uint64_t *first, uint64_t *end)
{
	for (size_t i = 0; i < s->plan.n_regions; i++) {
		const struct space_region *r = &s->plan.regions[i];
		uint64_t at = from > r->first ?
		    (from - r->first) * PAGE_BYTES : 0, to;

		if (at >= r->bytes ||
		    !backing_data(&s->backing[i], at, &at, &to))
			continue;
		*first = r->first + at / PAGE_BYTES;
		*end = r->first + (to + PAGE_BYTES - 1) / PAGE_BYTES;
		return true;
	}
	return false;
}

void
space_settle(struct space *s)
{
	for (size_t i = 0; i < s->plan.n_regions; i++)
		backing_settle(&s->backing[i]);
}

int
space_sync(struct space *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->plan.n_regions; i++)
		r = backing_sync(&s->backing[i]);
	return r;
}
