/* SPDX-License-Identifier: ISC */
/*
 * Checks on short texts that strangers wrote. Knows only bytes: no locale, no
 * allocation.
 */
#include "text.h"

#include <stdint.h>
#include <string.h>

#define FINGERPRINT_PREFIX	"SHA256:"
#define FINGERPRINT_DIGITS	43	/* 32 bytes in base64, unpadded */

/*
 * The code point at s and its length in bytes; 0 when the bytes are no
 * well-formed UTF-8. The least value of each length rules out overlong forms.
 */
static size_t
decode_one(const unsigned char *s, size_t len, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n;

	if (s[0] < 0x80)
		n = 1;
	else if ((s[0] & 0xe0) == 0xc0)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if ((s[0] & 0xf8) == 0xf0)
		n = 4;
	else
		return 0;
	if (n > len)
		return 0;
	*cp = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3fu);
	}
	if (*cp < least[n] || *cp > 0x10ffff ||
	    (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

static bool
misleads(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||	/* controls */
	    cp == 0x2028 || cp == 0x2029 ||		/* line, paragraph */
	    cp == 0x200e || cp == 0x200f || cp == 0x061c ||	/* direction */
	    (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||
	    cp == 0xfeff;				/* invisible */
}

bool
text_is_line(const char *s, size_t len, size_t max)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t cp;
	size_t n;

	if (len == 0 || len > max)
		return false;
	for (; len > 0; p += n, len -= n) {
		if ((n = decode_one(p, len, &cp)) == 0 || misleads(cp))
			return false;
	}
	return true;
}

bool
text_is_fingerprint(const char *s, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const size_t prefix = sizeof(FINGERPRINT_PREFIX) - 1;

	if (len != prefix + FINGERPRINT_DIGITS ||
	    memcmp(s, FINGERPRINT_PREFIX, prefix) != 0)
		return false;
	for (size_t i = prefix; i < len; i++)
		if (s[i] == '\0' || strchr(digits, s[i]) == NULL)
			return false;
	return true;
}
