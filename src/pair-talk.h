/* SPDX-License-Identifier: ISC */
/*
 * One pairing on the connection it is spoken on: what arrives goes in, what comes
 * out is sent. Knows sockets; deliberately not what an end means, whether it is
 * tried again, nor personad.
 */
#ifndef PAIR_TALK_H
#define PAIR_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "pairing.h"

struct event_base;
struct pair_talk;

/* From the loop; either may free the talk. */
struct pair_talk_ops {
	/* Bytes came, the other side is gone, or there is room to send. */
	void	(*changed)(void *arg);
	/* While it lingers: the other side has closed, too. */
	void	(*gone)(void *arg);
};

struct pair_talk_config {
	enum pairing_role	role;
	const struct pairing_handset *own;	/* copied */
	uint32_t		timeout_ms;	/* as pairing_new()'s person_ms */
};

/*
 * Begin a pairing on a connected non-blocking socket, which is taken, also on
 * failure. 0 or -errno, as pairing_new().
 */
int	pair_talk_new(struct pair_talk **tp, struct event_base *base, int fd,
	    const struct pair_talk_config *c, const struct pair_talk_ops *ops,
	    void *arg);
/* Closes the connection. NULL is fine. */
void	pair_talk_free(struct pair_talk *t);

/* The pairing, to be asked and told things; lives as long as the talk. */
struct pairing *pair_talk_pairing(struct pair_talk *t);

/*
 * Send what the pairing has to say. False while some of it must wait: `changed`
 * comes when it need not. A connection that takes no more has ended, and the pairing
 * knows when this returns.
 */
bool	pair_talk_flush(struct pair_talk *t);

/*
 * All is said. Bytes of the peer that lie unread when we close would turn our last
 * words into a reset: from here on they are read and thrown away, until `gone`.
 */
void	pair_talk_linger(struct pair_talk *t);

#endif
