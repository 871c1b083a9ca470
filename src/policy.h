/* SPDX-License-Identifier: ISC */
/*
 * A persona's policy: what its issuer allows. Reading and judging; the signature
 * is checked in policy-sign.h. Pure: knows no clock, file, registry or peer.
 */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

#define POLICY_KEY_BYTES	32u	/* an ed25519 public key */
#define POLICY_WHY_MAX		256	/* a sentence for a person, bytes */

enum policy_move {
	POLICY_MOVE_ANYONE,
	POLICY_MOVE_LISTED,
	POLICY_MOVE_NOBODY,
};

struct policy {
	char		issuer[POLICY_ISSUER_MAX + 1];
	uint64_t	serial;
	enum policy_move move_to;
	char		handsets[POLICY_HANDSETS_MAX][FINGERPRINT_MAX + 1];
	size_t		n_handsets;
	bool		may_export;
	bool		may_standby;
	bool		must_encrypt;
	uint64_t	expires_unix_s;		/* 0: never */
};

/* What somebody wants to do with a persona that has a policy. */
enum policy_action {
	POLICY_KEEP,		/* have its image on this handset at all */
	POLICY_START,		/* run it: a start, or a resume from disk */
	POLICY_MOVE,		/* to the handset `handset`: asked on both sides */
	POLICY_EXPORT,		/* into a file; `encrypted` is of that */
	POLICY_STANDBY,		/* on the handset `handset` */
};

/* What the decision depends on beside the policy. */
struct policy_context {
	const char	*handset;	/* fingerprint that would hold it, or NULL */
	bool		encrypted;	/* the image or file is, or would be */
	uint64_t	now_unix_s;
};

/*
 * Whether the policy allows it. A false comes with a sentence in
 * why[POLICY_WHY_MAX] that names the issuer and the way out. `p` NULL: no
 * policy, everything is allowed.
 */
bool	policy_allows(const struct policy *p, enum policy_action action,
	    const struct policy_context *context, char *why);

/*
 * May `newer` take the place of `old` (NULL: none) on a persona that exists?
 * Only the same issuer's key with a greater serial may. A false comes with why.
 */
bool	policy_may_replace(const struct policy *old,
	    const uint8_t old_key[POLICY_KEY_BYTES], const struct policy *newer,
	    const uint8_t newer_key[POLICY_KEY_BYTES], char *why);

/*
 * Seconds of notice due before it expires: the shortest of a day, an hour, ten
 * minutes and one minute that is not shorter than the time left. 0: none yet, or it
 * has expired, or never does.
 */
uint64_t policy_notice_s(const struct policy *p, uint64_t now_unix_s);

/* Seconds until the next notice is due or it expires; UINT64_MAX: neither comes. */
uint64_t policy_next_s(const struct policy *p, uint64_t now_unix_s);

/* While a notice is due, the sentence of it in why[POLICY_WHY_MAX]; else false. */
bool	policy_notice(const struct policy *p, uint64_t now_unix_s, char *why);

/* --- its forms --------------------------------------------------------------- */

/*
 * Read the text that an issuer writes (personactl(1), policy): lines of `key
 * value`. 0, or -EINVAL with "line N: why" in err[POLICY_WHY_MAX].
 */
int	policy_parse_text(struct policy *p, const char *text, char *err);

/*
 * A packed policy.Policy. Bytes may come from a peer or a file: -EINVAL when
 * they make no policy, -ENOTSUP for a newer version's.
 */
int	policy_unpack(struct policy *p, const uint8_t *bytes, size_t len);

/* The bytes that are signed; *lenp of them in out[POLICY_MAX]. 0 or -EMSGSIZE. */
int	policy_pack(const struct policy *p, uint8_t *out, size_t *lenp);

/* In words, for `show`: "may move to 3 handsets". Written to buf and returned. */
const char *policy_move_text(const struct policy *p, char *buf, size_t size);

#endif
