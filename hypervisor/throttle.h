/* SPDX-License-Identifier: ISC */
/*
 * The vCPUs' duty cycle: hold them back for a share of each short period. Knows
 * time and the crew's hold; deliberately knows not why the guest is slowed down.
 */
#ifndef THROTTLE_H
#define THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

struct crew;
struct throttle;

#define THROTTLE_PERIOD_NS	10000000u	/* 10 ms */
#define THROTTLE_MAX_PERCENT	99u

/*
 * Where in the period that began at *period_ns the time now_ns lies: held (the
 * first `percent` of it) or not, and until when. A period that is over is
 * followed by the next without drift; after a long absence (more than a whole
 * period) a new one begins now, so that lost time is not made up for in a burst.
 */
void	throttle_plan(unsigned int percent, uint64_t *period_ns,
	    uint64_t now_ns, bool *hold, uint64_t *until_ns);

/* A throttle at 0 percent: no thread runs, nothing is held. 0 or -errno. */
int	throttle_new(struct throttle **tp, struct crew *crew);
void	throttle_free(struct throttle *t);

/* Hold the vCPUs for `percent` (0..99) of the time from now on. 0 or -errno. */
int	throttle_set(struct throttle *t, unsigned int percent);
unsigned int	throttle_get(const struct throttle *t);

#endif
