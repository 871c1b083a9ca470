/* SPDX-License-Identifier: ISC */
/*
 * Guest memory: where a guest address lies in the memfd, and which pages were
 * written. Knows slots and bits; deliberately knows no device and no vCPU.
 *
 * Two sources say that a page was written: KVM's log (the vCPUs) and a side
 * bitmap of our own (devices write through the host mapping, which KVM does not
 * see). A harvest joins both; each is emptied before the page can be read by
 * whoever acts on the harvest, so a later write is always in a later harvest.
 */
#include "gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bounds.h"
#include "kvm.h"

#define GMEM_SLOTS	2u
#define WORD_PAGES	64u		/* dirty bits in one bitmap word */
/* Pages cleared under one hold of KVM's MMU lock: 64 MB. */
#define CLEAR_CHUNK_PAGES	16384u

struct gmem_slot {
	uint64_t	gpa;
	uint64_t	offset;		/* in the memfd */
	uint64_t	len_bytes;	/* 0: slot unused */
};

struct gmem {
	struct kvm	*kvm;
	int		fd;		/* our own descriptor of the memfd */
	uint8_t		*host;		/* all of it, shared */
	uint64_t	discarded_bytes; /* atomic */
	uint64_t	size_bytes;
	struct gmem_slot slots[GMEM_SLOTS];
	pthread_mutex_t	log_lock;	/* start, stop, harvest: one at a time */
	bool		logging;	/* atomic; guarded by log_lock to write */
	uint64_t	*by_devices;	/* atomic words: written by devices */
	uint64_t	*by_vcpus;	/* scratch of the harvest, one slot */
};

static size_t
words_of(uint64_t len_bytes)
{
	uint64_t pages = len_bytes / PAGE_BYTES;

	return (size_t)((pages + WORD_PAGES - 1) / WORD_PAGES);
}

static void
lay_out(struct gmem *g)
{
	uint64_t low = g->size_bytes < GMEM_HOLE_START ? g->size_bytes :
	    GMEM_HOLE_START;

	g->slots[0] = (struct gmem_slot){ .len_bytes = low };
	g->slots[1] = (struct gmem_slot){ .gpa = GMEM_HOLE_END, .offset = low,
	    .len_bytes = g->size_bytes - low };
}

static int
slots_set(struct gmem *g, bool log_dirty)
{
	for (unsigned int i = 0; i < GMEM_SLOTS; i++) {
		struct gmem_slot *s = &g->slots[i];
		int r;

		if (s->len_bytes == 0)
			continue;
		r = kvm_slot_set(g->kvm, i, s->gpa, g->host + s->offset,
		    s->len_bytes, log_dirty);
		if (r < 0)
			return r;
	}
	return 0;
}

