/* SPDX-License-Identifier: ISC */
/*
 * A file that appears under its name when it is complete, or not at all. Knows no
 * command and no content.
 */
#ifndef CTL_OUTFILE_H
#define CTL_OUTFILE_H

#include <limits.h>

#include "ctl.h"

struct outfile {
	int	fd;
	char	path[PATH_MAX];
	char	part[PATH_MAX];		/* a name until then; "": none */
	bool	direct;			/* a pipe or device: written as it is */
};

/*
 * Begin a file; "-" is standard output. A name that is taken is refused. A
 * ctl_exit, reported.
 */
int	outfile_open(const struct ctl *ctl, struct outfile *o,
	    const char *path);

/* It is complete, and synced by whoever wrote it: give it its name. A ctl_exit. */
int	outfile_publish(const struct ctl *ctl, struct outfile *o);

/* Close; what was not published is gone. */
void	outfile_close(struct outfile *o);

#endif
