/* SPDX-License-Identifier: ISC */
/*
 * What the programs of this room do alike before they do anything: options, in the
 * same words where one will not do. Knows no option's meaning but help and version.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <getopt.h>
#include <stdint.h>

struct program {
	const char	*name;
	const char	*usage;		/* --help, whole */
	/* -h, -V and -v are known beside these. */
	const struct option *options;
	/* 0, or -EINVAL when that was told on standard error. */
	int		(*take)(const struct program *p, void *arg, int option,
			    const char *value);
};

/* The status to leave with, or -1 to go on. */
int	program_options(const struct program *p, void *arg, int argc,
	    char **argv);

/* A value that will not do: says so. -EINVAL. */
int	program_refuse(const struct program *p, const char *what,
	    const char *value);

/* A whole number in [min, max], else as program_refuse(). */
int	program_number(const struct program *p, const char *what,
	    const char *value, uint64_t min, uint64_t max, uint64_t *out);

/* A descriptor that was passed on to us, beyond the standard ones. */
int	program_fd(const struct program *p, const char *what,
	    const char *value, int *fd);

#endif
