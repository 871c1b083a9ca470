/* SPDX-License-Identifier: ISC */
/*
 * The page space of a persona: everything of it that moves page by page, under one
 * numbering. RAM comes first, then disks, kernel and initramfs; each region begins
 * at a multiple of SPACE_ALIGN_PAGES, and pages between regions do not exist. RAM is
 * mapped, files are read and written, so that a broken disk is an error and not a
 * signal. Knows no peer, no codec and no transfer.
 */
#ifndef SPACE_H
#define SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "transfer.pb-c.h"

struct space;

enum space_kind {		/* as transfer.proto's Region.Kind */
	SPACE_RAM = 0,
	SPACE_DISK = 1,
	SPACE_KERNEL = 2,
	SPACE_INITRD = 3,
};

/* --- the regions of a persona ------------------------------------------------ */

struct space_region {
	enum space_kind	kind;
	uint64_t	bytes;
	uint64_t	first;		/* its first page */
	uint64_t	n_pages;	/* the last one may be filled up with zeros */
};

/* What a persona consists of, by its description alone. */
struct space_plan {
	struct space_region	regions[REGIONS_MAX];
	size_t			n_regions;
	uint64_t		n_pages;	/* up to the end of the last */
	uint64_t		n_dirty;	/* up to the last that can change */
};

/*
 * The plan of a persona with this much memory and this spec (NULL: the empty one);
 * the same on both sides of a move. 0, or what space_plan_add() says of a size.
 */
int	space_plan(struct space_plan *plan, uint64_t ram_bytes,
	    const Persona__Spec__Spec *spec);

/*
 * Append a region to a plan that began as zeros. -E2BIG when there are too many,
 * -EINVAL for a size that is out of bounds, or not whole pages of RAM or a disk.
 */
int	space_plan_add(struct space_plan *plan, enum space_kind kind,
	    uint64_t bytes);

/* The same regions at the same pages. */
bool	space_plan_equal(const struct space_plan *a,
	    const struct space_plan *b);

/* Are these the regions of the plan, in its order? 0 or -EINVAL. */
int	space_plan_check(const struct space_plan *plan,
	    Persona__Transfer__Region *const *regions, size_t n);

/* --- pages --------------------------------------------------------------------- */

#define SPACE_REGION_FDS	3u	/* a layered disk: own, map, base */

/* A space with these regions and nothing behind them yet. 0 or -ENOMEM. */
int	space_new(struct space **sp, const struct space_plan *plan);
/* Lets go of what is behind it; nothing is synced. NULL is fine. */
void	space_free(struct space *s);

/*
 * Put descriptors behind region i: a file of exactly its size; for a disk also
 * own file, map and base (vmm.proto, Create). Layers that are writable begin with
 * no block of their own, whatever the map's file says: see space_claim(). Takes
 * them, also on failure. RAM is mapped, unless it is a file that cannot be sealed.
 * 0, -EINVAL, or -errno.
 */
int	space_back(struct space *s, size_t i, const int *fds, size_t n_fds,
	    bool writable);

/* The plan it was made by; lives as long as it does. */
const struct space_plan *space_regions(const struct space *s);

/* RAM where it is mapped, page 0 first; NULL when nothing is behind it. */
uint8_t	*space_memory(const struct space *s);

/* `count` pages from pfn on exist and lie within one region. */
bool	space_has(const struct space *s, uint64_t pfn, uint64_t count);

/*
 * The bytes of a page; of RAM the memory itself, which a guest may be writing.
 * Valid until the next call for this space. 0, or -errno of reading.
 */
int	space_page(struct space *s, uint64_t pfn, const uint8_t **page);

/* Pages have been written by others: nothing of a file is kept from before. */
void	space_changed(struct space *s);

/*
 * Write `count` pages that space_has() and that are own. 0; -EPROTO when bytes
 * beyond the end of a region are not zero; or -errno (-ENOSPC).
 */
int	space_write(struct space *s, uint64_t pfn, const uint8_t *pages,
	    uint64_t count);

/* The same with zeros; of a file the blocks are given back. 0 or -errno. */
int	space_zero(struct space *s, uint64_t pfn, uint64_t count);

/*
 * Of layered disks that lie over the same base in both spaces only what is not in
 * the base needs to be copied. The next block, at or after page `at`, that is its
 * disk's own in `from` and not yet in `s`: from here on it is in `s`, too, where
 * its pages read as zeros until they are written. All of them have to be: each
 * may differ from the base. False when there is no more.
 */
bool	space_claim(struct space *s, const struct space *from, uint64_t at,
	    uint64_t *first, uint64_t *end);

/* May this page be written; false in a block of a base. */
bool	space_is_own(const struct space *s, uint64_t pfn);

/*
 * The next stretch of pages, at or after `from`, that may hold something: what is
 * left out is a hole and reads as zero. Asks the file systems anew. Ends at
 * region ends. False when there is no more.
 */
bool	space_data(struct space *s, uint64_t from, uint64_t *first,
	    uint64_t *end);

/* --- durability of files ------------------------------------------------------- */

/*
 * Let what was written lately reach the storage, waiting for what was given to it
 * by the call before: what space_sync() will find stays small. Cheap when little
 * has been written.
 */
void	space_settle(struct space *s);

/* All that was written to files is on stable storage. 0 or -errno. */
int	space_sync(struct space *s);

#endif
