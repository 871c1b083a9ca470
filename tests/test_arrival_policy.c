/* SPDX-License-Identifier: ISC */
/*
 * A handset judges a policy for itself when a persona is offered to it, whatever
 * the other side thinks of it.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "arrival-check.h"
#include "daemon.h"
#include "identity.h"
#include "persona.h"
#include "policy-sign.h"
#include "reason.h"
#include "unit.h"

#define HERE	"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define THERE	"SHA256:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"

static struct daemon d;
static struct persona_record rec;
static char why[REASON_TEXT_MAX + 1];

/* This handset, in place of the one with a key file. */
const char *
identity_fingerprint(const struct identity *id)
{
	(void)id;
	return HERE;
}

/* A record that arrives, with the policy of this text; NULL: none. */
static void
record(const char *text, uint64_t tenure)
{
	static const uint8_t seed[32] = "a key of this test and no other";
	uint8_t public[POLICY_KEY_BYTES], secret[POLICY_SECRET_BYTES];
	Persona__Spec__Spec s = PERSONA__SPEC__SPEC__INIT;
	uint8_t bytes[POLICY_SIGNED_MAX];
	char err[POLICY_WHY_MAX];
	const char *wrong;
	struct policy p;

	memset(&rec, 0, sizeof(rec));
	strcpy(rec.id, "0123456789abcdef0123456789abcdef");
	strcpy(rec.name, "work");
	rec.ram_bytes = RAM_MIN_BYTES;
	rec.vcpus = 1;
	rec.tenure = tenure;
	if (text == NULL)
		return;
	CU_ASSERT_TRUE_FATAL(sodium_init() >= 0);
	crypto_sign_seed_keypair(public, secret, seed);
	CU_ASSERT_EQUAL_FATAL(policy_parse_text(&p, text, err), 0);
	CU_ASSERT_EQUAL_FATAL(policy_sign(&p, secret, bytes, &s.policy.len), 0);
	s.has_policy = true;
	s.policy.data = bytes;
	CU_ASSERT_EQUAL_FATAL(spec_pack(&s, &rec.spec, &wrong), 0);
}

#define RULES(serial, move, encrypt, expires)				\
	"issuer Example\nserial " serial "\nmove " move "\nexport yes\n"	\
	"standby yes\nencrypt " encrypt "\nexpires " expires "\n"

static uint32_t
offered(const char *text)
{
	record(text, 2);
	return arrival_check(&d, &rec, 0, why);
}

static void
a_stranger_is_judged(void)
{
	TAILQ_INIT(&d.personas);
	CU_ASSERT_EQUAL(offered(NULL), REASON_OK);
	CU_ASSERT_EQUAL(offered(RULES("1", "anyone", "no", "never")),
	    REASON_OK);
	CU_ASSERT_EQUAL(offered(RULES("1", "listed", "no", "never")
	    "handset " HERE "\n"), REASON_OK);
	CU_ASSERT_EQUAL(offered(RULES("1", "listed", "no", "never")
	    "handset " THERE "\n"), REASON_POLICY);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "Example"));
	CU_ASSERT_EQUAL(offered(RULES("1", "nobody", "no", "never")),
	    REASON_POLICY);
	CU_ASSERT_EQUAL(offered(RULES("1", "anyone", "yes", "never")),
	    REASON_POLICY);
	CU_ASSERT_EQUAL(offered(RULES("1", "anyone", "no", "2020-01-01")),
	    REASON_POLICY);
}

static void
a_changed_policy_forbids_all(void)
{
	TAILQ_INIT(&d.personas);
	record(RULES("1", "anyone", "no", "never"), 2);
	rec.spec.bytes[rec.spec.len / 2] ^= 1;
	CU_ASSERT_EQUAL(arrival_check(&d, &rec, 0, why), REASON_POLICY);
}

/* What was here with a policy must still have it. */
static void
a_policy_is_not_lost_on_the_way(void)
{
	struct persona *p;

	TAILQ_INIT(&d.personas);
	record(RULES("2", "anyone", "no", "never"), 1);
	rec.holding = HOLDING_AWAY;
	p = persona_new(&d, &rec);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(offered(NULL), REASON_POLICY);
	CU_ASSERT_EQUAL(offered(RULES("1", "anyone", "no", "never")),
	    REASON_POLICY);
	CU_ASSERT_EQUAL(offered(RULES("2", "anyone", "no", "never")),
	    REASON_OK);
	CU_ASSERT_EQUAL(offered(RULES("3", "anyone", "no", "never")),
	    REASON_OK);
	persona_free(p);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a stranger's policy is judged here", a_stranger_is_judged },
		{ "a changed policy forbids all", a_changed_policy_forbids_all },
		{ "a policy is not lost on the way",
		    a_policy_is_not_lost_on_the_way },
	};

	return unit_main("arrival-policy", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
