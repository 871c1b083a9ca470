/* SPDX-License-Identifier: ISC */
/*
 * Signatures of policies, and the one form of private key they are made with.
 * Knows the format of OpenSSH's private key files (PROTOCOL.key) as far as an
 * unencrypted ed25519 key needs.
 */
#include "policy-sign.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "policy.pb-c.h"

/* The signature is about a policy and nothing else that this key may sign. */
static const uint8_t domain[] = "persona policy";	/* with its zero byte */

#define SIGNED_BYTES_MAX	(sizeof(domain) + POLICY_MAX)

static size_t
signed_bytes(uint8_t out[SIGNED_BYTES_MAX], const uint8_t *policy, size_t len)
{
	memcpy(out, domain, sizeof(domain));
	memcpy(out + sizeof(domain), policy, len);
	return sizeof(domain) + len;
}

static int
verify(const Persona__Policy__SignedPolicy *m, struct policy *p,
    uint8_t key[POLICY_KEY_BYTES])
{
	uint8_t bytes[SIGNED_BYTES_MAX];
	size_t len;

	if (m->policy.len > POLICY_MAX ||
	    m->signature.len != crypto_sign_BYTES ||
	    m->issuer_key.len != POLICY_KEY_BYTES)
		return -EINVAL;
	len = signed_bytes(bytes, m->policy.data, m->policy.len);
	if (crypto_sign_verify_detached(m->signature.data, bytes, len,
	    m->issuer_key.data) != 0)
		return -EBADMSG;
	memcpy(key, m->issuer_key.data, POLICY_KEY_BYTES);
	return policy_unpack(p, m->policy.data, m->policy.len);
}

int
policy_verify(const uint8_t *bytes, size_t len, struct policy *p,
    uint8_t key[POLICY_KEY_BYTES])
{
	Persona__Policy__SignedPolicy *m;
	int r;

	if (len == 0 || len > POLICY_SIGNED_MAX || sodium_init() < 0)
		return -EINVAL;
	m = persona__policy__signed_policy__unpack(NULL, len, bytes);
	if (m == NULL)
		return -EINVAL;
	r = verify(m, p, key);
	persona__policy__signed_policy__free_unpacked(m, NULL);
	return r;
}

int
policy_sign(const struct policy *p, const uint8_t secret[POLICY_SECRET_BYTES],
    uint8_t *out, size_t *lenp)
{
	Persona__Policy__SignedPolicy m = PERSONA__POLICY__SIGNED_POLICY__INIT;
	uint8_t policy[POLICY_MAX], bytes[SIGNED_BYTES_MAX];
	uint8_t signature[crypto_sign_BYTES], key[POLICY_KEY_BYTES];
	int r;

	if (sodium_init() < 0)
		return -EIO;
	if ((r = policy_pack(p, policy, &m.policy.len)) < 0)
		return r;
	crypto_sign_detached(signature, NULL, bytes,
	    signed_bytes(bytes, policy, m.policy.len), secret);
	crypto_sign_ed25519_sk_to_pk(key, secret);
	m.policy.data = policy;
	m.signature.data = signature;
	m.signature.len = sizeof(signature);
	m.issuer_key.data = key;
	m.issuer_key.len = sizeof(key);
	*lenp = persona__policy__signed_policy__pack(&m, out);
	return 0;
}

/* --- the private key file -------------------------------------------------------- */

#define KEY_BEGIN	"-----BEGIN OPENSSH PRIVATE KEY-----"
#define KEY_END		"-----END OPENSSH PRIVATE KEY-----"

/* A length-prefixed string of SSH within bytes that are left. */
struct reader {
	const uint8_t	*at;
	size_t		left;
};

static int
read_u32(struct reader *r, uint32_t *v)
{
	if (r->left < 4)
		return -EINVAL;
	*v = (uint32_t)r->at[0] << 24 | (uint32_t)r->at[1] << 16 |
	    (uint32_t)r->at[2] << 8 | r->at[3];
	r->at += 4;
	r->left -= 4;
	return 0;
}

static int
read_string(struct reader *r, struct reader *out)
{
	uint32_t len;

	if (read_u32(r, &len) < 0 || len > r->left)
		return -EINVAL;
	out->at = r->at;
	out->left = len;
	r->at += len;
	r->left -= len;
	return 0;
}

static bool
is_text(const struct reader *r, const char *text)
{
	return r->left == strlen(text) && memcmp(r->at, text, r->left) == 0;
}

/* The part that a passphrase would encrypt: check, check, type, public, secret. */
static int
read_private(struct reader private, uint8_t secret[POLICY_SECRET_BYTES])
{
	struct reader type, public, both;
	uint32_t check, again;

	if (read_u32(&private, &check) < 0 || read_u32(&private, &again) < 0 ||
	    check != again ||
	    read_string(&private, &type) < 0 ||
	    !is_text(&type, "ssh-ed25519") ||
	    read_string(&private, &public) < 0 ||
	    public.left != POLICY_KEY_BYTES ||
	    read_string(&private, &both) < 0 ||
	    both.left != POLICY_SECRET_BYTES ||
	    memcmp(both.at + 32, public.at, POLICY_KEY_BYTES) != 0)
		return -EINVAL;
	memcpy(secret, both.at, POLICY_SECRET_BYTES);
	return 0;
}

static int
read_key(struct reader r, uint8_t secret[POLICY_SECRET_BYTES])
{
	static const char magic[] = "openssh-key-v1";
	struct reader cipher, kdf, options, public, private;
	uint32_t n;

	if (r.left < sizeof(magic) || memcmp(r.at, magic, sizeof(magic)) != 0)
		return -EINVAL;
	r.at += sizeof(magic);
	r.left -= sizeof(magic);
	if (read_string(&r, &cipher) < 0 || read_string(&r, &kdf) < 0 ||
	    read_string(&r, &options) < 0 || read_u32(&r, &n) < 0 || n != 1 ||
	    read_string(&r, &public) < 0 || read_string(&r, &private) < 0)
		return -EINVAL;
	if (!is_text(&cipher, "none"))
		return -ENOKEY;
	return read_private(private, secret);
}

int
policy_secret_parse(const char *text, uint8_t secret[POLICY_SECRET_BYTES])
{
	const char *begin = strstr(text, KEY_BEGIN), *end;
	uint8_t bytes[POLICY_KEY_FILE_MAX];
	size_t len;
	int r;

	if (begin == NULL || sodium_init() < 0)
		return -EINVAL;
	begin += strlen(KEY_BEGIN);
	if ((end = strstr(begin, KEY_END)) == NULL)
		return -EINVAL;
	r = -EINVAL;
	if (sodium_base642bin(bytes, sizeof(bytes), begin,
	    (size_t)(end - begin), "\r\n ", &len, NULL,
	    sodium_base64_VARIANT_ORIGINAL) == 0)
		r = read_key((struct reader){ bytes, len }, secret);
	sodium_memzero(bytes, sizeof(bytes));
	return r;
}

void
policy_wipe(void *secret, size_t len)
{
	sodium_memzero(secret, len);
}
