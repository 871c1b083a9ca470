/* SPDX-License-Identifier: ISC */
/*
 * The estimate of a move as a table of guests and links, and what it promises of
 * its own figures.
 */
#include <string.h>

#include "estimate.h"
#include "unit.h"

#define MS	1000000ULL
#define NS	1000000000ULL
#define MIB	((uint64_t)1 << 20)

/* 64 MiB of text over 20 Mbit/s; nothing changes. */
static const struct estimate_input idle = {
	.pages = 16384, .page_cost = 1024 * 256, .page_ns = 10000,
	.window_ns = 100 * MS, .watched_ns = 1000 * MS,
	.rate = 2500000, .rate_ns = 1000 * MS, .rtt_ns = 2 * MS,
	.budget_ns = 100 * MS, .may_throttle = true,
};

static void
idle_guest_takes_its_bytes(void)
{
	struct estimate e;

	estimate_move(&idle, &e);
	CU_ASSERT(e.ends);
	CU_ASSERT(e.bytes >= 16 * MIB && e.bytes < 17 * MIB);
	/* 16 MiB at 2.5 MB/s are 6.7 s. */
	CU_ASSERT(e.time_ns > 6700 * MS && e.time_ns < 8000 * MS);
	CU_ASSERT(e.blackout_ns < 60 * MS);
	CU_ASSERT_EQUAL(e.throttle, 0);
	CU_ASSERT(e.low_ns < e.time_ns && e.time_ns < e.high_ns);
}

static void
slow_processor_counts_where_the_link_is_fast(void)
{
	struct estimate_input in = idle;
	struct estimate e;

	in.rate = 1000000000;
	in.page_ns = 100000;
	estimate_move(&in, &e);
	CU_ASSERT(e.time_ns > 1638 * MS && e.time_ns < 2500 * MS);
}

static void
busy_guest_costs_more_and_is_less_sure(void)
{
	struct estimate_input in = idle;
	struct estimate quiet, busy;

	estimate_move(&in, &quiet);
	in.window_pages = 50;	/* 500 a second, each page anew */
	in.watched_pages = 500;
	in.dirty_cost = 1000 * 256;
	estimate_move(&in, &busy);
	CU_ASSERT(busy.ends);
	CU_ASSERT(busy.bytes > quiet.bytes + 3500 * 1000);
	CU_ASSERT(busy.time_ns > quiet.time_ns + 1000 * MS);
	CU_ASSERT(busy.high_ns - busy.time_ns > quiet.high_ns - quiet.time_ns);
}

static void
guest_that_outruns_the_link_is_held_back_or_refused(void)
{
	struct estimate_input in = idle;
	struct estimate e;

	in.window_pages = 200;	/* 8 MB/s over 2.5 MB/s */
	in.watched_pages = 2000;
	in.dirty_cost = 4100 * 256;
	estimate_move(&in, &e);
	CU_ASSERT(e.ends);
	CU_ASSERT(e.throttle >= 60);
	in.may_throttle = false;
	estimate_move(&in, &e);
	CU_ASSERT(!e.ends);
}

static void
hot_set_that_is_small_stays_small(void)
{
	struct estimate_input in = idle;

	/* The same 100 pages in each window. */
	in.window_pages = in.watched_pages = 100;
	CU_ASSERT_EQUAL(estimate_dirtied(&in, 100 * MS), 100);
	CU_ASSERT_EQUAL(estimate_dirtied(&in, 50 * MS), 50);
	CU_ASSERT_EQUAL(estimate_dirtied(&in, 3600 * NS), 100);
	/* Half of what is seen is seen again: somewhere there is an end. */
	in.window_pages = 100;
	in.watched_pages = 500;
	CU_ASSERT(estimate_dirtied(&in, 1000 * MS) >= 499);
	CU_ASSERT(estimate_dirtied(&in, 3600 * NS) < 1000);
}

static void
all_pages_are_the_most_that_change(void)
{
	struct estimate_input in = idle;

	in.window_pages = 1000;
	in.watched_pages = 10000;
	CU_ASSERT(estimate_dirtied(&in, 100 * MS) >= 999);
	CU_ASSERT(estimate_dirtied(&in, 100 * MS) <= 1000);
	CU_ASSERT_EQUAL(estimate_dirtied(&in, 3600 * NS), in.pages);
}

/* Whatever was measured, or was not, gives figures and not nonsense. */
static void
nothing_measured_is_no_trap(void)
{
	static const struct estimate_input none, odd[] = {
		{ .pages = UINT32_MAX, .page_cost = 4200 * 256 },
		{ .pages = 100, .window_pages = 5, .watched_pages = 2,
		  .window_ns = 1, .watched_ns = 1, .may_throttle = true },
		{ .pages = 1, .rate = UINT64_MAX / 2, .window_pages = 1,
		  .watched_pages = 1, .window_ns = NS, .watched_ns = NS },
	};
	struct estimate e;

	estimate_move(&none, &e);
	CU_ASSERT(e.time_ns > 0 && e.low_ns <= e.high_ns);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		estimate_move(&odd[i], &e);
		CU_ASSERT(e.low_ns <= e.time_ns && e.time_ns <= e.high_ns);
		CU_ASSERT(e.time_ns < 100 * 86400 * NS);
	}
}

static const struct unit_test tests[] = {
	{ "an idle guest takes its bytes' time", idle_guest_takes_its_bytes },
	{ "on a fast link the processor counts",
	    slow_processor_counts_where_the_link_is_fast },
	{ "a busy guest costs more, and the range is wider",
	    busy_guest_costs_more_and_is_less_sure },
	{ "a guest that outruns the link is held back, or there is no end",
	    guest_that_outruns_the_link_is_held_back_or_refused },
	{ "a small hot set stays small", hot_set_that_is_small_stays_small },
	{ "no more changes than there is", all_pages_are_the_most_that_change },
	{ "nothing measured is no trap", nothing_measured_is_no_trap },
};

int
main(void)
{
	return unit_main("estimate", tests, sizeof(tests) / sizeof(tests[0]));
}
