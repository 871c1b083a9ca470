/* SPDX-License-Identifier: ISC */
/*
 * When to stop the guest: rounds that shrink go on, others end one way or other.
 * And how hard to compress on the way.
 */
#include "effort.h"
#include "pagecodec.h"
#include "sync-policy.h"
#include "unit.h"

#define MS	1000000ULL
#define MB	(1ULL << 20)

/* A guest that dirties `per_s` pages, each costing `cost` bytes. */
struct model {
	uint64_t	per_s, cost, rate, hot_pages;
};

/*
 * Play rounds until the verdict is final: each round lasts as long as its pages
 * take. Returns the verdict and how many rounds it took.
 */
static enum policy_verdict
play(struct policy *p, const struct model *m, unsigned int *rounds)
{
	uint64_t pages = m->hot_pages, ns;
	enum policy_verdict v = POLICY_CONTINUE;

	for (*rounds = 0; *rounds < 500; (*rounds)++) {
		struct policy_round r = { .page_cost = m->cost * 256,
		    .rate = m->rate, .rtt_ns = 2 * MS };

		ns = pages * m->cost * 1000 / m->rate * MS + 5 * MS;
		pages = m->per_s * (100 - p->throttle) / 100 * (ns / MS) / 1000;
		if (pages > m->hot_pages)
			pages = m->hot_pages;
		r.dirty_pages = pages;
		r.interval_ns = ns;
		v = policy_decide(p, &r);
		if (v == POLICY_STOP || v == POLICY_GIVE_UP)
			return v;
	}
	return v;
}

static void
quiet_guest_stops_at_once(void)
{
	const struct model m = { .per_s = 0, .cost = 1000, .rate = 25 * MB,
	    .hot_pages = 0 };
	struct policy p;
	unsigned int rounds;

	policy_init(&p, 100 * MS, true, 0);
	CU_ASSERT_EQUAL(play(&p, &m, &rounds), POLICY_STOP);
	CU_ASSERT(rounds <= 1);
	CU_ASSERT(p.projected_ns < 60 * MS);
	CU_ASSERT_EQUAL(p.throttle, 0);
}

static void
ordinary_guest_stops_at_its_floor(void)
{
	const struct model m = { .per_s = 2560, .cost = 1400, .rate = 25 * MB,
	    .hot_pages = 8192 };
	struct policy p;
	unsigned int rounds;

	policy_init(&p, 100 * MS, true, 0);
	CU_ASSERT_EQUAL(play(&p, &m, &rounds), POLICY_STOP);
	CU_ASSERT(rounds > 1 && rounds < 15);
	CU_ASSERT(p.projected_ns < 60 * MS);
	CU_ASSERT_EQUAL(p.throttle, 0);
}

static void
fast_guest_is_throttled_until_it_fits(void)
{
	/* 40 MB/s of incompressible pages over 25 MB/s. */
	const struct model m = { .per_s = 10240, .cost = 4096, .rate = 25 * MB,
	    .hot_pages = 65536 };
	struct policy p;
	unsigned int rounds;

	policy_init(&p, 100 * MS, true, 0);
	CU_ASSERT_EQUAL(play(&p, &m, &rounds), POLICY_STOP);
	CU_ASSERT(p.throttle >= 40);
	CU_ASSERT(p.projected_ns <= 100 * MS);
}

static void
without_leave_to_throttle_it_gives_up(void)
{
	const struct model m = { .per_s = 10240, .cost = 4096, .rate = 25 * MB,
	    .hot_pages = 65536 };
	struct policy p;
	unsigned int rounds;

	policy_init(&p, 100 * MS, false, 0);
	CU_ASSERT_EQUAL(play(&p, &m, &rounds), POLICY_GIVE_UP);
	CU_ASSERT_EQUAL(p.throttle, 0);
	CU_ASSERT(rounds < 80);
}

static void
it_ends_whatever_the_figures(void)
{
	static const uint64_t values[] = { 0, 1, 1000, 1 << 20, 1ULL << 33 };
	const size_t n = sizeof(values) / sizeof(values[0]);

	for (size_t i = 0; i < n * n * n; i++) {
		const struct policy_round r = {
			.dirty_pages = values[i % n] % (1 << 21),
			.interval_ns = values[i / n % n],
			.page_cost = 1 << 20,
			.rate = values[i / n / n],
			.inflight = 16 << 20,
		};
		struct policy p;
		enum policy_verdict v = POLICY_CONTINUE;
		int rounds = 0;

		policy_init(&p, 100 * MS, i % 2 == 0, 0);
		while (v != POLICY_STOP && v != POLICY_GIVE_UP && rounds < 1000) {
			v = policy_decide(&p, &r);
			rounds++;
			CU_ASSERT(p.throttle < 100);
		}
		CU_ASSERT(rounds < 200);
		CU_ASSERT(v == POLICY_GIVE_UP || p.projected_ns <= 100 * MS);
	}
}

