/* SPDX-License-Identifier: ISC */
/*
 * The option loop of persona-vmm and persona-net. Knows neither.
 */
#include "config.h"

#include "program.h"

#include <errno.h>
#include <stdio.h>

#include "number.h"

#define FD_MIN	3	/* behind standard error */
#define FD_MAX	1023

int
program_refuse(const struct program *p, const char *what, const char *value)
{
	fprintf(stderr, "%s: %s: \"%s\" will not do\n", p->name, what, value);
	return -EINVAL;
}

int
program_number(const struct program *p, const char *what, const char *value,
    uint64_t min, uint64_t max, uint64_t *out)
{
	return number_parse(value, min, max, out) == 0 ? 0 :
	    program_refuse(p, what, value);
}

int
program_fd(const struct program *p, const char *what, const char *value,
    int *fd)
{
	uint64_t n;
	int r = program_number(p, what, value, FD_MIN, FD_MAX, &n);

	if (r == 0)
		*fd = (int)n;
	return r;
}

int
program_options(const struct program *p, void *arg, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "vhV", p->options,
	    NULL)) != -1) {
		if (opt == 'h') {
			fputs(p->usage, stdout);
			return 0;
		}
		if (opt == 'V') {
			printf("%s %s\n", p->name, PACKAGE_VERSION);
			return 0;
		}
		if (p->take(p, arg, opt, optarg) < 0) {
			fprintf(stderr, "Try %s --help.\n", p->name);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: what is \"%s\"?\n", p->name, argv[optind]);
		return 2;
	}
	return -1;
}
