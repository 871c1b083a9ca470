/* SPDX-License-Identifier: ISC */
/*
 * Digits to a number, stricter than strtoull(3). Knows no unit.
 */
#include "number.h"

#include <errno.h>

int
number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *p = text;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -EINVAL;
	if (p == text || *p != '\0' || v < min || v > max)
		return -EINVAL;
	*out = v;
	return 0;
}
