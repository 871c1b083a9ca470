/* SPDX-License-Identifier: ISC */
/*
 * What is saved of a persona beside its image: checkpoints/<n>/ and suspended/ in
 * its directory, each with a manifest (image.proto), memory and state. A directory
 * has its name only when it is whole. Knows no registry and no process.
 */
#ifndef SAVED_H
#define SAVED_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "image.pb-c.h"

struct daemon;

#define SAVED_PATH_MAX		(CONF_STATE_DIR_MAX + 192)
#define CHECKPOINTS_MAX		1000u	/* numbers are 1 to this */
#define SAVED_SUSPENDED		0u	/* in place of a checkpoint's number */

/* The directory of checkpoint n or of SAVED_SUSPENDED; `made` while it is made. */
const char *saved_dir(const struct daemon *d, const char *id,
	    unsigned int n, bool made, char path[SAVED_PATH_MAX]);

/* A checkpoint number that is free and higher than all. 0, -EMFILE or -errno. */
int	saved_number(const struct daemon *d, const char *id,
	    unsigned int *n);

/* Is there one? */
bool	saved_is(const struct daemon *d, const char *id, unsigned int n);

/*
 * The manifest of a directory; freed with persona__image__manifest__free_unpacked.
 * 0; -ENOENT; -ENOTSUP: of a newer version; -EUCLEAN: damaged; else -errno.
 */
int	saved_manifest(const char *dir, Persona__Image__Manifest **mp);

/* Put manifest and state, synced, into a directory that is being made. */
int	saved_fill(const char *dir, const Persona__Image__Manifest *m,
	    int state_fd);

/*
 * The same for a checkpoint or a suspend, and give it its name for good. 0 or
 * -errno, and it still has none.
 */
int	saved_publish(const struct daemon *d, const char *id, unsigned int n,
	    const Persona__Image__Manifest *m, int state_fd);

/* Every checkpoint, in order. */
typedef void saved_each_fn(unsigned int n, const char *dir,
	    const Persona__Image__Manifest *m, void *arg);
void	saved_each(const struct daemon *d, const char *id,
	    saved_each_fn *fn, void *arg);

/*
 * Take its name away for good, also over a power cut; saved_sweep() removes what it
 * was. Nothing there is fine. 0 or -errno, and it has its name still.
 */
int	saved_retire(const struct daemon *d, const char *id, unsigned int n);

/* Remove it; nothing there is fine. 0 or -errno. */
int	saved_remove(const struct daemon *d, const char *id, unsigned int n);

/* What it takes up on the disk, in bytes. */
uint64_t saved_bytes(const char *dir);

/* Remove what interrupted saves left in this persona's directory. */
void	saved_sweep(const struct daemon *d, const char *id);

#endif
