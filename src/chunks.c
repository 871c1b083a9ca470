/* SPDX-License-Identifier: ISC */
/*
 * A hash table that grows to a limit. Digests are random numbers already, so their
 * first bytes are the hash.
 */
#include "chunks.h"

#include <errno.h>
#include <stdlib.h>

#include "le.h"

#define SLOTS_FIRST	1024u
/* 40 MiB; three quarters of it are 48 GiB of chunks that differ. */
#define SLOTS_MAX	(1u << 20)

struct slot {
	struct digest	digest;
	uint64_t	page;		/* plus one; 0: free */
};

struct chunks {
	uint32_t	n_slots;	/* a power of two */
	uint32_t	n;
	struct slot	*slots;
};

int
chunks_new(struct chunks **cp)
{
	struct chunks *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->n_slots = SLOTS_FIRST;
	if ((c->slots = calloc(c->n_slots, sizeof(*c->slots))) == NULL) {
		free(c);
		return -ENOMEM;
	}
	*cp = c;
	return 0;
}

void
chunks_free(struct chunks *c)
{
	if (c == NULL)
		return;
	free(c->slots);
	free(c);
}

/* The slot of this digest, or the free one where it would go. */
static struct slot *
lookup(struct slot *slots, uint32_t n_slots, const struct digest *d)
{
	uint32_t at = le_get32(d->b) & (n_slots - 1);

	while (slots[at].page != 0 && !digest_equal(&slots[at].digest, d))
		at = (at + 1) & (n_slots - 1);
	return &slots[at];
}

bool
chunks_find(const struct chunks *c, const struct digest *d, uint64_t *page)
{
	const struct slot *s = lookup(c->slots, c->n_slots, d);

	if (s->page == 0)
		return false;
	*page = s->page - 1;
	return true;
}

static bool
grow(struct chunks *c)
{
	uint32_t n_slots = 2 * c->n_slots;
	struct slot *slots;

	if (n_slots > SLOTS_MAX ||
	    (slots = calloc(n_slots, sizeof(*slots))) == NULL)
		return false;
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (c->slots[i].page != 0)
			*lookup(slots, n_slots, &c->slots[i].digest) =
			    c->slots[i];
	free(c->slots);
	c->slots = slots;
	c->n_slots = n_slots;
	return true;
}

void
chunks_put(struct chunks *c, const struct digest *d, uint64_t page)
{
	struct slot *s;

	if (c->n >= c->n_slots / 4 * 3 && !grow(c))
		return;
	s = lookup(c->slots, c->n_slots, d);
	if (s->page == 0)
		c->n++;
	s->digest = *d;
	s->page = page + 1;
}
