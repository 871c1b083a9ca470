/* SPDX-License-Identifier: ISC */
/*
 * What strangers and clients may say to personad: the table of commands and the
 * states it allows them in, names, offers with lies in them, identifiers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arrival-check.h"
#include "control.h"
#include "persona.h"
#include "reason.h"
#include "spec.h"
#include "transfer-id.h"
#include "unit.h"

#define WHAT(name)	PERSONA__CONTROL__REQUEST__WHAT_##name
#define STATE(name)	PERSONA__CONTROL__PERSONA_INFO__STATE__##name

static void
every_request_has_a_row(void)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;

	for (int w = WHAT(DOCTOR); w <= WHAT(PAIR_WAIT); w++) {
		const struct control_command *c;

		req.what_case = (Persona__Control__Request__WhatCase)w;
		c = control_command(&req);
		CU_ASSERT_PTR_NOT_NULL_FATAL(c);
		/* One handler, and a persona's command says when. */
		CU_ASSERT_TRUE((c->run != NULL) != (c->run_persona != NULL));
		CU_ASSERT_EQUAL(c->run_persona != NULL, c->allowed_in != 0);
	}
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT__NOT_SET;
	CU_ASSERT_PTR_NULL(control_command(&req));
	req.what_case = (Persona__Control__Request__WhatCase)999;
	CU_ASSERT_PTR_NULL(control_command(&req));
}

static unsigned int
allowed(int what)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;

	req.what_case = (Persona__Control__Request__WhatCase)what;
	return control_command(&req)->allowed_in;
}

/* Invariant 1 at the front door: what is not ours to run cannot be run. */
static void
states_forbid_what_they_must(void)
{
	static const int runs[] = { WHAT(START), WHAT(RESUME), WHAT(MOVE) };

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		CU_ASSERT_EQUAL(allowed(runs[i]) & CONTROL_IN(RELEASED), 0);
		CU_ASSERT_EQUAL(allowed(runs[i]) & CONTROL_IN(MOVED), 0);
		CU_ASSERT_EQUAL(allowed(runs[i]) & CONTROL_IN(RECEIVING), 0);
		CU_ASSERT_EQUAL(allowed(runs[i]) & CONTROL_IN(SENDING), 0);
	}
	/* What may be the only copy is not deleted. */
	CU_ASSERT_EQUAL(allowed(WHAT(DELETE)) & CONTROL_IN(RELEASED), 0);
	CU_ASSERT_EQUAL(allowed(WHAT(DELETE)) & CONTROL_IN(RUNNING), 0);
	CU_ASSERT_EQUAL(allowed(WHAT(DELETE)) & CONTROL_IN(RECEIVING), 0);
	CU_ASSERT_NOT_EQUAL(allowed(WHAT(CANCEL)) & CONTROL_IN(SENDING), 0);
}

static void
states_have_words(void)
{
	for (int s = STATE(STOPPED); s <= STATE(MOVED); s++)
		CU_ASSERT_PTR_NOT_NULL(persona_state_word(
		    (Persona__Control__PersonaInfo__State)s));
	CU_ASSERT_PTR_NOT_NULL(persona_state_word(
	    (Persona__Control__PersonaInfo__State)77));
}

static void
names_are_what_they_may_be(void)
{
	char longest[PERSONA_NAME_MAX + 2];

	CU_ASSERT_TRUE(spec_name_ok("work"));
	CU_ASSERT_TRUE(spec_name_ok("0-a"));
	CU_ASSERT_FALSE(spec_name_ok(""));
	CU_ASSERT_FALSE(spec_name_ok("-work"));
	CU_ASSERT_FALSE(spec_name_ok("Work"));
	CU_ASSERT_FALSE(spec_name_ok("a/b"));
	CU_ASSERT_FALSE(spec_name_ok("a b"));
	CU_ASSERT_FALSE(spec_name_ok("a\n"));
	CU_ASSERT_FALSE(spec_name_ok("\xc3\xa4"));
	memset(longest, 'a', sizeof(longest));
	longest[PERSONA_NAME_MAX] = '\0';
	CU_ASSERT_TRUE(spec_name_ok(longest));
	longest[PERSONA_NAME_MAX] = 'a';
	longest[PERSONA_NAME_MAX + 1] = '\0';
	CU_ASSERT_FALSE(spec_name_ok(longest));
}

#define ID "0123456789abcdef0123456789abcdef"

