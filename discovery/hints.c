/* SPDX-License-Identifier: ISC */
/*
 * Sightings brought together into peers. After every change the peers are made
 * anew from all sightings and compared with those before: there is one rule for
 * who belongs together, and no history that could make it come out otherwise.
 * Knows no source, socket or clock.
 */
#include "hints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX

struct record {
	struct sighting	s;
	unsigned int	source;
	unsigned int	rank;
	uint64_t	due_ms;		/* NEVER, or lost then unless seen */
	bool		usable;		/* its interface carries traffic */
};

/* A peer while it is being put together; the ranks stay in here. */
struct peer {
	struct peer_hint	hint;
	unsigned int		ranks[HINT_ADDRESSES_MAX];
};

struct hints {
	struct discovery_events	events;
	void			*arg;
	char			own[HINT_FINGERPRINT_MAX + 1];
	struct record		*records;
	size_t			n_records;
	size_t			cap_records;
	struct peer		*peers;
	size_t			n_peers;
	unsigned int		*dark;	/* interfaces without traffic */
	size_t			n_dark;
};

int
hints_new(struct hints **hp, const char *own_fingerprint,
    const struct discovery_events *events, void *arg)
{
	struct hints *h = calloc(1, sizeof(*h));

	*hp = NULL;
	if (h == NULL)
		return -ENOMEM;
	h->events = *events;
	h->arg = arg;
	strncpy(h->own, own_fingerprint, sizeof(h->own) - 1);
	*hp = h;
	return 0;
}

void
hints_free(struct hints *h)
{
	if (h == NULL)
		return;
	free(h->records);
	free(h->peers);
	free(h->dark);
	free(h);
}

/* --- sightings to peers ----------------------------------------------------- */

/* Who a peer is: its fingerprint, or its name while it has none. */
static bool
same_peer(const struct peer_hint *a, const struct peer_hint *b)
{
	if (a->fingerprint[0] != '\0' || b->fingerprint[0] != '\0')
		return strcmp(a->fingerprint, b->fingerprint) == 0;
	return strcmp(a->name, b->name) == 0;
}

static bool
same_address(const struct peer_address *a, const struct peer_address *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Insert by rank, older first among equals; the worst falls off a full list. */
static void
add_address(struct peer *p, const struct peer_address *a, unsigned int rank)
{
	struct peer_hint *h = &p->hint;
	size_t at;

	for (size_t i = 0; i < h->n_addresses; i++)
		if (same_address(&h->addresses[i], a))
			return;
	for (at = h->n_addresses; at > 0 && p->ranks[at - 1] > rank; at--)
		;
	if (at == HINT_ADDRESSES_MAX)
		return;
	if (h->n_addresses < HINT_ADDRESSES_MAX)
		h->n_addresses++;
	for (size_t i = h->n_addresses - 1; i > at; i--) {
		h->addresses[i] = h->addresses[i - 1];
		p->ranks[i] = p->ranks[i - 1];
	}
	h->addresses[at] = *a;
	p->ranks[at] = rank;
}

static void
add_sighting(struct peer *p, const struct record *r)
{
	if (p->hint.version == 0)
		p->hint.version = r->s.version;
	p->hint.configured |= r->s.configured;
	add_address(p, &r->s.address, r->rank);
}

static void
begin_peer(struct peer *p, const struct record *r)
{
	memset(p, 0, sizeof(*p));
	strcpy(p->hint.name, r->s.name);
	strcpy(p->hint.fingerprint, r->s.fingerprint);
	add_sighting(p, r);
}

static bool
add_by_fingerprint(struct peer *peers, size_t n, const struct record *r)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(peers[i].hint.fingerprint, r->s.fingerprint) == 0) {
			add_sighting(&peers[i], r);
			return true;
		}
	return false;
}

/*
 * A sighting without a fingerprint helps every peer of that name: were it given
 * to the first only, a stranger could take a configured address away by using
 * the name earlier.
 */
