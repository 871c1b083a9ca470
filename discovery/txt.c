/* SPDX-License-Identifier: ISC */
/*
 * The TXT record of a _persona._tcp service, item by item. Knows no Avahi and
 * believes nothing: whatever does not fit its bound spoils the whole record.
 */
#include "txt.h"

#include <string.h>
#include <strings.h>

#include "text.h"

#define VERSION_DIGITS_MAX 9	/* fits uint32_t whatever the digits */

enum txt_key {
	TXT_VERSION = 1 << 0,
	TXT_NAME = 1 << 1,
	TXT_FINGERPRINT = 1 << 2,
	TXT_ALL = TXT_VERSION | TXT_NAME | TXT_FINGERPRINT,
};

static bool
take_version(struct txt *t, const char *value, size_t len)
{
	uint32_t v = 0;

	if (len == 0 || len > VERSION_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(value[i] - '0');
	}
	t->version = v;
	return v > 0;
}

static bool
take_name(struct txt *t, const char *value, size_t len)
{
	if (!text_is_line(value, len, HINT_NAME_MAX))
		return false;
	memcpy(t->name, value, len);
	t->name[len] = '\0';
	return true;
}

static bool
take_fingerprint(struct txt *t, const char *value, size_t len)
{
	if (!text_is_fingerprint(value, len))
		return false;
	memcpy(t->fingerprint, value, len);
	t->fingerprint[len] = '\0';
	return true;
}

static const struct {
	const char	*name;
	enum txt_key	key;
	bool		(*take)(struct txt *t, const char *value, size_t len);
} keys[] = {
	{ "v", TXT_VERSION, take_version },
	{ "name", TXT_NAME, take_name },
	{ "fp", TXT_FINGERPRINT, take_fingerprint },
};

void
txt_init(struct txt *t)
{
	memset(t, 0, sizeof(*t));
}

void
txt_item(struct txt *t, const uint8_t *item, size_t len)
{
	const uint8_t *eq;
	size_t key_len;

	if (len == 0 || len > TXT_ITEM_MAX ||
	    (eq = memchr(item, '=', len)) == NULL)
		return;
	key_len = (size_t)(eq - item);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strlen(keys[i].name) != key_len || strncasecmp(
		    keys[i].name, (const char *)item, key_len) != 0)
			continue;
		if (t->seen & keys[i].key)
			return;
		t->seen |= keys[i].key;
		if (!keys[i].take(t, (const char *)eq + 1, len - key_len - 1))
			t->bad = true;
		return;
	}
}

bool
txt_complete(const struct txt *t)
{
	return t->seen == TXT_ALL && !t->bad;
}
