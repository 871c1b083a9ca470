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
	uint8_t public[POLICY_KEY_BYTES], secret[PRIVKEY_SECRET_BYTES];
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

/* The first objection to `rec` as it is, and all of them in `why`. */
static uint32_t
judged(void)
{
	struct arrival_room room = { .memory_free = UINT64_MAX / 2,
	    .disk_free = UINT64_MAX };
	struct objections o = { 0 };

	arrival_check(&d, &rec, &room, &o);
	objections_join(&o, why, sizeof(why));
	return o.n > 0 ? o.list[0].reason : REASON_OK;
}

static uint32_t
offered(const char *text)
{
	record(text, 2);
	return judged();
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

/* As it is in spec.proto; whoever does not say comes in. */
static void
other_processors_are_refused(void)
{
	Persona__Spec__Spec s = PERSONA__SPEC__SPEC__INIT;
	const char *wrong;

	TAILQ_INIT(&d.personas);
	record(NULL, 2);
	s.arch = (char *)(uintptr_t)"riscv64";
	CU_ASSERT_EQUAL_FATAL(spec_pack(&s, &rec.spec, &wrong), 0);
	CU_ASSERT_EQUAL(judged(), REASON_ARCH);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "work is made for riscv64 and the "
	    "other handset is "));
	s.arch = (char *)(uintptr_t)spec_host_arch();
	CU_ASSERT_EQUAL_FATAL(spec_pack(&s, &rec.spec, &wrong), 0);
	CU_ASSERT_EQUAL(judged(), REASON_OK);
}

static void
a_changed_policy_forbids_all(void)
{
	TAILQ_INIT(&d.personas);
	record(RULES("1", "anyone", "no", "never"), 2);
	rec.spec.bytes[rec.spec.len / 2] ^= 1;
	CU_ASSERT_EQUAL(judged(), REASON_POLICY);
}

/* A person learns at once of everything that is in the way. */
static void
every_objection_is_named(void)
{
	struct arrival_room room = { .memory_needed = (uint64_t)512 << 20,
	    .memory_free = (uint64_t)100 << 20,
	    .disk_needed = (uint64_t)2 << 30, .disk_free = (uint64_t)1 << 30 };
	struct objections o = { 0 };

	TAILQ_INIT(&d.personas);
	record(RULES("1", "nobody", "no", "never"), 2);
	arrival_check(&d, &rec, &room, &o);
	CU_ASSERT_EQUAL(o.n, 3);
	CU_ASSERT_EQUAL(o.list[0].reason, REASON_POLICY);
	CU_ASSERT_EQUAL(o.list[1].reason, REASON_NO_MEMORY);
	CU_ASSERT_EQUAL(o.list[2].reason, REASON_DISK_FULL);
	objections_join(&o, why, sizeof(why));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "512 MiB of memory"));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "; the files"));
	/* However many and long they are, there is a bound. */
	for (unsigned int i = 0; i < 2 * OBJECTIONS_MAX; i++)
		objections_add(&o, REASON_BUSY, "%0500d", 1);
	CU_ASSERT_EQUAL(o.n, OBJECTIONS_MAX);
	objections_join(&o, why, sizeof(why));
	CU_ASSERT_EQUAL(strlen(why), sizeof(why) - 1);
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
		{ "other processors are refused", other_processors_are_refused },
		{ "a changed policy forbids all", a_changed_policy_forbids_all },
		{ "a policy is not lost on the way",
		    a_policy_is_not_lost_on_the_way },
		{ "every objection is named", every_objection_is_named },
	};

	return unit_main("arrival-policy", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
