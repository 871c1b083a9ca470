/* SPDX-License-Identifier: ISC */
/*
 * The page space of a machine (bounds.h): RAM, then each disk, under one numbering,
 * and which of its pages were written. Boot files have no pages here: nothing
 * writes them. Knows neither vCPUs nor who asks.
 */
#ifndef PAGES_H
#define PAGES_H

#include <stdint.h>

struct disk;
struct gmem;
struct pages;

/*
 * Pages of this memory and of disks[DISKS_MAX], in the guest's order and NULL
 * behind the last; all of them stay the caller's and outlive it. 0 or -ENOMEM.
 */
int	pages_new(struct pages **pp, struct gmem *gmem,
	    struct disk *const *disks);
/* NULL is fine; logging that is under way goes on. */
void	pages_free(struct pages *p);

/* How many there are, to the last disk's end: bits a harvest can set. */
uint64_t	pages_count(const struct pages *p);

/* From now on the files are the disks, for whoever else reads them. 0 or -errno. */
int	pages_settle(struct pages *p);

/*
 * Dirty logging as in gmem.h and disk.h. start: all is clean from now; when it
 * fails, stop what it has begun. harvest: OR what was written since into `bitmap`
 * of pages_count() bits, and say how many bits were new; it is there to be read in
 * memory and files. 0 or -errno.
 */
int	pages_dirty_start(struct pages *p);
int	pages_dirty_stop(struct pages *p);
int	pages_dirty_harvest(struct pages *p, uint64_t *bitmap,
	    uint64_t *n_pages);

/* Pages that harvests have reported so far, each as often as it was. */
uint64_t	pages_reported(const struct pages *p);

#endif
