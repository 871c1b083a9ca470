/* SPDX-License-Identifier: ISC */
/*
 * A piece of a persona that is moved page by page: guest RAM today, disks later.
 * A mapped memory file and its holes. Knows no guest and no transfer.
 */
#ifndef REGION_H
#define REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"

struct region {
	uint8_t		*mem;
	uint64_t	n_pages;
	int		fd;		/* ours, for asking about holes */
	/* The extent last asked about; forgotten by region_forget_holes(). */
	uint64_t	extent_first, extent_end;	/* pfn */
	bool		extent_is_hole;
};

/*
 * Map a memory file of exactly `bytes` (a multiple of the page size within
 * RAM_MAX_BYTES). Takes fd, also on failure. 0, -EINVAL, or -errno.
 */
int	region_map(struct region *r, int fd, uint64_t bytes, bool writable);
void	region_unmap(struct region *r);

static inline uint8_t *
region_page(const struct region *r, uint64_t pfn)
{
	return r->mem + pfn * PAGE_BYTES;
}

/*
 * Write `count` pages of a writable region. Unlike a store through the mapping it
 * neither faults nor has fresh pages cleared that are to be overwritten whole,
 * which is half of what receiving costs. `pages` may lie in the region, elsewhere.
 * 0 or -errno.
 */
int	region_write(const struct region *r, uint64_t pfn, const void *pages,
	    uint64_t count);

/*
 * True when the page has never been written, so that it is zero without being
 * looked at (looking would allocate it). What was learnt is kept until
 * region_forget_holes(): call that after each harvest of dirty pages.
 */
bool	region_is_hole(struct region *r, uint64_t pfn);
void	region_forget_holes(struct region *r);

#endif
