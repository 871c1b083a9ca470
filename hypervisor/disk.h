/* SPDX-License-Identifier: ISC */
/*
 * A guest's disk: a raw sparse file, or a layer of own blocks over a base that
 * several personas share. What was never written, or was discarded, reads as
 * zero (over a base: as the base has it until then). Keeps count of the 4 KiB
 * pages that were written. Opens no path; knows no virtqueue.
 *
 * read, write and zero: one thread at a time. The rest: any thread.
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "disk-io.h"

struct disk;

struct disk_config {
	const char	*name;		/* for log lines: "persona work: disk0" */
	uint64_t	bytes;		/* multiple of 4096 */
	bool		read_only;
	int		fd;		/* of exactly `bytes` */
	int		map_fd;		/* -1: not layered; see disk-map.h */
	int		base_fd;	/* with map_fd; read-only, any length */
	const struct disk_io_ops *io;	/* NULL: the kernel's */
	void		*io_arg;
	/* Storage has failed once more (disk_errors); any thread. NULL is fine. */
	void		(*failed)(void *arg);
	void		*failed_arg;
};

/* Takes the descriptors, also on failure. 0, -EINVAL for a bad size, -errno. */
int	disk_new(struct disk **dp, const struct disk_config *c);
/* What is written is published (see disk_settle), not flushed. NULL is fine. */
void	disk_free(struct disk *d);

/* As it was configured; the same for life. */
uint64_t	disk_bytes(const struct disk *d);
bool	disk_is_read_only(const struct disk *d);

/*
 * Move the bytes of iov[n] from or to `at`. All of it must lie on the disk
 * (-EINVAL), and be writable to be written (-EROFS). 0 or -errno: -ENOSPC when
 * the handset's storage is full; then some of the range may have been written.
 */
int	disk_read(struct disk *d, const struct iovec *iov, unsigned int n,
	    uint64_t at);
int	disk_write(struct disk *d, const struct iovec *iov, unsigned int n,
	    uint64_t at);

/* [at, at + len) reads as zeroes from now; with `unmap` it costs no storage. */
int	disk_zero(struct disk *d, uint64_t at, uint64_t len, bool unmap);

/*
 * Put everything written so far on stable storage. Once this has failed the
 * kernel may have thrown bytes away: it fails for ever after. 0 or -errno.
 */
int	disk_flush(struct disk *d);

/*
 * How often storage has failed a read, write or flush, but for want of room to
 * write, and how the latest did (-errno; 0: never).
 */
uint64_t	disk_errors(const struct disk *d, int *last);

/*
 * Let the files show to other readers all that was written, not necessarily
 * durably. (The map of a layered disk otherwise lags behind.) 0 or -errno.
 */
int	disk_settle(struct disk *d);

/*
 * Dirty logging as in gmem.h, one bit a 4 KiB page of the disk: start (all clean,
 * and settled, so that who reads the files now misses nothing; 0 or -errno), stop, OR
 * what was written since into `bitmap` and say how many bits were new. A page's bit is set when its bytes are there to be read, not before.
 */
int	disk_dirty_start(struct disk *d);
void	disk_dirty_stop(struct disk *d);
uint64_t	disk_dirty_harvest(struct disk *d, uint64_t *bitmap);

#endif
