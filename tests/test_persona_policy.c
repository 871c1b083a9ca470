/* SPDX-License-Identifier: ISC */
/*
 * Policies: every rule against every action, the text an issuer writes, and a
 * signature that any changed bit breaks.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "policy-sign.h"
#include "unit.h"

#define HERE	"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define LISTED	"SHA256:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
#define DAY	86400u

#define N_ACTIONS	5

static char why[POLICY_WHY_MAX];

static struct policy
lax(void)
{
	struct policy p = {
		.issuer = "Example Corp",
		.serial = 7,
		.move_to = POLICY_MOVE_ANYONE,
		.may_export = true,
		.may_standby = true,
	};

	return p;
}

/*
 * What each rule forbids, alone, in the order KEEP START MOVE EXPORT STANDBY:
 * 'y' allowed, 'n' not.
 */
static const struct {
	const char	*what;
	enum policy_move move_to;
	bool		may_export, may_standby, must_encrypt;
	uint64_t	expires_unix_s;
	const char	*handset;
	bool		encrypted;
	const char	*verdicts;
} table[] = {
	{ "nothing forbidden", POLICY_MOVE_ANYONE, true, true, false, 0,
	    HERE, false, "yyyyy" },
	{ "no export", POLICY_MOVE_ANYONE, false, true, false, 0,
	    HERE, false, "yyyny" },
	{ "no standby", POLICY_MOVE_ANYONE, true, false, false, 0,
	    HERE, false, "yyyyn" },
	{ "listed, and it is", POLICY_MOVE_LISTED, true, true, false, 0,
	    LISTED, false, "yyyyy" },
	{ "listed, and it is not", POLICY_MOVE_LISTED, true, true, false, 0,
	    HERE, false, "nnnyn" },
	{ "listed, and nobody is named", POLICY_MOVE_LISTED, true, true, false,
	    0, NULL, false, "nnnyn" },
	{ "nobody else", POLICY_MOVE_NOBODY, true, true, false, 0,
	    LISTED, false, "yynyn" },
	{ "encrypt, and it is", POLICY_MOVE_ANYONE, true, true, true, 0,
	    HERE, true, "yyyyy" },
	{ "encrypt, and it is not", POLICY_MOVE_ANYONE, true, true, true, 0,
	    HERE, false, "nnnnn" },
	{ "a second before it expires", POLICY_MOVE_ANYONE, true, true, false,
	    DAY + 1, HERE, false, "yyyyy" },
	{ "the second it expires", POLICY_MOVE_ANYONE, true, true, false,
	    DAY, HERE, false, "ynnnn" },
	{ "all of it", POLICY_MOVE_NOBODY, false, false, true, DAY - 1,
	    HERE, false, "nnnnn" },
};

static void
every_rule_against_every_action(void)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct policy p = lax();
		struct policy_context c = {
			.handset = table[i].handset,
			.encrypted = table[i].encrypted,
			.now_unix_s = DAY,
		};

		p.move_to = table[i].move_to;
		p.may_export = table[i].may_export;
		p.may_standby = table[i].may_standby;
		p.must_encrypt = table[i].must_encrypt;
		p.expires_unix_s = table[i].expires_unix_s;
		strcpy(p.handsets[0], LISTED);
		p.n_handsets = 1;
		for (int a = 0; a < N_ACTIONS; a++) {
			bool yes = policy_allows(&p, (enum policy_action)a, &c,
			    why);

			if (yes != (table[i].verdicts[a] == 'y'))
				printf("\n  %s, action %d", table[i].what, a);
			CU_ASSERT_EQUAL(yes, table[i].verdicts[a] == 'y');
			/* A refusal says whose it is. */
			CU_ASSERT_EQUAL(strstr(why, "Example Corp") != NULL,
			    !yes);
		}
	}
}

static void
no_policy_allows_everything(void)
{
	struct policy_context c = { .now_unix_s = DAY };

	for (int a = 0; a < N_ACTIONS; a++)
		CU_ASSERT_TRUE(policy_allows(NULL, (enum policy_action)a, &c,
		    why));
}

