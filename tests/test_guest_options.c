/* SPDX-License-Identifier: ISC */
/*
 * The small guest's command line: what is understood, and that what is not is told.
 */
#include <string.h>

#include "guest/options.h"
#include "unit.h"

static struct options o;

static void
nothing_gives_the_defaults(void)
{
	options_parse(&o, "");
	CU_ASSERT_EQUAL(o.hot_bytes, 32u << 20);
	CU_ASSERT_EQUAL(o.rate, 10u << 20);
	CU_ASSERT_EQUAL(o.beat_ms, 200);
	CU_ASSERT_EQUAL(o.mix[FILL_TEXT], 25);
	CU_ASSERT_EQUAL(o.bad[0], '\0');
}

static void
every_option_is_read(void)
{
	options_parse(&o, "/boot/guest.elf  mem=1G hot=512K rate=0 beat=2 tick=1 "
	    "exit=900 seed=77 mix=text:60,random:40 verify=64M rewrite=full "
	    "clock=tsc timer=250");
	CU_ASSERT_EQUAL(o.mem_bytes, 1u << 30);
	CU_ASSERT_EQUAL(o.hot_bytes, 512u << 10);
	CU_ASSERT_EQUAL(o.rate, 0);
	CU_ASSERT_EQUAL(o.beat_ms, 2);
	CU_ASSERT_EQUAL(o.tick_ms, 1);
	CU_ASSERT_EQUAL(o.exit_ms, 900);
	CU_ASSERT_EQUAL(o.seed, 77);
	CU_ASSERT_EQUAL(o.mix[FILL_ZERO], 0);
	CU_ASSERT_EQUAL(o.mix[FILL_TEXT], 60);
	CU_ASSERT_EQUAL(o.mix[FILL_RANDOM], 40);
	CU_ASSERT_EQUAL(o.verify_rate, 64u << 20);
	CU_ASSERT_EQUAL(o.rewrite_whole, 1);
	CU_ASSERT_EQUAL(o.clock, 't');
	CU_ASSERT_EQUAL(o.timer_hz, 250);
	CU_ASSERT_EQUAL(o.bad[0], '\0');
	options_parse(&o, "verify=off rewrite=words clock=auto");
	CU_ASSERT_EQUAL(o.verify_off, 1);
	CU_ASSERT_EQUAL(o.rewrite_whole, 0);
	CU_ASSERT_EQUAL(o.clock, 0);
	CU_ASSERT_EQUAL(o.bad[0], '\0');
}

static void
what_is_not_understood_is_told(void)
{
	static const char *const wrong[] = {
		"colour=red", "rate=", "rate=fast", "rate=10MB", "hot=-1",
		"hot=99999999999999999999", "hot=99999999999999999G", "mix=",
		"mix=text:50", "mix=text:101", "mix=text:50,random:51",
		"mix=text:50,,random:50", "rewrite=", "rewrite=fuller",
		"verify=offf", "clock=sun", "timer=5", "timer=1001", "beat=2 y=",
		"beat=2 y",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		options_parse(&o, wrong[i]);
		CU_ASSERT_NOT_EQUAL(o.bad[0], '\0');
		CU_ASSERT_EQUAL(o.hot_bytes, 32u << 20);
		CU_ASSERT_EQUAL(o.mix[FILL_TEXT], 25);
	}
	options_parse(&o, "some/path first=1 second=2");
	CU_ASSERT_STRING_EQUAL(o.bad, "first=1");
}

static void
a_long_bad_word_is_cut(void)
{
	char word[500];

	memset(word, 'w', sizeof(word) - 1);
	word[0] = '=';
	word[sizeof(word) - 1] = '\0';
	options_parse(&o, word);
	CU_ASSERT_EQUAL(strlen(o.bad), OPTIONS_BAD_MAX);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "nothing gives the defaults", nothing_gives_the_defaults },
		{ "every option is read", every_option_is_read },
		{ "what is not understood is told", what_is_not_understood_is_told },
		{ "a long bad word is cut", a_long_bad_word_is_cut },
	};

	return unit_main("guest options", tests,
	    sizeof(tests) / sizeof(*tests));
}
