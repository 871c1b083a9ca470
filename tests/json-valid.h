/* SPDX-License-Identifier: ISC */
/*
 * Is this one JSON value and nothing else? Written against RFC 8259 and apart from
 * our writer, so that one does not excuse the other. Knows no meaning.
 */
#ifndef JSON_VALID_H
#define JSON_VALID_H

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static inline const char *json_skip_value(const char *s, int depth);

static inline const char *
json_skip_space(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

/* Behind the string that starts at s, or NULL. */
static inline const char *
json_skip_string(const char *s)
{
	if (*s++ != '"')
		return NULL;
	for (; *s != '"'; s++) {
		if ((unsigned char)*s < 0x20)
			return NULL;
		if (*s != '\\')
			continue;
		s++;
		if (*s == 'u') {
			for (int i = 0; i < 4; i++)
				if (!isxdigit((unsigned char)*++s))
					return NULL;
		} else if (*s == '\0' || strchr("\"\\/bfnrt", *s) == NULL) {
			return NULL;
		}
	}
	return s + 1;
}

/* Behind the object or array whose opening bracket is at s, or NULL. */
static inline const char *
json_skip_nested(const char *s, int depth)
{
	const bool object = *s == '{';
	const char closing = object ? '}' : ']';

	s = json_skip_space(s + 1);
	if (*s == closing)
		return s + 1;
	for (;;) {
		if (object) {
			if ((s = json_skip_string(s)) == NULL)
				return NULL;
			s = json_skip_space(s);
			if (*s++ != ':')
				return NULL;
		}
		if ((s = json_skip_value(s, depth)) == NULL)
			return NULL;
		if (*s == closing)
			return s + 1;
		if (*s++ != ',')
			return NULL;
		s = json_skip_space(s);
	}
}

static inline const char *
json_skip_digits(const char *s)
{
	if (!isdigit((unsigned char)*s))
		return NULL;
	while (isdigit((unsigned char)*s))
		s++;
	return s;
}

static inline const char *
json_skip_number(const char *s)
{
	if (*s == '-')
		s++;
	if (*s == '0' && isdigit((unsigned char)s[1]))
		return NULL;
	if ((s = json_skip_digits(s)) == NULL)
		return NULL;
	if (*s == '.' && (s = json_skip_digits(s + 1)) == NULL)
		return NULL;
	if (*s == 'e' || *s == 'E') {
		s++;
		if (*s == '+' || *s == '-')
			s++;
		s = json_skip_digits(s);
	}
	return s;
}

static inline const char *
json_skip_value(const char *s, int depth)
{
	static const char *const words[] = { "true", "false", "null" };

	s = json_skip_space(s);
	if (depth == 0)
		return NULL;
	if (*s == '{' || *s == '[')
		s = json_skip_nested(s, depth - 1);
	else if (*s == '"')
		s = json_skip_string(s);
	else if (*s == '-' || isdigit((unsigned char)*s))
		s = json_skip_number(s);
	else {
		for (size_t i = 0; i < 3; i++)
			if (strncmp(s, words[i], strlen(words[i])) == 0)
				return json_skip_space(s + strlen(words[i]));
		return NULL;
	}
	return s == NULL ? NULL : json_skip_space(s);
}

static inline bool
json_valid(const char *s)
{
	s = json_skip_value(s, 32);
	return s != NULL && *s == '\0';
}

#endif
