/* SPDX-License-Identifier: ISC */
/*
 * When to stop the guest: after each round, go on, hold the guest back, stop it,
 * or give up. Pure: numbers in, a decision out. Knows no guest and no link.
 */
#ifndef SYNC_POLICY_H
#define SYNC_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum policy_verdict {
	POLICY_CONTINUE,	/* another round shrinks what is left */
	POLICY_THROTTLE,	/* as continue, with the guest held back more */
	POLICY_STOP,		/* send this round, then stop the guest */
	POLICY_GIVE_UP,		/* held back as far as allowed, still growing */
};

/* What was seen at the end of a round. */
struct policy_round {
	uint64_t	dirty_pages;	/* dirtied since the last look */
	uint64_t	interval_ns;	/* how long that took */
	uint64_t	page_cost;	/* bytes such a page takes, x 256 */
	uint64_t	rate;		/* goodput, bytes a second */
	uint64_t	rtt_ns;
	uint64_t	inflight;	/* bytes under way */
	uint64_t	hot_pages;	/* all that are ever dirtied; 0: unknown */
};

struct policy {
	uint64_t	budget_ns;	/* blackout the user allows */
	uint64_t	overhead_ns;	/* stop, save, verify, load, two fsyncs */
	uint64_t	state_bytes;	/* saved machine state, estimated */
	bool		may_throttle;
	unsigned int	throttle;	/* percent now */
	unsigned int	rounds;		/* decided so far */
	unsigned int	stuck;		/* rounds that did not shrink, in a row */
	uint64_t	last_cost_ns;	/* what the last round's pages would take */
	uint64_t	projected_ns;	/* blackout if stopped after this round */
};

/* overhead_ns: what policy_overhead() said of an earlier move there; 0: none yet. */
void	policy_init(struct policy *p, uint64_t budget_ns, bool may_throttle,
	    uint64_t overhead_ns);

/*
 * What of a blackout was neither pages nor trips: stopping, saving, loading, syncing
 * on both sides. wire_bytes were sent while the guest stood still. Within bounds,
 * since a peer said how long the blackout was; never 0.
 */
uint64_t policy_overhead(uint64_t blackout_ns, uint64_t wire_bytes,
	    uint64_t rate, uint64_t rtt_ns);

/* The same with an earlier one, 0 for none: one odd move is not believed alone. */
uint64_t policy_overhead_mean(uint64_t earlier_ns, uint64_t latest_ns);

/* The verdict after a round; throttle and projected_ns follow. */
enum policy_verdict policy_decide(struct policy *p,
	    const struct policy_round *r);

#endif
