/* SPDX-License-Identifier: ISC */
/*
 * The bytes of a pairing (persona-protocol(7), PAIRING): four letters, then
 * messages, each behind its length. Knows how to read and write what two sides
 * say; deliberately not when they may say it. Private to pairing.
 */
#ifndef PAIRING_WIRE_H
#define PAIRING_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pairing-hash.h"
#include "pairing.pb-c.h"

#define PAIRING_WIRE_LENGTH_BYTES	2u
/* All that one side ever says: commit or nothing, handset, verdict, refuse. */
#define PAIRING_WIRE_OUT_MAX \
	(4 * (PAIRING_MSG_MAX + PAIRING_WIRE_LENGTH_BYTES))

/* Embedded by its one user; all zero is empty. */
struct pairing_wire {
	bool		magic_seen;	/* true from the start: none is awaited */
	size_t		in_len, out_len;
	uint8_t		in[PAIRING_MSG_MAX + PAIRING_WIRE_LENGTH_BYTES];
	uint8_t		out[PAIRING_WIRE_OUT_MAX];
};

/* --- out: each appends one message. 0 or -EMSGSIZE, which cannot be. --------- */

/* The initiator's first words, magic included. */
int	pairing_wire_commit(struct pairing_wire *w,
	    uint8_t commitment[PAIRING_HASH_BYTES]);
int	pairing_wire_handset(struct pairing_wire *w, enum pairing_role role,
	    struct pairing_share *own);
int	pairing_wire_verdict(struct pairing_wire *w, bool same,
	    uint8_t mac[PAIRING_HASH_BYTES]);
int	pairing_wire_refuse(struct pairing_wire *w, uint32_t why);
/* The first n bytes of `out` are on their way. */
void	pairing_wire_sent(struct pairing_wire *w, size_t n);

/* --- in ---------------------------------------------------------------------- */

/* Take as many of the bytes as there is room for; their number. */
size_t	pairing_wire_feed(struct pairing_wire *w, const void *data, size_t len);

/*
 * The next whole message: 1 and *m, to be freed by the caller; 0 when it has not
 * arrived yet; -EPROTO with a sentence in *why; -ENOMSG when what calls is no
 * pairing at all and wants no answer.
 */
int	pairing_wire_next(struct pairing_wire *w,
	    Persona__Pairing__WireMessage **m, const char **why);

/* What the other side says it is: checked for form, believed in nothing. */
bool	pairing_wire_share(const Persona__Pairing__Handset *h,
	    struct pairing_share *out);

#endif