static void
larger_budget_stops_earlier(void)
{
	const struct model m = { .per_s = 5000, .cost = 4096, .rate = 25 * MB,
	    .hot_pages = 65536 };
	struct policy small, large;
	unsigned int a, b;

	policy_init(&small, 60 * MS, true, 0);
	policy_init(&large, 2000 * MS, true, 0);
	CU_ASSERT_EQUAL(play(&small, &m, &a), POLICY_STOP);
	CU_ASSERT_EQUAL(play(&large, &m, &b), POLICY_STOP);
	CU_ASSERT(b <= a);
}

/* Holding the guest back does not shorten a round trip. */
static void
long_round_trips_are_not_the_guests_fault(void)
{
	struct policy_round r = { .dirty_pages = 0, .interval_ns = MS,
	    .page_cost = 1000 * 256, .rate = 25 * MB, .rtt_ns = 300 * MS };
	struct policy p;
	enum policy_verdict v = POLICY_CONTINUE;
	unsigned int rounds;

	policy_init(&p, 100 * MS, true, 0);
	for (rounds = 0; rounds < 10 && v != POLICY_STOP; rounds++)
		v = policy_decide(&p, &r);
	CU_ASSERT_EQUAL(v, POLICY_STOP);
	CU_ASSERT_EQUAL(p.throttle, 0);
	CU_ASSERT(p.projected_ns > 600 * MS);

	/* A guest too fast for the link is held back all the same. */
	r.dirty_pages = 10240;
	r.interval_ns = 1000 * MS;
	r.page_cost = 4096 * 256;
	policy_init(&p, 100 * MS, true, 0);
	for (rounds = 0; rounds < 10; rounds++)
		CU_ASSERT_NOT_EQUAL(policy_decide(&p, &r), POLICY_STOP);
	CU_ASSERT(p.throttle > 0);
}

/* What a handover there takes is known from the last one, and leaves less for pages. */
static void
learnt_overhead_takes_part_of_the_budget(void)
{
	const struct policy_round r = { .dirty_pages = 1000,
	    .interval_ns = 1000 * MS, .page_cost = 4096 * 256, .rate = 25 * MB };
	struct policy unknown, quick, slow;

	policy_init(&unknown, 60 * MS, true, 0);
	policy_init(&quick, 60 * MS, true, 5 * MS);
	policy_init(&slow, 60 * MS, true, 45 * MS);
	(void)policy_decide(&unknown, &r);
	(void)policy_decide(&quick, &r);
	(void)policy_decide(&slow, &r);
	CU_ASSERT_EQUAL(unknown.projected_ns - quick.projected_ns, 20 * MS);
	CU_ASSERT_EQUAL(slow.projected_ns - quick.projected_ns, 40 * MS);
	CU_ASSERT(quick.projected_ns <= 60 * MS);
	CU_ASSERT(slow.projected_ns > 60 * MS);
}

static void
overhead_is_what_pages_and_trips_leave(void)
{
	/* 1 MB at 25 MB/s takes 40 ms, two trips of 3 ms 6. */
	CU_ASSERT_EQUAL(policy_overhead(60 * MS, MB, 25 * MB, 3 * MS), 14 * MS);
	/* A peer that lies, or a rate that was wrong, teaches nothing wild. */
	CU_ASSERT_EQUAL(policy_overhead(UINT64_MAX, MB, 25 * MB, 0), 500 * MS);
	CU_ASSERT_EQUAL(policy_overhead(1, MB, 25 * MB, 3 * MS), 2 * MS);
	CU_ASSERT_EQUAL(policy_overhead(60 * MS, UINT64_MAX, 0, 0), 2 * MS);
	CU_ASSERT_EQUAL(policy_overhead_mean(0, 30 * MS), 30 * MS);
	CU_ASSERT_EQUAL(policy_overhead_mean(10 * MS, 30 * MS), 20 * MS);
	CU_ASSERT_EQUAL(policy_overhead_mean(UINT64_MAX, 30 * MS), 265 * MS);
}

