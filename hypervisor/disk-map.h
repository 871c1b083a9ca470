/* SPDX-License-Identifier: ISC */
/*
 * Which blocks of a layered disk lie in its own file rather than in the base it
 * shares. Kept in a file of one bit a block: block n is bit n % 8 of byte n / 8.
 * Knows no guest and no block's content.
 *
 * The file never claims a block whose bytes could still be lost: a publish makes
 * the own file durable first, so that after a power cut a block is either the
 * base's or ours whole, never a hole where the base had data.
 */
#ifndef DISK_MAP_H
#define DISK_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "disk-io.h"

#define DISK_BLOCK_BYTES	(64u << 10)

struct disk_map;

/*
 * Read the map of a disk of `bytes`; a shorter file claims nothing beyond its
 * end. The descriptor and `io` stay the caller's. 0 or -errno.
 */
int	disk_map_new(struct disk_map **mp, struct disk_io *io, int fd,
	    uint64_t bytes);
void	disk_map_free(struct disk_map *m);

/* Called by the one thread that writes the disk. */
bool	disk_map_has(const struct disk_map *m, uint64_t block);
/* The block's bytes are all in the own file now. */
void	disk_map_add(struct disk_map *m, uint64_t block);

/* Whether the file does not say yet what we know. Any thread. */
bool	disk_map_is_behind(struct disk_map *m);

/*
 * Bring the file up to what the map said at the call, after making own_fd
 * durable. With `durable` the map file is on stable storage too when it returns
 * (and own_fd even if the map had nothing new). Any thread. 0 or -errno.
 */
int	disk_map_publish(struct disk_map *m, int own_fd, bool durable);

#endif
