/* SPDX-License-Identifier: ISC */
/*
 * A disk's bytes: which file a range lies in, and which pages were written.
 * Deliberately knows no virtqueue, no request and no sector.
 *
 * Over a base, bytes of the own file mean something only in blocks that the map
 * claims. A block is claimed after all of it is in the own file.
 */
#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "disk-map.h"
#include "log.h"

#define WORD_PAGES	64u
#define PART_MAX	64		/* vector elements in one call */

struct disk {
	char		name[PERSONA_NAME_MAX + 32];
	struct disk_io	io;
	uint64_t	bytes;
	bool		read_only;
	int		fd, map_fd, base_fd;
	struct disk_map	*map;		/* NULL: not layered */
	void		(*failed)(void *arg);
	void		*failed_arg;
	uint64_t	n_errors;	/* atomic */
	int		last_error;	/* atomic */
	bool		complained;	/* the writer's: writing fails */
	bool		flush_complained;
	bool		logging;	/* atomic */
	uint64_t	*dirty;		/* atomic words, one bit a page */
	uint8_t		block[DISK_BLOCK_BYTES];	/* the writer's scratch */
};

static size_t
dirty_words(const struct disk *d)
{
	return (size_t)((d->bytes / PAGE_BYTES + WORD_PAGES - 1) / WORD_PAGES);
}

static int
check_sizes(const struct disk *d)
{
	int64_t size = d->io.ops->size(d->io.arg, d->fd);

	if (d->bytes < DISK_MIN_BYTES || d->bytes > DISK_MAX_BYTES ||
	    d->bytes % PAGE_BYTES != 0)
		return -EINVAL;
	if (size < 0)
		return (int)size;
	return (uint64_t)size == d->bytes ? 0 : -EINVAL;
}

static void
close_all(int fd, int map_fd, int base_fd)
{
	if (fd >= 0)
		close(fd);
	if (map_fd >= 0)
		close(map_fd);
	if (base_fd >= 0)
		close(base_fd);
}

static void
disk_close(struct disk *d)
{
	close_all(d->fd, d->map_fd, d->base_fd);
	disk_map_free(d->map);
	free(d->dirty);
	free(d);
}

int
disk_new(struct disk **dp, const struct disk_config *c)
{
	const struct disk_io_ops *ops = c->io != NULL ? c->io :
	    &disk_io_kernel;
	struct disk *d;
	int r = -EINVAL;

	if ((d = calloc(1, sizeof(*d))) == NULL) {
		close_all(c->fd, c->map_fd, c->base_fd);
		return -ENOMEM;
	}
	snprintf(d->name, sizeof(d->name), "%s", c->name);
	d->io = (struct disk_io){ .ops = ops, .arg = c->io_arg };
	d->bytes = c->bytes;
	d->read_only = c->read_only;
	d->fd = c->fd;
	d->map_fd = c->map_fd;
	d->base_fd = c->base_fd;
	d->failed = c->failed;
	d->failed_arg = c->failed_arg;
	if (c->fd < 0 || (c->map_fd < 0) != (c->base_fd < 0))
		goto fail;
	if ((r = check_sizes(d)) < 0)
		goto fail;
	if (c->map_fd >= 0 && (r = disk_map_new(&d->map, &d->io, c->map_fd,
	    c->bytes)) < 0)
		goto fail;
	r = -ENOMEM;
	/* Untouched words cost nothing: the kernel's zero pages. */
	if ((d->dirty = calloc(dirty_words(d), sizeof(uint64_t))) == NULL)
		goto fail;
	*dp = d;
	return 0;
fail:
	disk_close(d);
	return r;
}

void
disk_free(struct disk *d)
{
	int r;

	if (d == NULL)
		return;
	if ((r = disk_settle(d)) < 0)
		log_warn_r(r, "%s: the map of its blocks cannot be written",
		    d->name);
	disk_close(d);
}

uint64_t
disk_bytes(const struct disk *d)
{
	return d->bytes;
}

bool
disk_is_read_only(const struct disk *d)
{
	return d->read_only;
}

/* --- failures ------------------------------------------------------------ */

