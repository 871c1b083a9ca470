/* SPDX-License-Identifier: ISC */
/*
 * The stored files of a persona: images/<id>/kernel and initrd. Made whole or
 * not at all. Knows no registry; who may use an image is decided elsewhere.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <sys/types.h>

struct daemon;
struct image_copy;

typedef void image_done_fn(void *arg, int r);

/*
 * Open a boot file as the asking user would: `uid` may read it, it is a regular
 * file of 1..BOOT_FILE_MAX_BYTES. 0 with *fdp, or -errno.
 */
int	image_open_source(const char *path, uid_t uid, gid_t gid, int *fdp);

/*
 * Copy into a new image, a little at a time from the event loop. Takes both
 * descriptors, also on failure; initrd_fd may be -1. `done` comes once, later.
 */
int	image_create(struct image_copy **cp, struct daemon *d, const char *id,
	    int kernel_fd, int initrd_fd, image_done_fn *done, void *arg);

/* Open for a start. initrd -1 when there is none. 0 or -errno. */
int	image_open(struct daemon *d, const char *id, int *kernel_fd,
	    int *initrd_fd);

/* Remove it; nothing there is fine. */
void	image_remove(struct daemon *d, const char *id);

/* Remove what interrupted copies left behind; at start-up. */
void	image_sweep(struct daemon *d);

#endif
