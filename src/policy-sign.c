/* SPDX-License-Identifier: ISC */
/*
 * Signatures of policies. Knows no file and no key's form.
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
policy_sign(const struct policy *p, const uint8_t secret[PRIVKEY_SECRET_BYTES],
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
