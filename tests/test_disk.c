/* SPDX-License-Identifier: ISC */
/*
 * A disk keeps what it was given, over a base too, costs nothing where it is
 * zero, tells what was written, and after a power cut has all that was flushed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "disk-map.h"
#include "fakes/fake-storage.h"
#include "unit.h"

#define MB		(1u << 20)
#define SECTOR		512u

static int
file_new(uint64_t bytes)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	return fd;
}

/* A disk on real files; `watch` is another descriptor of its own file. */
static struct disk *
plain(uint64_t bytes, int *watch)
{
	struct disk_config c = { .name = "test", .bytes = bytes,
	    .fd = file_new(bytes), .map_fd = -1, .base_fd = -1 };
	struct disk *d = NULL;

	if (watch != NULL)
		*watch = dup(c.fd);
	CU_ASSERT_FATAL(disk_new(&d, &c) == 0);
	return d;
}

static int
put(struct disk *d, uint64_t at, const void *p, size_t len)
{
	struct iovec v = { (void *)(uintptr_t)p, len };

	return disk_write(d, &v, 1, at);
}

static int
get(struct disk *d, uint64_t at, void *p, size_t len)
{
	struct iovec v = { p, len };

	return disk_read(d, &v, 1, at);
}

static void
vectors(void)
{
	uint8_t a[SECTOR], b[3 * SECTOR], c[4 * SECTOR] = { 0 };
	struct iovec out[3] = { { a, sizeof(a) }, { NULL, 0 },
	    { b, sizeof(b) } };
	struct iovec in[2] = { { c, 100 }, { c + 100, sizeof(c) - 100 } };
	struct disk *d = plain(MB, NULL);

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	CU_ASSERT(disk_write(d, out, 3, 5 * SECTOR) == 0);
	CU_ASSERT(disk_read(d, in, 2, 5 * SECTOR) == 0);
	CU_ASSERT(memcmp(c, a, sizeof(a)) == 0);
	CU_ASSERT(memcmp(c + sizeof(a), b, sizeof(b)) == 0);
	CU_ASSERT(get(d, 4 * SECTOR, c, SECTOR) == 0 && c[0] == 0);
	disk_free(d);
}

static void
edges(void)
{
	uint8_t p[SECTOR] = { 1 };
	struct disk *d = plain(MB, NULL);

	CU_ASSERT(put(d, MB - SECTOR, p, SECTOR) == 0);
	CU_ASSERT(put(d, MB - SECTOR + 1, p, SECTOR) == -EINVAL);
	CU_ASSERT(put(d, MB, p, SECTOR) == -EINVAL);
	CU_ASSERT(put(d, UINT64_MAX, p, SECTOR) == -EINVAL);
	CU_ASSERT(get(d, MB, p, SECTOR) == -EINVAL);
	CU_ASSERT(disk_zero(d, MB - SECTOR, 2 * SECTOR, true) == -EINVAL);
	CU_ASSERT(disk_zero(d, UINT64_MAX - SECTOR, 2 * SECTOR, true) ==
	    -EINVAL);
	CU_ASSERT(disk_zero(d, MB, 0, true) == 0);
	disk_free(d);
}

static void
refused(void)
{
	struct disk_config c = { .name = "test", .map_fd = -1, .base_fd = -1 };
	uint8_t p[SECTOR] = { 1 };
	struct disk *d = NULL;

	c.bytes = 2 * MB;
	c.fd = file_new(MB);
	CU_ASSERT(disk_new(&d, &c) == -EINVAL);	/* another size */
	CU_ASSERT(fcntl(c.fd, F_GETFD) == -1);	/* and taken all the same */
	c.bytes = MB + SECTOR;
	c.fd = file_new(c.bytes);
	CU_ASSERT(disk_new(&d, &c) == -EINVAL);	/* no whole pages */
	c.bytes = MB;
	c.fd = file_new(MB);
	c.map_fd = file_new(16);
	CU_ASSERT(disk_new(&d, &c) == -EINVAL);	/* a map without a base */
	c.map_fd = -1;
	c.fd = -1;
	CU_ASSERT(disk_new(&d, &c) == -EINVAL);
	c.fd = file_new(MB);
	c.read_only = true;
	CU_ASSERT_FATAL(disk_new(&d, &c) == 0);
	CU_ASSERT(put(d, 0, p, SECTOR) == -EROFS);
	CU_ASSERT(disk_zero(d, 0, SECTOR, true) == -EROFS);
	CU_ASSERT(get(d, 0, p, SECTOR) == 0 && p[0] == 0);
	CU_ASSERT(disk_flush(d) == 0);
	disk_free(d);
}

