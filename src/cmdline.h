/* SPDX-License-Identifier: ISC */
/*
 * The kernel command line of a start: what is stored, with the persona's id and
 * name put in. Knows no guest and no registry.
 */
#ifndef CMDLINE_H
#define CMDLINE_H

#include <stddef.h>

/*
 * Write `stored` to out[size] with %i replaced by the id and %n by the name; any
 * other % stays as it is. A template's line holds these, so that each persona made
 * from it, and each import of it under a new id, tells its guest who it is. 0, or
 * -E2BIG.
 */
int	cmdline_expand(const char *stored, const char *id, const char *name,
	    char *out, size_t size);

#endif
