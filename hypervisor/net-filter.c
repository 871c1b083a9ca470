/* SPDX-License-Identifier: ISC */
/* See net-filter.h. Looks at destinations only; libslirp judges the rest. */
#include "net-filter.h"

#include <string.h>

#define ETHER_BYTES	14u
#define IPV4_BYTES	20u
#define IPV4_TO		16u
#define IPV6_BYTES	40u
#define IPV6_TO		24u

static bool
ipv4_passes(const uint8_t *to)
{
	return to[0] != 127 && to[0] != 0;
}

static bool
ipv6_passes(const uint8_t *to)
{
	static const uint8_t zero[12] = { 0 };

	/* ::/96 holds ::, ::1 and the old IPv4-compatible addresses. */
	if (memcmp(to, zero, 12) == 0)
		return false;
	/* ::ffff:a.b.c.d */
	return memcmp(to, zero, 10) != 0 || to[10] != 0xff || to[11] != 0xff;
}

bool
net_filter_passes(const uint8_t *frame, size_t len)
{
	unsigned int type;

	if (len < ETHER_BYTES)
		return false;
	type = (unsigned int)frame[12] << 8 | frame[13];
	frame += ETHER_BYTES;
	len -= ETHER_BYTES;
	switch (type) {
	case 0x0800:
		return len >= IPV4_BYTES && ipv4_passes(frame + IPV4_TO);
	case 0x86dd:
		return len >= IPV6_BYTES && ipv6_passes(frame + IPV6_TO);
	case 0x0806:		/* ARP */
		return true;
	default:
		return false;
	}
}
