/* SPDX-License-Identifier: ISC */
/* The duty cycle holds for its share, does not drift and does not catch up. */
#include "throttle.h"
#include "unit.h"

/* Walk `n` edges, each met `late_ns` late; the share held, in percent. */
static unsigned int
held_share(unsigned int percent, unsigned int n, uint64_t late_ns)
{
	uint64_t start = 1000, period = start, now = start, held = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t until;
		bool hold;

		throttle_plan(percent, &period, now, &hold, &until);
		CU_ASSERT_TRUE(until > now);
		if (hold)
			held += until + late_ns - now;
		now = until + late_ns;
	}
	return (unsigned int)(held * 100 / (now - start));
}

static void
the_share_is_what_was_asked(void)
{
	for (unsigned int p = 1; p <= THROTTLE_MAX_PERCENT; p++) {
		unsigned int share = held_share(p, 2000, 0);

		CU_ASSERT_TRUE(share >= p - 1 && share <= p + 1);
	}
}

static void
late_edges_do_not_add_up(void)
{
	unsigned int share = held_share(50, 2000, 100000);

	CU_ASSERT_TRUE(share >= 48 && share <= 52);
}

static void
zero_percent_never_holds(void)
{
	CU_ASSERT_EQUAL(held_share(0, 100, 0), 0);
}

static void
a_long_absence_begins_anew(void)
{
	uint64_t period = 1000, until, now = 1000 + 90ULL * THROTTLE_PERIOD_NS;
	bool hold;

	throttle_plan(30, &period, now, &hold, &until);
	CU_ASSERT_EQUAL(period, now);
	CU_ASSERT_TRUE(hold);
	CU_ASSERT_EQUAL(until, now + 3 * THROTTLE_PERIOD_NS / 10);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "the share is what was asked", the_share_is_what_was_asked },
		{ "late edges do not add up", late_edges_do_not_add_up },
		{ "zero percent never holds", zero_percent_never_holds },
		{ "a long absence begins anew", a_long_absence_begins_anew },
	};

	return unit_main("throttle", tests, sizeof(tests) / sizeof(tests[0]));
}
