/* SPDX-License-Identifier: ISC */
/*
 * The key of a vault opens with what it was wrapped with and with nothing else; a
 * damaged file or one from the future is told apart from a wrong passphrase.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"
#include "vault-key.h"

static const struct crypt_cost cheap = { .passes = 1, .memory_kib = 8 };
static const struct vault_secret good = { VAULT_PASSPHRASE, "good", 4 };
static const struct vault_secret bad = { VAULT_PASSPHRASE, "goof", 4 };

/* Pack, parse, open: what vault_key_open says of it. */
static int
try(const uint8_t *packed, size_t len, const struct vault_secret *secret,
    uint8_t key[CRYPT_KEY_BYTES])
{
	Persona__Vault__VaultKey *k;
	int r = vault_key_parse(packed, len, &k);

	if (r < 0)
		return r;
	r = vault_key_open(key, k, secret);
	persona__vault__vault_key__free_unpacked(k, NULL);
	return r;
}

static void
test_passphrase(void)
{
	uint8_t packed[VAULT_KEY_FILE_MAX], key[CRYPT_KEY_BYTES];
	uint8_t back[CRYPT_KEY_BYTES], other[CRYPT_KEY_BYTES] = { 1 };
	const struct vault_secret handset = { VAULT_HANDSET, other,
	    sizeof(other) };
	size_t len;

	CU_ASSERT_EQUAL_FATAL(crypt_init(), 0);
	crypt_random(key, sizeof(key));
	CU_ASSERT_EQUAL_FATAL(vault_key_pack(packed, &len, key, "gocryptfs",
	    &good, &cheap), 0);
	CU_ASSERT_EQUAL(try(packed, len, &good, back), 0);
	CU_ASSERT_EQUAL(memcmp(key, back, sizeof(key)), 0);
	CU_ASSERT_EQUAL(try(packed, len, &bad, back), -EKEYREJECTED);
	CU_ASSERT_EQUAL(try(packed, len, &handset, back), -ENOKEY);
	CU_ASSERT_PTR_NULL(memmem(packed, len, key, 8));
}

static void
test_handset(void)
{
	uint8_t packed[VAULT_KEY_FILE_MAX], key[CRYPT_KEY_BYTES] = { 7 };
	uint8_t mine[CRYPT_KEY_BYTES] = { 1 }, back[CRYPT_KEY_BYTES];
	const struct vault_secret handset = { VAULT_HANDSET, mine,
	    sizeof(mine) };
	size_t len;

	CU_ASSERT_EQUAL_FATAL(vault_key_pack(packed, &len, key, "gocryptfs",
	    &handset, &cheap), 0);
	CU_ASSERT_EQUAL(try(packed, len, &handset, back), 0);
	CU_ASSERT_EQUAL(memcmp(key, back, sizeof(key)), 0);
	CU_ASSERT_EQUAL(try(packed, len, &good, back), -ENOKEY);
	mine[31] ^= 1;
	CU_ASSERT_EQUAL(try(packed, len, &handset, back), -EKEYREJECTED);
}

/* No byte that is changed, no cut and no cost gets a key out, or a crash. */
static void
test_damage(void)
{
	uint8_t packed[VAULT_KEY_FILE_MAX], key[CRYPT_KEY_BYTES] = { 7 };
	uint8_t back[CRYPT_KEY_BYTES];
	Persona__Vault__VaultKey *k;
	size_t len;

	CU_ASSERT_EQUAL_FATAL(vault_key_pack(packed, &len, key, "gocryptfs",
	    &good, &cheap), 0);
	for (size_t i = 0; i < len; i++)
		CU_ASSERT_TRUE(try(packed, i, &good, back) < 0);
	CU_ASSERT_EQUAL_FATAL(vault_key_parse(packed, len, &k), 0);
	k->wrapped.data[40] ^= 1;
	CU_ASSERT_EQUAL(vault_key_open(back, k, &good), -EKEYREJECTED);
	k->memory_kib = CRYPT_COST_MEMORY_KIB_MAX + 1;
	CU_ASSERT_EQUAL(vault_key_open(back, k, &good), -EUCLEAN);
	k->version = VAULT_VERSION + 1;
	len = persona__vault__vault_key__pack(k, packed);
	persona__vault__vault_key__free_unpacked(k, NULL);
	CU_ASSERT_EQUAL(vault_key_parse(packed, len, &k), -ENOTSUP);
	CU_ASSERT_PTR_NULL(k);
	CU_ASSERT_EQUAL(vault_key_parse(packed, VAULT_KEY_FILE_MAX + 1, &k),
	    -EUCLEAN);
}

static void
test_handset_file(void)
{
	uint8_t one[CRYPT_KEY_BYTES], two[CRYPT_KEY_BYTES];
	char dir[] = "/tmp/test_vault_key.XXXXXX", path[64];
	struct stat st;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/vault.key", dir);
	CU_ASSERT_EQUAL(vault_handset_key(path, one), 0);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(vault_handset_key(path, two), 0);
	CU_ASSERT_EQUAL(memcmp(one, two, sizeof(one)), 0);
	CU_ASSERT_EQUAL(chmod(path, 0644), 0);
	CU_ASSERT_EQUAL(vault_handset_key(path, two), -EPERM);
	CU_ASSERT_EQUAL(chmod(path, 0600), 0);
	CU_ASSERT_EQUAL(truncate(path, CRYPT_KEY_BYTES - 1), 0);
	CU_ASSERT_EQUAL(vault_handset_key(path, two), -EUCLEAN);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a passphrase, and only it, opens", test_passphrase },
		{ "the handset's key, and only it, opens", test_handset },
		{ "damage is not a wrong passphrase", test_damage },
		{ "the handset's key is made once, for us alone",
		    test_handset_file },
	};

	return unit_main("vault key", tests, sizeof(tests) / sizeof(tests[0]));
}
