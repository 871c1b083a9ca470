/* SPDX-License-Identifier: ISC */
/*
 * Mapped memory files and their holes. Knows no guest and no transfer.
 */
#include "region.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int
region_map(struct region *r, int fd, uint64_t bytes, bool writable)
{
	int prot = PROT_READ | (writable ? PROT_WRITE : 0), e = -EINVAL;
	struct stat st;
	void *p;

	memset(r, 0, sizeof(*r));
	r->fd = -1;
	if (bytes == 0 || bytes % PAGE_BYTES != 0 || bytes > RAM_MAX_BYTES)
		goto fail;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != bytes)
		goto fail;
	p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		e = -errno;
		goto fail;
	}
	r->mem = p;
	r->n_pages = bytes / PAGE_BYTES;
	r->fd = fd;
	return 0;
fail:
	close(fd);
	return e;
}

void
region_unmap(struct region *r)
{
	if (r->mem == NULL)
		return;
	munmap(r->mem, r->n_pages * PAGE_BYTES);
	close(r->fd);
	r->mem = NULL;
	r->fd = -1;
}

int
region_write(const struct region *r, uint64_t pfn, const void *pages,
    uint64_t count)
{
	const uint8_t *at = pages;
	size_t left = count * PAGE_BYTES;
	off_t to = (off_t)(pfn * PAGE_BYTES);

	while (left > 0) {
		ssize_t n = pwrite(r->fd, at, left, to);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		to += n;
		left -= (size_t)n;
	}
	return 0;
}

void
region_forget_holes(struct region *r)
{
	/* Data stays data: finding its end again costs a look at each page. */
	if (r->extent_is_hole)
		r->extent_end = r->extent_first;
}

/* Ask where the data around this page begins or ends. */
static void
learn_extent(struct region *r, uint64_t pfn)
{
	const off_t at = (off_t)(pfn * PAGE_BYTES);
	off_t data = lseek(r->fd, at, SEEK_DATA), hole;

	r->extent_first = pfn;
	r->extent_end = pfn + 1;
	r->extent_is_hole = false;
	if (data < 0 && errno == ENXIO) {	/* a hole to the very end */
		r->extent_is_hole = true;
		r->extent_end = r->n_pages;
	} else if (data >= at + (off_t)PAGE_BYTES) {
		r->extent_is_hole = true;
		r->extent_end = (uint64_t)data / PAGE_BYTES;
	} else if (data >= 0 && (hole = lseek(r->fd, at, SEEK_HOLE)) > at) {
		r->extent_end = ((uint64_t)hole + PAGE_BYTES - 1) / PAGE_BYTES;
	}
}

bool
region_is_hole(struct region *r, uint64_t pfn)
{
	if (pfn < r->extent_first || pfn >= r->extent_end)
		learn_extent(r, pfn);
	return r->extent_is_hole;
}
