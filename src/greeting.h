/* SPDX-License-Identifier: ISC */
/*
 * The one line the accepting side says before sshd speaks: the account to log in
 * as, which the caller cannot know. RFC 4253 section 4.2 allows lines before the
 * version string. It is not authenticated and need not be: the account name is
 * part of what the user key signs, so a false one only makes the login fail.
 */
#ifndef GREETING_H
#define GREETING_H

#include <stdbool.h>
#include <stddef.h>

#define GREETING_USER_MAX	32u	/* bytes, as Linux has it */
#define GREETING_LINE_MAX	64u	/* bytes with CR LF */

/* [a-z_][a-z0-9_.-]*, at most GREETING_USER_MAX: what both sides take. */
bool	greeting_user_valid(const char *user);

/* The line with CR LF and NUL. Its length, or -EINVAL. */
int	greeting_format(char line[GREETING_LINE_MAX], const char *user);

/* The account in a line of len bytes (with or without CR LF). 0 or -EPROTO. */
int	greeting_parse(const char *line, size_t len,
	    char user[GREETING_USER_MAX + 1]);

#endif
