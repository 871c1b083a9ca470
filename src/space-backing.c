/* SPDX-License-Identifier: ISC */
/*
 * The files behind one region. Knows which of them a block of a layered disk lies in
 * and what is not on storage yet; knows nothing of what pages mean.
 */
#include "space-backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Written since the last step of settling: worth another. */
#define SETTLE_BYTES	((uint64_t)8 << 20)

void
backing_init(struct backing *b, const struct space_region *region)
{
	b->region = region;
	b->own = -1;
	b->map_fd = -1;
	b->base = -1;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
backing_fini(struct backing *b)
{
	if (b->mem != NULL)
		munmap(b->mem, b->region->bytes);
	if (b->map != NULL && b->made == NULL)
		munmap((void *)(uintptr_t)b->map, b->map_bytes);
	free(b->made);
	close_fd(&b->own);
	close_fd(&b->map_fd);
	close_fd(&b->base);
}

/* --- opening ---------------------------------------------------------------- */

static int
map_file(int fd, uint64_t bytes, bool writable, void **memp)
{
	void *p = mmap(NULL, bytes, PROT_READ | (writable ? PROT_WRITE : 0),
	    MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*memp = p;
	return 0;
}

static int
check_size(int fd, uint64_t bytes, bool exactly)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size < bytes ||
	    (exactly && (uint64_t)st.st_size != bytes))
		return -EINVAL;
	return 0;
}

