/* SPDX-License-Identifier: ISC */
/*
 * What a persona-vmm is given open: the boot files and disks of one image. It
 * opens no path itself. Knows the files' names; no registry and no process.
 */
#ifndef GUEST_FILES_H
#define GUEST_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "spec.h"

struct daemon;

struct guest_disk {
	uint64_t	bytes;
	bool		read_only;
	int		fd;
	int		map_fd, base_fd;	/* -1: not over a template */
};

struct guest_files {
	int		ram_fd;			/* a memory file; -1: new memory */
	int		kernel_fd;		/* -1: nothing is booted */
	int		initrd_fd;		/* -1: none */
	struct guest_disk disks[DISKS_MAX];
	size_t		n_disks;
};

/* Nothing open; _close is fine from here on, and more than once. */
void	guest_files_init(struct guest_files *f);
void	guest_files_close(struct guest_files *f);

/*
 * Open the disks that `spec` names in a directory of the state directory
 * ("images/<id>"). A disk with a map beside it lies over the base that
 * templates/<root> holds. 0, or -errno with nothing open and *why a sentence.
 */
int	guest_files_open_disks(struct guest_files *f, const struct daemon *d,
	    const char *dir, const struct packed_spec *spec, const char **why);

/* All of images/<id>, for a cold start. As above. */
int	guest_files_open(struct guest_files *f, const struct daemon *d,
	    const char *id, const struct packed_spec *spec, const char **why);

/* Bytes of storage that disk `i` of images/<id> takes here; 0 when unknown. */
uint64_t	guest_files_disk_used(const struct daemon *d, const char *id,
		    unsigned int i);

#endif
