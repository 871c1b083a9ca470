/* SPDX-License-Identifier: ISC */
/*
 * Writes one JSON value on one line, correct whatever the strings contain. Knows
 * nothing of personas. A caller's unbalanced nesting is a bug and asserts.
 */
#ifndef CTL_JSON_H
#define CTL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 8

struct json {
	FILE		*f;
	unsigned int	depth;
	bool		filled[JSON_DEPTH_MAX + 1];	/* a comma comes next */
	char		closing[JSON_DEPTH_MAX + 1];	/* '}' or ']' */
};

/* Begin the outermost object on f. */
void	json_begin(struct json *j, FILE *f);

/* End it, and the line, and flush: a reader sees whole lines. 0 or -EIO. */
int	json_finish(struct json *j);

/*
 * Members of the innermost object, or with key NULL elements of the innermost
 * array. Strings that are not UTF-8 get U+FFFD for each wrong byte; a NULL
 * string writes null.
 */
void	json_object(struct json *j, const char *key);
void	json_array(struct json *j, const char *key);
void	json_end(struct json *j);	/* of the innermost object or array */
void	json_string(struct json *j, const char *key, const char *value);
void	json_u64(struct json *j, const char *key, uint64_t value);
void	json_i64(struct json *j, const char *key, int64_t value);
void	json_bool(struct json *j, const char *key, bool value);

/*
 * Bytes of any kind as a string: each byte is the character of its number
 * (ISO 8859-1), so that nothing is lost and nothing depends on where it is cut.
 */
void	json_bytes(struct json *j, const char *key, const char *bytes,
	    size_t len);

/* A value that is JSON already (one of our programs' own output). */
void	json_raw(struct json *j, const char *key, const char *value);

#endif
