/* SPDX-License-Identifier: ISC */
/*
 * Strict readers for what a person types. Knows the limits of bounds.h and
 * nothing of the commands that ask.
 */
#include "ctl-parse.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "bounds.h"
#include "ctl-text.h"

/*
 * Decimal digits from *s, which moves behind them, also when they are too many.
 * Unlike strtoull(3) this takes no sign, no space and no other base.
 */
static int
take_digits(const char **s, uint64_t *out)
{
	const char *p = *s;
	uint64_t v = 0;
	int r = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			r = -ERANGE;
	*s = p;
	*out = v;
	return r;
}

/* The power of `base` that a K, M or G stands for; *s moves behind it. */
static uint64_t
take_unit(const char **s, uint64_t base)
{
	switch (**s) {
	case 'k':
	case 'K':
		(*s)++;
		return base;
	case 'M':
		(*s)++;
		return base * base;
	case 'G':
		(*s)++;
		return base * base * base;
	}
	return 1;
}

/* "512M", whole: what a size looks like wherever one is typed. */
static int
take_size(const char *s, uint64_t *out_bytes, const char **why)
{
	uint64_t unit;
	int r;

	*why = "a size is a whole number with K, M or G, such as 512M";
	if ((r = take_digits(&s, out_bytes)) == -EINVAL)
		return r;
	unit = take_unit(&s, 1024);
	if (*s != '\0')
		return -EINVAL;
	return r < 0 || __builtin_mul_overflow(*out_bytes, unit, out_bytes) ?
	    -ERANGE : 0;
}

/* In whole pages within the limits, or the sentence of what is not. */
static int
take_pages(const char *s, uint64_t min, uint64_t max, const char *limits,
    const char *pages, uint64_t *out_bytes, const char **why)
{
	uint64_t v;
	int r;

	if ((r = take_size(s, &v, why)) == -EINVAL)
		return r;
	*why = limits;
	if (r < 0 || v < min || v > max)
		return -ERANGE;
	*why = pages;
	if (v % PAGE_BYTES != 0)
		return -ERANGE;
	*out_bytes = v;
	return 0;
}

int
parse_ram(const char *s, uint64_t *out_bytes, const char **why)
{
	return take_pages(s, RAM_MIN_BYTES, RAM_MAX_BYTES,
	    "a persona's memory is 64M to 8G",
	    "a persona's memory is a multiple of 4K", out_bytes, why);
}

int
parse_disk(const char *s, uint64_t *out_bytes, const char **why)
{
	return take_pages(s, DISK_MIN_BYTES, DISK_MAX_BYTES,
	    "a disk has 4K to 256G", "a disk's size is a multiple of 4K",
	    out_bytes, why);
}

int
parse_allowance(const char *s, uint64_t *out_bytes, const char **why)
{
	return take_pages(s, 1u << 20, RAM_MAX_BYTES,
	    "an amount of memory is 1M to 8G",
	    "an amount of memory is a multiple of 4K", out_bytes, why);
}

int
parse_rate(const char *s, uint64_t *out_bytes_per_s, const char **why)
{
	uint64_t v, unit;
	int r;

	*why = "a rate is a whole number with kbit, Mbit, Gbit (bits) or "
	    "K, M, G (bytes) a second, such as 200Mbit or 25M";
	if ((r = take_digits(&s, &v)) == -EINVAL)
		return r;
	unit = take_unit(&s, 1000);
	if (r < 0 || __builtin_mul_overflow(v, unit, &v)) {
		*why = "that rate is too large";
		return -ERANGE;
	}
	if (strcmp(s, "bit") == 0)
		v /= 8;
	else if (*s != '\0')
		return -EINVAL;
	*why = "a rate is at least 8kbit (1K)";
	if (v < 1000)
		return -ERANGE;
	*out_bytes_per_s = v;
	return 0;
}

int
parse_number(const char *s, uint64_t min, uint64_t max, uint64_t *out,
    const char **why)
{
	uint64_t v;
	int r;

	*why = "that is not a whole number";
	if ((r = take_digits(&s, &v)) == -EINVAL || *s != '\0')
		return -EINVAL;
	*why = "that number is out of range";
	if (r < 0 || v < min || v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

static int
is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int
parse_persona_name(const char *s, const char **why)
{
	size_t len = strlen(s);

	*why = "a persona's name is a-z, 0-9 and '-', and begins with a letter "
	    "or digit";
	if (len == 0 || !is_lower_or_digit(s[0]))
		return -EINVAL;
	for (size_t i = 1; i < len; i++)
		if (!is_lower_or_digit(s[i]) && s[i] != '-')
			return -EINVAL;
	*why = "a persona's name has at most 63 characters";
	return len > PERSONA_NAME_MAX ? -ERANGE : 0;
}

int
parse_peer(const char *s, const char **why)
{
	*why = "a peer is a handset's name, its SHA256: fingerprint, or "
	    "host:port";
	if (*s == '\0')
		return -EINVAL;
	/* Room for a numeric host, its interface and a port as well. */
	if (strlen(s) > HANDSET_NAME_MAX + FINGERPRINT_MAX)
		return -ERANGE;
	while (*s != '\0') {
		uint32_t cp = text_next(&s);

		if (cp < 0x20 || cp == 0x7f || cp == TEXT_REPLACEMENT)
			return -EINVAL;
	}
	return 0;
}
