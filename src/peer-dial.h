/* SPDX-License-Identifier: ISC */
/*
 * Reaches the peer of a transfer: its addresses one after the other, until somebody
 * there proves the pinned key. Holds our identity key for as long as that takes.
 * Knows no engine, and not what the streams are for.
 */
#ifndef PEER_DIAL_H
#define PEER_DIAL_H

#include <stddef.h>
#include <stdint.h>

#include "transfer.pb-c.h"

#define PEER_DIAL_ADDRESSES_MAX	32u	/* of one setup */

struct event_base;
struct peer_dial;
struct stream;

/* One of them comes, once; neither may free the dial. */
struct peer_dial_ops {
	/* The peer is at this address; n open streams are the callee's. */
	void	(*reached)(void *arg, const Persona__Transfer__Address *at,
		    struct stream **streams, size_t n);
	/* No address is left. Of why, in reason.h and words, the most telling. */
	void	(*failed)(void *arg, uint32_t reason, const char *text);
};

/*
 * For the addresses, keys and transfer of this setup, which outlives it; key_fd is
 * our private key's file and stays the caller's. 0; -E2BIG for too many addresses;
 * or -errno when the key cannot be read.
 */
int	peer_dial_new(struct peer_dial **dp, struct event_base *base,
	    const Persona__Transfer__SendSetup *setup, int key_fd,
	    const struct peer_dial_ops *ops, void *arg);

/* Begin; `failed` may come before this returns. Once. */
void	peer_dial_start(struct peer_dial *d);

/* Gives up what is under way, and forgets the key. NULL is fine. */
void	peer_dial_free(struct peer_dial *d);

#endif
