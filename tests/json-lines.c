/* SPDX-License-Identifier: ISC */
/*
 * Filter for stories: every line of standard input must be one JSON object, and
 * there must be one. Exit status 0 or 1; the first wrong line goes to stderr.
 */
#include <stdio.h>
#include <stdlib.h>

#include "json-valid.h"

int
main(void)
{
	char *line = NULL;
	size_t size = 0, n = 0;

	while (getline(&line, &size, stdin) > 0) {
		n++;
		if (*line == '{' && json_valid(line))
			continue;
		fprintf(stderr, "json-lines: line %zu is not: %s\n", n, line);
		free(line);
		return EXIT_FAILURE;
	}
	free(line);
	if (n == 0)
		fputs("json-lines: no line at all\n", stderr);
	return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
