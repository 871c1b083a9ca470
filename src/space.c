/* SPDX-License-Identifier: ISC */
/*
 * The pages of a persona in its memory and its files. Knows which file a block of
 * a layered disk lies in; knows nothing of what pages mean.
 */
#include "space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A bit of a layered disk's map, and what is read from a file at a time. */
#define BLOCK_PAGES	16u
#define BLOCK_BYTES	(BLOCK_PAGES * (uint64_t)PAGE_BYTES)
/* Written since the last step of settling: worth another. */
#define SETTLE_BYTES	((uint64_t)8 << 20)

struct backing {
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

struct space {
	struct space_plan	plan;
	struct backing		backing[REGIONS_MAX];
	/* A block of a file as it was read */
	uint64_t		block_first;	/* page; UINT64_MAX: none */
	uint8_t			block[BLOCK_PAGES * PAGE_BYTES];
};

int
space_new(struct space **sp, const struct space_plan *plan)
{
	struct space *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->plan = *plan;
	s->block_first = UINT64_MAX;
	for (size_t i = 0; i < REGIONS_MAX; i++) {
		s->backing[i].own = -1;
		s->backing[i].map_fd = -1;
		s->backing[i].base = -1;
	}
	*sp = s;
	return 0;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
space_free(struct space *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->plan.n_regions; i++) {
		struct backing *b = &s->backing[i];

		if (b->mem != NULL)
			munmap(b->mem, s->plan.regions[i].bytes);
		if (b->map != NULL && b->made == NULL)
			munmap((void *)(uintptr_t)b->map, b->map_bytes);
		free(b->made);
		close_fd(&b->own);
		close_fd(&b->map_fd);
		close_fd(&b->base);
	}
	free(s);
}

/* --- what stands behind a region ------------------------------------------------ */

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

static int
back_layers(struct backing *b, const struct space_region *region)
{
	uint64_t blocks = (region->bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	void *p = NULL;
	int r;

	b->map_bytes = (blocks + 7) / 8;
	if ((r = check_size(b->base, region->bytes, true)) < 0 ||
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
space_back(struct space *s, size_t i, const int *fds, size_t n_fds,
    bool writable)
{
	const struct space_region *region = &s->plan.regions[i];
	struct backing *b = &s->backing[i];
	const bool layered = n_fds == SPACE_REGION_FDS &&
	    region->kind == SPACE_DISK;
	void *p = NULL;
	int r;

	if (i >= s->plan.n_regions || b->own >= 0 || fds[0] < 0 ||
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
	if ((r = check_size(b->own, region->bytes, true)) < 0)
		return r;
	if (layered)
		return back_layers(b, region);
	/*
	 * Memory that can be sealed is a guest's and cannot fail under a mapping;
	 * a file of memory can, as every other file.
	 */
	if (region->kind != SPACE_RAM || fcntl(b->own, F_GET_SEALS) < 0)
		return 0;
	if ((r = map_file(b->own, region->bytes, writable, &p)) == 0)
		b->mem = p;
	return r;
}

const struct space_plan *
space_regions(const struct space *s)
{
	return &s->plan;
}

uint8_t *
space_memory(const struct space *s)
{
	return s->backing[0].mem;
}

/* --- which region --------------------------------------------------------------- */

/* The region that holds `count` pages from pfn on; n_regions when none does. */
static size_t
find(const struct space *s, uint64_t pfn, uint64_t count)
{
	const struct space_region *r = s->plan.regions;
	size_t i;

	for (i = 0; i < s->plan.n_regions; i++)
		if (pfn >= r[i].first && pfn - r[i].first < r[i].n_pages)
			return count <= r[i].n_pages - (pfn - r[i].first) ?
			    i : s->plan.n_regions;
	return i;
}

bool
space_has(const struct space *s, uint64_t pfn, uint64_t count)
{
	return find(s, pfn, count) < s->plan.n_regions;
}

/* --- reading -------------------------------------------------------------------- */

/* Does this block of the region (by its number there) lie in the disk's own file? */
static bool
is_own(const struct backing *b, uint64_t block)
{
	return b->map == NULL || (b->map[block / 8] >> block % 8 & 1) != 0;
}

bool
space_is_own(const struct space *s, uint64_t pfn)
{
	size_t i = find(s, pfn, 1);

	return i < s->plan.n_regions && is_own(&s->backing[i],
	    (pfn - s->plan.regions[i].first) / BLOCK_PAGES);
}

/* All of these pages, which are region i's. */
static bool
are_own(const struct space *s, size_t i, uint64_t pfn, uint64_t count)
{
	uint64_t first = (pfn - s->plan.regions[i].first) / BLOCK_PAGES;
	uint64_t last = (pfn + count - 1 - s->plan.regions[i].first) /
	    BLOCK_PAGES;

	while (first <= last && is_own(&s->backing[i], first))
		first++;
	return first > last;
}

/* The first block from `block` on that is own there and not in b. */
static uint64_t
next_to_claim(const struct backing *b, const struct backing *there,
    uint64_t block, uint64_t n_blocks)
{
	while (block < n_blocks && (is_own(b, block) || !is_own(there, block)))
		block++;
	return block;
}

bool
space_claim(struct space *s, const struct space *from, uint64_t at,
    uint64_t *first, uint64_t *end)
{
	for (size_t i = 0; i < s->plan.n_regions; i++) {
		const struct space_region *r = &s->plan.regions[i];
		struct backing *b = &s->backing[i];
		uint64_t n_blocks = (r->n_pages + BLOCK_PAGES - 1) / BLOCK_PAGES;
		uint64_t block = at > r->first ?
		    (at - r->first) / BLOCK_PAGES : 0;

		if (b->made == NULL || (block = next_to_claim(b,
		    &from->backing[i], block, n_blocks)) >= n_blocks)
			continue;
		b->made[block / 8] |= (uint8_t)(1u << block % 8);
		b->unsynced = true;
		s->block_first = UINT64_MAX;
		*first = r->first + block * BLOCK_PAGES;
		*end = block + 1 < n_blocks ? *first + BLOCK_PAGES :
		    r->first + r->n_pages;
		return true;
	}
	return false;
}

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

/* The block around this page of a file, filled up with zeros. */
static int
read_block(struct space *s, size_t i, uint64_t pfn)
{
	const struct space_region *region = &s->plan.regions[i];
	const struct backing *b = &s->backing[i];
	uint64_t block = (pfn - region->first) / BLOCK_PAGES;
	uint64_t at = block * BLOCK_BYTES, len = region->bytes - at;
	int r;

	if (len > BLOCK_BYTES)
		len = BLOCK_BYTES;
	s->block_first = UINT64_MAX;
	r = read_at(is_own(b, block) ? b->own : b->base, s->block, len, at);
	if (r < 0)
		return r;
	memset(s->block + len, 0, BLOCK_BYTES - len);
	s->block_first = region->first + block * BLOCK_PAGES;
	return 0;
}

int
space_page(struct space *s, uint64_t pfn, const uint8_t **page)
{
	size_t i;
	int r;

	if (pfn >= s->block_first && pfn - s->block_first < BLOCK_PAGES) {
		*page = s->block + (pfn - s->block_first) * PAGE_BYTES;
		return 0;
	}
	if ((i = find(s, pfn, 1)) == s->plan.n_regions)
		return -EINVAL;
	if (s->backing[i].mem != NULL) {
		*page = s->backing[i].mem + pfn * PAGE_BYTES;
		return 0;
	}
	if ((r = read_block(s, i, pfn)) < 0)
		return r;
	*page = s->block + (pfn - s->block_first) * PAGE_BYTES;
	return 0;
}

void
space_changed(struct space *s)
{
	s->block_first = UINT64_MAX;
}

/* --- writing -------------------------------------------------------------------- */

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
space_write(struct space *s, uint64_t pfn, const uint8_t *pages,
    uint64_t count)
{
	size_t i = find(s, pfn, count);
	const struct space_region *region = &s->plan.regions[i];
	struct backing *b = &s->backing[i];
	uint64_t at, len = count * PAGE_BYTES;
	int r;

	if (i == s->plan.n_regions || !b->writable ||
	    !are_own(s, i, pfn, count))
		return -EINVAL;
	at = (pfn - region->first) * PAGE_BYTES;
	/*
	 * Memory too: unlike a store through the mapping this neither faults nor
	 * has fresh pages cleared first, which is half of what receiving costs.
	 */
	if (b->mem != NULL)
		return write_at(b->own, pages, len, at);
	if (len > region->bytes - at) {
		uint64_t fits = region->bytes - at;

		if (!all_zero(pages + fits, len - fits))
			return -EPROTO;
		len = fits;
	}
	s->block_first = UINT64_MAX;
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
space_zero(struct space *s, uint64_t pfn, uint64_t count)
{
	size_t i = find(s, pfn, count);
	const struct space_region *region = &s->plan.regions[i];
	struct backing *b = &s->backing[i];
	uint64_t at, len = count * PAGE_BYTES;
	int r = 0;

	if (i == s->plan.n_regions || !b->writable ||
	    !are_own(s, i, pfn, count))
		return -EINVAL;
	at = (pfn - region->first) * PAGE_BYTES;
	if (b->mem != NULL) {
		memset(b->mem + at, 0, len);
		return 0;
	}
	if (len > region->bytes - at)
		len = region->bytes - at;
	s->block_first = UINT64_MAX;
	if (fallocate(b->own, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	    (off_t)at, (off_t)len) < 0)
		r = errno == EOPNOTSUPP ? write_zeros(b->own, at, len) :
		    -errno;
	b->unsynced = true;
	return r;
}

/* --- holes ---------------------------------------------------------------------- */

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

/* The same of a region; a layered disk goes by stretches of one file. */
static bool
region_data(const struct backing *b, uint64_t from, uint64_t to,
    uint64_t *first, uint64_t *end)
{
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

bool
space_data(struct space *s, uint64_t from, uint64_t *first, uint64_t *end)
{
	for (size_t i = 0; i < s->plan.n_regions; i++) {
		const struct space_region *r = &s->plan.regions[i];
		uint64_t at = from > r->first ?
		    (from - r->first) * PAGE_BYTES : 0, to;

		if (at >= r->bytes ||
		    !region_data(&s->backing[i], at, r->bytes, &at, &to))
			continue;
		*first = r->first + at / PAGE_BYTES;
		*end = r->first + (to + PAGE_BYTES - 1) / PAGE_BYTES;
		return true;
	}
	return false;
}

/* --- durability ------------------------------------------------------------------ */

/* A file system that cannot do this leaves it to the sync at the end. */
static void
settle_file(struct backing *b)
{
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

void
space_settle(struct space *s)
{
	for (size_t i = 0; i < s->plan.n_regions; i++)
		if (s->backing[i].written >= SETTLE_BYTES)
			settle_file(&s->backing[i]);
}

/* What a map claims is on storage before the map says so. */
static int
sync_backing(const struct backing *b)
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
space_sync(struct space *s)
{
	int r;

	for (size_t i = 0; i < s->plan.n_regions; i++) {
		struct backing *b = &s->backing[i];

		if (!b->unsynced)
			continue;
		if ((r = sync_backing(b)) < 0)
			return r;
		b->unsynced = false;
		b->written = 0;
		b->old_to = b->old_from;
	}
	return 0;
}
