/* SPDX-License-Identifier: ISC */
/*
 * Between a persona's spec and the pure judgement: unpacks, checks the signature,
 * fills in the circumstances. Knows no request and no transfer.
 */
#include "policy-check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "identity.h"
#include "policy-sign.h"

static bool
is_trusted(const struct conf *c, const uint8_t key[POLICY_KEY_BYTES])
{
	for (size_t i = 0; i < c->n_issuers; i++)
		if (memcmp(c->issuers[i], key, POLICY_KEY_BYTES) == 0)
			return true;
	return false;
}

static int
view_unpacked(const struct daemon *d, const Persona__Spec__Spec *s,
    struct policy_view *v)
{
	int r;

	if (!s->has_policy)
		return 0;
	v->present = true;
	if ((r = policy_verify(s->policy.data, s->policy.len, &v->policy,
	    v->key)) < 0)
		return r;
	v->trusted = is_trusted(&d->conf, v->key);
	return 0;
}

int
policy_view(const struct daemon *d, const struct packed_spec *spec,
    struct policy_view *v)
{
	Persona__Spec__Spec *s;
	int r;

	memset(v, 0, sizeof(*v));
	if ((r = spec_unpack(spec, &s)) < 0)
		return r;
	r = view_unpacked(d, s, v);
	persona__spec__spec__free_unpacked(s, NULL);
	return r;
}

/* Whoever signed it: an unknown issuer's rules bind as well as a known one's. */
static int
judge(struct daemon *d, const Persona__Spec__Spec *s,
    enum policy_action action, const char *handset, bool encrypted, char *why)
{
	struct policy_context c = {
		.handset = handset != NULL ? handset :
		    identity_fingerprint(d->identity),
		.encrypted = encrypted,
		.now_unix_s = (uint64_t)time(NULL),
	};
	struct policy_view v = { 0 };
	int r = view_unpacked(d, s, &v);

	if (r < 0) {
		snprintf(why, POLICY_WHY_MAX, r == -ENOTSUP ?
		    "its policy is for a newer version of persona" :
		    "its policy was changed after its issuer signed it");
		return -EPERM;
	}
	return policy_allows(v.present ? &v.policy : NULL, action, &c, why) ?
	    0 : -EPERM;
}

int
policy_check(struct daemon *d, const struct packed_spec *spec,
    enum policy_action action, const char *handset, char *why)
{
	Persona__Spec__Spec *s;
	int r;

	if (spec_unpack(spec, &s) < 0) {
		snprintf(why, POLICY_WHY_MAX, "its record cannot be read");
		return -EPERM;
	}
	r = judge(d, s, action, handset, s->encrypted, why);
	persona__spec__spec__free_unpacked(s, NULL);
	return r;
}

int
policy_check_export(struct daemon *d, const struct packed_spec *spec,
    bool encrypted, char *why)
{
	Persona__Spec__Spec *s;
	int r;

	if (spec_unpack(spec, &s) < 0) {
		snprintf(why, POLICY_WHY_MAX, "its record cannot be read");
		return -EPERM;
	}
	r = judge(d, s, POLICY_EXPORT, NULL, encrypted, why);
	persona__spec__spec__free_unpacked(s, NULL);
	return r;
}

bool
policy_demands_vault(const struct daemon *d, const struct packed_spec *spec)
{
	struct policy_view v;

	return policy_view(d, spec, &v) == 0 && v.present &&
	    v.policy.must_encrypt;
}

bool
policy_is_kept(const struct daemon *d, const struct packed_spec *had,
    const struct packed_spec *comes)
{
	struct policy_view old, now;

	if (policy_view(d, had, &old) < 0 || !old.present)
		return true;
	return policy_view(d, comes, &now) == 0 && now.present &&
	    memcmp(old.key, now.key, POLICY_KEY_BYTES) == 0 &&
	    now.policy.serial >= old.policy.serial;
}

static int
replace(struct daemon *d, Persona__Spec__Spec *s, const uint8_t *bytes,
    size_t len, struct packed_spec *out, char *why)
{
	ProtobufCBinaryData old = s->policy;
	struct policy_view v = { 0 };
	uint8_t key[POLICY_KEY_BYTES];
	struct policy newer;
	const char *wrong;
	int r;

	if (policy_verify(bytes, len, &newer, key) < 0 ||
	    view_unpacked(d, s, &v) < 0) {
		snprintf(why, POLICY_WHY_MAX, "the policy is not as its issuer "
		    "signed it, or for a newer version of persona");
		return -EPROTO;
	}
	if (!policy_may_replace(v.present ? &v.policy : NULL, v.key, &newer,
	    key, why))
		return -EPERM;
	s->policy.data = (uint8_t *)(uintptr_t)bytes;
	s->policy.len = len;
	r = spec_pack(s, out, &wrong);
	s->policy = old;
	if (r < 0)
		snprintf(why, POLICY_WHY_MAX, "%s", wrong);
	return r;
}

int
policy_replace(struct daemon *d, struct packed_spec *spec,
    const uint8_t *bytes, size_t len, char *why)
{
	struct packed_spec fresh;
	Persona__Spec__Spec *s;
	int r;

	if ((r = spec_unpack(spec, &s)) < 0) {
		snprintf(why, POLICY_WHY_MAX, "its record cannot be read");
		return r;
	}
	if ((r = replace(d, s, bytes, len, &fresh, why)) == 0)
		*spec = fresh;
	persona__spec__spec__free_unpacked(s, NULL);
	return r;
}
