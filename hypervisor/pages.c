/* SPDX-License-Identifier: ISC */
/*
 * Dirty logging of memory and disks as one bitmap. Knows where each disk's bits
 * begin; deliberately not who wrote, nor when a harvest is worth it.
 */
#include "pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "disk.h"
#include "gmem.h"

struct pages {
	struct gmem	*gmem;
	struct disk	*disks[DISKS_MAX + 1];	/* NULL behind the last */
	uint64_t	reported;		/* pages_reported() */
};

int
pages_new(struct pages **pp, struct gmem *gmem, struct disk *const *disks)
{
	struct pages *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->gmem = gmem;
	memcpy(p->disks, disks, DISKS_MAX * sizeof(p->disks[0]));
	*pp = p;
	return 0;
}

void
pages_free(struct pages *p)
{
	free(p);
}

/* Where the region after one that ends at this page begins. */
static uint64_t
next_region(uint64_t end)
{
	return (end + SPACE_ALIGN_PAGES - 1) / SPACE_ALIGN_PAGES *
	    SPACE_ALIGN_PAGES;
}

uint64_t
pages_count(const struct pages *p)
{
	uint64_t n = gmem_size(p->gmem) / PAGE_BYTES;

	for (struct disk *const *d = p->disks; *d != NULL; d++)
		n = next_region(n) + disk_bytes(*d) / PAGE_BYTES;
	return n;
}

int
pages_settle(struct pages *p)
{
	int r = 0;

	for (struct disk *const *d = p->disks; *d != NULL && r == 0; d++)
		r = disk_settle(*d);
	return r;
}

int
pages_dirty_start(struct pages *p)
{
	int r = gmem_dirty_start(p->gmem);

	for (struct disk *const *d = p->disks; *d != NULL && r == 0; d++)
		r = disk_dirty_start(*d);
	return r;
}

int
pages_dirty_stop(struct pages *p)
{
	for (struct disk *const *d = p->disks; *d != NULL; d++)
		disk_dirty_stop(*d);
	return gmem_dirty_stop(p->gmem);
}

/* The disks' part of a harvest. Their bits begin at whole words: see bounds.h. */
static int
harvest_disks(struct pages *p, uint64_t *bitmap, uint64_t *n_pages)
{
	uint64_t first = next_region(gmem_size(p->gmem) / PAGE_BYTES);
	int r;

	for (struct disk *const *d = p->disks; *d != NULL; d++) {
		*n_pages += disk_dirty_harvest(*d, bitmap + first / 64);
		if ((r = disk_settle(*d)) < 0)
			return r;
		first = next_region(first + disk_bytes(*d) / PAGE_BYTES);
	}
	return 0;
}

int
pages_dirty_harvest(struct pages *p, uint64_t *bitmap, uint64_t *n_pages)
{
	int r = gmem_dirty_harvest(p->gmem, bitmap, n_pages);

	if (r == 0)
		r = harvest_disks(p, bitmap, n_pages);
	if (r == 0)
		p->reported += *n_pages;
	return r;
}

uint64_t
pages_reported(const struct pages *p)
{
	return p->reported;
}
