/* SPDX-License-Identifier: ISC */
/*
 * The stored files of a persona: images/<id>/kernel, initrd, disk0.img, disk1.img.
 * Made whole or not at all; guest-files.h opens them. Knows no registry; who may use an
 * image is decided elsewhere.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bounds.h"

struct daemon;
struct image_copy;

typedef void image_done_fn(void *arg, int r);

/*
 * Open a file to copy as the asking user would: `uid` may read it, it is a regular
 * file of 1..max_bytes. 0 with *fdp and its size (may be NULL), or -errno.
 */
int	image_open_source(const char *path, uid_t uid, gid_t gid,
	    uint64_t max_bytes, int *fdp, uint64_t *bytes);

/* What a new image is made from. */
struct image_sources {
	int		kernel_fd;
	int		initrd_fd;		/* -1: none */
	struct {
		uint64_t bytes;
		int	fd;			/* -1: an empty disk */
	} disks[DISKS_MAX];
	size_t		n_disks;
};

void	image_sources_init(struct image_sources *s);
void	image_sources_close(struct image_sources *s);

/*
 * Copy into a new image, a little at a time from the event loop; holes stay holes.
 * Takes the descriptors, also on failure. `done` comes once, later.
 */
int	image_create(struct image_copy **cp, struct daemon *d, const char *id,
	    struct image_sources *from, image_done_fn *done, void *arg);

/* Remove it; nothing there is fine. */
void	image_remove(struct daemon *d, const char *id);

/* Remove what interrupted copies left behind; at start-up. */
void	image_sweep(struct daemon *d);

#endif
