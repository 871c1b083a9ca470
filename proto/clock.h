/* SPDX-License-Identifier: ISC */
/*
 * The one clock that deadlines, rates and blackouts are measured by: monotonic,
 * this handset's alone, never compared with a peer's. Knows no calendar.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
clock_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t
clock_now_ms(void)
{
	return clock_now_ns() / 1000000u;
}

#endif
