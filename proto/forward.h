/* SPDX-License-Identifier: ISC */
/*
 * A port of the handset that leads into a guest, as people write it:
 * "[udp:][ADDR:]HOSTPORT:GUESTPORT". Knows no socket.
 */
#ifndef FORWARD_H
#define FORWARD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORWARD_TEXT_MAX	40u	/* bytes, with the NUL */

struct forward {
	bool		udp;
	struct in_addr	host;		/* where the handset listens */
	uint16_t	host_port;
	uint16_t	guest_port;
};

/*
 * Parse text into *f; without ADDR it is 127.0.0.1, so that nobody but the handset
 * itself gets in. ADDR is numeric IPv4; UDP needs one, and not of the loopback. 0,
 * or -EINVAL with a sentence (static) in *why.
 */
int	forward_parse(const char *text, struct forward *f, const char **why);

/* "udp:0.0.0.0:53:5353": what forward_parse takes, the address always there. */
void	forward_format(const struct forward *f, char text[FORWARD_TEXT_MAX]);

/* The same port of the handset? Two guests, or two ports of one, cannot share it. */
bool	forward_same_host(const struct forward *a, const struct forward *b);

#endif
