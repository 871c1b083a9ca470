/* SPDX-License-Identifier: ISC */
/*
 * The kernel's side of disk-io.h: positioned vectors, fdatasync, holes.
 * Deliberately knows nothing of what the bytes are.
 */
#include "disk-io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

static int64_t
kernel_size(void *arg, int fd)
{
	off_t n = lseek(fd, 0, SEEK_END);

	(void)arg;
	return n < 0 ? -errno : (int64_t)n;
}

static ssize_t
kernel_preadv(void *arg, int fd, const struct iovec *iov, int n, uint64_t at)
{
	ssize_t got = preadv(fd, iov, n, (off_t)at);

	(void)arg;
	return got < 0 ? -errno : got;
}

static ssize_t
kernel_pwritev(void *arg, int fd, const struct iovec *iov, int n, uint64_t at)
{
	ssize_t put = pwritev(fd, iov, n, (off_t)at);

	(void)arg;
	return put < 0 ? -errno : put;
}

static int
kernel_datasync(void *arg, int fd)
{
	(void)arg;
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int
kernel_zero(void *arg, int fd, uint64_t at, uint64_t len, bool unmap)
{
	int mode = FALLOC_FL_KEEP_SIZE | (unmap ? FALLOC_FL_PUNCH_HOLE :
	    FALLOC_FL_ZERO_RANGE);

	(void)arg;
	return fallocate(fd, mode, (off_t)at, (off_t)len) < 0 ? -errno : 0;
}

const struct disk_io_ops disk_io_kernel = {
	.size = kernel_size,
	.preadv = kernel_preadv,
	.pwritev = kernel_pwritev,
	.datasync = kernel_datasync,
	.zero = kernel_zero,
};

int
disk_io_read(const struct disk_io *io, int fd, void *buf, size_t len,
    uint64_t at)
{
	uint8_t *p = buf;

	while (len > 0) {
		struct iovec v = { p, len };
		ssize_t n = io->ops->preadv(io->arg, fd, &v, 1, at);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0) {
			memset(p, 0, len);
			return 0;
		}
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
disk_io_write(const struct disk_io *io, int fd, const void *buf, size_t len,
    uint64_t at)
{
	uint8_t *p = (uint8_t *)(uintptr_t)buf;

	while (len > 0) {
		struct iovec v = { p, len };
		ssize_t n = io->ops->pwritev(io->arg, fd, &v, 1, at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
disk_io_datasync(struct disk_io *io, int fd)
{
	int r = __atomic_load_n(&io->lost, __ATOMIC_ACQUIRE);

	if (r < 0)
		return r;
	do
		r = io->ops->datasync(io->arg, fd);
	while (r == -EINTR);
	if (r < 0)
		__atomic_store_n(&io->lost, r, __ATOMIC_RELEASE);
	return r;
}
