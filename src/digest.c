/* SPDX-License-Identifier: ISC */
/*
 * The digest tree over pages, on libsodium's BLAKE2b. Knows no page's content,
 * only what it was told.
 */
#include "digest.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "bounds.h"
#include "bytes.h"

static const char group_domain[] = "persona group";
static const char root_domain[] = "persona root";

struct digest_tree {
	uint64_t	n_pages;
	uint64_t	n_groups;
	uint64_t	cursor;		/* where settling goes on */
	struct digest	zero;
	struct digest	*pages;
	struct digest	*groups;
	bool		*stale;		/* group must be hashed again */
};

void
digest_bytes(struct digest *out, const void *data, size_t len)
{
	crypto_generichash(out->b, DIGEST_BYTES, data, len, NULL, 0);
}

void
digest_page(struct digest *out, const void *page)
{
	digest_bytes(out, page, PAGE_BYTES);
}

int
digest_tree_new(struct digest_tree **tp, uint64_t n_pages)
{
	static const uint8_t zeros[PAGE_BYTES];
	struct digest_tree *t;

	if (n_pages == 0 || n_pages > RAM_MAX_PAGES)
		return -EINVAL;
	if (sodium_init() < 0)
		return -ENOSYS;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return -ENOMEM;
	t->n_pages = n_pages;
	t->n_groups = (n_pages + DIGEST_GROUP_PAGES - 1) / DIGEST_GROUP_PAGES;
	t->pages = malloc(n_pages * sizeof(*t->pages));
	t->groups = malloc(t->n_groups * sizeof(*t->groups));
	t->stale = malloc(t->n_groups * sizeof(*t->stale));
	if (t->pages == NULL || t->groups == NULL || t->stale == NULL) {
		digest_tree_free(t);
		return -ENOMEM;
	}
	digest_page(&t->zero, zeros);
	for (uint64_t i = 0; i < n_pages; i++)
		t->pages[i] = t->zero;
	for (uint64_t i = 0; i < t->n_groups; i++)
		t->stale[i] = true;
	*tp = t;
	return 0;
}

void
digest_tree_free(struct digest_tree *t)
{
	if (t == NULL)
		return;
	free(t->pages);
	free(t->groups);
	free(t->stale);
	free(t);
}

const struct digest *
digest_tree_get(const struct digest_tree *t, uint64_t pfn)
{
	return &t->pages[pfn];
}

void
digest_tree_set(struct digest_tree *t, uint64_t pfn, const struct digest *d)
{
	t->pages[pfn] = *d;
	t->stale[pfn / DIGEST_GROUP_PAGES] = true;
}

const struct digest *
digest_tree_zero(const struct digest_tree *t)
{
	return &t->zero;
}

static void
group_hash(struct digest_tree *t, uint64_t group)
{
	uint64_t first = group * DIGEST_GROUP_PAGES;
	uint64_t n = t->n_pages - first;
	crypto_generichash_state h;

	if (n > DIGEST_GROUP_PAGES)
		n = DIGEST_GROUP_PAGES;
	crypto_generichash_init(&h, NULL, 0, DIGEST_BYTES);
	crypto_generichash_update(&h, (const uint8_t *)group_domain,
	    sizeof(group_domain));
	crypto_generichash_update(&h, t->pages[first].b, n * DIGEST_BYTES);
	crypto_generichash_final(&h, t->groups[group].b, DIGEST_BYTES);
	t->stale[group] = false;
}

bool
digest_tree_settle(struct digest_tree *t, uint64_t max)
{
	for (uint64_t seen = 0; seen < t->n_groups; seen++) {
		uint64_t g = t->cursor;

		if (t->stale[g]) {
			if (max == 0)
				return true;
			group_hash(t, g);
			max--;
		}
		t->cursor = g + 1 < t->n_groups ? g + 1 : 0;
	}
	return false;
}

void
digest_tree_root(struct digest_tree *t, const struct digest *state,
    struct digest *out)
{
	crypto_generichash_state h;
	uint8_t count[8];

	(void)digest_tree_settle(t, t->n_groups);
	le_put64(count, t->n_pages);
	crypto_generichash_init(&h, NULL, 0, DIGEST_BYTES);
	crypto_generichash_update(&h, (const uint8_t *)root_domain,
	    sizeof(root_domain));
	crypto_generichash_update(&h, count, sizeof(count));
	crypto_generichash_update(&h, t->groups[0].b,
	    t->n_groups * DIGEST_BYTES);
	crypto_generichash_update(&h, state->b, DIGEST_BYTES);
	crypto_generichash_final(&h, out->b, DIGEST_BYTES);
}