/* Storage said no to a request that was right; `r` again. */
static int
failed(struct disk *d, int r)
{
	__atomic_store_n(&d->last_error, r, __ATOMIC_RELAXED);
	__atomic_fetch_add(&d->n_errors, 1, __ATOMIC_RELEASE);
	if (d->failed != NULL)
		d->failed(d->failed_arg);
	return r;
}

uint64_t
disk_errors(const struct disk *d, int *last)
{
	uint64_t n = __atomic_load_n(&d->n_errors, __ATOMIC_ACQUIRE);

	*last = __atomic_load_n(&d->last_error, __ATOMIC_RELAXED);
	return n;
}

/* --- dirty pages --------------------------------------------------------- */

static void
mark_dirty(struct disk *d, uint64_t at, uint64_t len)
{
	uint64_t page = at / PAGE_BYTES, end;

	if (len == 0 || !__atomic_load_n(&d->logging, __ATOMIC_ACQUIRE))
		return;
	end = (at + len - 1) / PAGE_BYTES + 1;
	while (page < end) {
		unsigned int bit = (unsigned int)(page % WORD_PAGES);
		uint64_t n = end - page < WORD_PAGES - bit ? end - page :
		    WORD_PAGES - bit;
		uint64_t ones = n == WORD_PAGES ? UINT64_MAX : (1ULL << n) - 1;

		__atomic_fetch_or(&d->dirty[page / WORD_PAGES], ones << bit,
		    __ATOMIC_RELEASE);
		page += n;
	}
}

int
disk_dirty_start(struct disk *d)
{
	__atomic_store_n(&d->logging, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < dirty_words(d); i++)
		if (__atomic_load_n(&d->dirty[i], __ATOMIC_RELAXED) != 0)
			__atomic_store_n(&d->dirty[i], 0, __ATOMIC_RELEASE);
	/* What counts as clean from here on has to be what others read. */
	return disk_settle(d);
}

void
disk_dirty_stop(struct disk *d)
{
	__atomic_store_n(&d->logging, false, __ATOMIC_RELEASE);
}

uint64_t
disk_dirty_harvest(struct disk *d, uint64_t *bitmap)
{
	uint64_t n_new = 0;

	for (size_t i = 0; i < dirty_words(d); i++) {
		uint64_t bits, before;

		if (__atomic_load_n(&d->dirty[i], __ATOMIC_RELAXED) == 0)
			continue;
		bits = __atomic_exchange_n(&d->dirty[i], 0, __ATOMIC_ACQ_REL);
		before = __atomic_fetch_or(&bitmap[i], bits, __ATOMIC_ACQ_REL);
		n_new += (uint64_t)__builtin_popcountll(bits & ~before);
	}
	return n_new;
}

/* --- vectors ------------------------------------------------------------- */

/* A place in a vector: element `i`, `skip` bytes of it done. */
struct cursor {
	const struct iovec *iov;
	unsigned int	n, i;
	size_t		skip;
};

static uint64_t
vector_bytes(const struct iovec *iov, unsigned int n)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* The next elements, at most `len` bytes of them. How many elements. */
static int
cursor_part(const struct cursor *c, uint64_t len, struct iovec part[PART_MAX])
{
	size_t skip = c->skip;
	int n = 0;

	for (unsigned int i = c->i; i < c->n && n < PART_MAX && len > 0; i++) {
		size_t have = c->iov[i].iov_len - skip;

		if (have > len)
			have = (size_t)len;
		if (have > 0)
			part[n++] = (struct iovec){
				(uint8_t *)c->iov[i].iov_base + skip, have };
		len -= have;
		skip = 0;
	}
	return n;
}

static void
cursor_advance(struct cursor *c, size_t done)
{
	while (done > 0) {
		size_t have = c->iov[c->i].iov_len - c->skip;

		if (done < have) {
			c->skip += done;
			return;
		}
		done -= have;
		c->skip = 0;
		c->i++;
	}
}