static uint64_t
stored_bytes(int fd)
{
	struct stat st;

	CU_ASSERT_FATAL(fstat(fd, &st) == 0);
	return (uint64_t)st.st_blocks * 512;
}

static void
holes(void)
{
	static uint8_t p[256 << 10];
	int fd;
	struct disk *d = plain(16 * MB, &fd);

	CU_ASSERT(stored_bytes(fd) == 0);
	memset(p, 7, sizeof(p));
	CU_ASSERT(put(d, MB, p, sizeof(p)) == 0);
	CU_ASSERT(stored_bytes(fd) == sizeof(p));
	CU_ASSERT(disk_zero(d, MB + SECTOR, sizeof(p) - SECTOR, true) == 0);
	CU_ASSERT(stored_bytes(fd) == 4096);
	CU_ASSERT(get(d, MB, p, sizeof(p)) == 0);
	CU_ASSERT(p[0] == 7 && p[SECTOR - 1] == 7 && p[SECTOR] == 0);
	CU_ASSERT(disk_zero(d, 0, 16 * MB, true) == 0);
	CU_ASSERT(stored_bytes(fd) == 0);
	/* Zeroes to be kept are kept as zeroes. */
	CU_ASSERT(put(d, 0, p, sizeof(p)) == 0);
	CU_ASSERT(disk_zero(d, 0, sizeof(p), false) == 0);
	CU_ASSERT(get(d, 0, p, sizeof(p)) == 0 && p[0] == 0);
	close(fd);
	disk_free(d);
}

static void
dirty(void)
{
	static uint8_t p[3 * 4096];
	uint64_t map[4] = { 0 };
	struct disk *d = plain(MB, NULL);

	memset(p, 1, sizeof(p));
	CU_ASSERT(put(d, 0, p, SECTOR) == 0);
	CU_ASSERT(disk_dirty_harvest(d, map) == 0);	/* not asked for yet */
	disk_dirty_start(d);
	CU_ASSERT(put(d, 4096 - SECTOR, p, 2 * SECTOR) == 0);
	CU_ASSERT(put(d, 63 * 4096, p, sizeof(p)) == 0);
	CU_ASSERT(disk_dirty_harvest(d, map) == 5);
	CU_ASSERT(map[0] == (1ULL << 63 | 3) && map[1] == 3);
	CU_ASSERT(disk_dirty_harvest(d, map) == 0);
	/* What is reported already is not news; a discard is a write. */
	CU_ASSERT(put(d, 0, p, SECTOR) == 0);
	CU_ASSERT(disk_zero(d, 128 * 4096, 128 * 4096, true) == 0);
	CU_ASSERT(disk_dirty_harvest(d, map) == 128);
	CU_ASSERT(map[2] == UINT64_MAX && map[3] == UINT64_MAX);
	CU_ASSERT(get(d, 0, p, sizeof(p)) == 0);
	CU_ASSERT(disk_dirty_harvest(d, map) == 0);
	disk_dirty_stop(d);
	CU_ASSERT(put(d, 200 * 4096, p, SECTOR) == 0);
	disk_dirty_start(d);
	memset(map, 0, sizeof(map));
	CU_ASSERT(disk_dirty_harvest(d, map) == 0);
	disk_free(d);
}

/* --- over a base, on storage that loses power ---------------------------- */

#define LAYERED_BYTES	(MB + 8192u)	/* its last block is a short one */
#define BASE_BYTES	(MB - 20000u)	/* the base ends before the disk */
enum { OWN, MAP, BASE };

