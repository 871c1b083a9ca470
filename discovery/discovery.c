/* SPDX-License-Identifier: ISC */
/*
 * The front door: starts every source of the table below, ranks what they see
 * by the link it was seen on, and lets hints.c make peers of it. Knows no
 * particular source and no trust.
 */
#include "discovery.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hints.h"
#include "links.h"
#include "source.h"
#include "text.h"

/* Every source there is. What the owner wrote down comes first. */
static const struct source_ops *const source_table[] = {
	&static_source,
	&mdns_source,
};
#define SOURCES (sizeof(source_table) / sizeof(source_table[0]))

/* A started source and where it puts what it sees. */
struct slot {
	struct discovery	*owner;
	struct source		*source;
	struct source_sink	sink;
	bool			started;
};

struct discovery {
	struct discovery_config	cfg;	/* with copies of the texts */
	struct discovery_events	events;
	void			*arg;
	struct hints		*hints;
	struct links		*links;
	struct event		*ageing;
	bool			said_full;
	struct slot		slots[SOURCES];
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static unsigned int
index_of(const struct slot *slot)
{
	return (unsigned int)(slot - slot->owner->slots);
}

static void
say(struct discovery *d, bool problem, const char *text)
{
	if (d->events.note != NULL)
		d->events.note(d->arg, problem, text);
}

/* --- what sources say ----------------------------------------------------------- */

/* Unknown links come after those that are certainly good. */
static unsigned int
rank_of(const struct discovery *d, unsigned int ifindex)
{
	const struct link_info *link = NULL;

	if (d->links != NULL)
		link = links_find(d->links, ifindex);
	return link != NULL ? (unsigned int)link->kind : LINK_OTHER;
}

static void
source_seen(void *arg, const struct sighting *s)
{
	struct slot *slot = arg;
	struct discovery *d = slot->owner;

	if (hints_seen(d->hints, index_of(slot), s,
	    rank_of(d, s->address.ifindex)) == -ENOSPC && !d->said_full) {
		d->said_full = true;
		say(d, true, "too many handsets are announced here; "
		    "some are not shown");
	}
}

static void
source_lost(void *arg, const char *key)
{
	struct slot *slot = arg;

	hints_lost(slot->owner->hints, index_of(slot), key);
}

static void
age(struct discovery *d)
{
	uint64_t next_ms = hints_age(d->hints, now_ms());
	struct timeval tv = { (time_t)(next_ms / 1000),
	    (suseconds_t)(next_ms % 1000 * 1000) };

	if (next_ms != UINT64_MAX)
		event_add(d->ageing, &tv);
}

static void
ageing_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	age(arg);
}

static void
source_doubt(void *arg)
{
	struct slot *slot = arg;

	hints_doubt(slot->owner->hints, index_of(slot), now_ms());
	age(slot->owner);
}

static void
source_note(void *arg, bool problem, const char *text)
{
	struct slot *slot = arg;

	say(slot->owner, problem, text);
}

/* --- what links do ---------------------------------------------------------------- */

static void
say_link_down(struct discovery *d, unsigned int ifindex)
{
	if (d->events.link_down != NULL)
		d->events.link_down(d->arg, ifindex);
}

static void
link_changed(void *arg, const struct link_info *link)
{
	struct discovery *d = arg;

	hints_link(d->hints, link->ifindex, link->running);
	if (!link->running)
		say_link_down(d, link->ifindex);
}

static void
link_gone(void *arg, const struct link_info *link)
{
	struct discovery *d = arg;

	hints_link_gone(d->hints, link->ifindex);
	say_link_down(d, link->ifindex);
}

/* --- beginning and end -------------------------------------------------------------- */

static int
copy_statics(struct discovery *d, const struct discovery_config *cfg)
{
	struct discovery_static *copy;

	copy = calloc(cfg->n_statics, sizeof(*copy));
	d->cfg.statics = copy;
	d->cfg.n_statics = 0;
	if (cfg->n_statics == 0)
		return 0;
	if (copy == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < cfg->n_statics; i++) {
		const struct discovery_static *from = &cfg->statics[i];

		copy[i].port = from->port;
		copy[i].name = strdup(from->name);
		copy[i].host = strdup(from->host);
		copy[i].fingerprint = from->fingerprint == NULL ? NULL :
		    strdup(from->fingerprint);
		d->cfg.n_statics++;
		if (copy[i].name == NULL || copy[i].host == NULL ||
		    (from->fingerprint != NULL && copy[i].fingerprint == NULL))
			return -ENOMEM;
	}
	return 0;
}

