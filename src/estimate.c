/* SPDX-License-Identifier: ISC */
/*
 * The rounds of a move that has not begun. Knows what sync-policy.c decides and
 * nothing of how pages travel.
 */
#include "estimate.h"

#include <string.h>

#include "sync-policy.h"

#define MS		1000000ULL
#define NS		1000000000ULL
/* Reaching the peer, a persona-vmm that waits there; and from the stop to the end. */
#define BEGIN_NS	(300 * MS)
#define BEGIN_TRIPS	8u
#define FINISH_NS	(150 * MS)
#define ROUND_MIN_NS	(30 * MS)
#define ROUNDS_MAX	200u		/* the policy gives up long before */
#define INFLIGHT_NS	(25 * MS)	/* of the link's time, as flow.h keeps it */
/* How far off a well measured move may be, and one hardly measured. */
#define SURE_PERCENT	25u
#define UNSURE_PERCENT	50u
#define SURE_RATE_NS	(500 * MS)
/* What stands for "as much as there is". */
#define DAY_NS		(86400 * NS)

/*
 * Pages are changed again and again, so their number grows ever slower towards a
 * limit. Of the curves that do so, n = 1 / (1 / (speed * t) + 1 / limit) follows
 * from two points; the limit is all pages when the points lie on a line.
 */
uint64_t
estimate_dirtied(const struct estimate_input *in, uint64_t ns)
{
	double w = (double)in->window_ns, all = (double)in->watched_ns;
	double a = (double)in->window_pages, b = (double)in->watched_pages;
	double slow, rest, n, t = (double)ns;

	if (in->window_pages == 0 || in->watched_pages == 0 || ns == 0 ||
	    in->window_ns == 0 || in->watched_ns == 0)
		return 0;
	if (all <= w || b <= a) {
		/* The same pages in each window. */
		n = t < w ? a * t / w : b;
	} else {
		slow = (1 / a - 1 / b) / (1 / w - 1 / all);	/* 1 / speed */
		rest = 1 / b - slow / all;			/* 1 / limit */
		n = 1 / (slow / t + (rest > 0 ? rest : 0));
	}
	return n >= (double)in->pages ? in->pages : (uint64_t)n;
}

static uint64_t
wire_ns(const struct estimate_input *in, uint64_t bytes)
{
	double ns = (double)bytes * (double)NS /
	    (double)(in->rate > 0 ? in->rate : 1);

	return ns > (double)DAY_NS ? DAY_NS : (uint64_t)ns;
}

/* So many pages through the processor and over the link, whichever is slower. */
static uint64_t
pages_ns(const struct estimate_input *in, uint64_t pages, uint64_t bytes)
{
	uint64_t link = wire_ns(in, bytes), cpu = pages * in->page_ns;

	return link > cpu ? link : cpu;
}

static uint64_t
changed(const struct estimate_input *in, uint64_t ns, unsigned int throttle)
{
	return estimate_dirtied(in, ns / 100 * (100 - throttle));
}

/* What may surprise: a rate hardly measured, and all that depends on the guest. */
static void
find_range(const struct estimate_input *in, uint64_t first_ns,
    struct estimate *e)
{
	uint64_t percent = in->rate_ns >= SURE_RATE_NS ? SURE_PERCENT :
	    UNSURE_PERCENT;
	uint64_t guest_ns = e->time_ns - first_ns;

	e->low_ns = e->time_ns - e->time_ns / 100 * percent;
	e->high_ns = e->time_ns + e->time_ns / 100 * percent + guest_ns / 2;
}

void
estimate_move(const struct estimate_input *in, struct estimate *e)
{
	struct policy_round round = { .page_cost = in->dirty_cost,
	    .rate = in->rate > 0 ? in->rate : 1, .rtt_ns = in->rtt_ns,
	    .inflight = in->rate / (NS / INFLIGHT_NS) };
	enum policy_verdict verdict = POLICY_CONTINUE;
	struct policy p;
	uint64_t first_ns, ns, bytes;

	memset(e, 0, sizeof(*e));
	policy_init(&p, in->budget_ns, in->may_throttle, in->overhead_ns);
	e->bytes = in->pages * in->page_cost / 256;
	ns = pages_ns(in, in->pages, e->bytes);
	first_ns = e->time_ns = BEGIN_NS + BEGIN_TRIPS * in->rtt_ns + ns;
	for (unsigned int i = 0; i < ROUNDS_MAX; i++) {
		if (ns < ROUND_MIN_NS)
			ns = ROUND_MIN_NS;
		round.interval_ns = ns;
		round.dirty_pages = changed(in, ns, p.throttle);
		verdict = policy_decide(&p, &round);
		if (verdict == POLICY_GIVE_UP)
			break;
		bytes = round.dirty_pages * in->dirty_cost / 256;
		ns = pages_ns(in, round.dirty_pages, bytes);
		e->bytes += bytes;
		e->time_ns += ns;
		if (verdict == POLICY_STOP)
			break;
	}
	e->ends = verdict == POLICY_STOP;
	e->throttle = p.throttle;
	e->blackout_ns = p.projected_ns;
	e->bytes += changed(in, ns, p.throttle) * in->dirty_cost / 256 +
	    p.state_bytes;
	e->time_ns += p.projected_ns + FINISH_NS;
	find_range(in, first_ns, e);
}
