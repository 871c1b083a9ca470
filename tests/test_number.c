/* SPDX-License-Identifier: ISC */
/*
 * Whole numbers as text: what is one, what is not, and limits to the last digit.
 */
#include <errno.h>

#include "number.h"
#include "unit.h"

static void
numbers(void)
{
	uint64_t n = 0;

	CU_ASSERT_EQUAL(number_parse("0", 0, 9, &n), 0);
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT_EQUAL(number_parse("1023", 3, 1023, &n), 0);
	CU_ASSERT_EQUAL(n, 1023);
	CU_ASSERT_EQUAL(number_parse("0007", 0, 9, &n), 0);
	CU_ASSERT_EQUAL(n, 7);
	CU_ASSERT_EQUAL(number_parse("18446744073709551615", 0, UINT64_MAX,
	    &n), 0);
	CU_ASSERT_EQUAL(n, UINT64_MAX);
}

static void
no_numbers(void)
{
	static const char *const texts[] = { "", " 1", "1 ", "+1", "-1", "0x1",
	    "1k", "1.0", "one", "18446744073709551616",
	    "99999999999999999999999999" };
	uint64_t n = 42;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CU_ASSERT_EQUAL(number_parse(texts[i], 0, UINT64_MAX, &n),
		    -EINVAL);
	CU_ASSERT_EQUAL(n, 42);
}

static void
limits(void)
{
	uint64_t n = 42;

	CU_ASSERT_EQUAL(number_parse("2", 3, 1023, &n), -EINVAL);
	CU_ASSERT_EQUAL(number_parse("1024", 3, 1023, &n), -EINVAL);
	CU_ASSERT_EQUAL(n, 42);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a whole number", numbers },
		{ "anything else", no_numbers },
		{ "out of its limits", limits },
	};

	return unit_main("number", tests, sizeof(tests) / sizeof(tests[0]));
}
