/* SPDX-License-Identifier: ISC */
/* See fake-storage.h. */
#include "fakes/fake-storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE	4096u

uint64_t
fake_storage_random(struct fake_storage *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

void
fake_storage_init(struct fake_storage *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->random = seed * 0x9e3779b97f4a7c15ULL + 1;
	for (size_t i = 0; i < FAKE_FILES; i++)
		s->files[i].fd = -1;
}

void
fake_storage_fini(struct fake_storage *s)
{
	for (size_t i = 0; i < FAKE_FILES; i++) {
		free(s->files[i].now);
		free(s->files[i].stable);
	}
}

int
fake_storage_open(struct fake_storage *s, unsigned int i, size_t bytes)
{
	struct fake_file *f = &s->files[i];

	if (f->now == NULL) {
		f->bytes = bytes;
		f->now = calloc(1, bytes);
		f->stable = calloc(1, bytes);
	}
	f->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (f->now == NULL || f->stable == NULL || f->fd < 0)
		abort();
	return f->fd;
}

void
fake_storage_power_cut(struct fake_storage *s)
{
	for (size_t i = 0; i < FAKE_FILES; i++) {
		struct fake_file *f = &s->files[i];

		for (size_t at = 0; at < f->bytes; at += PAGE) {
			size_t n = f->bytes - at < PAGE ? f->bytes - at : PAGE;

			if (fake_storage_random(s) & 1)
				memcpy(f->stable + at, f->now + at, n);
			memcpy(f->now + at, f->stable + at, n);
		}
	}
}

static struct fake_file *
file_of(struct fake_storage *s, int fd)
{
	for (size_t i = 0; i < FAKE_FILES; i++)
		if (s->files[i].fd == fd)
			return &s->files[i];
	abort();
}

static int64_t
fake_size(void *arg, int fd)
{
	return (int64_t)file_of(arg, fd)->bytes;
}

/* As many bytes as there are, and now and then fewer, as a kernel may. */
static ssize_t
move(struct fake_storage *s, int fd, const struct iovec *iov, int n,
    uint64_t at, bool write)
{
	struct fake_file *f = file_of(s, fd);
	size_t done = 0, most = SIZE_MAX;

	if (fake_storage_random(s) % 4 == 0)
		most = 1 + fake_storage_random(s) % 5000;
	for (int i = 0; i < n && at < f->bytes && done < most; i++) {
		size_t len = iov[i].iov_len;

		if (len > f->bytes - at)
			len = f->bytes - at;
		if (len > most - done)
			len = most - done;
		if (write)
			memcpy(f->now + at, iov[i].iov_base, len);
		else
			memcpy(iov[i].iov_base, f->now + at, len);
		at += len;
		done += len;
		if (len < iov[i].iov_len)
			break;
	}
	return (ssize_t)done;
}

static ssize_t
fake_preadv(void *arg, int fd, const struct iovec *iov, int n, uint64_t at)
{
	return move(arg, fd, iov, n, at, false);
}

static ssize_t
fake_pwritev(void *arg, int fd, const struct iovec *iov, int n, uint64_t at)
{
	struct fake_storage *s = arg;

	return s->refuse_write < 0 ? s->refuse_write :
	    move(s, fd, iov, n, at, true);
}

static int
fake_datasync(void *arg, int fd)
{
	struct fake_storage *s = arg;
	struct fake_file *f = file_of(s, fd);

	if (s->refuse_sync < 0)
		return s->refuse_sync;
	s->syncs++;
	memcpy(f->stable, f->now, f->bytes);
	return 0;
}

static int
fake_zero(void *arg, int fd, uint64_t at, uint64_t len, bool unmap)
{
	struct fake_storage *s = arg;

	(void)unmap;
	if (s->no_holes)
		return -EOPNOTSUPP;
	memset(file_of(s, fd)->now + at, 0, len);
	return 0;
}

const struct disk_io_ops fake_storage_ops = {
	.size = fake_size,
	.preadv = fake_preadv,
	.pwritev = fake_pwritev,
	.datasync = fake_datasync,
	.zero = fake_zero,
};
