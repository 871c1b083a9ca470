/* SPDX-License-Identifier: ISC */
/*
 * What stands in the registry is looked at again when it is to start: it may be
 * older than the checks that it would not pass today.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon.h"
#include "identity.h"
#include "persona.h"
#include "spec.h"
#include "unit.h"

static struct daemon d;
static int answer;
static char said[256];

/* This handset, in place of the one with a key file. */
const char *
identity_fingerprint(const struct identity *id)
{
	(void)id;
	return "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
}

static void
answered(void *arg, int r, const char *why)
{
	(void)arg;
	answer = r;
	snprintf(said, sizeof(said), "%s", why);
}

/* Start a persona without boot files: whoever passes the checks hears of those. */
static void
start(const char *arch, bool suspended)
{
	Persona__Spec__Spec s = PERSONA__SPEC__SPEC__INIT;
	struct persona p = { .daemon = &d, .suspended = suspended };
	const char *wrong;

	s.arch = (char *)(uintptr_t)arch;
	p.rec.holding = HOLDING_OWNER;
	CU_ASSERT_EQUAL_FATAL(spec_pack(&s, &p.rec.spec, &wrong), 0);
	answer = 1;
	persona_start(&p, answered, NULL);
}

static void
other_processors_are_refused(void)
{
	start("riscv64", false);
	CU_ASSERT_EQUAL(answer, -ENOEXEC);
	CU_ASSERT_PTR_NOT_NULL(strstr(said,
	    "it is made for riscv64; this handset is "));
}

/* Nothing of what was suspended is touched. */
static void
also_when_it_is_suspended(void)
{
	start("riscv64", true);
	CU_ASSERT_EQUAL(answer, -ENOEXEC);
}

static void
ours_and_unnamed_ones_go_on(void)
{
	start(spec_host_arch(), false);
	CU_ASSERT_EQUAL(answer, -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "boot files"));
	start(NULL, false);
	CU_ASSERT_EQUAL(answer, -ENOENT);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "other processors are refused",
		    other_processors_are_refused },
		{ "also when it is suspended", also_when_it_is_suspended },
		{ "ours and unnamed ones go on", ours_and_unnamed_ones_go_on },
	};

	return unit_main("persona start", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
