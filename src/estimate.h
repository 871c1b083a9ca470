/* SPDX-License-Identifier: ISC */
/*
 * How a move would go: time, bytes and blackout from what was measured before it.
 * Plays the rounds through with sync-policy.h's own verdicts. Pure: numbers in,
 * numbers out; knows no guest, no link and no clock.
 */
#ifndef ESTIMATE_H
#define ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

struct estimate_input {
	uint64_t	pages;		/* that hold something */
	uint64_t	page_cost;	/* bytes such a page takes, x 256 */
	uint64_t	page_ns;	/* the processor takes for one */
	/* How the guest changes its memory: in one short window, on average ... */
	uint64_t	window_ns, window_pages;
	/* ... and, each page counted once, in all of them together. */
	uint64_t	watched_ns, watched_pages;
	uint64_t	dirty_cost;	/* bytes a changed page takes, x 256 */
	uint64_t	rate;		/* goodput, bytes a second */
	uint64_t	rate_ns;	/* how long that was measured */
	uint64_t	rtt_ns;
	uint64_t	budget_ns;	/* blackout that the person allows */
	bool		may_throttle;
	uint64_t	overhead_ns;	/* policy_init() */
};

struct estimate {
	uint64_t	time_ns, low_ns, high_ns;
	uint64_t	bytes;
	uint64_t	blackout_ns;
	unsigned int	throttle;	/* percent, at the end */
	bool		ends;		/* false: it would be given up */
};

/* Play it through; *e is filled whatever the numbers are. */
void	estimate_move(const struct estimate_input *in, struct estimate *e);

/*
 * Different pages changed within `ns`: what was seen, carried on. Never more than
 * `pages`.
 */
uint64_t estimate_dirtied(const struct estimate_input *in, uint64_t ns);

#endif
