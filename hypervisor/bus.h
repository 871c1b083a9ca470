/* SPDX-License-Identifier: ISC */
/*
 * Which device answers at which address: MMIO and port I/O regions, and one lock
 * that makes every device single-threaded. Knows no KVM and no device kind.
 */
#ifndef BUS_H
#define BUS_H

#include <stdbool.h>
#include <stdint.h>

struct bus;

enum bus_space { BUS_PIO, BUS_MMIO };

/* `offset` is from the region's start; len is 1, 2, 4 or 8. Called locked. */
struct bus_region_ops {
	uint64_t (*read)(void *arg, uint64_t offset, unsigned int len);
	void	(*write)(void *arg, uint64_t offset, unsigned int len,
		    uint64_t value);
};

/* Without regions. 0 or -errno; freeing NULL is fine, regions are their owners'. */
int	bus_new(struct bus **bp);
void	bus_free(struct bus *b);

/* 0, -EEXIST when it overlaps another region, -ENOSPC when the table is full. */
int	bus_add(struct bus *b, enum bus_space space, uint64_t start,
	    uint64_t len, const struct bus_region_ops *ops, void *arg);

/*
 * A guest access, from a vCPU thread. Takes the lock. An address nobody claims
 * reads as all ones and swallows writes, as a PC does.
 */
uint64_t	bus_read(struct bus *b, enum bus_space space, uint64_t addr,
		    unsigned int len);
void	bus_write(struct bus *b, enum bus_space space, uint64_t addr,
	    unsigned int len, uint64_t value);

/* Around device work that does not come from a guest access (host input). */
void	bus_lock(struct bus *b);
void	bus_unlock(struct bus *b);

#endif
