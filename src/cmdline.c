/* SPDX-License-Identifier: ISC */
/* Puts a persona's id and name into its kernel command line. Knows nothing else. */
#include "cmdline.h"

#include <errno.h>
#include <string.h>

int
cmdline_expand(const char *stored, const char *id, const char *name,
    char *out, size_t size)
{
	size_t at = 0;

	while (*stored != '\0') {
		const char *from = stored;
		size_t len = 1;

		if (stored[0] == '%' && (stored[1] == 'i' ||
		    stored[1] == 'n')) {
			from = stored[1] == 'i' ? id : name;
			len = strlen(from);
			stored++;
		}
		stored++;
		if (len >= size - at)
			return -E2BIG;
		memcpy(out + at, from, len);
		at += len;
	}
	out[at] = '\0';
	return 0;
}
