/* SPDX-License-Identifier: ISC */
/*
 * Storage that can lose power: what is written is there to be read, but only what
 * was synced is sure to survive a power cut; of the rest each page does or does
 * not, as the dice fall. Refuses when told to. Knows no disk.
 */
#ifndef FAKE_STORAGE_H
#define FAKE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk-io.h"

#define FAKE_FILES	3u

struct fake_storage {
	struct fake_file {
		int		fd;
		size_t		bytes;
		uint8_t		*now;		/* as programs see it */
		uint8_t		*stable;	/* as a power cut leaves it */
	} files[FAKE_FILES];
	uint64_t	random;
	int		refuse_write;	/* -errno, 0: none */
	int		refuse_sync;
	bool		no_holes;	/* a file system without them */
	unsigned int	syncs;
};

extern const struct disk_io_ops fake_storage_ops;

void	fake_storage_init(struct fake_storage *s, uint64_t seed);
void	fake_storage_fini(struct fake_storage *s);

/* A descriptor of file i, made with so many zero bytes at its first opening. */
int	fake_storage_open(struct fake_storage *s, unsigned int i,
	    size_t bytes);

void	fake_storage_power_cut(struct fake_storage *s);

uint64_t	fake_storage_random(struct fake_storage *s);

#endif
