/* SPDX-License-Identifier: ISC */
/*
 * The files of one image directory, region by region: opened to be read, or made to
 * be filled. Knows the layout (imagedir.h), no registry and what is in no file.
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

#define IMAGE_FILES_PATH_MAX	(CONF_STATE_DIR_MAX + 160)

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
 * there yet when it is made. Its disks lie over the same bases as those of `over`;
 * NULL: they will be whole.
 */
int	image_files_open_at(struct image_files *f, const struct daemon *d,
	    const char *dir, uint64_t ram_bytes,
	    const Persona__Spec__Spec *spec, const char *memory);
int	image_files_make_at(struct image_files *f, const char *dir,
	    uint64_t ram_bytes, const Persona__Spec__Spec *spec,
	    const char *memory, const struct image_files *over);

/*
 * The saved machine state of such a directory ("state", "suspended/state"), to be
 * read, or made and empty. A descriptor, the caller's; or -errno.
 */
int	image_state_open(const char *dir, const char *name);
int	image_state_make(const char *dir, const char *name);

/* What they take up on the disk, in bytes. */
uint64_t image_files_stored(const struct image_files *f);

/*
 * The regions of a message with their descriptors, RAM's first (-1: it has none):
 * list[i] points into `regions`. The number of descriptors, which stay where they
 * are.
 */
size_t	image_files_describe(const struct image_files *f, int ram_fd,
	    Persona__Transfer__Region regions[REGIONS_MAX],
	    Persona__Transfer__Region *list[REGIONS_MAX], int fds[IPC_MAX_FDS]);

/*
 * Give the map of a layered disk (disk-map of persona-vmm) its size and all of its
 * blocks: a disk that finds no room must still be able to say which blocks it has.
 * 0 or -errno.
 */
int	image_files_size_map(int fd, uint64_t bytes);

#endif
