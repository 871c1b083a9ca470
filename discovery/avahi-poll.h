/* SPDX-License-Identifier: ISC */
/*
 * Avahi's idea of an event loop (avahi-common/watch.h), on libevent. Knows
 * nothing of what Avahi does with it.
 */
#ifndef AVAHI_POLL_H
#define AVAHI_POLL_H

#include <avahi-common/watch.h>

struct event_base;

/* Fill in *api so that it runs on base; nothing to release. */
void	avahi_poll_init(AvahiPoll *api, struct event_base *base);

#endif
