/* SPDX-License-Identifier: ISC */
/*
 * The address decoder: finds the region a guest access falls into and calls it
 * under the one device lock. Deliberately knows no KVM exit and no device kind.
 */
#include "bus.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

/* A few regions a device, and a machine has about a dozen devices. */
#define BUS_REGIONS_MAX	64u

struct bus_region {
	enum bus_space	space;
	uint64_t	start;
	uint64_t	len;
	const struct bus_region_ops *ops;
	void		*arg;
};

struct bus {
	pthread_mutex_t	lock;
	struct bus_region regions[BUS_REGIONS_MAX];
	size_t		n_regions;
};

int
bus_new(struct bus **bp)
{
	struct bus *b;
	int r;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		return -ENOMEM;
	if ((r = pthread_mutex_init(&b->lock, NULL)) != 0) {
		free(b);
		return -r;
	}
	*bp = b;
	return 0;
}

void
bus_free(struct bus *b)
{
	if (b == NULL)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void
bus_lock(struct bus *b)
{
	pthread_mutex_lock(&b->lock);
}

void
bus_unlock(struct bus *b)
{
	pthread_mutex_unlock(&b->lock);
}

static bool
overlaps(const struct bus_region *r, uint64_t start, uint64_t len)
{
	return start < r->start + r->len && r->start < start + len;
}

int
bus_add(struct bus *b, enum bus_space space, uint64_t start, uint64_t len,
    const struct bus_region_ops *ops, void *arg)
{
	int r = -EINVAL;

	if (len == 0 || start + len < start)
		return -EINVAL;
	bus_lock(b);
	for (size_t i = 0; i < b->n_regions; i++) {
		if (b->regions[i].space == space &&
		    overlaps(&b->regions[i], start, len)) {
			r = -EEXIST;
			goto out;
		}
	}
	if (b->n_regions == BUS_REGIONS_MAX) {
		r = -ENOSPC;
		goto out;
	}
	b->regions[b->n_regions++] = (struct bus_region){
		.space = space,
		.start = start,
		.len = len,
		.ops = ops,
		.arg = arg,
	};
	r = 0;
out:
	bus_unlock(b);
	return r;
}

/* The region that holds all of [addr, addr + len), or NULL. Locked. */
static const struct bus_region *
find(const struct bus *b, enum bus_space space, uint64_t addr,
    unsigned int len)
{
	for (size_t i = 0; i < b->n_regions; i++) {
		const struct bus_region *r = &b->regions[i];

		if (r->space == space && addr >= r->start &&
		    addr - r->start < r->len &&
		    len <= r->len - (addr - r->start))
			return r;
	}
	return NULL;
}

static uint64_t
mask_of(unsigned int len)
{
	return len >= 8 ? UINT64_MAX : (1ULL << (8 * len)) - 1;
}

uint64_t
bus_read(struct bus *b, enum bus_space space, uint64_t addr, unsigned int len)
{
	const struct bus_region *r;
	uint64_t value = UINT64_MAX;

	bus_lock(b);
	if ((r = find(b, space, addr, len)) != NULL && r->ops->read != NULL)
		value = r->ops->read(r->arg, addr - r->start, len);
	bus_unlock(b);
	return value & mask_of(len);
}

void
bus_write(struct bus *b, enum bus_space space, uint64_t addr,
    unsigned int len, uint64_t value)
{
	const struct bus_region *r;

	bus_lock(b);
	if ((r = find(b, space, addr, len)) != NULL && r->ops->write != NULL)
		r->ops->write(r->arg, addr - r->start, len,
		    value & mask_of(len));
	bus_unlock(b);
}
