/* SPDX-License-Identifier: ISC */
/*
 * Writing and checking the greeting line. Knows no sockets.
 */
#include "greeting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GREETING	"persona-user "

static const char first_chars[] = "abcdefghijklmnopqrstuvwxyz_";
static const char next_chars[] = "abcdefghijklmnopqrstuvwxyz_0123456789.-";

bool
greeting_user_valid(const char *user)
{
	size_t len = strnlen(user, GREETING_USER_MAX + 1);

	return len > 0 && len <= GREETING_USER_MAX &&
	    strspn(user, first_chars) > 0 && strspn(user, next_chars) == len;
}

int
greeting_format(char line[GREETING_LINE_MAX], const char *user)
{
	if (!greeting_user_valid(user))
		return -EINVAL;
	return snprintf(line, GREETING_LINE_MAX, GREETING "%s\r\n", user);
}

int
greeting_parse(const char *line, size_t len, char user[GREETING_USER_MAX + 1])
{
	const size_t head = strlen(GREETING);

	if (len > 0 && line[len - 1] == '\n')
		len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len <= head || len > head + GREETING_USER_MAX ||
	    memcmp(line, GREETING, head) != 0 ||
	    memchr(line, '\0', len) != NULL)
		return -EPROTO;
	memcpy(user, line + head, len - head);
	user[len - head] = '\0';
	return greeting_user_valid(user) ? 0 : -EPROTO;
}
