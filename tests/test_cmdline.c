/* SPDX-License-Identifier: ISC */
/* A command line tells a guest who it is, and is never cut. */
#include <errno.h>
#include <string.h>

#include "cmdline.h"
#include "unit.h"

static char out[32];

static void
id_and_name_are_put_in(void)
{
	CU_ASSERT_EQUAL(cmdline_expand("id=%i n=%n%n", "0af", "work", out,
	    sizeof(out)), 0);
	CU_ASSERT_STRING_EQUAL(out, "id=0af n=workwork");
}

static void
the_rest_stays_as_it_is(void)
{
	CU_ASSERT_EQUAL(cmdline_expand("50% %% %x %", "i", "n", out,
	    sizeof(out)), 0);
	CU_ASSERT_STRING_EQUAL(out, "50% %% %x %");
	CU_ASSERT_EQUAL(cmdline_expand("", "i", "n", out, sizeof(out)), 0);
	CU_ASSERT_STRING_EQUAL(out, "");
}

static void
what_does_not_fit_is_refused(void)
{
	CU_ASSERT_EQUAL(cmdline_expand("abc", "", "", out, 4), 0);
	CU_ASSERT_EQUAL(cmdline_expand("abcd", "", "", out, 4), -E2BIG);
	CU_ASSERT_EQUAL(cmdline_expand("a%i", "bcd", "", out, 4), -E2BIG);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "id and name are put in", id_and_name_are_put_in },
		{ "the rest stays as it is", the_rest_stays_as_it_is },
		{ "what does not fit is refused",
		    what_does_not_fit_is_refused },
	};

	return unit_main("cmdline", tests, sizeof(tests) / sizeof(tests[0]));
}