struct layered {
	struct fake_storage storage;
	struct disk	*disk;
	uint8_t		now[LAYERED_BYTES];	/* as the guest knows it */
	uint8_t		flushed[LAYERED_BYTES];	/* at the last flush */
	bool		touched[LAYERED_BYTES / SECTOR];	/* since then */
};

static void
layered_open(struct layered *l)
{
	struct disk_config c = { .name = "test", .bytes = LAYERED_BYTES,
	    .io = &fake_storage_ops, .io_arg = &l->storage };

	c.fd = fake_storage_open(&l->storage, OWN, LAYERED_BYTES);
	c.map_fd = fake_storage_open(&l->storage, MAP, 3);
	c.base_fd = fake_storage_open(&l->storage, BASE, BASE_BYTES);
	CU_ASSERT_FATAL(disk_new(&l->disk, &c) == 0);
}

static void
layered_begin(struct layered *l, uint64_t seed)
{
	struct fake_file *base;

	memset(l, 0, sizeof(*l));
	fake_storage_init(&l->storage, seed);
	fake_storage_open(&l->storage, BASE, BASE_BYTES);
	base = &l->storage.files[BASE];
	close(base->fd);
	for (size_t i = 0; i < BASE_BYTES; i++)
		base->now[i] = base->stable[i] = l->now[i] = l->flushed[i] =
		    i < 200000 ? (uint8_t)(1 + i % 251) : 0;
	layered_open(l);
}

static void
layered_end(struct layered *l)
{
	disk_free(l->disk);
	fake_storage_fini(&l->storage);
}

static void
touch(struct layered *l, uint64_t at, size_t len)
{
	for (uint64_t s = at / SECTOR; s < (at + len) / SECTOR; s++)
		l->touched[s] = true;
}

static bool
reads_back(struct layered *l)
{
	static uint8_t p[LAYERED_BYTES];

	return get(l->disk, 0, p, sizeof(p)) == 0 &&
	    memcmp(p, l->now, sizeof(p)) == 0;
}

/* One thing a guest does, of a length that often crosses blocks. */
static void
step(struct layered *l)
{
	struct fake_storage *s = &l->storage;
	uint64_t at = fake_storage_random(s) % (LAYERED_BYTES / SECTOR);
	uint64_t n = fake_storage_random(s) % 400 + 1;
	uint64_t what = fake_storage_random(s) % 16;

	if (n > LAYERED_BYTES / SECTOR - at)
		n = LAYERED_BYTES / SECTOR - at;
	if (what == 15) {		/* a whole block, exactly */
		at = at / 128 * 128;
		n = at + 128 > LAYERED_BYTES / SECTOR ?
		    LAYERED_BYTES / SECTOR - at : 128;
	}
	at *= SECTOR;
	n *= SECTOR;
	if (what == 0) {
		CU_ASSERT(disk_flush(l->disk) == 0);
		memcpy(l->flushed, l->now, sizeof(l->now));
		memset(l->touched, 0, sizeof(l->touched));
	} else if (what == 1) {
		CU_ASSERT(disk_settle(l->disk) == 0);
	} else if (what < 5 || (what == 15 && n % 3 == 0)) {
		CU_ASSERT(disk_zero(l->disk, at, n, what & 1) == 0);
		memset(l->now + at, 0, n);
		touch(l, at, n);
	} else {
		memset(l->now + at, (int)(fake_storage_random(s) | 1), n);
		CU_ASSERT(put(l->disk, at, l->now + at, n) == 0);
		touch(l, at, n);
	}
}

/* What no write has touched since the last flush is as it was then. */
static bool
kept(struct layered *l)
{
	static uint8_t p[LAYERED_BYTES];
	size_t s;

	if (get(l->disk, 0, p, sizeof(p)) < 0)
		return false;
	for (s = 0; s < LAYERED_BYTES / SECTOR; s++)
		if (!l->touched[s] && memcmp(p + s * SECTOR,
		    l->flushed + s * SECTOR, SECTOR) != 0)
			return false;
	memcpy(l->now, p, sizeof(p));
	memcpy(l->flushed, p, sizeof(p));
	memset(l->touched, 0, sizeof(l->touched));
	return true;
}

