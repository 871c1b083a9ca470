/* SPDX-License-Identifier: ISC */
/*
 * The only command a peer may ask for: `persona-stream <transfer> <channel>`.
 * Knows no sockets; a pure check of hostile text, shared by both ends of the gate.
 */
#ifndef GATE_COMMAND_H
#define GATE_COMMAND_H

#include "hexid.h"

#define GATE_TRANSFER_LEN	HEXID_LEN
#define GATE_COMMAND_MAX	64u	/* bytes with the NUL; all fit */

/*
 * Take the command apart: single spaces, channel 0..STREAMS_MAX-1 without leading
 * zeros, nothing before or after. 0 or -EINVAL.
 */
int	gate_command_parse(const char *text,
	    char transfer[GATE_TRANSFER_LEN + 1], unsigned int *channel);

/* The same the other way round. 0 or -EINVAL. */
int	gate_command_format(char command[GATE_COMMAND_MAX],
	    const char *transfer, unsigned int channel);

#endif