static Persona__Transfer__Persona
offer(void)
{
	Persona__Transfer__Persona p = PERSONA__TRANSFER__PERSONA__INIT;

	p.id = (char *)(uintptr_t)ID;
	p.name = (char *)(uintptr_t)"work";
	p.ram_bytes = 64 << 20;
	p.vcpus = 1;
	p.cpu_baseline = (char *)(uintptr_t)"x86-64-v2";
	p.tenure = 4;
	return p;
}

static void
honest_offer_is_understood(void)
{
	Persona__Transfer__Persona p = offer();
	struct persona_record rec;

	p.cmdline = (char *)(uintptr_t)"quiet";
	CU_ASSERT_EQUAL(arrival_parse(&p, 1, &rec), REASON_OK);
	CU_ASSERT_STRING_EQUAL(rec.id, ID);
	CU_ASSERT_STRING_EQUAL(rec.cmdline, "quiet");
	CU_ASSERT_EQUAL(rec.tenure, 5);
	CU_ASSERT_FALSE(rec.has_boot);
}

static void
lies_in_an_offer_are_refused(void)
{
	static char big[CMDLINE_MAX + 2];
	Persona__Spec__Spec spec = PERSONA__SPEC__SPEC__INIT;
	struct persona_record rec;
	Persona__Transfer__Persona p;

	memset(big, 'a', sizeof(big) - 1);
#define REFUSED(change)							\
	do {								\
		p = offer();						\
		change;							\
		CU_ASSERT_EQUAL(arrival_parse(&p, 1, &rec),		\
		    REASON_PROTOCOL);					\
	} while (0)
	REFUSED(p.id = (char *)(uintptr_t)"../../../../etc/passwd");
	REFUSED(p.id = (char *)(uintptr_t)"0123456789ABCDEF0123456789ABCDEF");
	REFUSED(p.id = (char *)(uintptr_t)(ID "0"));
	REFUSED(p.name = (char *)(uintptr_t)"../work");
	REFUSED(p.name = (char *)(uintptr_t)"");
	REFUSED(p.name = big);
	REFUSED(p.ram_bytes = 0);
	REFUSED(p.ram_bytes = RAM_MAX_BYTES + PAGE_BYTES);
	REFUSED(p.ram_bytes = (64 << 20) + 1);
	REFUSED(p.vcpus = 0);
	REFUSED(p.vcpus = VCPUS_MAX + 1);
	REFUSED(p.tenure = 0);
	REFUSED(p.tenure = UINT64_MAX);
	REFUSED(p.cpu_baseline = big);
	REFUSED(p.spec = &spec; spec.arch = (char *)(uintptr_t)"arm64");
	REFUSED(p.cmdline = big);
	REFUSED(p.cmdline = (char *)(uintptr_t)"a\nb");
#undef REFUSED
	p = offer();
	CU_ASSERT_EQUAL(arrival_parse(&p, 0, &rec), REASON_PROTOCOL);
	CU_ASSERT_EQUAL(arrival_parse(&p, UINT64_MAX, &rec), REASON_PROTOCOL);
	p.has_state_version = true;
	p.state_version = STATE_VERSION + 1;
	CU_ASSERT_EQUAL(arrival_parse(&p, 1, &rec), REASON_VERSION);
}

static void
transfer_ids_differ(void)
{
	char a[TRANSFER_ID_LEN + 1], b[TRANSFER_ID_LEN + 1];

	CU_ASSERT_EQUAL(transfer_id_new(a), 0);
	CU_ASSERT_EQUAL(transfer_id_new(b), 0);
	CU_ASSERT_TRUE(hexid_ok(a));
	CU_ASSERT_STRING_NOT_EQUAL(a, b);
	CU_ASSERT_FALSE(hexid_ok(""));
	CU_ASSERT_FALSE(hexid_ok("x"));
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "every request has a row", every_request_has_a_row },
		{ "states forbid what they must",
		    states_forbid_what_they_must },
		{ "states have words", states_have_words },
		{ "names are what they may be", names_are_what_they_may_be },
		{ "an honest offer is understood",
		    honest_offer_is_understood },
		{ "lies in an offer are refused",
		    lies_in_an_offer_are_refused },
		{ "transfer ids differ", transfer_ids_differ },
	};

	return unit_main("control", tests, sizeof(tests) / sizeof(tests[0]));
}
