/* SPDX-License-Identifier: ISC */
/*
 * What stands behind one region of a page space: memory that is mapped, a file, or
 * the layers of a disk. Offsets and page numbers begin with the region. For space.c
 * alone; knows no other region and keeps nothing of what it read.
 */
#ifndef SPACE_BACKING_H
#define SPACE_BACKING_H

#include "space.h"

/* A bit of a layered disk's map, and what is read from a file at a time. */
#define BLOCK_PAGES	16u
#define BLOCK_BYTES	(BLOCK_PAGES * (uint64_t)PAGE_BYTES)

/* Embedded in a space; its fields are space-backing.c's. */
struct backing {
	const struct space_region *region;
	int		own, map_fd, base;	/* -1: none */
	bool		writable;
	uint8_t		*mem;			/* RAM alone */
	const uint8_t	*map;			/* layered: bits of own blocks */
	size_t		map_bytes;
	uint8_t		*made;			/* ... while it is made: the map */
	/* Bytes of the file that are not known to be on storage. */
	bool		unsynced;
	uint64_t	written;		/* since the last settling */
	uint64_t	new_from, new_to;	/* where those lie */
	uint64_t	old_from, old_to;	/* given to storage before */
};

/* Nothing is behind this region yet, which outlives it. */
void	backing_init(struct backing *b, const struct space_region *region);
/* Unmaps and closes; what was written is not synced. */
void	backing_fini(struct backing *b);

/* As space_back(); -EINVAL, and the descriptors are taken, for a NULL b, too. */
int	backing_open(struct backing *b, const int *fds, size_t n_fds,
	    bool writable);

/* Where it is mapped, or NULL. */
uint8_t	*backing_memory(const struct backing *b);

/* Do these pages, at least one, lie in its own file, and not in a base? */
bool	backing_is_own(const struct backing *b, uint64_t page, uint64_t count);

/*
 * Of the blocks from *block on: the next that is own in `from`, of the same region,
 * and not in b, which becomes its own. False when there is none, or when b's map is
 * not being made.
 */
bool	backing_claim(struct backing *b, const struct backing *from,
	    uint64_t *block);

/* Read a block into to[BLOCK_BYTES], filled up with zeros. 0 or -errno. */
int	backing_read_block(const struct backing *b, uint64_t block, uint8_t *to);

/* As space_write() and space_zero(), of whole pages within the region. */
int	backing_write(struct backing *b, uint64_t page, const uint8_t *pages,
	    uint64_t count);
int	backing_zero(struct backing *b, uint64_t page, uint64_t count);

/* Bytes from `from` on: where data next begins and ends; false: all is a hole. */
bool	backing_data(const struct backing *b, uint64_t from, uint64_t *first,
	    uint64_t *end);

/* As space_settle() and space_sync(). */
void	backing_settle(struct backing *b);
int	backing_sync(struct backing *b);

#endif