static void
power_cuts(void)
{
	static struct layered l;
	unsigned int lost = 0;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		layered_begin(&l, seed);
		l.storage.no_holes = seed % 5 == 0;
		for (unsigned int life = 0; life < 6; life++) {
			unsigned int n =
			    (unsigned int)(fake_storage_random(&l.storage) % 40);

			for (unsigned int i = 0; i < n; i++)
				step(&l);
			lost += !reads_back(&l);
			/* The power goes, and nobody closes anything. */
			l.storage.refuse_sync = l.storage.refuse_write = -EIO;
			disk_free(l.disk);
			l.storage.refuse_sync = l.storage.refuse_write = 0;
			fake_storage_power_cut(&l.storage);
			layered_open(&l);
			lost += !kept(&l);
		}
		layered_end(&l);
	}
	CU_ASSERT(lost == 0);
}

static void
order(void)
{
	static struct layered l;
	uint8_t p[SECTOR] = { 9 };

	layered_begin(&l, 1);
	/* Nothing is claimed before it is safe, not even when it is written. */
	CU_ASSERT(put(l.disk, 0, p, SECTOR) == 0);
	CU_ASSERT(l.storage.files[MAP].now[0] == 0 && l.storage.syncs == 0);
	CU_ASSERT(disk_settle(l.disk) == 0);
	CU_ASSERT(l.storage.files[MAP].now[0] == 1 && l.storage.syncs == 1);
	CU_ASSERT(l.storage.files[OWN].stable[0] == 9);
	CU_ASSERT(l.storage.files[MAP].stable[0] == 0);
	CU_ASSERT(disk_flush(l.disk) == 0);
	CU_ASSERT(l.storage.files[MAP].stable[0] == 1 && l.storage.syncs == 3);
	/* Nothing new: the own file is synced, the map need not be. */
	CU_ASSERT(disk_flush(l.disk) == 0 && l.storage.syncs == 4);
	CU_ASSERT(disk_settle(l.disk) == 0 && l.storage.syncs == 4);
	/* What a transfer counts as clean is what it will read (invariant 8). */
	CU_ASSERT(put(l.disk, DISK_BLOCK_BYTES, p, SECTOR) == 0);
	CU_ASSERT(l.storage.files[MAP].now[0] == 1);
	CU_ASSERT(disk_dirty_start(l.disk) == 0);
	CU_ASSERT(l.storage.files[MAP].now[0] == 3);
	layered_end(&l);
}

static void
discard_over_base(void)
{
	static struct layered l;
	uint8_t p[SECTOR];

	layered_begin(&l, 2);
	CU_ASSERT(get(l.disk, DISK_BLOCK_BYTES, p, SECTOR) == 0 && p[0] != 0);
	CU_ASSERT(disk_zero(l.disk, DISK_BLOCK_BYTES, DISK_BLOCK_BYTES,
	    true) == 0);
	CU_ASSERT(disk_flush(l.disk) == 0);
	fake_storage_power_cut(&l.storage);
	disk_free(l.disk);
	layered_open(&l);
	CU_ASSERT(get(l.disk, DISK_BLOCK_BYTES, p, SECTOR) == 0 && p[0] == 0);
	CU_ASSERT(get(l.disk, 2 * DISK_BLOCK_BYTES, p, SECTOR) == 0 &&
	    p[0] != 0);
	layered_end(&l);
}

