/* SPDX-License-Identifier: ISC */
/*
 * The files of a persona that go with a transfer: opened at the source, made in
 * images/incoming-<id>-<attempt> at the target, and given their place when the
 * persona is owned here. Knows no registry and what is in no file.
 */
#ifndef IMAGE_FILES_H
#define IMAGE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "space.h"
#include "spec.h"

struct daemon;

/* Descriptors behind the regions of a plan, but RAM; -1 where there is none. */
struct image_files {
	struct space_plan	plan;
	int			fds[REGIONS_MAX][SPACE_REGION_FDS];
	size_t			n_fds[REGIONS_MAX];
};

/* Nothing open; _close is fine from here on. */
void	image_files_init(struct image_files *f);
void	image_files_close(struct image_files *f);

/*
 * Open what images/<id> holds, to be read. A disk that has a map beside it is
 * layered: its base is that of the template it names. 0; -ENOENT; -EUCLEAN when a
 * file is not of the size that the spec says; or -errno.
 */
int	image_files_open(struct image_files *f, const struct daemon *d,
	    const char *id, uint64_t ram_bytes,
	    const Persona__Spec__Spec *spec);

/*
 * Make the files of an arriving persona, empty and of their sizes, to be written;
 * that they are there outlives a power cut. No directory is made for a persona that
 * has no files. 0 or -errno, with nothing left behind.
 */
int	image_files_make(struct image_files *f, const struct daemon *d,
	    const char *id, uint64_t attempt, uint64_t ram_bytes,
	    const Persona__Spec__Spec *spec);

/*
 * The same in any directory, with a memory file of this name in it ("memory",
 * "suspended/memory", NULL: none), whose descriptor stands first. `dir` must not be
 * there yet when it is made.
 */
int	image_files_open_at(struct image_files *f, const struct daemon *d,
	    const char *dir, uint64_t ram_bytes,
	    const Persona__Spec__Spec *spec, const char *memory);
int	image_files_make_at(struct image_files *f, const char *dir,
	    uint64_t ram_bytes, const Persona__Spec__Spec *spec,
	    const char *memory);

#define INCOMING_DIR_MAX	96u

/* Where those are, from the state directory on; written to dir and returned. */
const char *image_incoming_dir(const struct daemon *d, const char *id,
	    uint64_t attempt,
	    char dir[INCOMING_DIR_MAX]);

/* The same as a whole path. */
#define IMAGE_FILES_PATH_MAX	(CONF_STATE_DIR_MAX + 160)
const char *image_incoming_place(const struct daemon *d, const char *id,
	    uint64_t attempt, char path[IMAGE_FILES_PATH_MAX]);

/* What they take up on the disk, in bytes. */
uint64_t image_files_stored(const struct image_files *f);

/*
 * The regions of a message with their descriptors, RAM's first: list[i] points into
 * `regions`. The number of descriptors, which stay where they are.
 */
size_t	image_files_describe(const struct image_files *f, int ram_fd,
	    Persona__Transfer__Region regions[REGIONS_MAX],
	    Persona__Transfer__Region *list[REGIONS_MAX], int fds[IPC_MAX_FDS]);

/* --- the place of what has arrived --------------------------------------------- */

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
