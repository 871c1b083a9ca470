/* SPDX-License-Identifier: ISC */
/*
 * Judging by a policy, and its packed form. Knows no signature: that the issuer
 * said it is policy-sign.c's to say.
 */
#include "policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy.pb-c.h"

static bool __attribute__((format(printf, 2, 3)))
refuse(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, POLICY_WHY_MAX, fmt, ap);
	va_end(ap);
	return false;
}

static bool
is_listed(const struct policy *p, const char *handset)
{
	for (size_t i = 0; i < p->n_handsets; i++)
		if (handset != NULL && strcmp(p->handsets[i], handset) == 0)
			return true;
	return false;
}

/* --- judging ------------------------------------------------------------------- */

static bool
allows_holder(const struct policy *p, const struct policy_context *c,
    char *why)
{
	switch (p->move_to) {
	case POLICY_MOVE_ANYONE:
		return true;
	case POLICY_MOVE_LISTED:
		return is_listed(p, c->handset) || refuse(why, "its issuer %s "
		    "allows only listed handsets, and %s is not among them; "
		    "ask the issuer for a newer policy", p->issuer,
		    c->handset != NULL ? c->handset : "this one");
	case POLICY_MOVE_NOBODY:
		return refuse(why, "its issuer %s allows it on no other "
		    "handset", p->issuer);
	}
	return refuse(why, "its policy makes no sense");
}

static bool
allows_storage(const struct policy *p, const struct policy_context *c,
    char *why)
{
	if (!p->must_encrypt || c->encrypted)
		return true;
	return refuse(why, "its issuer %s demands that its stored image is "
	    "encrypted, and it is not; export it to an encrypted file and "
	    "import that", p->issuer);
}

static bool
allows_file(const struct policy *p, const struct policy_context *c, char *why)
{
	if (!p->must_encrypt || c->encrypted)
		return true;
	return refuse(why, "its issuer %s demands that it is encrypted "
	    "wherever it is stored; give the file a passphrase, or make it "
	    "for a handset", p->issuer);
}

/* A day after `expires` is too late, the second itself already is. */
static bool
is_expired(const struct policy *p, const struct policy_context *c)
{
	return p->expires_unix_s != 0 && c->now_unix_s >= p->expires_unix_s;
}

bool
policy_allows(const struct policy *p, enum policy_action action,
    const struct policy_context *c, char *why)
{
	why[0] = '\0';
	if (p == NULL)
		return true;
	if (action != POLICY_KEEP && is_expired(p, c))
		return refuse(why, "its policy has expired; ask its issuer %s "
		    "for a newer one", p->issuer);
	switch (action) {
	case POLICY_KEEP:
	case POLICY_START:
		/* Where it was made it may stay, but not off the list. */
		return (p->move_to != POLICY_MOVE_LISTED ||
		    allows_holder(p, c, why)) && allows_storage(p, c, why);
	case POLICY_MOVE:
		return allows_holder(p, c, why) && allows_storage(p, c, why);
	case POLICY_STANDBY:
		if (!p->may_standby)
			return refuse(why, "its issuer %s allows no standby",
			    p->issuer);
		return allows_holder(p, c, why) && allows_storage(p, c, why);
	case POLICY_EXPORT:
		if (!p->may_export)
			return refuse(why, "its issuer %s allows no export",
			    p->issuer);
		return allows_file(p, c, why);
	}
	return refuse(why, "its policy does not know that");
}

/* --- the notice before ---------------------------------------------------------- */

static const uint64_t notices_s[] = { 60, 600, 3600, 86400 };

#define N_NOTICES	(sizeof(notices_s) / sizeof(notices_s[0]))

static uint64_t
left_s(const struct policy *p, uint64_t now)
{
	if (p->expires_unix_s == 0)
		return UINT64_MAX;
	return now >= p->expires_unix_s ? 0 : p->expires_unix_s - now;
}

uint64_t
policy_notice_s(const struct policy *p, uint64_t now_unix_s)
{
	uint64_t left = left_s(p, now_unix_s);

	for (size_t i = 0; left > 0 && i < N_NOTICES; i++)
		if (left <= notices_s[i])
			return notices_s[i];
	return 0;
}

uint64_t
policy_next_s(const struct policy *p, uint64_t now_unix_s)
{
	uint64_t left = left_s(p, now_unix_s);

	if (left == 0 || left == UINT64_MAX)
		return UINT64_MAX;
	for (size_t i = N_NOTICES; i > 0; i--)
		if (left > notices_s[i - 1])
			return left - notices_s[i - 1];
	return left;
}

