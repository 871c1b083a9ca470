/* SPDX-License-Identifier: ISC */
/*
 * The text an issuer writes: one `key value` a line, # comments, each rule said
 * exactly once. Knows the grammar; knows no signature and no judgement.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "number.h"
#include "policy.h"

#define POLICY_LINE_MAX	512	/* bytes */

static int __attribute__((format(printf, 2, 3)))
complain(char *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, POLICY_WHY_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int
parse_yes(const char *value, bool *out, char *err)
{
	*out = strcmp(value, "yes") == 0;
	return *out || strcmp(value, "no") == 0 ? 0 :
	    complain(err, "say yes or no");
}

static int
set_issuer(struct policy *p, const char *value, char *err)
{
	size_t len = strlen(value);

	if (len == 0 || len > POLICY_ISSUER_MAX)
		return complain(err, "an issuer has 1 to %d bytes",
		    POLICY_ISSUER_MAX);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			return complain(err, "a control character");
	memcpy(p->issuer, value, len + 1);
	return 0;
}

static int
set_serial(struct policy *p, const char *value, char *err)
{
	return number_parse(value, 0, UINT64_MAX, &p->serial) == 0 ? 0 :
	    complain(err, "a serial is a number");
}

/* anyone | nobody | listed, which `handset` lines go with */
static int
set_move(struct policy *p, const char *value, char *err)
{
	if (strcmp(value, "anyone") == 0) {
		p->move_to = POLICY_MOVE_ANYONE;
		return 0;
	}
	if (strcmp(value, "nobody") == 0) {
		p->move_to = POLICY_MOVE_NOBODY;
		return 0;
	}
	if (strcmp(value, "listed") != 0)
		return complain(err, "say anyone, nobody or listed (and one "
		    "`handset` line for each)");
	p->move_to = POLICY_MOVE_LISTED;
	return 0;
}

static int
set_handset(struct policy *p, const char *value, char *err)
{
	if (p->n_handsets == POLICY_HANDSETS_MAX)
		return complain(err, "more than %u handsets",
		    POLICY_HANDSETS_MAX);
	if (strncmp(value, "SHA256:", 7) != 0 ||
	    strlen(value) > FINGERPRINT_MAX || strchr(value, ' ') != NULL)
		return complain(err, "a handset is named by its fingerprint, "
		    "SHA256:...");
	strcpy(p->handsets[p->n_handsets++], value);
	return 0;
}

static int
set_export(struct policy *p, const char *value, char *err)
{
	return parse_yes(value, &p->may_export, err);
}

static int
set_standby(struct policy *p, const char *value, char *err)
{
	return parse_yes(value, &p->may_standby, err);
}

static int
set_encrypt(struct policy *p, const char *value, char *err)
{
	return parse_yes(value, &p->must_encrypt, err);
}

/*
 * never | YYYY-MM-DD | YYYY-MM-DDThh:mm:ssZ: from that second on, of a day from its
 * first, it has expired.
 */
static int
set_expires(struct policy *p, const char *value, char *err)
{
	struct tm tm = { 0 };
	const char *end;
	time_t t;

	p->expires_unix_s = 0;
	if (strcmp(value, "never") == 0)
		return 0;
	end = strptime(value, "%Y-%m-%d", &tm);
	if (end != NULL && *end != '\0')
		end = strptime(end, "T%H:%M:%SZ", &tm);
	if (end == NULL || *end != '\0' || (t = timegm(&tm)) <= 0)
		return complain(err, "say never, a day as 2027-12-31 or an "
		    "instant as 2027-12-31T18:00:00Z (both UTC)");
	p->expires_unix_s = (uint64_t)t;
	return 0;
}

static const struct {
	const char	*key;
	bool		repeats;	/* else: exactly once */
	int		(*set)(struct policy *p, const char *value, char *err);
} rules[] = {
	{ "issuer", false, set_issuer },
	{ "serial", false, set_serial },
	{ "move", false, set_move },
	{ "handset", true, set_handset },
	{ "export", false, set_export },
	{ "standby", false, set_standby },
	{ "encrypt", false, set_encrypt },
	{ "expires", false, set_expires },
};

#define N_RULES	(sizeof(rules) / sizeof(rules[0]))

static int
set_line(struct policy *p, char *line, unsigned int *seen, char *err)
{
	char *key = line + strspn(line, " \t"), *value;
	size_t len = strlen(key);

	while (len > 0 && strchr(" \t\r", key[len - 1]) != NULL)
		key[--len] = '\0';
	if (key[0] == '\0' || key[0] == '#')
		return 0;
	value = key + strcspn(key, " \t");
	if (*value != '\0')
		*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t i = 0; i < N_RULES; i++) {
		if (strcmp(rules[i].key, key) != 0)
			continue;
		if (!rules[i].repeats && (*seen & (1u << i)) != 0)
			return complain(err, "%s is said twice", key);
		*seen |= 1u << i;
		return rules[i].set(p, value, err);
	}
	return complain(err, "there is no rule \"%.40s\"", key);
}

/* What only the whole text can show. */
static int
check(const struct policy *p, unsigned int seen, char *err)
{
	for (size_t i = 0; i < N_RULES; i++)
		if (!rules[i].repeats && (seen & (1u << i)) == 0)
			return complain(err, "%s is missing", rules[i].key);
	if (p->move_to == POLICY_MOVE_LISTED && p->n_handsets == 0)
		return complain(err, "move is listed, and no handset is");
	if (p->move_to != POLICY_MOVE_LISTED && p->n_handsets > 0)
		return complain(err, "handsets are listed, and move is not "
		    "listed");
	return 0;
}

int
policy_parse_text(struct policy *p, const char *text, char *err)
{
	char line[POLICY_LINE_MAX], why[POLICY_WHY_MAX];
	unsigned int n = 0, seen = 0;

	memset(p, 0, sizeof(*p));
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		int r;

		n++;
		if (len >= sizeof(line))
			return complain(err, "line %u: longer than %d bytes",
			    n, POLICY_LINE_MAX - 1);
		memcpy(line, text, len);
		line[len] = '\0';
		if ((r = set_line(p, line, &seen, why)) < 0)
			return complain(err, "line %u: %.200s", n, why);
		text += len + (text[len] == '\n');
	}
	return check(p, seen, err);
}