/* Past the end of a file that is shorter than the disk. */
static void
cursor_zero(struct cursor *c, uint64_t len)
{
	struct iovec part[PART_MAX];

	while (len > 0) {
		int n = cursor_part(c, len, part);
		size_t done = 0;

		for (int i = 0; i < n; i++) {
			memset(part[i].iov_base, 0, part[i].iov_len);
			done += part[i].iov_len;
		}
		if (done == 0)
			return;
		cursor_advance(c, done);
		len -= done;
	}
}

typedef ssize_t move_fn(void *arg, int fd, const struct iovec *iov, int n,
	    uint64_t at);

/* Move the next `len` bytes of the vector between memory and one file. */
static int
move_bytes(struct disk *d, move_fn *move, int fd, struct cursor *c,
    uint64_t at, uint64_t len)
{
	struct iovec part[PART_MAX];

	while (len > 0) {
		int n = cursor_part(c, len, part);
		ssize_t done = move(d->io.arg, fd, part, n, at);

		if (done == -EINTR)
			continue;
		if (done < 0)
			return (int)done;
		if (done == 0 && move == d->io.ops->pwritev)
			return -EIO;
		if (done == 0) {
			cursor_zero(c, len);
			return 0;
		}
		cursor_advance(c, (size_t)done);
		at += (uint64_t)done;
		len -= (uint64_t)done;
	}
	return 0;
}

/* --- reading ------------------------------------------------------------- */

static bool
is_within(const struct disk *d, uint64_t at, uint64_t len)
{
	return at <= d->bytes && len <= d->bytes - at;
}

/* How many bytes from `at` on, at most `len`, lie in the same file as its first. */
static uint64_t
run_of(const struct disk *d, uint64_t at, uint64_t len, bool *own)
{
	uint64_t end = at + len, stop;

	*own = true;
	if (d->map == NULL)
		return len;
	*own = disk_map_has(d->map, at / DISK_BLOCK_BYTES);
	stop = (at / DISK_BLOCK_BYTES + 1) * DISK_BLOCK_BYTES;
	while (stop < end &&
	    disk_map_has(d->map, stop / DISK_BLOCK_BYTES) == *own)
		stop += DISK_BLOCK_BYTES;
	return (stop < end ? stop : end) - at;
}

int
disk_read(struct disk *d, const struct iovec *iov, unsigned int n,
    uint64_t at)
{
	struct cursor c = { .iov = iov, .n = n };
	uint64_t len = vector_bytes(iov, n);

	if (!is_within(d, at, len))
		return -EINVAL;
	while (len > 0) {
		bool own;
		uint64_t run = run_of(d, at, len, &own);
		int r = move_bytes(d, d->io.ops->preadv, own ? d->fd :
		    d->base_fd, &c, at, run);

		if (r < 0)
			return failed(d, r);
		at += run;
		len -= run;
	}
	return 0;
}

/* --- writing ------------------------------------------------------------- */

/* Zeroes where no hole can be made. */
static int
write_zeroes(struct disk *d, uint64_t at, uint64_t len)
{
	memset(d->block, 0, sizeof(d->block));
	while (len > 0) {
		size_t n = len < sizeof(d->block) ? (size_t)len :
		    sizeof(d->block);
		int r = disk_io_write(&d->io, d->fd, d->block, n, at);

		if (r < 0)
			return r;
		at += n;
		len -= n;
	}
	return 0;
}

static int
zero_own(struct disk *d, uint64_t at, uint64_t len, bool unmap)
{
	int r;

	do
		r = d->io.ops->zero(d->io.arg, d->fd, at, len, unmap);
	while (r == -EINTR);
	return r == -EOPNOTSUPP || r == -ENOSYS || r == -ENODEV ?
	    write_zeroes(d, at, len) : r;
}

static bool
is_all_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static uint64_t
block_len(const struct disk *d, uint64_t block)
{
	uint64_t left = d->bytes - block * DISK_BLOCK_BYTES;

	return left < DISK_BLOCK_BYTES ? left : DISK_BLOCK_BYTES;
}

