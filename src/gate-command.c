/* SPDX-License-Identifier: ISC */
/*
 * Checking and writing the one command of the gate. Knows no sockets.
 */
#include "gate-command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"

#define VERB	"persona-stream "

/* One or two decimal digits without a leading zero, and no more. */
static int
parse_channel(const char *text, unsigned int *channel)
{
	size_t len = strspn(text, "0123456789");
	unsigned int n = 0;

	if (len == 0 || len > 2 || text[len] != '\0' ||
	    (len == 2 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		n = n * 10 + (unsigned int)(text[i] - '0');
	if (n >= STREAMS_MAX)
		return -EINVAL;
	*channel = n;
	return 0;
}

int
gate_command_parse(const char *text, char transfer[GATE_TRANSFER_LEN + 1],
    unsigned int *channel)
{
	const size_t verb = strlen(VERB);

	if (strnlen(text, GATE_COMMAND_MAX) < verb + GATE_TRANSFER_LEN + 1 ||
	    memcmp(text, VERB, verb) != 0)
		return -EINVAL;
	text += verb;
	if (strspn(text, HEXID_DIGITS) != GATE_TRANSFER_LEN ||
	    text[GATE_TRANSFER_LEN] != ' ')
		return -EINVAL;
	memcpy(transfer, text, GATE_TRANSFER_LEN);
	transfer[GATE_TRANSFER_LEN] = '\0';
	return parse_channel(text + GATE_TRANSFER_LEN + 1, channel);
}

int
gate_command_format(char command[GATE_COMMAND_MAX], const char *transfer,
    unsigned int channel)
{
	if (!hexid_ok(transfer) || channel >= STREAMS_MAX)
		return -EINVAL;
	snprintf(command, GATE_COMMAND_MAX, VERB "%s %u", transfer, channel);
	return 0;
}
