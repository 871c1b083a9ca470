/* SPDX-License-Identifier: ISC */
/*
 * A whole number as a person or a file gives it. Knows no unit.
 */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdint.h>

/*
 * All of `text` as decimal digits: no sign, no space, no other base, nothing behind.
 * 0 with *out within [min, max], else -EINVAL with *out as it was.
 */
int	number_parse(const char *text, uint64_t min, uint64_t max,
	    uint64_t *out);

#endif
