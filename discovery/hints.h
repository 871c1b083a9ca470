/* SPDX-License-Identifier: ISC */
/*
 * Sightings of many sources and interfaces, brought together into peers: each
 * reported once, gone when the last sighting is. Pure: time is passed in, and
 * no source, socket or clock is known. Private to discovery/.
 */
#ifndef HINTS_H
#define HINTS_H

#include "source.h"

/* How long a sighting counts after its source has gone blind. */
#define HINTS_DOUBT_MS	10000u

struct hints;

/* Sightings of our own fingerprint are dropped. 0 or -ENOMEM. */
int	hints_new(struct hints **hp, const char *own_fingerprint,
	    const struct discovery_events *events, void *arg);
void	hints_free(struct hints *h);	/* calls nobody back; NULL is fine */

/*
 * Source number `source` sees this (again). A smaller rank is a better link.
 * 0, -ENOSPC when HINT_SIGHTINGS_MAX are there already (nothing is evicted: a
 * stranger who floods the link must not push out what is known), -ENOMEM.
 */
int	hints_seen(struct hints *h, unsigned int source,
	    const struct sighting *s, unsigned int rank);

/* Source number `source` no longer sees this key. Unknown keys are fine. */
void	hints_lost(struct hints *h, unsigned int source, const char *key);

/* Source went blind: what it does not see again within HINTS_DOUBT_MS is lost. */
void	hints_doubt(struct hints *h, unsigned int source, uint64_t now_ms);

/*
 * An interface carries traffic, or no longer does. Sightings on an interface
 * that does not are kept but count for nothing: the source may not notice
 * either change by itself for an hour.
 */
void	hints_link(struct hints *h, unsigned int ifindex, bool usable);

/* An interface is no more, and with it what was seen on it. */
void	hints_link_gone(struct hints *h, unsigned int ifindex);

/* Drop what is overdue. Milliseconds to the next due time, UINT64_MAX: none. */
uint64_t hints_age(struct hints *h, uint64_t now_ms);

/* Every peer known now, in no order. `each` may not change the hints. */
void	hints_each(struct hints *h,
	    void (*each)(void *arg, const struct peer_hint *peer), void *arg);

#endif
