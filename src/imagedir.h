/* SPDX-License-Identifier: ISC */
/*
 * The files of one image directory, region by region: opened to be read, or made
 * to be filled and then put in place at once. Knows the layout and no registry;
 * whose directory it is and who may use it is decided elsewhere.
 *
 *	kernel, initrd		boot files
 *	disk0.img, disk1.img	sparse, raw; with diskN.map over a template
 *	memory, state		of a checkpoint here, of a persona in suspended/
 */
#ifndef IMAGEDIR_H
#define IMAGEDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "transfer.pb-c.h"

#define IMAGEDIR_SUSPENDED	"suspended"

/* Descriptors in the order in which messages carry them (transfer.proto). */
struct imagedir {
	Persona__Transfer__Region	regions[REGIONS_MAX];
	Persona__Transfer__Region	*list[REGIONS_MAX];
	size_t				n_regions;
	int				fds[IPC_MAX_FDS];
	size_t				n_fds;
};

/* What a persona's memory and state are to a directory. */
struct imagedir_memory {
	const char	*sub;		/* where they lie; "": beside the rest */
	uint64_t	state_bytes;	/* 0: there are none */
};

/*
 * Open what the persona consists of for reading. templates_dir holds the bases of
 * layered disks. 0, or -errno with the file at fault in *what (static), and
 * nothing is open.
 */
int	imagedir_open(struct imagedir *i, const char *dir,
	    const char *templates_dir,
	    const Persona__Transfer__Persona *persona,
	    const struct imagedir_memory *memory, const char **what);

/*
 * Make the directory, which must not be there, and empty files of full size in
 * it. 0, or -errno, and nothing is left.
 */
int	imagedir_make(struct imagedir *i, const char *dir,
	    const Persona__Transfer__Persona *persona,
	    const struct imagedir_memory *memory);

void	imagedir_close(struct imagedir *i);

/*
 * Give a directory that was made its name, for good: what is in it has been
 * synced. -EEXIST when that name is taken; then nothing has changed.
 */
int	imagedir_publish(const char *made, const char *dir);

/* Write a small file of such a directory, synced. 0 or -errno. */
int	imagedir_put(const char *dir, const char *name, const void *data,
	    size_t len);

/* Remove it with all that we put into such directories. Nothing there is fine. */
void	imagedir_remove(const char *dir);

#endif
