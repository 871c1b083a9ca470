/* SPDX-License-Identifier: ISC */
/*
 * The names that programs give things: 128 bits as 32 lower-case hex digits. A
 * persona's id and a transfer's look like this. Knows nothing of what they name.
 */
#ifndef HEXID_H
#define HEXID_H

#include <stdbool.h>
#include <string.h>

#define HEXID_LEN	32	/* digits, without the NUL */
#define HEXID_DIGITS	"0123456789abcdef"

static inline bool
hexid_ok(const char *s)
{
	return strnlen(s, HEXID_LEN + 1) == HEXID_LEN &&
	    strspn(s, HEXID_DIGITS) == HEXID_LEN;
}

#endif
