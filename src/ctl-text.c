/* SPDX-License-Identifier: ISC */
/*
 * Widths, printable copies, and numbers for people. Knows nothing of what the
 * text says or where it goes.
 */
#include "ctl-text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct range {
	uint32_t	first, last;
};

/* Combining and zero-width marks that names really contain. */
static const struct range zero_wide[] = {
	{ 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd },
	{ 0x064b, 0x065f }, { 0x0e31, 0x0e31 }, { 0x0e34, 0x0e3a },
	{ 0x0e47, 0x0e4e }, { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff },
	{ 0x200b, 0x200d }, { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f },
	{ 0xfe20, 0xfe2f },
};

/* East Asian wide and emoji, in the coarse blocks terminals agree on. */
static const struct range double_wide[] = {
	{ 0x1100, 0x115f }, { 0x2e80, 0x303e }, { 0x3041, 0xa4cf },
	{ 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe30, 0xfe6f },
	{ 0xff00, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f },
	{ 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
};

/* C0, DEL, C1, and marks that reorder the line around them. */
static const struct range steering[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f }, { 0x200e, 0x200f },
	{ 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfff9, 0xfffb },
};

static bool
within(uint32_t cp, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cp >= r[i].first && cp <= r[i].last)
			return true;
	return false;
}

#define WITHIN(cp, table) within(cp, table, sizeof(table) / sizeof((table)[0]))

uint32_t
text_next(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	uint32_t cp, least;
	int more;

	(*s)++;
	if (p[0] < 0x80)
		return p[0];
	if (p[0] >= 0xc2 && p[0] < 0xe0) {
		cp = p[0] & 0x1fu;
		more = 1;
		least = 0x80;
	} else if (p[0] >= 0xe0 && p[0] < 0xf0) {
		cp = p[0] & 0x0fu;
		more = 2;
		least = 0x800;
	} else if (p[0] >= 0xf0 && p[0] < 0xf5) {
		cp = p[0] & 0x07u;
		more = 3;
		least = 0x10000;
	} else {
		return TEXT_REPLACEMENT;
	}
	/* The string's NUL is no continuation byte, so this ends in time. */
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0u) != 0x80u)
			return TEXT_REPLACEMENT;
		cp = cp << 6 | (p[i] & 0x3fu);
	}
	if (cp < least || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return TEXT_REPLACEMENT;
	*s += more;
	return cp;
}

/* Columns that a code point takes: 0 (combining), 1 or 2. */
static unsigned int
columns_of(uint32_t cp)
{
	if (WITHIN(cp, zero_wide))
		return 0;
	return WITHIN(cp, double_wide) ? 2 : 1;
}

unsigned int
text_columns(const char *s)
{
	unsigned int n = 0;

	while (*s != '\0')
		n += columns_of(text_next(&s));
	return n;
}

char *
text_printable(const char *s)
{
	char *out, *to;

	if (s == NULL)
		s = "";
	if ((to = out = malloc(strlen(s) + 1)) == NULL)
		return NULL;
	while (*s != '\0') {
		const char *from = s;
		uint32_t cp = text_next(&s);

		/* A lone bad byte reads as U+FFFD too, but is one byte long. */
		if (WITHIN(cp, steering) ||
		    (cp == TEXT_REPLACEMENT && s - from == 1)) {
			*to++ = '?';
			continue;
		}
		memcpy(to, from, (size_t)(s - from));
		to += s - from;
	}
	*to = '\0';
	return out;
}

void
text_size(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1023.5 && u < 4) {
		v /= 1024;
		u++;
	}
	/* One decimal, unless it would be a nought or beside the point. */
	if (u == 0 || v >= 99.95 || (uint64_t)(v * 10 + 0.5) % 10 == 0)
		snprintf(out, size, "%.0f %s", v, units[u]);
	else
		snprintf(out, size, "%.1f %s", v, units[u]);
}

void
text_rate(char *out, size_t size, uint64_t bytes_per_s)
{
	static const char *const units[] = { "bit/s", "kbit/s", "Mbit/s",
	    "Gbit/s" };
	double v = (double)bytes_per_s * 8;
	size_t u = 0;

	while (v >= 999.5 && u < 3) {
		v /= 1000;
		u++;
	}
	snprintf(out, size, v < 9.95 && u > 0 ? "%.1f %s" : "%.0f %s", v,
	    units[u]);
}

void
text_duration(char *out, size_t size, uint64_t ms)
{
	uint64_t s = (ms + 500) / 1000;

	if (ms < 1000)
		snprintf(out, size, "%" PRIu64 " ms", ms);
	else if (ms < 59950)
		snprintf(out, size, ms % 1000 == 0 ? "%.0f s" : "%.1f s",
		    (double)ms / 1000);
	else if (s < 3600)
		snprintf(out, size, "%" PRIu64 " min %02" PRIu64 " s", s / 60,
		    s % 60);
	else
		snprintf(out, size, "%" PRIu64 " h %02" PRIu64 " min",
		    s / 3600, s % 3600 / 60);
}
