/* SPDX-License-Identifier: ISC */
/*
 * Port forwards to and from text. Knows no socket and no guest.
 */
#include "forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A port and nothing else, [from, from + len). 0 or -EINVAL. */
static int
parse_port(const char *from, size_t len, uint16_t *port)
{
	unsigned int n = 0;

	if (len < 1 || len > 5)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (from[i] < '0' || from[i] > '9')
			return -EINVAL;
		n = n * 10 + (unsigned int)(from[i] - '0');
	}
	if (n < 1 || n > UINT16_MAX)
		return -EINVAL;
	*port = (uint16_t)n;
	return 0;
}

int
forward_parse(const char *text, struct forward *f, const char **why)
{
	const char *guest, *host;
	char addr[INET_ADDRSTRLEN];
	size_t len;

	memset(f, 0, sizeof(*f));
	f->host.s_addr = htonl(INADDR_LOOPBACK);
	if (strncmp(text, "tcp:", 4) == 0 || strncmp(text, "udp:", 4) == 0) {
		f->udp = text[0] == 'u';
		text += 4;
	}
	*why = "a forward is [udp:][ADDR:]HOSTPORT:GUESTPORT";
	if ((guest = strrchr(text, ':')) == NULL)
		return -EINVAL;
	host = memrchr(text, ':', (size_t)(guest - text));
	if (host != NULL) {
		*why = "a forward's address is a numeric IPv4 one, such as "
		    "0.0.0.0 for every network";
		if ((len = (size_t)(host - text)) >= sizeof(addr))
			return -EINVAL;
		memcpy(addr, text, len);
		addr[len] = '\0';
		if (inet_pton(AF_INET, addr, &f->host) != 1)
			return -EINVAL;
		text = host + 1;
	}
	*why = "a forward's ports are 1 to 65535";
	if (parse_port(text, (size_t)(guest - text), &f->host_port) < 0 ||
	    parse_port(guest + 1, strlen(guest + 1), &f->guest_port) < 0)
		return -EINVAL;
	/* libslirp does not carry the answers when it keeps the guest from the
	 * handset's loopback. */
	*why = "a UDP forward needs an address other than the loopback one, "
	    "such as udp:0.0.0.0:53:53 for every network";
	if (f->udp && ntohl(f->host.s_addr) >> 24 == 127)
		return -EINVAL;
	*why = "";
	return 0;
}

void
forward_format(const struct forward *f, char text[FORWARD_TEXT_MAX])
{
	char addr[INET_ADDRSTRLEN] = "?";

	(void)inet_ntop(AF_INET, &f->host, addr, sizeof(addr));
	snprintf(text, FORWARD_TEXT_MAX, "%s%s:%u:%u", f->udp ? "udp:" : "",
	    addr, (unsigned int)f->host_port, (unsigned int)f->guest_port);
}

bool
forward_same_host(const struct forward *a, const struct forward *b)
{
	return a->udp == b->udp && a->host.s_addr == b->host.s_addr &&
	    a->host_port == b->host_port;
}
