/* SPDX-License-Identifier: ISC */
/*
 * How a disk reaches its files: the kernel's calls, or a test's fake that knows
 * what a power cut takes. Knows no disk and no block.
 */
#ifndef DISK_IO_H
#define DISK_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* All return -errno on failure. Any thread. */
struct disk_io_ops {
	int64_t	(*size)(void *arg, int fd);	/* bytes; device or file */
	ssize_t	(*preadv)(void *arg, int fd, const struct iovec *iov, int n,
		    uint64_t at);
	ssize_t	(*pwritev)(void *arg, int fd, const struct iovec *iov, int n,
		    uint64_t at);
	int	(*datasync)(void *arg, int fd);
	/*
	 * Make a range read as zeroes without writing them; with `unmap` its
	 * blocks go back to the file system. -EOPNOTSUPP where it cannot.
	 */
	int	(*zero)(void *arg, int fd, uint64_t at, uint64_t len,
		    bool unmap);
};

struct disk_io {
	const struct disk_io_ops *ops;
	void	*arg;
	int	lost;		/* atomic; see disk_io_datasync */
};

extern const struct disk_io_ops disk_io_kernel;

/* Move all of `len` bytes: fewer at the end of the file read as zeroes. */
int	disk_io_read(const struct disk_io *io, int fd, void *buf, size_t len,
	    uint64_t at);
int	disk_io_write(const struct disk_io *io, int fd, const void *buf,
	    size_t len, uint64_t at);

/*
 * Put a file's bytes on stable storage. Once this has failed the kernel may have
 * thrown bytes away, and a later call that succeeds would hide it: from then on
 * it fails for ever, for all files of this disk. 0 or -errno.
 */
int	disk_io_datasync(struct disk_io *io, int fd);

#endif
