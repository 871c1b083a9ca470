/* SPDX-License-Identifier: ISC */
/*
 * A persona on its way from here to a peer: persona-sync send, persona-vmm and
 * the source's handover, tied together. Knows which message means which event;
 * what follows from it is decided in handover.c.
 */
#ifndef MOVE_H
#define MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "registry.h"

struct persona;
struct report;

struct move_options {
	uint32_t	blackout_budget_ms;
	uint64_t	bandwidth_limit;	/* bytes a second, 0: none */
	bool		question;	/* ask and measure; it stays here */
};

/*
 * Begin. The persona runs, or stands still for want of room, and no other transfer of
 * it is under way. A question ends with REASON_OK, or with that of the first objection,
 * and its report says what was answered. 0 with its report, or -errno with a sentence in
 * *why (static).
 */
int	move_start(struct persona *p, const struct peer_record *peer,
	    const struct move_options *options, struct report **reportp,
	    const char **why);

/*
 * A person calls it off. 0; -EALREADY when the persona is released already, then
 * nothing changes; -ESRCH when it is not being moved away.
 */
int	move_cancel(struct persona *p);

/* personad leaves: what is not released runs on here. */
void	move_abandon(struct persona *p);

/* That peer is unpaired: what moves there and is not released runs on here. */
void	moves_unpaired(struct daemon *d, const char *fingerprint);

/* Tell every move away that goes by this interface that it is down. */
void	moves_link_down(struct daemon *d, unsigned int ifindex);

#endif