bool
policy_notice(const struct policy *p, uint64_t now_unix_s, char *why)
{
	static const struct {
		uint64_t	s;
		const char	*word;
	} units[] = { { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
	uint64_t left = left_s(p, now_unix_s);
	size_t i = 0;

	if (policy_notice_s(p, now_unix_s) == 0)
		return false;
	while (left < units[i].s)
		i++;
	left /= units[i].s;
	snprintf(why, POLICY_WHY_MAX, "its policy expires in %llu %s%s, and it "
	    "runs no longer then; ask its issuer %s for a newer one",
	    (unsigned long long)left, units[i].word, left == 1 ? "" : "s",
	    p->issuer);
	return true;
}

bool
policy_may_replace(const struct policy *old,
    const uint8_t old_key[POLICY_KEY_BYTES], const struct policy *newer,
    const uint8_t newer_key[POLICY_KEY_BYTES], char *why)
{
	why[0] = '\0';
	if (old == NULL)
		return refuse(why, "it has no policy; one comes with the "
		    "template it is made from");
	if (memcmp(old_key, newer_key, POLICY_KEY_BYTES) != 0)
		return refuse(why, "the new policy is signed by another key "
		    "than the one it has, of %s", old->issuer);
	if (newer->serial <= old->serial)
		return refuse(why, "the new policy has serial %llu, and it has "
		    "%llu already", (unsigned long long)newer->serial,
		    (unsigned long long)old->serial);
	return true;
}

/* --- the packed form ----------------------------------------------------------- */

/* Shown on terminals and in logs: no control characters. */
static bool
take_text(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	memcpy(to, text, len + 1);
	return true;
}

static int
take(struct policy *p, const Persona__Policy__Policy *m)
{
	if (m->version > POLICY_VERSION)
		return -ENOTSUP;
	if (m->version < 1 || m->n_handsets > POLICY_HANDSETS_MAX ||
	    !take_text(p->issuer, sizeof(p->issuer), m->issuer))
		return -EINVAL;
	for (size_t i = 0; i < m->n_handsets; i++)
		if (!take_text(p->handsets[i], sizeof(p->handsets[i]),
		    m->handsets[i]))
			return -EINVAL;
	p->n_handsets = m->n_handsets;
	switch (m->move_to) {
	case PERSONA__POLICY__POLICY__MOVE_TO__ANYONE:
		p->move_to = POLICY_MOVE_ANYONE;
		break;
	case PERSONA__POLICY__POLICY__MOVE_TO__LISTED:
		p->move_to = POLICY_MOVE_LISTED;
		break;
	case PERSONA__POLICY__POLICY__MOVE_TO__NOBODY:
		p->move_to = POLICY_MOVE_NOBODY;
		break;
	default:
		return -EINVAL;
	}
	p->serial = m->serial;
	p->may_export = m->may_export;
	p->may_standby = m->may_standby;
	p->must_encrypt = m->must_encrypt;
	p->expires_unix_s = m->expires_unix_s;
	return 0;
}

int
policy_unpack(struct policy *p, const uint8_t *bytes, size_t len)
{
	Persona__Policy__Policy *m;
	int r;

	memset(p, 0, sizeof(*p));
	if (len > POLICY_MAX)
		return -EINVAL;
	m = persona__policy__policy__unpack(NULL, len, bytes);
	if (m == NULL)
		return -EINVAL;
	r = take(p, m);
	persona__policy__policy__free_unpacked(m, NULL);
	return r;
}

int
policy_pack(const struct policy *p, uint8_t *out, size_t *lenp)
{
	static const Persona__Policy__Policy__MoveTo move_to[] = {
		[POLICY_MOVE_ANYONE] = PERSONA__POLICY__POLICY__MOVE_TO__ANYONE,
		[POLICY_MOVE_LISTED] = PERSONA__POLICY__POLICY__MOVE_TO__LISTED,
		[POLICY_MOVE_NOBODY] = PERSONA__POLICY__POLICY__MOVE_TO__NOBODY,
	};
	Persona__Policy__Policy m = PERSONA__POLICY__POLICY__INIT;
	char *handsets[POLICY_HANDSETS_MAX];

	for (size_t i = 0; i < p->n_handsets; i++)
		handsets[i] = (char *)(uintptr_t)p->handsets[i];
	m.version = POLICY_VERSION;
	m.issuer = (char *)(uintptr_t)p->issuer;
	m.serial = p->serial;
	m.move_to = move_to[p->move_to];
	m.n_handsets = p->n_handsets;
	m.handsets = handsets;
	m.may_export = p->may_export;
	m.may_standby = p->may_standby;
	m.must_encrypt = p->must_encrypt;
	m.expires_unix_s = p->expires_unix_s;
	*lenp = persona__policy__policy__get_packed_size(&m);
	if (*lenp > POLICY_MAX)
		return -EMSGSIZE;
	persona__policy__policy__pack(&m, out);
	return 0;
}

const char *
policy_move_text(const struct policy *p, char *buf, size_t size)
{
	switch (p->move_to) {
	case POLICY_MOVE_ANYONE:
		snprintf(buf, size, "to every paired handset");
		break;
	case POLICY_MOVE_LISTED:
		snprintf(buf, size, "to %zu listed handset%s", p->n_handsets,
		    p->n_handsets == 1 ? "" : "s");
		break;
	case POLICY_MOVE_NOBODY:
		snprintf(buf, size, "no");
		break;
	}
	return buf;
}
