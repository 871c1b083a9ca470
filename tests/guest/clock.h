/* SPDX-License-Identifier: ISC */
/*
 * The guest's own clock, and the watch that notices when the guest did not run.
 * KVM's clock page when it agrees with the time stamp counter as ring 3 reads it,
 * else that counter measured against the PIT. Knows no memory and no serial line.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* `want` is 'k', 't' or 0 for the best there is. */
void	clock_init(uint8_t want);

/* "kvm", "tsc", or "tsc-guessed" when there was nothing to measure it by. */
const char *clock_name(void);
uint64_t clock_tsc_khz(void);

/* Nanoseconds since clock_init. Never runs backwards. */
uint64_t clock_ns(void);

/*
 * The watch: call clock_tick wherever the guest passes often. The longest time
 * between two calls is a pause nobody in the guest asked for.
 */
struct clock_pause {
	uint64_t	longest_ns;	/* since clock_watch_reset */
	uint64_t	at_ns;		/* when that one began */
	uint64_t	recent_ns;	/* longest since clock_recent_reset */
	uint64_t	backward;	/* how often the raw clock ran backwards */
};

/* Now, in nanoseconds, having noted how long ago the last call was. */
uint64_t clock_tick(void);
void	clock_watch_reset(void);
void	clock_recent_reset(void);
struct clock_pause clock_pause(void);

#endif
