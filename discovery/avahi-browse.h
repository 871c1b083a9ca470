/* SPDX-License-Identifier: ISC */
/*
 * Looking for _persona._tcp services through one Avahi client, and what they
 * resolve to. Lives and dies with the client; knows no announcing.
 */
#ifndef AVAHI_BROWSE_H
#define AVAHI_BROWSE_H

#include <avahi-client/client.h>

#include "source.h"

#define AVAHI_SERVICE_TYPE "_persona._tcp"

struct avahi_browse;

/* `failed` is called (from the loop) when the browser is of no more use. */
int	avahi_browse_start(struct avahi_browse **bp, AvahiClient *client,
	    const struct source_sink *sink, void (*failed)(void *arg),
	    void *arg);

/* Before the client is freed. Reports nothing lost. NULL is fine. */
void	avahi_browse_stop(struct avahi_browse *b);

#endif
