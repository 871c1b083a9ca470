/* SPDX-License-Identifier: ISC */
/*
 * A bucket of attempts, kept as the time at which it will be full. Knows no
 * clock.
 */
#include "pair-limit.h"

bool
pair_limit_admit(struct pair_limit *l, uint64_t now_ms)
{
	const uint64_t from = l->full_ms > now_ms ? l->full_ms : now_ms;

	if (from - now_ms > (PAIR_LIMIT_BURST - 1) * PAIR_LIMIT_EVERY_MS)
		return false;
	l->full_ms = from + PAIR_LIMIT_EVERY_MS;
	return true;
}