static void
full_storage(void)
{
	static struct layered l;
	uint8_t p[SECTOR] = { 9 }, q[SECTOR];
	uint64_t map[8] = { 0 };

	layered_begin(&l, 3);
	disk_dirty_start(l.disk);
	l.storage.refuse_write = -ENOSPC;
	CU_ASSERT(put(l.disk, 0, p, SECTOR) == -ENOSPC);
	CU_ASSERT(get(l.disk, 0, q, SECTOR) == 0 && q[0] == 1);
	CU_ASSERT(put(l.disk, 0, p, SECTOR) == -ENOSPC);
	CU_ASSERT(disk_dirty_harvest(l.disk, map) > 0);	/* who knows */
	l.storage.refuse_write = 0;
	CU_ASSERT(put(l.disk, 0, p, SECTOR) == 0);
	CU_ASSERT(get(l.disk, 0, q, SECTOR) == 0 && q[0] == 9 && q[1] == 0);
	CU_ASSERT(disk_flush(l.disk) == 0);
	/* The map cannot be written now, and is later. */
	CU_ASSERT(put(l.disk, 2 * DISK_BLOCK_BYTES, p, SECTOR) == 0);
	l.storage.refuse_write = -ENOSPC;
	CU_ASSERT(disk_flush(l.disk) == -ENOSPC);
	l.storage.refuse_write = 0;
	CU_ASSERT(disk_flush(l.disk) == 0);
	CU_ASSERT(l.storage.files[MAP].stable[0] == 5);
	layered_end(&l);
}

static void
lost_writes(void)
{
	static struct layered l;

	layered_begin(&l, 4);
	l.storage.refuse_sync = -EIO;
	CU_ASSERT(disk_flush(l.disk) == -EIO);
	/* A kernel that has dropped the pages says yes the second time. */
	l.storage.refuse_sync = 0;
	CU_ASSERT(disk_flush(l.disk) == -EIO);
	layered_end(&l);
}

static void
count_call(void *arg)
{
	(*(unsigned int *)arg)++;
}

/* What its owner is told: not of a guest that asks for nonsense, nor of full storage. */
static void
failures_are_counted(void)
{
	struct fake_storage s;
	unsigned int calls = 0;
	struct disk_config c = { .name = "test", .bytes = LAYERED_BYTES,
	    .map_fd = -1, .base_fd = -1, .io = &fake_storage_ops, .io_arg = &s,
	    .failed = count_call, .failed_arg = &calls };
	uint8_t byte[SECTOR] = { 1 };
	struct iovec v = { byte, sizeof(byte) };
	struct disk *d = NULL;
	int last = 1;

	fake_storage_init(&s, 5);
	c.fd = fake_storage_open(&s, OWN, LAYERED_BYTES);
	CU_ASSERT_EQUAL_FATAL(disk_new(&d, &c), 0);
	CU_ASSERT(disk_write(d, &v, 1, 0) == 0);
	CU_ASSERT(disk_write(d, &v, 1, LAYERED_BYTES) == -EINVAL);
	s.refuse_write = -ENOSPC;
	CU_ASSERT(disk_write(d, &v, 1, 0) == -ENOSPC);
	CU_ASSERT(disk_errors(d, &last) == 0 && last == 0 && calls == 0);
	s.refuse_write = -EIO;
	CU_ASSERT(disk_write(d, &v, 1, 0) == -EIO);
	CU_ASSERT(disk_write(d, &v, 1, SECTOR) == -EIO);
	CU_ASSERT(disk_errors(d, &last) == 2 && last == -EIO && calls == 2);
	s.refuse_write = 0;
	s.refuse_sync = -EROFS;
	CU_ASSERT(disk_flush(d) == -EROFS);
	CU_ASSERT(disk_errors(d, &last) == 3 && last == -EROFS && calls == 3);
	CU_ASSERT(disk_read(d, &v, 1, 0) == 0);
	CU_ASSERT(disk_errors(d, &last) == 3);
	disk_free(d);
	fake_storage_fini(&s);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "vectors are written and read in order", vectors },
		{ "nothing beyond the end is touched", edges },
		{ "wrong files and read-only disks refuse", refused },
		{ "zeroes cost no storage", holes },
		{ "written pages are told once", dirty },
		{ "flushed bytes survive power cuts over a base", power_cuts },
		{ "data is durable before the map claims it", order },
		{ "a discard over a base stays zero", discard_over_base },
		{ "full storage is an error and passes", full_storage },
		{ "a failed flush is never forgotten", lost_writes },
		{ "failures of storage are counted", failures_are_counted },
	};

	return unit_main("disk", tests, sizeof(tests) / sizeof(tests[0]));
}
