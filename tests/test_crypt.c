/* SPDX-License-Identifier: ISC */
/*
 * What persona files need of cryptography keeps its word: keys hide, blocks prove
 * themselves, costs are bounded. The files' own tests are test_personafile.c.
 */
#include <errno.h>
#include <string.h>

#include "crypt.h"
#include "unit.h"

static const uint8_t salt[CRYPT_SALT_BYTES] = "sixteen of them";
static const struct crypt_cost cheap = { .passes = 1, .memory_kib = 8 };

static void
test_passphrase(void)
{
	struct crypt_cost cost = cheap;
	uint8_t a[CRYPT_KEY_BYTES], b[CRYPT_KEY_BYTES];

	CU_ASSERT_EQUAL_FATAL(crypt_init(), 0);
	CU_ASSERT_EQUAL(crypt_passphrase_key(a, "good", 4, salt, &cost), 0);
	CU_ASSERT_EQUAL(crypt_passphrase_key(b, "good", 4, salt, &cost), 0);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	CU_ASSERT_EQUAL(crypt_passphrase_key(b, "goof", 4, salt, &cost), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	cost.passes = 0;
	CU_ASSERT_EQUAL(crypt_passphrase_key(a, "g", 1, salt, &cost), -ERANGE);
	cost.passes = CRYPT_COST_PASSES_MAX + 1;
	CU_ASSERT_EQUAL(crypt_passphrase_key(a, "g", 1, salt, &cost), -ERANGE);
	cost = cheap;
	cost.memory_kib = CRYPT_COST_MEMORY_KIB_MAX + 1;
	CU_ASSERT_EQUAL(crypt_passphrase_key(a, "g", 1, salt, &cost), -ERANGE);
	cost.memory_kib = CRYPT_COST_MEMORY_KIB_MIN - 1;
	CU_ASSERT_EQUAL(crypt_passphrase_key(a, "g", 1, salt, &cost), -ERANGE);
}

static void
test_wrap(void)
{
	uint8_t key[CRYPT_KEY_BYTES], with[CRYPT_KEY_BYTES];
	uint8_t wrapped[CRYPT_WRAPPED_BYTES], back[CRYPT_KEY_BYTES];

	crypt_random(key, sizeof(key));
	crypt_random(with, sizeof(with));
	crypt_wrap(wrapped, key, with);
	CU_ASSERT_EQUAL(crypt_unwrap(back, wrapped, with), 0);
	CU_ASSERT_EQUAL(memcmp(key, back, sizeof(key)), 0);
	for (size_t i = 0; i < sizeof(wrapped); i++) {
		wrapped[i] ^= 1;
		CU_ASSERT_EQUAL(crypt_unwrap(back, wrapped, with),
		    -EKEYREJECTED);
		wrapped[i] ^= 1;
	}
	with[0] ^= 1;
	CU_ASSERT_EQUAL(crypt_unwrap(back, wrapped, with), -EKEYREJECTED);
}

static void
test_seal(void)
{
	uint8_t key[CRYPT_KEY_BYTES], back[CRYPT_KEY_BYTES];
	uint8_t sealed[CRYPT_SEALED_BYTES], other[CRYPT_SECRET_BYTES];
	/* RFC 8032, section 7.1, test 1: seed, then public key */
	static const uint8_t secret[CRYPT_SECRET_BYTES] = {
		0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84,
		0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69,
		0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
		0x7f, 0x60,
		0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b,
		0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3,
		0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
		0x51, 0x1a };
	uint8_t nonsense[CRYPT_POINT_BYTES] = { 0 };

	crypt_random(key, sizeof(key));
	CU_ASSERT_EQUAL_FATAL(crypt_seal(sealed, key, secret + 32), 0);
	CU_ASSERT_EQUAL(crypt_unseal(back, sealed, secret), 0);
	CU_ASSERT_EQUAL(memcmp(key, back, sizeof(key)), 0);
	memcpy(other, secret, sizeof(other));
	other[0] ^= 1;
	CU_ASSERT_EQUAL(crypt_unseal(back, sealed, other), -EKEYREJECTED);
	sealed[40] ^= 1;
	CU_ASSERT_EQUAL(crypt_unseal(back, sealed, secret), -EKEYREJECTED);
	/* A point of small order is nobody's key. */
	CU_ASSERT_EQUAL(crypt_seal(sealed, key, nonsense), -EINVAL);
}

static void
test_stream(void)
{
	uint8_t key[CRYPT_KEY_BYTES] = { 1 }, head[CRYPT_STREAM_HEAD_BYTES];
	uint8_t a[4 + CRYPT_BLOCK_EXTRA], b[CRYPT_BLOCK_EXTRA], back[4];
	struct crypt_stream *w = NULL, *r = NULL;
	bool last = true;

	CU_ASSERT_EQUAL_FATAL(crypt_stream_write(&w, key, head), 0);
	crypt_stream_push(w, a, "abcd", 4, false);
	crypt_stream_push(w, b, "", 0, true);
	CU_ASSERT_EQUAL_FATAL(crypt_stream_read(&r, key, head), 0);
	/* Out of order is not what was written here. */
	CU_ASSERT_EQUAL(crypt_stream_pull(r, back, b, sizeof(b), &last),
	    -EBADMSG);
	CU_ASSERT_EQUAL(crypt_stream_pull(r, back, a, sizeof(a), &last), 0);
	CU_ASSERT_EQUAL(memcmp(back, "abcd", 4), 0);
	CU_ASSERT_FALSE(last);
	CU_ASSERT_EQUAL(crypt_stream_pull(r, back, a, sizeof(a), &last),
	    -EBADMSG);
	CU_ASSERT_EQUAL(crypt_stream_pull(r, back, b, sizeof(b), &last), 0);
	CU_ASSERT_TRUE(last);
	crypt_stream_free(w);
	crypt_stream_free(r);
}

static void
test_hash(void)
{
	uint8_t a[CRYPT_HASH_BYTES], b[CRYPT_HASH_BYTES];
	struct crypt_hash *h, *g;

	CU_ASSERT_EQUAL_FATAL(crypt_hash_new(&h), 0);
	CU_ASSERT_EQUAL_FATAL(crypt_hash_new(&g), 0);
	crypt_hash_add(h, "ab", 2);
	crypt_hash_now(h, b);
	crypt_hash_add(h, "cd", 2);
	crypt_hash_now(h, a);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	crypt_hash_add(g, "abcd", 4);
	crypt_hash_now(g, b);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	crypt_hash_free(h);
	crypt_hash_free(g);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a passphrase gives one key, at a bounded cost",
		    test_passphrase },
		{ "a wrapped key opens with its own alone", test_wrap },
		{ "a sealed key opens for its handset alone", test_seal },
		{ "blocks prove their content and their place", test_stream },
		{ "a running digest is that of all so far", test_hash },
	};

	return unit_main("crypt", tests, sizeof(tests) / sizeof(tests[0]));
}
