/* SPDX-License-Identifier: ISC */
/*
 * Numbers that look random and are the same in every run (xorshift64), for tests
 * that must be repeatable. Knows no secrets: never for anything but tests.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stdint.h>

#define RANDOM_SEED	88172645463325252ULL

/* The next number after *state, which is not 0. */
static inline uint64_t
random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
