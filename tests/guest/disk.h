/* SPDX-License-Identifier: ISC */
/*
 * The guest's disk, if it has one: written block after block with content that can
 * be told right from wrong, flushed, and read again; on every start it says how far
 * it had got. One request is always under way, also while the guest is moved.
 */
#ifndef DISK_H
#define DISK_H

#include <stdint.h>

struct disk_totals {
	uint64_t	written;	/* blocks, since the disk was empty */
	uint64_t	flushed;	/* of them, answered by a flush */
	uint64_t	read;		/* blocks compared since the start */
	uint64_t	bad;		/* wrong blocks, refused requests */
	uint64_t	blocks;		/* in the part we use */
};

/* Find disk0 and begin to look through it. 1, or 0 when there is none. */
int	disk_init(void);

/* Begin to look through it again. */
void	disk_scan(void);

/*
 * Carry on: if the request under way is answered, the next one; of writes, at most
 * `may_write` (0 or 1). Returns how many were begun. `scanned` hears of each end
 * of a scan.
 */
unsigned int	disk_step(unsigned int may_write,
		    void (*scanned)(const struct disk_totals *t));

struct disk_totals	disk_totals(void);

#endif
