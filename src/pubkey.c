/* SPDX-License-Identifier: ISC */
/*
 * Reading, comparing and naming public keys in OpenSSH's text form. Base64 and
 * SHA-256 are libsodium's; nothing here touches a file.
 */
#include "pubkey.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define PREFIX			"ssh-ed25519 "
#define FINGERPRINT_PREFIX	"SHA256:"
#define FINGERPRINT_CHARS	43u	/* base64 of 32 bytes, no padding */

/* string "ssh-ed25519", then the length of the 32-byte string that follows */
static const uint8_t blob_head[] =
    "\0\0\0\013" "ssh-ed25519" "\0\0\0\040";

int
pubkey_parse(const char *text, uint8_t blob[PUBKEY_BLOB_BYTES])
{
	size_t len = strnlen(text, PUBKEY_TEXT_LEN + 1), got;

	if (len != PUBKEY_TEXT_LEN ||
	    memcmp(text, PREFIX, strlen(PREFIX)) != 0)
		return -EINVAL;
	text += strlen(PREFIX);
	len -= strlen(PREFIX);
	if (sodium_base642bin(blob, PUBKEY_BLOB_BYTES, text, len, NULL, &got,
	    NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    got != PUBKEY_BLOB_BYTES)
		return -EINVAL;
	if (memcmp(blob, blob_head, sizeof(blob_head) - 1) != 0)
		return -EINVAL;
	return 0;
}

int
pubkey_to_point(const char *text, uint8_t point[PUBKEY_POINT_BYTES])
{
	uint8_t blob[PUBKEY_BLOB_BYTES];

	if (pubkey_parse(text, blob) < 0)
		return -EINVAL;
	memcpy(point, blob + sizeof(blob_head) - 1, PUBKEY_POINT_BYTES);
	return 0;
}

void
pubkey_from_point(const uint8_t point[PUBKEY_POINT_BYTES],
    char text[PUBKEY_TEXT_LEN + 1])
{
	const size_t head = strlen(PREFIX);
	uint8_t blob[PUBKEY_BLOB_BYTES];

	memcpy(blob, blob_head, sizeof(blob_head) - 1);
	memcpy(blob + sizeof(blob_head) - 1, point, PUBKEY_POINT_BYTES);
	memcpy(text, PREFIX, head);
	sodium_bin2base64(text + head, PUBKEY_TEXT_LEN + 1 - head, blob,
	    sizeof(blob), sodium_base64_VARIANT_ORIGINAL);
}

bool
pubkey_equal(const char *a, const char *b)
{
	uint8_t ba[PUBKEY_BLOB_BYTES], bb[PUBKEY_BLOB_BYTES];

	return pubkey_parse(a, ba) == 0 && pubkey_parse(b, bb) == 0 &&
	    memcmp(ba, bb, sizeof(ba)) == 0;
}

int
pubkey_fingerprint(const char *text, char *out)
{
	uint8_t blob[PUBKEY_BLOB_BYTES], hash[crypto_hash_sha256_BYTES];
	const size_t head = strlen(FINGERPRINT_PREFIX);

	if (pubkey_parse(text, blob) < 0)
		return -EINVAL;
	crypto_hash_sha256(hash, blob, sizeof(blob));
	memcpy(out, FINGERPRINT_PREFIX, head);
	sodium_bin2base64(out + head, FINGERPRINT_MAX + 1 - head, hash,
	    sizeof(hash), sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	return 0;
}

bool
pubkey_is_fingerprint(const char *text)
{
	const size_t head = strlen(FINGERPRINT_PREFIX);
	uint8_t hash[crypto_hash_sha256_BYTES];
	size_t got;

	return strnlen(text, FINGERPRINT_MAX + 1) ==
	    head + FINGERPRINT_CHARS &&
	    memcmp(text, FINGERPRINT_PREFIX, head) == 0 &&
	    sodium_base642bin(hash, sizeof(hash), text + head,
	    FINGERPRINT_CHARS, NULL, &got, NULL,
	    sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
	    got == sizeof(hash);
}
