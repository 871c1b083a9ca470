/* SPDX-License-Identifier: ISC */
/*
 * Golden files in text: under each "name:" the bytes of one thing as they were when
 * its format was released, in hex. Lines that begin with # are for people. Knows no
 * format. A test that is called with --make writes such a file in place of testing;
 * a released file is never made again, a new version gets a file of its own.
 */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_LINE_MAX	128
#define GOLDEN_BYTES	32	/* in a line of hex */

/* What stands under `name` in tests/data/FILE, at most max bytes; 0: nothing. */
static inline size_t
golden_read(const char *file, const char *name, uint8_t *out, size_t max)
{
	const char *src = getenv("srcdir");
	char path[512], line[GOLDEN_LINE_MAX], wanted[GOLDEN_LINE_MAX];
	bool here = false;
	size_t len = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/data/%s",
	    src != NULL ? src : ".", file);
	snprintf(wanted, sizeof(wanted), "%s:\n", name);
	if ((f = fopen(path, "r")) == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strchr(line, ':') != NULL)
			here = strcmp(line, wanted) == 0;
		else if (here && line[0] != '#')
			for (unsigned int i = 0, b; sscanf(line + i, "%2x",
			    &b) == 1 && len < max; i += 2)
				out[len++] = (uint8_t)b;
	}
	fclose(f);
	return len;
}

/* The same thing for a new file. */
static inline void
golden_write(FILE *f, const char *name, const uint8_t *bytes, size_t len)
{
	fprintf(f, "%s:\n", name);
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x%s", bytes[i], i + 1 == len ||
		    i % GOLDEN_BYTES == GOLDEN_BYTES - 1 ? "\n" : "");
}

#endif