static int
copy_config(struct discovery *d, const struct discovery_config *cfg)
{
	int r;

	d->cfg = *cfg;
	d->cfg.name = d->cfg.fingerprint = d->cfg.mdns_program = NULL;
	if ((r = copy_statics(d, cfg)) < 0)
		return r;
	d->cfg.name = strdup(cfg->name);
	d->cfg.fingerprint = strdup(cfg->fingerprint);
	if (cfg->mdns_program != NULL &&
	    (d->cfg.mdns_program = strdup(cfg->mdns_program)) == NULL)
		return -ENOMEM;
	return d->cfg.name != NULL && d->cfg.fingerprint != NULL ? 0 : -ENOMEM;
}

static void
free_config(struct discovery_config *cfg)
{
	for (size_t i = 0; i < cfg->n_statics; i++) {
		free((char *)cfg->statics[i].name);
		free((char *)cfg->statics[i].host);
		free((char *)cfg->statics[i].fingerprint);
	}
	free((struct discovery_static *)cfg->statics);
	free((char *)cfg->name);
	free((char *)cfg->fingerprint);
	free((char *)cfg->mdns_program);
}

static int
start_sources(struct discovery *d, struct event_base *base)
{
	int r;

	for (size_t i = 0; i < SOURCES; i++) {
		struct slot *slot = &d->slots[i];

		slot->owner = d;
		slot->sink = (struct source_sink){ .arg = slot,
		    .seen = source_seen, .lost = source_lost,
		    .doubt = source_doubt, .note = source_note };
		if ((r = source_table[i]->start(&slot->source, base, &d->cfg,
		    &slot->sink)) < 0)
			return r;
		slot->started = true;
	}
	return 0;
}

int
discovery_start(struct discovery **dp, struct event_base *base,
    const struct discovery_config *cfg, const struct discovery_events *events,
    void *arg)
{
	static const struct links_events link_events = {
		.changed = link_changed,
		.gone = link_gone,
	};
	struct discovery *d = NULL;
	int r = -EINVAL;

	*dp = NULL;
	if (!text_is_line(cfg->name, strlen(cfg->name), HINT_NAME_MAX) ||
	    !text_is_fingerprint(cfg->fingerprint, strlen(cfg->fingerprint)))
		return -EINVAL;
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->events = *events;
	d->arg = arg;
	if ((r = copy_config(d, cfg)) < 0 ||
	    (r = hints_new(&d->hints, cfg->fingerprint, events, arg)) < 0)
		goto out;
	r = -ENOMEM;
	if ((d->ageing = evtimer_new(base, ageing_cb, d)) == NULL)
		goto out;
	if (links_start(&d->links, base, &link_events, d) < 0)
		say(d, true, "cannot watch the network interfaces");
	if ((r = start_sources(d, base)) < 0)
		goto out;
	*dp = d;
	d = NULL;
out:
	discovery_stop(d);
	return r;
}

void
discovery_stop(struct discovery *d)
{
	if (d == NULL)
		return;
	for (size_t i = SOURCES; i-- > 0;)
		if (d->slots[i].started)
			source_table[i]->stop(d->slots[i].source);
	links_stop(d->links);
	if (d->ageing != NULL)
		event_free(d->ageing);
	hints_free(d->hints);
	free_config(&d->cfg);
	free(d);
}

void
discovery_each(struct discovery *d,
    void (*each)(void *arg, const struct peer_hint *peer), void *arg)
{
	hints_each(d->hints, each, arg);
}

bool
discovery_mdns_ok(struct discovery *d, const char **why)
{
	for (size_t i = 0; i < SOURCES; i++)
		if (source_table[i]->ok != NULL)
			return source_table[i]->ok(d->slots[i].source, why);
	*why = "mDNS is not built in";
	return false;
}
