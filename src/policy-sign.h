/* SPDX-License-Identifier: ISC */
/*
 * Signing a policy and checking that its issuer signed it. Ed25519 detached
 * signatures by libsodium. Knows no rule of a policy.
 */
#ifndef POLICY_SIGN_H
#define POLICY_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "policy.h"
#include "privkey.h"

/*
 * Check a packed policy.SignedPolicy: its signature and that its rules make
 * sense. 0 with the rules and the key that signed; -EINVAL when it is none,
 * -EBADMSG when the signature is not that key's, -ENOTSUP for a newer version.
 * Whether the key belongs to a trusted issuer is the caller's to say.
 */
int	policy_verify(const uint8_t *bytes, size_t len, struct policy *p,
	    uint8_t key[POLICY_KEY_BYTES]);

/* Sign; *lenp bytes in out[POLICY_SIGNED_MAX]. 0 or -errno. */
int	policy_sign(const struct policy *p,
	    const uint8_t secret[PRIVKEY_SECRET_BYTES], uint8_t *out,
	    size_t *lenp);

#endif