/* How many blocks a region is long. */
static uint64_t
n_blocks(const struct backing *b)
{
	return (b->region->bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

static int
open_layers(struct backing *b)
{
	void *p = NULL;
	int r;

	b->map_bytes = (n_blocks(b) + 7) / 8;
	if ((r = check_size(b->base, b->region->bytes, true)) < 0 ||
	    (r = check_size(b->map_fd, b->map_bytes, false)) < 0)
		return r;
	/* One that is written is kept back until what it claims is synced. */
	if (b->writable) {
		b->map = b->made = calloc(1, b->map_bytes);
		return b->made != NULL ? 0 : -ENOMEM;
	}
	if ((r = map_file(b->map_fd, b->map_bytes, false, &p)) == 0)
		b->map = p;
	return r;
}

int
backing_open(struct backing *b, const int *fds, size_t n_fds, bool writable)
{
	const bool layered = b != NULL && n_fds == SPACE_REGION_FDS &&
	    b->region->kind == SPACE_DISK;
	void *p = NULL;
	int r;

	if (b == NULL || b->own >= 0 || fds[0] < 0 ||
	    (n_fds != 1 && !layered)) {
		for (size_t f = 0; f < n_fds; f++)
			if (fds[f] >= 0)
				close(fds[f]);
		return -EINVAL;
	}
	b->own = fds[0];
	b->map_fd = layered ? fds[1] : -1;
	b->base = layered ? fds[2] : -1;
	b->writable = writable;
	if ((r = check_size(b->own, b->region->bytes, true)) < 0)
		return r;
	if (layered)
		return open_layers(b);
	/*
	 * Memory that can be sealed is a guest's and cannot fail under a mapping;
	 * a file of memory can, as every other file.
	 */
	if (b->region->kind != SPACE_RAM || fcntl(b->own, F_GET_SEALS) < 0)
		return 0;
	if ((r = map_file(b->own, b->region->bytes, writable, &p)) == 0)
		b->mem = p;
	return r;
}

uint8_t *
backing_memory(const struct backing *b)
{
	return b->mem;
}

/* --- whose a block is ------------------------------------------------------- */

/* Does this block lie in the disk's own file? */
static bool
is_own(const struct backing *b, uint64_t block)
{
	return b->map == NULL || (b->map[block / 8] >> block % 8 & 1) != 0;
}

bool
backing_is_own(const struct backing *b, uint64_t page, uint64_t count)
{
	uint64_t block = page / BLOCK_PAGES;
	uint64_t last = (page + count - 1) / BLOCK_PAGES;

	while (block <= last && is_own(b, block))
		block++;
	return block > last;
}

bool
backing_claim(struct backing *b, const struct backing *from, uint64_t *block)
{
	uint64_t i = *block, n = n_blocks(b);

	if (b->made == NULL)
		return false;
	while (i < n && (is_own(b, i) || !is_own(from, i)))
		i++;
	if (i >= n)
		return false;
	b->made[i / 8] |= (uint8_t)(1u << i % 8);
	b->unsynced = true;
	*block = i;
	return true;
}

/* --- reading ---------------------------------------------------------------- */

static int
read_at(int fd, uint8_t *to, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pread(fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		to += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int
backing_read_block(const struct backing *b, uint64_t block, uint8_t *to)
{
	uint64_t at = block * BLOCK_BYTES, len = b->region->bytes - at;
	int r;

	if (len > BLOCK_BYTES)
		len = BLOCK_BYTES;
	r = read_at(is_own(b, block) ? b->own : b->base, to, len, at);
	if (r == 0)
		memset(to + len, 0, BLOCK_BYTES - len);
	return r;
}

/* --- writing ---------------------------------------------------------------- */

static int
write_at(int fd, const uint8_t *from, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, from, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static void
note_written(struct backing *b, uint64_t at, uint64_t len)
{
	if (b->written == 0 || at < b->new_from)
		b->new_from = at;
	if (b->written == 0 || at + len > b->new_to)
		b->new_to = at + len;
	b->written += len;
	b->unsynced = true;
}

static bool
all_zero(const uint8_t *p, uint64_t len)
{
	while (len > 0 && *p == 0) {
		p++;
		len--;
	}
	return len == 0;
}

int
backing_write(struct backing *b, uint64_t page, const uint8_t *pages,
    uint64_t count)
{
	uint64_t at = page * PAGE_BYTES, len = count * PAGE_BYTES;
	int r;

	if (!b->writable || !backing_is_own(b, page, count))
		return -EINVAL;
	/*
	 * Memory too: unlike a store through the mapping this neither faults nor
	 * has fresh pages cleared first, which is half of what receiving costs.
	 */
	if (b->mem != NULL)
		return write_at(b->own, pages, len, at);
	if (len > b->region->bytes - at) {
		uint64_t fits = b->region->bytes - at;

		if (!all_zero(pages + fits, len - fits))
			return -EPROTO;
		len = fits;
	}
	if ((r = write_at(b->own, pages, len, at)) == 0)
		note_written(b, at, len);
	return r;
}

/* Where blocks cannot be given back. */
static int
write_zeros(int fd, uint64_t at, uint64_t len)
{
	static const uint8_t zeros[PAGE_BYTES];
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < len; done += PAGE_BYTES)
		r = write_at(fd, zeros, len - done < PAGE_BYTES ?
		    len - done : PAGE_BYTES, at + done);
	return r;
}

int
backing_zero(struct backing *b, uint64_t page, uint64_t count)
{
	uint64_t at = page * PAGE_BYTES, len = count * PAGE_BYTES;
	int r = 0;

	if (!b->writable || !backing_is_own(b, page, count))
		return -EINVAL;
	if (b->mem != NULL) {
		memset(b->mem + at, 0, len);
		return 0;
	}
	if (len > b->region->bytes - at)
		len = b->region->bytes - at;
	if (fallocate(b->own, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	    (off_t)at, (off_t)len) < 0)
		r = errno == EOPNOTSUPP ? write_zeros(b->own, at, len) :
		    -errno;
	b->unsynced = true;
	return r;
}

/* --- holes ------------------------------------------------------------------ */

/* Bytes from..to of a file: where its data next begins and ends. */
static bool
file_data(int fd, uint64_t from, uint64_t to, uint64_t *first, uint64_t *end)
{
	off_t data = lseek(fd, (off_t)from, SEEK_DATA), hole;

	if (data < 0 && errno == ENXIO)
		return false;	/* a hole to the very end */
	if (data < 0) {
		*first = from;	/* it cannot say: all of it, then */
		*end = to;
		return true;
	}
	if ((uint64_t)data >= to)
		return false;
	hole = lseek(fd, data, SEEK_HOLE);
	*first = (uint64_t)data;
	*end = hole > data && (uint64_t)hole < to ? (uint64_t)hole : to;
	return true;
}

/* A layered disk goes by stretches of one file. */
bool
backing_data(const struct backing *b, uint64_t from, uint64_t *first,
    uint64_t *end)
{
	const uint64_t to = b->region->bytes;
	uint64_t block;
	bool own;

	if (b->map == NULL)
		return file_data(b->own, from, to, first, end);
	while (from < to) {
		own = is_own(b, from / BLOCK_BYTES);
		for (block = from / BLOCK_BYTES + 1; block * BLOCK_BYTES < to &&
		    is_own(b, block) == own; block++)
			;
		if (file_data(own ? b->own : b->base, from,
		    block * BLOCK_BYTES < to ? block * BLOCK_BYTES : to, first,
		    end))
			return true;
		from = block * BLOCK_BYTES;
	}
	return false;
}

/* --- durability ------------------------------------------------------------- */

/* A file system that cannot do this leaves it to the sync at the end. */
void
backing_settle(struct backing *b)
{
	if (b->written < SETTLE_BYTES)
		return;
	if (b->old_to > b->old_from)
		(void)sync_file_range(b->own, (off_t)b->old_from,
		    (off_t)(b->old_to - b->old_from),
		    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
		    SYNC_FILE_RANGE_WAIT_AFTER);
	(void)sync_file_range(b->own, (off_t)b->new_from,
	    (off_t)(b->new_to - b->new_from), SYNC_FILE_RANGE_WRITE);
	b->old_from = b->new_from;
	b->old_to = b->new_to;
	b->written = 0;
}

/* What a map claims is on storage before the map says so. */
static int
sync_files(const struct backing *b)
{
	int r;

	if (fdatasync(b->own) < 0)
		return -errno;
	if (b->made == NULL)
		return 0;
	if ((r = write_at(b->map_fd, b->made, b->map_bytes, 0)) < 0)
		return r;
	return fdatasync(b->map_fd) < 0 ? -errno : 0;
}

int
backing_sync(struct backing *b)
{
	int r;

	if (!b->unsynced)
		return 0;
	if ((r = sync_files(b)) < 0)
		return r;
	b->unsynced = false;
	b->written = 0;
	b->old_to = b->old_from;
	return 0;
}
