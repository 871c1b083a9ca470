/* SPDX-License-Identifier: ISC */
/*
 * When to stop the guest. Pure arithmetic over what each round showed.
 */
#include "sync-policy.h"

#include <string.h>

#define NS			1000000000ULL
#define MS			1000000ULL
/* Before a move went there; two fsyncs are most of it. */
#define OVERHEAD_NS		(25 * MS)
#define OVERHEAD_MIN_NS		(2 * MS)
#define OVERHEAD_MAX_NS		(500 * MS)
#define STATE_BYTES		(24u << 10)
#define TRIPS			2u	/* one and a half, and what a stop delays */
/* Telling personad, parking the vCPUs: pages are dirtied until then. */
#define STOP_LATENCY_NS		(5 * MS)
/* Shrinking by less than this is the floor. */
#define SHRINKS_PERCENT		85u
/* A last round that costs this little is not worth another. */
#define FLOOR_NS		(2 * MS)
#define ROUNDS_MAX		40u
#define STUCK_THROTTLE		2u	/* rounds until the next step */
/* Held back to the utmost: long enough to outlast a busy moment of the host. */
#define STUCK_GIVE_UP		40u

static const unsigned int steps[] = { 20, 40, 60, 75, 85, 92, 96 };

static uint64_t
within(uint64_t ns)
{
	if (ns < OVERHEAD_MIN_NS)
		return OVERHEAD_MIN_NS;
	return ns > OVERHEAD_MAX_NS ? OVERHEAD_MAX_NS : ns;
}

void
policy_init(struct policy *p, uint64_t budget_ns, bool may_throttle,
    uint64_t overhead_ns)
{
	memset(p, 0, sizeof(*p));
	p->budget_ns = budget_ns;
	p->overhead_ns = overhead_ns > 0 ? within(overhead_ns) : OVERHEAD_NS;
	p->state_bytes = STATE_BYTES;
	p->may_throttle = may_throttle;
}

static uint64_t
wire_ns(uint64_t bytes, uint64_t rate)
{
	if (rate == 0)
		rate = 1;
	/* Far more than any budget is enough to know. */
	if (bytes / rate > 3600)
		return 3600 * NS;
	return bytes * 1000 / rate * MS + bytes * 1000 % rate * MS / rate;
}

uint64_t
policy_overhead(uint64_t blackout_ns, uint64_t wire_bytes, uint64_t rate,
    uint64_t rtt_ns)
{
	uint64_t known_ns = wire_ns(wire_bytes, rate) + rtt_ns * TRIPS;

	return within(blackout_ns > known_ns ? blackout_ns - known_ns : 0);
}

uint64_t
policy_overhead_mean(uint64_t earlier_ns, uint64_t latest_ns)
{
	return earlier_ns > 0 ? within(earlier_ns) / 2 + within(latest_ns) / 2 :
	    within(latest_ns);
}

/* Pages dirtied during the next `ns`, at the pace of this round. */
static uint64_t
pages_in(const struct policy_round *r, uint64_t ns)
{
	uint64_t interval_us = r->interval_ns / 1000 + 1;
	uint64_t n = r->dirty_pages * (ns / 1000 + 1) / interval_us + 1;

	return r->hot_pages > 0 && n > r->hot_pages ? r->hot_pages : n;
}

/* The next step above, 0 when there is none. */
static unsigned int
next_step(const struct policy *p)
{
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i] > p->throttle)
			return steps[i];
	return 0;
}

/* It does not get smaller, and it does not fit. */
static enum policy_verdict
decide_stuck(struct policy *p)
{
	unsigned int step = p->may_throttle ? next_step(p) : 0;

	p->stuck++;
	if (step > 0 && p->stuck >= STUCK_THROTTLE) {
		p->throttle = step;
		p->stuck = 0;
		return POLICY_THROTTLE;
	}
	return step == 0 && p->stuck >= STUCK_GIVE_UP ?
	    POLICY_GIVE_UP : POLICY_CONTINUE;
}

enum policy_verdict
policy_decide(struct policy *p, const struct policy_round *r)
{
	uint64_t now_ns, last_pages, pages_ns, fixed_ns;
	bool shrinks, fits;

	/* This round's pages are sent with the guest running ... */
	now_ns = wire_ns(r->dirty_pages * r->page_cost / 256 + r->inflight,
	    r->rate);
	/* ... and what it dirties meanwhile is what the blackout carries. */
	last_pages = pages_in(r, now_ns + STOP_LATENCY_NS + r->rtt_ns);
	pages_ns = wire_ns(last_pages * r->page_cost / 256, r->rate);
	fixed_ns = p->overhead_ns + wire_ns(p->state_bytes, r->rate) +
	    r->rtt_ns * TRIPS;
	p->projected_ns = fixed_ns + pages_ns;
	/*
	 * Round trips and state that exceed the budget by themselves are there in
	 * every round and at every throttle: then the pages alone are judged, and
	 * the projection says what it will be.
	 */
	fits = p->projected_ns <= p->budget_ns ||
	    (fixed_ns > p->budget_ns && pages_ns <= p->budget_ns / 2);
	shrinks = p->rounds == 0 ||
	    now_ns < p->last_cost_ns * SHRINKS_PERCENT / 100;
	p->last_cost_ns = now_ns;
	p->rounds++;
	if (fits) {
		p->stuck = 0;
		return shrinks && now_ns > FLOOR_NS &&
		    p->rounds < ROUNDS_MAX ? POLICY_CONTINUE : POLICY_STOP;
	}
	if (shrinks) {
		p->stuck = 0;
		return POLICY_CONTINUE;
	}
	return decide_stuck(p);
}