/* Seconds left, the notice that is due, and when to look again. */
static void
notice_is_given_in_time(void)
{
	static const struct {
		uint64_t left, notice, next;
	} steps[] = {
		{ 2 * DAY, 0, DAY }, { DAY + 1, 0, 1 },
		{ DAY, DAY, DAY - 3600 }, { 3601, DAY, 1 },
		{ 3600, 3600, 3000 }, { 600, 600, 540 },
		{ 61, 600, 1 }, { 60, 60, 60 }, { 1, 60, 1 },
		{ 0, 0, UINT64_MAX },
	};
	struct policy p = lax();

	CU_ASSERT_EQUAL(policy_notice_s(&p, DAY), 0);
	CU_ASSERT_EQUAL(policy_next_s(&p, DAY), UINT64_MAX);
	CU_ASSERT_FALSE(policy_notice(&p, DAY, why));
	p.expires_unix_s = 10 * DAY;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint64_t now = p.expires_unix_s - steps[i].left;

		CU_ASSERT_EQUAL(policy_notice_s(&p, now), steps[i].notice);
		CU_ASSERT_EQUAL(policy_next_s(&p, now), steps[i].next);
		CU_ASSERT_EQUAL(policy_notice(&p, now, why),
		    steps[i].notice > 0);
	}
	CU_ASSERT_TRUE(policy_notice(&p, p.expires_unix_s - 7199, why));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "in 1 hour,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "Example Corp"));
	CU_ASSERT_TRUE(policy_notice(&p, p.expires_unix_s - 59, why));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "in 59 seconds,"));
}

static void
only_its_issuer_replaces_it(void)
{
	uint8_t key[POLICY_KEY_BYTES] = { 1 }, other[POLICY_KEY_BYTES] = { 2 };
	struct policy old = lax(), newer = lax();

	newer.serial = 8;
	CU_ASSERT_TRUE(policy_may_replace(&old, key, &newer, key, why));
	CU_ASSERT_FALSE(policy_may_replace(&old, key, &newer, other, why));
	CU_ASSERT_FALSE(policy_may_replace(&old, key, &old, key, why));
	CU_ASSERT_FALSE(policy_may_replace(&newer, key, &old, key, why));
	CU_ASSERT_FALSE(policy_may_replace(NULL, key, &newer, key, why));
}

/* --- text ------------------------------------------------------------------- */

#define GOOD "# work phones\n" \
	"issuer   Example Corp\n" \
	"serial 20261101\n" \
	"move listed\n" \
	"handset " HERE "\n" \
	"handset " LISTED "\r\n" \
	"export no\n\n" \
	"standby yes\n" \
	"encrypt no\n" \
	"expires 2027-01-31"

static void
text_is_read(void)
{
	struct policy p;

	CU_ASSERT_EQUAL(policy_parse_text(&p, GOOD, why), 0);
	CU_ASSERT_STRING_EQUAL(p.issuer, "Example Corp");
	CU_ASSERT_EQUAL(p.serial, 20261101);
	CU_ASSERT_EQUAL(p.move_to, POLICY_MOVE_LISTED);
	CU_ASSERT_EQUAL(p.n_handsets, 2);
	CU_ASSERT_STRING_EQUAL(p.handsets[1], LISTED);
	CU_ASSERT_FALSE(p.may_export);
	CU_ASSERT_TRUE(p.may_standby);
	CU_ASSERT_FALSE(p.must_encrypt);
	CU_ASSERT_EQUAL(p.expires_unix_s, 1801353600);
}

static void
an_instant_is_read(void)
{
	struct policy p;

	CU_ASSERT_EQUAL(policy_parse_text(&p, "issuer X\nserial 1\n"
	    "move anyone\nexport yes\nstandby yes\nencrypt no\n"
	    "expires 2027-01-31T01:02:03Z\n", why), 0);
	CU_ASSERT_EQUAL(p.expires_unix_s, 1801353600 + 3723);
}

