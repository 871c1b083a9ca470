/* SPDX-License-Identifier: ISC */
/*
 * What persona-mdns tells the source that started it: one of these a datagram, on a
 * SOCK_SEQPACKET pair. Both are of one build, so a structure may be the message; what
 * its texts hold came from the network all the same. Private to mdns*.c.
 */
#ifndef MDNS_WIRE_H
#define MDNS_WIRE_H

#include "source.h"

#define MDNS_FD		3	/* where the program finds its end */
#define MDNS_TEXT_MAX	255
/* A state comes this often, changed or not, as a sign of life. */
#define MDNS_STATE_MS	1000

enum mdns_kind {
	MDNS_SEEN,	/* sighting */
	MDNS_LOST,	/* sighting.key */
	MDNS_DOUBT,
	MDNS_NOTE,	/* flag: a problem; text */
	MDNS_STATE,	/* flag: it works; text: a sentence either way */
};

struct mdns_message {
	enum mdns_kind	kind;
	bool		flag;
	struct sighting	sighting;
	char		text[MDNS_TEXT_MAX + 1];
};

#endif
