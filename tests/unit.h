/* SPDX-License-Identifier: ISC */
/*
 * The few lines every unit test program shares: run one CUnit suite, print its
 * verdict, fail when any assertion failed or when nothing was asserted at all.
 */
#ifndef UNIT_H
#define UNIT_H

#include <CUnit/Basic.h>
#include <stdlib.h>

struct unit_test {
	const char	*name;	/* one sentence: what must be true */
	void		(*run)(void);
};

/*
 * Run the tests in order as the suite `suite`. The exit status for main():
 * failure when a test failed, could not be added, or when no assertion ran.
 */
static inline int
unit_main(const char *suite, const struct unit_test *tests, size_t n_tests)
{
	CU_pSuite s;
	unsigned int failed, asserts;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return EXIT_FAILURE;
	if ((s = CU_add_suite(suite, NULL, NULL)) == NULL)
		return EXIT_FAILURE;
	for (size_t i = 0; i < n_tests; i++)
		if (CU_add_test(s, tests[i].name, tests[i].run) == NULL)
			return EXIT_FAILURE;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	asserts = CU_get_number_of_asserts();
	CU_cleanup_registry();
	return failed == 0 && asserts > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