static bool
add_by_name(struct peer *peers, size_t n, const struct record *r)
{
	bool added = false;

	for (size_t i = 0; i < n; i++)
		if (strcmp(peers[i].hint.name, r->s.name) == 0) {
			add_sighting(&peers[i], r);
			added = true;
		}
	return added;
}

/* All sightings that count, as peers: those with a fingerprint come first. */
static int
gather(const struct hints *h, struct peer **peersp, size_t *np)
{
	struct peer *peers = NULL;
	size_t n = 0;

	if (h->n_records > 0 &&
	    (peers = calloc(h->n_records, sizeof(*peers))) == NULL)
		return -ENOMEM;
	for (int named = 0; named <= 1; named++)
		for (size_t i = 0; i < h->n_records; i++) {
			const struct record *r = &h->records[i];

			if (!r->usable ||
			    (r->s.fingerprint[0] == '\0') != named)
				continue;
			if (named ? !add_by_name(peers, n, r) :
			    !add_by_fingerprint(peers, n, r))
				begin_peer(&peers[n++], r);
		}
	*peersp = peers;
	*np = n;
	return 0;
}

/* --- what changed ------------------------------------------------------------ */

static const struct peer *
find_peer(const struct peer *peers, size_t n, const struct peer_hint *hint)
{
	for (size_t i = 0; i < n; i++)
		if (same_peer(&peers[i].hint, hint))
			return &peers[i];
	return NULL;
}

static bool
same_hint(const struct peer_hint *a, const struct peer_hint *b)
{
	if (strcmp(a->name, b->name) != 0 || a->version != b->version ||
	    a->configured != b->configured || a->n_addresses != b->n_addresses)
		return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (!same_address(&a->addresses[i], &b->addresses[i]) ||
		    a->addresses[i].ifindex != b->addresses[i].ifindex)
			return false;
	return true;
}

static void
tell(const struct hints *h, void (*event)(void *, const struct peer_hint *),
    const struct peer_hint *hint)
{
	if (event != NULL)
		event(h->arg, hint);
}

/*
 * Make the peers anew and report the difference. Without memory the old ones
 * stand until the next change; a hint may be late.
 */
static int
refresh(struct hints *h)
{
	struct peer *old = h->peers, *new;
	size_t n_old = h->n_peers, n_new;
	int r;

	if ((r = gather(h, &new, &n_new)) < 0)
		return r;
	h->peers = new;
	h->n_peers = n_new;
	for (size_t i = 0; i < n_old; i++)
		if (find_peer(new, n_new, &old[i].hint) == NULL)
			tell(h, h->events.vanished, &old[i].hint);
	for (size_t i = 0; i < n_new; i++) {
		const struct peer *was = find_peer(old, n_old, &new[i].hint);

		if (was == NULL)
			tell(h, h->events.appeared, &new[i].hint);
		else if (!same_hint(&was->hint, &new[i].hint))
			tell(h, h->events.changed, &new[i].hint);
	}
	free(old);
	return 0;
}

/* --- sightings in and out ---------------------------------------------------- */

static struct record *
find_record(struct hints *h, unsigned int source, const char *key)
{
	for (size_t i = 0; i < h->n_records; i++)
		if (h->records[i].source == source &&
		    strcmp(h->records[i].s.key, key) == 0)
			return &h->records[i];
	return NULL;
}