static void
wrong_text_is_refused(void)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{ "", "issuer is missing" },
		{ "issuer X\nserial 1\nmove anyone\nexport yes\nstandby yes\n"
		    "encrypt no\n", "expires is missing" },
		{ "issuer X\nissuer Y\n", "line 2: issuer is said twice" },
		{ "export perhaps\n", "line 1: say yes or no" },
		{ "expires 2027-13-01\n", "line 1: say never, a day" },
		{ "expires 2027-01-31T25:00:00Z\n", "line 1: say never, a day" },
		{ "expires 2027-01-31T05:00\n", "line 1: say never, a day" },
		{ "expires 2027-01-31x\n", "line 1: say never, a day" },
		{ "\n\nfly yes\n", "line 3: there is no rule \"fly\"" },
		{ "serial -1\n", "line 1: a serial is a number" },
		{ "handset ab:cd\n", "line 1: a handset is named" },
		{ "issuer X\nserial 1\nmove listed\nexport yes\nstandby yes\n"
		    "encrypt no\nexpires never\n", "no handset is" },
		{ "issuer X\nserial 1\nmove anyone\nexport yes\nstandby yes\n"
		    "encrypt no\nexpires never\nhandset " HERE "\n",
		    "move is not listed" },
	};
	struct policy p;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CU_ASSERT_EQUAL(policy_parse_text(&p, wrong[i].text, why),
		    -EINVAL);
		if (strstr(why, wrong[i].why) == NULL)
			printf("\n  '%s' for '%s'", why, wrong[i].why);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, wrong[i].why));
	}
}

/* --- signatures ------------------------------------------------------------- */

static uint8_t bytes[POLICY_SIGNED_MAX];
static size_t len;
static uint8_t public[POLICY_KEY_BYTES], secret[PRIVKEY_SECRET_BYTES];

static void
sign_one(void)
{
	static const uint8_t seed[32] = "a key of this test and no other";
	struct policy p;

	CU_ASSERT_TRUE_FATAL(sodium_init() >= 0);
	crypto_sign_seed_keypair(public, secret, seed);
	CU_ASSERT_EQUAL_FATAL(policy_parse_text(&p, GOOD, why), 0);
	CU_ASSERT_EQUAL_FATAL(policy_sign(&p, secret, bytes, &len), 0);
}

static void
what_was_signed_is_read(void)
{
	uint8_t key[POLICY_KEY_BYTES];
	struct policy p, q;

	sign_one();
	CU_ASSERT_EQUAL(policy_verify(bytes, len, &q, key), 0);
	CU_ASSERT_EQUAL(memcmp(key, public, sizeof(key)), 0);
	policy_parse_text(&p, GOOD, why);
	CU_ASSERT_EQUAL(memcmp(&p, &q, sizeof(p)), 0);
}

/* Invariant 6: a policy is its issuer's to the last bit, or it is nothing. */
static void
any_changed_bit_breaks_it(void)
{
	uint8_t key[POLICY_KEY_BYTES];
	unsigned int taken = 0;
	struct policy p;

	sign_one();
	for (size_t i = 0; i < 8 * len; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
		if (policy_verify(bytes, len, &p, key) == 0)
			taken++;
		bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	CU_ASSERT_EQUAL(taken, 0);
	for (size_t n = 0; n < len; n++)
		if (policy_verify(bytes, n, &p, key) == 0)
			taken++;
	CU_ASSERT_EQUAL(taken, 0);
	CU_ASSERT_EQUAL(policy_verify(bytes, sizeof(bytes) + 1, &p, key),
	    -EINVAL);
}

static void
a_policy_at_its_limits_fits(void)
{
	uint8_t key[POLICY_KEY_BYTES];
	struct policy p = lax(), q;

	sign_one();
	memset(p.issuer, 'x', POLICY_ISSUER_MAX);
	p.move_to = POLICY_MOVE_LISTED;
	p.serial = p.expires_unix_s = UINT64_MAX;
	p.n_handsets = POLICY_HANDSETS_MAX;
	for (size_t i = 0; i < p.n_handsets; i++)
		strcpy(p.handsets[i], HERE);
	CU_ASSERT_EQUAL(policy_sign(&p, secret, bytes, &len), 0);
	CU_ASSERT_TRUE(len <= sizeof(bytes));
	CU_ASSERT_EQUAL(policy_verify(bytes, len, &q, key), 0);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "every rule against every action",
		    every_rule_against_every_action },
		{ "no policy allows everything", no_policy_allows_everything },
		{ "notice is given in time", notice_is_given_in_time },
		{ "only its issuer replaces it", only_its_issuer_replaces_it },
		{ "an issuer's text is read", text_is_read },
		{ "an instant to the second", an_instant_is_read },
		{ "a wrong text is refused, and why", wrong_text_is_refused },
		{ "what was signed is read", what_was_signed_is_read },
		{ "any changed bit breaks it", any_changed_bit_breaks_it },
		{ "a policy at its limits fits", a_policy_at_its_limits_fits },
	};

	return unit_main("policy", tests, sizeof(tests) / sizeof(tests[0]));
}
