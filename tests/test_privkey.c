/* SPDX-License-Identifier: ISC */
/*
 * OpenSSH's private key files: the one form that is read, and every other refused.
 * All were made by ssh-keygen for this test and sign nothing.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "privkey.h"
#include "unit.h"

#define GOOD \
	"-----BEGIN OPENSSH PRIVATE KEY-----\n" \
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n" \
	"QyNTUxOQAAACAReZ9arPzVs+ji3DTYZ+RsB7GYUTb/9jbJ0+WzWV9kzwAAAIjatiFG2rYh\n" \
	"RgAAAAtzc2gtZWQyNTUxOQAAACAReZ9arPzVs+ji3DTYZ+RsB7GYUTb/9jbJ0+WzWV9kzw\n" \
	"AAAEBPm1TySJBvBMCikmUd7YmtSCx6X1Zdkd2GvxVELEknUxF5n1qs/NWz6OLcNNhn5GwH\n" \
	"sZhRNv/2NsnT5bNZX2TPAAAABHRlc3QB\n" \
	"-----END OPENSSH PRIVATE KEY-----\n"
static const char good_public[] =
    "11799f5aacfcd5b3e8e2dc34d867e46c"
    "07b1985136fff636c9d3e5b3595f64cf";

#define LOCKED \
	"-----BEGIN OPENSSH PRIVATE KEY-----\n" \
	"b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABCFpmhlpO\n" \
	"sd1EENX8PI4sVPAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIK5E/LtgVAT7/jeN\n" \
	"CTkenoMFBetXu/NdWYP3MfV8wa76AAAAkN27gEHMrbHj+oDaXSl3rZSxODgaJmgxjSdxvL\n" \
	"sSswwHt2cO9NLgh3tDbCf8dzncRynHdpZOVqwnFePGKyJNr/NDEciAQpoNMr8Tj6EkRupA\n" \
	"4rkt/sT8yGQDZxraaan+w1YBJSPgCfffCAe4ughHyHy2LQePNwdUGsnMz44cI1RlG4Vi5f\n" \
	"ekSwFMxQ4lc+/mXg==\n" \
	"-----END OPENSSH PRIVATE KEY-----\n"

#define OTHER_KIND \
	"-----BEGIN OPENSSH PRIVATE KEY-----\n" \
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n" \
	"1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQSf1+VCItoEoycGSFliff0iUv66zQND\n" \
	"kSi5m9nGEbt/fYcW9AXa4D3Uyibo2CZl0Hmhov88x29aMBRo1ba8h1s1AAAAoFEf2qJRH9\n" \
	"qiAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJ/X5UIi2gSjJwZI\n" \
	"WWJ9/SJS/rrNA0ORKLmb2cYRu399hxb0BdrgPdTKJujYJmXQeaGi/zzHb1owFGjVtryHWz\n" \
	"UAAAAga8LTCVUp5i0+19Bq56q5GTLZXkBfDq5AKkFHN/xoIy0AAAAEdGVzdAECAwQ=\n" \
	"-----END OPENSSH PRIVATE KEY-----\n"

static uint8_t secret[PRIVKEY_SECRET_BYTES];

static int
read_text(const char *text, size_t len)
{
	int fd = memfd_create("key", MFD_CLOEXEC), r = -EIO;

	CU_ASSERT_FATAL(fd >= 0);
	if (write(fd, text, len) == (ssize_t)len)
		r = privkey_read(fd, secret);
	close(fd);
	return r;
}

static void
a_key_is_read(void)
{
	char hex[2 * crypto_sign_PUBLICKEYBYTES + 1];
	uint8_t public[crypto_sign_PUBLICKEYBYTES];

	CU_ASSERT_EQUAL(read_text(GOOD, sizeof(GOOD) - 1), 0);
	crypto_sign_ed25519_sk_to_pk(public, secret);
	sodium_bin2hex(hex, sizeof(hex), public, sizeof(public));
	CU_ASSERT_STRING_EQUAL(hex, good_public);
}

static void
a_passphrase_is_told_apart(void)
{
	CU_ASSERT_EQUAL(read_text(LOCKED, sizeof(LOCKED) - 1), -ENOKEY);
}

static void
anything_else_is_refused(void)
{
	static const char public[] = "ssh-ed25519 AAAA";
	static const char long_text[8192] = GOOD;

	CU_ASSERT_EQUAL(read_text(OTHER_KIND, sizeof(OTHER_KIND) - 1),
	    -EINVAL);
	CU_ASSERT_EQUAL(read_text(public, sizeof(public) - 1), -EINVAL);
	CU_ASSERT_EQUAL(read_text(long_text, sizeof(long_text)), -EINVAL);
	CU_ASSERT_EQUAL(privkey_read(-1, secret), -EBADF);
}

static void
a_cut_key_is_refused(void)
{
	/* The last line's end is not needed. */
	for (size_t n = 0; n < sizeof(GOOD) - 2; n++)
		CU_ASSERT_EQUAL(read_text(GOOD, n), -EINVAL);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a key is read", a_key_is_read },
		{ "a passphrase is told apart", a_passphrase_is_told_apart },
		{ "anything else is refused", anything_else_is_refused },
		{ "a cut key is refused", a_cut_key_is_refused },
	};

	return unit_main("privkey", tests, sizeof(tests) / sizeof(tests[0]));
}
