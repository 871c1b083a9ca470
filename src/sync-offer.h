/* SPDX-License-Identifier: ISC */
/*
 * The persona that a source offers or asks about, from the packed message to the
 * peer's hello, after which it is sent. Knows no page and no answer.
 */
#ifndef SYNC_OFFER_H
#define SYNC_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "space.h"
#include "sync-role.h"

struct sync_offer {
	struct space_plan plan;		/* of what will be sent */
	uint8_t		*message;	/* packed SyncMessage */
	size_t		len;
};

/*
 * An offer of the persona, or a question about it. 0; -EINVAL when its figures are
 * out of bounds; or -ENOMEM. _fini takes one that is all zero, too.
 */
int	sync_offer_init(struct sync_offer *o,
	    const Persona__Transfer__Persona *persona, bool question);
void	sync_offer_fini(struct sync_offer *o);

/* Whether a space has the regions of the persona that is offered. */
bool	sync_offer_fits(const struct sync_offer *o, const struct space *space);

/*
 * The peer's hello: send the offer and enter SYNC_OFFER, or give up on another
 * version. 0, or -errno of bundle_send().
 */
int	sync_offer_send(const struct sync_offer *o, struct sync_role *role,
	    const Persona__Sync__Hello *hello);

#endif
