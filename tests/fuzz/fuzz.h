/* SPDX-License-Identifier: ISC */
/*
 * What a fuzz target is. Each target is one program: with files as arguments it
 * tries those; without, it tries mutations of its own seeds for about a second,
 * the same ones every time, which is what `make check` does. The same two
 * functions serve a coverage-guided fuzzer. Knows no target.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Longest input that is tried. */
#define FUZZ_MAX_BYTES	65536u

/* Feed one input. Whatever it is: no crash, no access out of bounds, an end. */
void	fuzz_one(const uint8_t *data, size_t len);

/* Seed i as a starting point for mutations; its length, 0 after the last. */
size_t	fuzz_seed(unsigned int i, uint8_t *buf, size_t max);

#endif
