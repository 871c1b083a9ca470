/* SPDX-License-Identifier: ISC */
/*
 * Where an image stands until its persona is owned here: incoming-<id>-<attempt>
 * beside the others, which is given its place, or removed. Knows no registry and
 * what is in no file.
 */
#ifndef IMAGE_INCOMING_H
#define IMAGE_INCOMING_H

#include <stdbool.h>
#include <stdint.h>

#include "image-files.h"

struct daemon;

#define INCOMING_DIR_MAX	96u

/* Where it is, from the state directory on; written to dir and returned. */
const char *image_incoming_dir(const struct daemon *d, const char *id,
	    uint64_t attempt, char dir[INCOMING_DIR_MAX]);

/* The same as a whole path. */
const char *image_incoming_place(const struct daemon *d, const char *id,
	    uint64_t attempt, char path[IMAGE_FILES_PATH_MAX]);

/*
 * What arrived becomes images/<id>; an older image there is replaced, but for its
 * checkpoints, which are kept. Repeats, also after a crash at any point, are
 * harmless. 0 or -errno.
 */
int	image_incoming_publish(const struct daemon *d, const char *id,
	    uint64_t attempt);

/* It will not be ours: remove it. Nothing there is fine. */
void	image_incoming_drop(const struct daemon *d, const char *id,
	    uint64_t attempt);

/* Remove every incoming directory of which `keep` says no; at start-up. */
typedef bool image_keep_fn(void *arg, const char *id, uint64_t attempt);
void	image_incoming_sweep(struct daemon *d, image_keep_fn *keep,
	    void *arg);

#endif