/* A peer that takes longer than the budget by itself: the pages are judged alone. */
static void
overhead_beyond_the_budget_ends_too(void)
{
	const struct model m = { .per_s = 2560, .cost = 1400, .rate = 25 * MB,
	    .hot_pages = 8192 };
	struct policy p;
	unsigned int rounds;

	policy_init(&p, 100 * MS, true, UINT64_MAX);
	CU_ASSERT_EQUAL(play(&p, &m, &rounds), POLICY_STOP);
	CU_ASSERT(p.projected_ns > 500 * MS && p.projected_ns < 560 * MS);
	CU_ASSERT_EQUAL(p.throttle, 0);
}

static void
effort_follows_the_queue(void)
{
	const uint64_t rate = 25 * MB, slow = 2 * MB, quick = 60 * MB;
	struct effort e;

	effort_init(&e);
	/* Before anything is known: zstd, quickly. */
	CU_ASSERT_EQUAL(effort_choose(&e, 0, 0), PAGE_EFFORT_MORE);
	/* There is time to try harder, or none to try at all. */
	CU_ASSERT_EQUAL(effort_choose(&e, rate, 2 * MB), PAGE_EFFORT_MOST);
	CU_ASSERT_EQUAL(effort_choose(&e, quick, 8 * MB), PAGE_EFFORT_MORE);
	CU_ASSERT_EQUAL(effort_choose(&e, slow, MB), PAGE_EFFORT_MOST);
	CU_ASSERT_EQUAL(effort_choose(&e, slow, slow / 50), PAGE_EFFORT_MORE);
	CU_ASSERT_EQUAL(effort_choose(&e, 200 * MB, 8 * MB), PAGE_EFFORT_FAST);
	/* One empty queue is a moment, a row of them says who is slow. */
	CU_ASSERT_EQUAL(effort_choose(&e, rate, 0), PAGE_EFFORT_MORE);
	for (int i = 0; i < 300; i++)
		(void)effort_choose(&e, rate, rate / 1000);
	CU_ASSERT_EQUAL(effort_choose(&e, rate, 0), PAGE_EFFORT_FAST);
	for (int i = 0; i < 300; i++)
		(void)effort_choose(&e, rate, MB);
	CU_ASSERT_EQUAL(effort_choose(&e, rate, 2 * MB), PAGE_EFFORT_MOST);
	/* Short, but the link does not wait: a fiftieth of a second is queued. */
	for (int i = 0; i < 300; i++)
		(void)effort_choose(&e, rate, rate / 50);
	CU_ASSERT_EQUAL(effort_choose(&e, rate, rate / 50), PAGE_EFFORT_MORE);
}

/* The link alone decides, at once: a hurry that comes late has missed it. */
static void
a_dry_link_hurries(void)
{
	const uint64_t rate = 25 * MB;

	CU_ASSERT_TRUE(effort_hurries(rate, 0));
	CU_ASSERT_TRUE(effort_hurries(rate, rate / 200));
	CU_ASSERT_FALSE(effort_hurries(rate, rate / 50));
	/* At the very beginning the first frames go at once. */
	CU_ASSERT_TRUE(effort_hurries(0, 0));
	CU_ASSERT_FALSE(effort_hurries(0, MB));
	/* A link that outruns us is dry all the time; the order would not help. */
	CU_ASSERT_FALSE(effort_hurries(200 * MB, 0));
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a quiet guest stops at once", quiet_guest_stops_at_once },
		{ "an ordinary guest stops at its floor",
		    ordinary_guest_stops_at_its_floor },
		{ "a fast guest is throttled until it fits",
		    fast_guest_is_throttled_until_it_fits },
		{ "without leave to throttle it gives up",
		    without_leave_to_throttle_it_gives_up },
		{ "long round trips are not the guest's fault",
		    long_round_trips_are_not_the_guests_fault },
		{ "a learnt overhead takes part of the budget",
		    learnt_overhead_takes_part_of_the_budget },
		{ "the overhead is what pages and trips leave",
		    overhead_is_what_pages_and_trips_leave },
		{ "an overhead beyond the budget ends, too",
		    overhead_beyond_the_budget_ends_too },
		{ "it ends whatever the figures", it_ends_whatever_the_figures },
		{ "the effort follows the queue", effort_follows_the_queue },
		{ "a dry link hurries", a_dry_link_hurries },
		{ "a larger budget stops no later", larger_budget_stops_earlier },
	};

	return unit_main("policy", tests, sizeof(tests) / sizeof(tests[0]));
}