/* Take a block over from the base, before a part of it changes. */
static int
copy_up(struct disk *d, uint64_t block)
{
	uint64_t at = block * DISK_BLOCK_BYTES;
	size_t len = (size_t)block_len(d, block);
	int r;

	if (disk_map_has(d->map, block))
		return 0;
	if ((r = disk_io_read(&d->io, d->base_fd, d->block, len, at)) < 0)
		return r;
	/* The own file may hold bytes here that a power cut orphaned. */
	if (is_all_zero(d->block, len))
		r = zero_own(d, at, len, true);
	else
		r = disk_io_write(&d->io, d->fd, d->block, len, at);
	if (r == 0)
		disk_map_add(d->map, block);
	return r;
}

/* The first and the last block of a range, where it covers them in part. */
static int
copy_up_edges(struct disk *d, uint64_t at, uint64_t len)
{
	uint64_t end = at + len;
	int r = 0;

	if (d->map == NULL || len == 0)
		return 0;
	if (at % DISK_BLOCK_BYTES != 0)
		r = copy_up(d, at / DISK_BLOCK_BYTES);
	if (r == 0 && end % DISK_BLOCK_BYTES != 0 && end != d->bytes)
		r = copy_up(d, end / DISK_BLOCK_BYTES);
	return r;
}

static void
claim(struct disk *d, uint64_t at, uint64_t len)
{
	if (d->map == NULL || len == 0)
		return;
	for (uint64_t b = at / DISK_BLOCK_BYTES;
	    b <= (at + len - 1) / DISK_BLOCK_BYTES; b++)
		disk_map_add(d->map, b);
}

/* Say once that writing fails, and once that it works again. */
static void
complain(struct disk *d, int r)
{
	if (r < 0 && !d->complained)
		log_warn_r(r, "%s: cannot be written%s", d->name,
		    r == -ENOSPC || r == -EDQUOT ? "" :
		    ", the guest is told so");
	else if (r == 0 && d->complained)
		log_info("%s: can be written again", d->name);
	d->complained = r < 0;
}

/* What every change of the disk ends with. */
static int
changed(struct disk *d, uint64_t at, uint64_t len, int r)
{
	if (r == 0)
		claim(d, at, len);
	mark_dirty(d, at, len);		/* a failed write may have written */
	complain(d, r);
	return r == 0 || r == -ENOSPC || r == -EDQUOT ? r : failed(d, r);
}

static int
check_change(const struct disk *d, uint64_t at, uint64_t len)
{
	if (d->read_only)
		return -EROFS;
	return is_within(d, at, len) ? 0 : -EINVAL;
}

int
disk_write(struct disk *d, const struct iovec *iov, unsigned int n,
    uint64_t at)
{
	struct cursor c = { .iov = iov, .n = n };
	uint64_t len = vector_bytes(iov, n);
	int r;

	if ((r = check_change(d, at, len)) < 0)
		return r;
	if ((r = copy_up_edges(d, at, len)) == 0)
		r = move_bytes(d, d->io.ops->pwritev, d->fd, &c, at, len);
	return changed(d, at, len, r);
}

int
disk_zero(struct disk *d, uint64_t at, uint64_t len, bool unmap)
{
	int r;

	if ((r = check_change(d, at, len)) < 0 || len == 0)
		return r;
	/* Over a base a hole of ours would show the base: such a block is
	 * claimed, and then its hole is zeroes. */
	if ((r = copy_up_edges(d, at, len)) == 0)
		r = zero_own(d, at, len, unmap);
	return changed(d, at, len, r);
}

/* --- durability ---------------------------------------------------------- */

int
disk_flush(struct disk *d)
{
	int r;

	if (d->read_only)
		return 0;
	if (d->map != NULL)
		r = disk_map_publish(d->map, d->fd, true);
	else
		r = disk_io_datasync(&d->io, d->fd);
	if (r < 0 && !__atomic_exchange_n(&d->flush_complained, true,
	    __ATOMIC_ACQ_REL))
		log_warn_r(r, "%s: what was written cannot be made durable",
		    d->name);
	return r < 0 ? failed(d, r) : 0;
}

int
disk_settle(struct disk *d)
{
	if (d->map == NULL || !disk_map_is_behind(d->map))
		return 0;
	return disk_map_publish(d->map, d->fd, false);
}