int
gmem_new(struct gmem **gp, struct kvm *kvm, int ram_fd, uint64_t size_bytes)
{
	struct gmem *g;
	void *host;
	int r = -ENOMEM;

	if (size_bytes < RAM_MIN_BYTES || size_bytes > RAM_MAX_BYTES ||
	    size_bytes % PAGE_BYTES != 0)
		return -EINVAL;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return -ENOMEM;
	g->fd = -1;
	pthread_mutex_init(&g->log_lock, NULL);
	g->kvm = kvm;
	g->size_bytes = size_bytes;
	lay_out(g);
	g->by_devices = calloc(words_of(size_bytes), sizeof(uint64_t));
	g->by_vcpus = calloc(words_of(size_bytes), sizeof(uint64_t));
	if (g->by_devices == NULL || g->by_vcpus == NULL)
		goto out;
	if ((g->fd = fcntl(ram_fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		r = -errno;
		goto out;
	}
	host = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE, ram_fd, 0);
	if (host == MAP_FAILED) {
		r = -errno;
		goto out;
	}
	g->host = host;
	/* A core dump of ours must not spill the guest's secrets. */
	(void)madvise(host, size_bytes, MADV_DONTDUMP);
	if ((r = slots_set(g, false)) < 0)
		goto out;
	*gp = g;
	return 0;
out:
	gmem_free(g);
	return r;
}

void
gmem_free(struct gmem *g)
{
	if (g == NULL)
		return;
	if (g->host != NULL)
		munmap(g->host, g->size_bytes);
	if (g->fd >= 0)
		close(g->fd);
	free(g->by_devices);
	free(g->by_vcpus);
	pthread_mutex_destroy(&g->log_lock);
	free(g);
}

uint64_t
gmem_size(const struct gmem *g)
{
	return g->size_bytes;
}

/* The memfd offset of [gpa, gpa + len), if all of it is in one slot. */
static bool
to_offset(const struct gmem *g, uint64_t gpa, uint64_t len, uint64_t *offset)
{
	for (unsigned int i = 0; i < GMEM_SLOTS; i++) {
		const struct gmem_slot *s = &g->slots[i];
		uint64_t into = gpa - s->gpa;

		if (gpa < s->gpa || into > s->len_bytes ||
		    len > s->len_bytes - into)
			continue;
		*offset = s->offset + into;
		return true;
	}
	return false;
}

void *
gmem_ptr(struct gmem *g, uint64_t gpa, uint64_t len)
{
	uint64_t offset;

	return to_offset(g, gpa, len, &offset) ? g->host + offset : NULL;
}

int
gmem_read(struct gmem *g, uint64_t gpa, void *buf, size_t len)
{
	const void *p = gmem_ptr(g, gpa, len);

	if (p == NULL)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

int
gmem_write(struct gmem *g, uint64_t gpa, const void *buf, size_t len)
{
	void *p = gmem_ptr(g, gpa, len);

	if (p == NULL)
		return -EFAULT;
	memcpy(p, buf, len);
	gmem_mark_dirty(g, gpa, len);
	return 0;
}

static void
mark_offset(struct gmem *g, uint64_t offset, uint64_t len)
{
	uint64_t last = (offset + len - 1) / PAGE_BYTES;

	if (!__atomic_load_n(&g->logging, __ATOMIC_ACQUIRE))
		return;
	for (uint64_t page = offset / PAGE_BYTES; page <= last; page++)
		__atomic_fetch_or(&g->by_devices[page / WORD_PAGES],
		    1ULL << (page % WORD_PAGES), __ATOMIC_RELEASE);
}

void
gmem_mark_dirty(struct gmem *g, uint64_t gpa, uint64_t len)
{
	uint64_t offset;

	if (len > 0 && to_offset(g, gpa, len, &offset))
		mark_offset(g, offset, len);
}

/*
 * Free [at, end) of the memfd, one stretch of data after the other: what is a
 * hole already must not count as written, or a guest that tells us of all its
 * free memory at the start of a move would have it all sent once more.
 */
static int
punch(struct gmem *g, uint64_t at, uint64_t end)
{
	while (at < end) {
		off_t data = lseek(g->fd, (off_t)at, SEEK_DATA), hole;
		uint64_t len;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		if ((uint64_t)data >= end)
			return 0;
		if ((hole = lseek(g->fd, data, SEEK_HOLE)) < 0)
			return -errno;
		len = ((uint64_t)hole < end ? (uint64_t)hole : end) -
		    (uint64_t)data;
		if (fallocate(g->fd, FALLOC_FL_PUNCH_HOLE |
		    FALLOC_FL_KEEP_SIZE, data, (off_t)len) < 0)
			return -errno;
		/* After the fact, so that whoever sees the mark sees zeroes. */
		mark_offset(g, (uint64_t)data, len);
		__atomic_fetch_add(&g->discarded_bytes, len, __ATOMIC_RELAXED);
		at = (uint64_t)data + len;
	}
	return 0;
}

int
gmem_discard(struct gmem *g, uint64_t gpa, uint64_t len)
{
	uint64_t offset, end;

	if (!to_offset(g, gpa, len, &offset))
		return -EFAULT;
	/* A file's blocks were set aside: a page without one could not be written. */
	if (fcntl(g->fd, F_GET_SEALS) < 0)
		return 0;
	/* A slot begins at a page, so pages of guest and memfd are the same. */
	end = (offset + len) & ~(uint64_t)(PAGE_BYTES - 1);
	offset = (offset + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	return punch(g, offset, end);
}

uint64_t
gmem_discarded(const struct gmem *g)
{
	return __atomic_load_n(&g->discarded_bytes, __ATOMIC_RELAXED);
}

/*
 * Clear those chunks of a slot that have a bit set, so that an idle guest costs
 * no more than the get itself.
 */
static int
clear_in_chunks(struct gmem *g, unsigned int slot, uint64_t *bits)
{
	uint64_t pages = g->slots[slot].len_bytes / PAGE_BYTES;

	for (uint64_t at = 0; at < pages; at += CLEAR_CHUNK_PAGES) {
		uint64_t n = pages - at < CLEAR_CHUNK_PAGES ? pages - at :
		    CLEAR_CHUNK_PAGES;
		uint64_t *words = &bits[at / WORD_PAGES], any = 0;
		int r;

		for (size_t i = 0; i < words_of(n * PAGE_BYTES); i++)
			any |= words[i];
		if (any == 0)
			continue;
		r = kvm_dirty_clear(g->kvm, slot, at, (uint32_t)n, words);
		if (r < 0)
			return r;
	}
	return 0;
}

int
gmem_dirty_start(struct gmem *g)
{
	int r = 0;

	pthread_mutex_lock(&g->log_lock);
	__atomic_store_n(&g->logging, true, __ATOMIC_RELEASE);
	if ((r = slots_set(g, true)) < 0)
		goto out;
	for (unsigned int i = 0; i < GMEM_SLOTS; i++) {
		size_t n = words_of(g->slots[i].len_bytes);

		if (n == 0)
			continue;
		/* Clearing everything is right whether the kernel began with
		 * all bits set or we only joined a log already going on. */
		if (kvm_dirty_manual(g->kvm)) {
			memset(g->by_vcpus, 0xff, n * sizeof(uint64_t));
			r = clear_in_chunks(g, i, g->by_vcpus);
		} else {
			r = kvm_dirty_get(g->kvm, i, g->by_vcpus);
		}
		if (r < 0)
			goto out;
	}
	for (size_t i = 0; i < words_of(g->size_bytes); i++)
		__atomic_store_n(&g->by_devices[i], 0, __ATOMIC_RELEASE);
	r = 0;
out:
	if (r < 0) {
		__atomic_store_n(&g->logging, false, __ATOMIC_RELEASE);
		(void)slots_set(g, false);
	}
	pthread_mutex_unlock(&g->log_lock);
	return r;
}

int
gmem_dirty_stop(struct gmem *g)
{
	int r = 0;

	pthread_mutex_lock(&g->log_lock);
	if (g->logging) {
		__atomic_store_n(&g->logging, false, __ATOMIC_RELEASE);
		r = slots_set(g, false);
	}
	pthread_mutex_unlock(&g->log_lock);
	return r;
}

/* OR one slot's bits and the devices' into the bitmap; count the new ones. */
static uint64_t
join_slot(struct gmem *g, const struct gmem_slot *s, uint64_t *bitmap)
{
	size_t first = (size_t)(s->offset / PAGE_BYTES / WORD_PAGES);
	uint64_t n_new = 0;

	for (size_t i = 0; i < words_of(s->len_bytes); i++) {
		uint64_t bits = g->by_vcpus[i], *side = &g->by_devices[first + i];
		uint64_t before;

		if (__atomic_load_n(side, __ATOMIC_RELAXED) != 0)
			bits |= __atomic_exchange_n(side, 0, __ATOMIC_ACQ_REL);
		if (bits == 0)
			continue;
		before = __atomic_fetch_or(&bitmap[first + i], bits,
		    __ATOMIC_ACQ_REL);
		n_new += (uint64_t)__builtin_popcountll(bits & ~before);
	}
	return n_new;
}

int
gmem_dirty_harvest(struct gmem *g, uint64_t *bitmap, uint64_t *n_pages)
{
	uint64_t n_new = 0;
	int r = -EINVAL;

	pthread_mutex_lock(&g->log_lock);
	if (!g->logging)
		goto out;
	for (unsigned int i = 0; i < GMEM_SLOTS; i++) {
		if (g->slots[i].len_bytes == 0)
			continue;
		if ((r = kvm_dirty_get(g->kvm, i, g->by_vcpus)) < 0)
			goto out;
		if (kvm_dirty_manual(g->kvm) &&
		    (r = clear_in_chunks(g, i, g->by_vcpus)) < 0)
			goto out;
		n_new += join_slot(g, &g->slots[i], bitmap);
	}
	*n_pages = n_new;
	r = 0;
out:
	pthread_mutex_unlock(&g->log_lock);
	return r;
}
