/* SPDX-License-Identifier: ISC */
/*
 * A bitmap in memory and the file behind it, with the order in which they may
 * differ. Deliberately knows no content of a block.
 */
#include "disk-map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct disk_map {
	struct disk_io	*io;
	int		fd;
	size_t		len;		/* bytes of the bitmap */
	pthread_mutex_t	publish_lock;	/* one publish at a time */
	bool		unsynced;	/* written to fd, not durable yet */
	pthread_mutex_t	lock;		/* the rest */
	size_t		lo, hi;		/* bytes that fd lacks; lo == hi: none */
	uint8_t		bits[];
};

int
disk_map_new(struct disk_map **mp, struct disk_io *io, int fd,
    uint64_t bytes)
{
	uint64_t blocks = (bytes + DISK_BLOCK_BYTES - 1) / DISK_BLOCK_BYTES;
	size_t len = (size_t)((blocks + 7) / 8);
	struct disk_map *m;
	int r;

	if ((m = calloc(1, sizeof(*m) + len)) == NULL)
		return -ENOMEM;
	m->io = io;
	m->fd = fd;
	m->len = len;
	pthread_mutex_init(&m->publish_lock, NULL);
	pthread_mutex_init(&m->lock, NULL);
	if ((r = disk_io_read(io, fd, m->bits, len, 0)) < 0) {
		disk_map_free(m);
		return r;
	}
	*mp = m;
	return 0;
}

void
disk_map_free(struct disk_map *m)
{
	if (m == NULL)
		return;
	pthread_mutex_destroy(&m->publish_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

bool
disk_map_has(const struct disk_map *m, uint64_t block)
{
	/* Only the caller's own thread changes bits: no lock. */
	return m->bits[block / 8] >> (block % 8) & 1;
}

/* fd lacks [lo, hi) as well. Locked. */
static void
lacks(struct disk_map *m, size_t lo, size_t hi)
{
	if (m->lo == m->hi) {
		m->lo = lo;
		m->hi = hi;
		return;
	}
	if (lo < m->lo)
		m->lo = lo;
	if (hi > m->hi)
		m->hi = hi;
}

void
disk_map_add(struct disk_map *m, uint64_t block)
{
	size_t byte = (size_t)(block / 8);

	if (disk_map_has(m, block))
		return;
	pthread_mutex_lock(&m->lock);
	m->bits[byte] = (uint8_t)(m->bits[byte] | 1u << (block % 8));
	lacks(m, byte, byte + 1);
	pthread_mutex_unlock(&m->lock);
}

bool
disk_map_is_behind(struct disk_map *m)
{
	bool behind;

	pthread_mutex_lock(&m->lock);
	behind = m->lo != m->hi;
	pthread_mutex_unlock(&m->lock);
	return behind;
}

/* Copy out what fd lacks, and count it as written. NULL for no memory. */
static uint8_t *
take_lacking(struct disk_map *m, size_t *lo, size_t *hi)
{
	uint8_t *copy = NULL;

	pthread_mutex_lock(&m->lock);
	*lo = m->lo;
	*hi = m->hi;
	if ((copy = malloc(*hi - *lo + 1)) != NULL) {
		memcpy(copy, m->bits + *lo, *hi - *lo);
		m->lo = m->hi = 0;
	}
	pthread_mutex_unlock(&m->lock);
	return copy;
}

static void
give_back(struct disk_map *m, size_t lo, size_t hi)
{
	pthread_mutex_lock(&m->lock);
	if (lo != hi)
		lacks(m, lo, hi);
	pthread_mutex_unlock(&m->lock);
}

static int
publish(struct disk_map *m, int own_fd, bool durable)
{
	size_t lo, hi;
	/* The copy is made before the own file is synced: a bit set in between
	 * speaks of bytes that this sync may not cover. */
	uint8_t *copy = take_lacking(m, &lo, &hi);
	int r = 0;

	if (copy == NULL)
		return -ENOMEM;
	if (lo != hi || durable)
		r = disk_io_datasync(m->io, own_fd);
	if (r == 0 && lo != hi) {
		m->unsynced = true;
		r = disk_io_write(m->io, m->fd, copy, hi - lo, lo);
	}
	if (r < 0)
		give_back(m, lo, hi);
	if (r == 0 && durable && m->unsynced) {
		r = disk_io_datasync(m->io, m->fd);
		m->unsynced = r < 0;
	}
	free(copy);
	return r;
}

int
disk_map_publish(struct disk_map *m, int own_fd, bool durable)
{
	int r;

	pthread_mutex_lock(&m->publish_lock);
	r = publish(m, own_fd, durable);
	pthread_mutex_unlock(&m->publish_lock);
	return r;
}
