/* SPDX-License-Identifier: ISC */
/*
 * How often strangers may start a pairing with us. Each attempt is one chance in
 * a million for someone in the middle and one question to a person, so attempts
 * are few. Pure: time is passed in. Knows no pairing.
 */
#ifndef PAIR_LIMIT_H
#define PAIR_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define PAIR_LIMIT_BURST	5u	/* attempts at once */
#define PAIR_LIMIT_EVERY_MS	20000u	/* one more after each */

/* Zeroed is a fresh one. */
struct pair_limit {
	uint64_t	full_ms;	/* when the burst is whole again */
};

/* Whether an attempt may begin now; if so it is counted. */
bool	pair_limit_admit(struct pair_limit *l, uint64_t now_ms);

#endif
