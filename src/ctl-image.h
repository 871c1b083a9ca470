/* SPDX-License-Identifier: ISC */
/* What `image pack` is asked for. Knows no option letters and no format. */
#ifndef CTL_IMAGE_H
#define CTL_IMAGE_H

#include <stdint.h>

struct ctl;

struct image_pack_options {
	const char	*kernel, *initrd, *disk;	/* paths; the last two may be NULL */
	const char	*name;			/* of the template */
	const char	*cmdline, *label;	/* NULL: none */
	const char	*arch;			/* as spec.proto has it; NULL: this handset's */
	const char	*policy;		/* a signed policy's path, or NULL */
	uint64_t	ram_bytes;		/* proposed; 0: the default */
	const char	*out;			/* path, "-": standard output */
};

/* A ctl_exit; a failure has been reported and no file is left. */
int	ctl_image_pack(struct ctl *ctl, const struct image_pack_options *o);

#endif
