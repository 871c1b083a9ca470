/* SPDX-License-Identifier: ISC */
/* When a heartbeat is due, and from when on silence or a doubt mean a lost link. */
#include <stddef.h>

#include "pulse.h"
#include "unit.h"

#define MS	1000000ULL
#define START	(1000 * MS)

static void
beats_are_quick_at_first(void)
{
	struct pulse p;
	uint64_t now = START;

	pulse_init(&p, now);
	CU_ASSERT_TRUE(pulse_beat_due(&p, now));
	for (int i = 0; i < 7; i++) {
		pulse_beaten(&p, now);
		CU_ASSERT_FALSE(pulse_beat_due(&p, now + 49 * MS));
		now += 50 * MS;
		CU_ASSERT_TRUE(pulse_beat_due(&p, now));
	}
	pulse_beaten(&p, now);
	CU_ASSERT_FALSE(pulse_beat_due(&p, now + 999 * MS));
	CU_ASSERT_TRUE(pulse_beat_due(&p, now + 1000 * MS));
	/* In doubt somebody must say something soon. */
	pulse_doubt(&p, now);
	CU_ASSERT_TRUE(pulse_beat_due(&p, now + 50 * MS));
}

static void
silence_is_long(void)
{
	struct pulse p;

	pulse_init(&p, START);
	CU_ASSERT_FALSE(pulse_faint(&p, START + 1000 * MS));
	CU_ASSERT_TRUE(pulse_faint(&p, START + 1001 * MS));
	CU_ASSERT_PTR_NULL(pulse_lost(&p, START + 10000 * MS));
	CU_ASSERT_PTR_NOT_NULL(pulse_lost(&p, START + 10001 * MS));
	pulse_heard(&p, START + 10001 * MS);
	CU_ASSERT_PTR_NULL(pulse_lost(&p, START + 10001 * MS));
}

static void
doubt_is_short_unless_heard(void)
{
	struct pulse p;

	pulse_init(&p, START);
	pulse_doubt(&p, START);
	/* Sent before the link went; and a second voice gives no more time. */
	pulse_heard(&p, START + 200 * MS);
	pulse_doubt(&p, START + 1500 * MS);
	CU_ASSERT_PTR_NULL(pulse_lost(&p, START + 2000 * MS));
	CU_ASSERT_PTR_NOT_NULL(pulse_lost(&p, START + 2001 * MS));
	/* Heard since: it is there again. */
	pulse_heard(&p, START + 201 * MS);
	CU_ASSERT_PTR_NULL(pulse_lost(&p, START + 2001 * MS));
	CU_ASSERT_PTR_NULL(pulse_lost(&p, START + 9000 * MS));
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "heartbeats are quick at first and in doubt",
		    beats_are_quick_at_first },
		{ "ten seconds of silence are the end", silence_is_long },
		{ "two seconds of doubt are, unless the peer is heard",
		    doubt_is_short_unless_heard },
	};

	return unit_main("pulse", tests, sizeof(tests) / sizeof(tests[0]));
}
