/* SPDX-License-Identifier: ISC */
/*
 * What a persona's policy says on this handset: asked before every start, move,
 * export and arrival. Knows the clock, our own key and the trusted issuers; the
 * judgement itself is policy.h's.
 */
#ifndef POLICY_CHECK_H
#define POLICY_CHECK_H

#include "policy.h"
#include "spec.h"

struct daemon;

/* A persona's policy, checked. */
struct policy_view {
	bool		present;
	bool		trusted;	/* signed by an issuer of personad.conf */
	struct policy	policy;
	uint8_t		key[POLICY_KEY_BYTES];
};

/*
 * The policy within a spec. 0, also when there is none; -EBADMSG, -ENOTSUP or
 * -EPROTO for one that nobody may rely on: such a persona may do nothing.
 */
int	policy_view(const struct daemon *d, const struct packed_spec *spec,
	    struct policy_view *view);

/*
 * May this be done with a persona of this spec? `handset` is the fingerprint of
 * the one that would hold it; NULL: this one. 0, or -EPERM with a sentence in
 * why[POLICY_WHY_MAX] that begins with "its".
 */
int	policy_check(struct daemon *d, const struct packed_spec *spec,
	    enum policy_action action, const char *handset, char *why);

/* May it be exported to a file that is, or is not, encrypted? The same answers. */
int	policy_check_export(struct daemon *d, const struct packed_spec *spec,
	    bool encrypted, char *why);

/* Must it be encrypted at rest? Whoever makes an image of it here sees to that. */
bool	policy_demands_vault(const struct daemon *d,
	    const struct packed_spec *spec);

/*
 * Does what comes back still have the policy it had here, or a newer one of the
 * same issuer? True also when there was none.
 */
bool	policy_is_kept(const struct daemon *d, const struct packed_spec *had,
	    const struct packed_spec *comes);

/*
 * The spec with this signed policy in place of the one it has, if the rules for
 * that allow it. 0, or -EPERM or -EPROTO with why.
 */
int	policy_replace(struct daemon *d, struct packed_spec *spec,
	    const uint8_t *bytes, size_t len, char *why);

#endif