static int
new_record(struct hints *h, struct record **rp)
{
	if (h->n_records == HINT_SIGHTINGS_MAX)
		return -ENOSPC;
	if (h->n_records == h->cap_records) {
		size_t cap = h->cap_records == 0 ? 16 : 2 * h->cap_records;
		struct record *more = realloc(h->records,
		    cap * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		h->records = more;
		h->cap_records = cap;
	}
	*rp = &h->records[h->n_records++];
	return 0;
}

/* Order is kept: the oldest sighting gives a peer its name. */
static void
drop_record(struct hints *h, struct record *r)
{
	size_t i = (size_t)(r - h->records);

	memmove(r, r + 1, (h->n_records - i - 1) * sizeof(*r));
	h->n_records--;
}

static bool
is_dark(const struct hints *h, unsigned int ifindex)
{
	for (size_t i = 0; i < h->n_dark; i++)
		if (h->dark[i] == ifindex)
			return true;
	return false;
}

int
hints_seen(struct hints *h, unsigned int source, const struct sighting *s,
    unsigned int rank)
{
	struct record *rec;
	int r;

	if (s->fingerprint[0] != '\0' && strcmp(s->fingerprint, h->own) == 0) {
		hints_lost(h, source, s->key);
		return 0;
	}
	if ((rec = find_record(h, source, s->key)) == NULL &&
	    (r = new_record(h, &rec)) < 0)
		return r;
	*rec = (struct record){ .s = *s, .source = source, .rank = rank,
	    .due_ms = NEVER, .usable = !is_dark(h, s->address.ifindex) };
	return refresh(h);
}

void
hints_lost(struct hints *h, unsigned int source, const char *key)
{
	struct record *rec = find_record(h, source, key);

	if (rec == NULL)
		return;
	drop_record(h, rec);
	(void)refresh(h);
}

void
hints_doubt(struct hints *h, unsigned int source, uint64_t now_ms)
{
	for (size_t i = 0; i < h->n_records; i++)
		if (h->records[i].source == source &&
		    h->records[i].due_ms == NEVER)
			h->records[i].due_ms = now_ms + HINTS_DOUBT_MS;
}

/* Remember (or forget) that an interface is dark. -ENOMEM leaves it as it was. */
static int
set_dark(struct hints *h, unsigned int ifindex, bool dark)
{
	unsigned int *more;

	for (size_t i = 0; i < h->n_dark; i++)
		if (h->dark[i] == ifindex) {
			if (!dark)
				h->dark[i] = h->dark[--h->n_dark];
			return 0;
		}
	if (!dark)
		return 0;
	more = realloc(h->dark, (h->n_dark + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	more[h->n_dark++] = ifindex;
	h->dark = more;
	return 0;
}

void
hints_link(struct hints *h, unsigned int ifindex, bool usable)
{
	bool changed = false;

	if (ifindex == 0 || set_dark(h, ifindex, !usable) < 0)
		return;
	for (size_t i = 0; i < h->n_records; i++)
		if (h->records[i].s.address.ifindex == ifindex &&
		    h->records[i].usable != usable) {
			h->records[i].usable = usable;
			changed = true;
		}
	if (changed)
		(void)refresh(h);
}

void
hints_link_gone(struct hints *h, unsigned int ifindex)
{
	bool dropped = false;

	if (ifindex == 0)
		return;
	(void)set_dark(h, ifindex, false);
	for (size_t i = h->n_records; i-- > 0;)
		if (h->records[i].s.address.ifindex == ifindex) {
			drop_record(h, &h->records[i]);
			dropped = true;
		}
	if (dropped)
		(void)refresh(h);
}

uint64_t
hints_age(struct hints *h, uint64_t now_ms)
{
	uint64_t next = NEVER;
	bool dropped = false;

	for (size_t i = h->n_records; i-- > 0;) {
		struct record *rec = &h->records[i];

		if (rec->due_ms == NEVER)
			continue;
		if (rec->due_ms <= now_ms) {
			drop_record(h, rec);
			dropped = true;
		} else if (rec->due_ms - now_ms < next) {
			next = rec->due_ms - now_ms;
		}
	}
	if (dropped)
		(void)refresh(h);
	return next;
}

void
hints_each(struct hints *h,
    void (*each)(void *arg, const struct peer_hint *peer), void *arg)
{
	for (size_t i = 0; i < h->n_peers; i++)
		each(arg, &h->peers[i].hint);
}
