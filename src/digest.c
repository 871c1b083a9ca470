/* SPDX-License-Identifier: ISC */
/*
 * The digest tree over pages, on libsodium's BLAKE2b. Knows no page's content,
 * only what it was told.
 */
#include "digest.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bounds.h"
#include "bytes.h"

static const char group_domain[] = "persona group";
static const char root_domain[] = "persona root";

/*
 * A group in which every page is zero has neither digests of its pages nor one of
 * its own: a large space that is mostly empty costs what is in it.
 */
struct digest_tree {
	uint64_t	n_pages;
	uint64_t	n_groups;
	uint64_t	cursor;		/* where settling goes on */
	struct digest	zero;
	struct digest	*pages;		/* mapped; touched where not zero */
	struct digest	*groups;	/* true where `filled` and not stale */
	uint16_t	*filled;	/* pages of the group that are not zero */
	bool		*stale;		/* group must be hashed again */
};

#define GROUP_BYTES	(DIGEST_GROUP_PAGES * sizeof(struct digest))

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
	void *p;

	if (n_pages == 0 || n_pages > SPACE_MAX_PAGES)
		return -EINVAL;
	if (sodium_init() < 0)
		return -ENOSYS;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return -ENOMEM;
	t->n_pages = n_pages;
	t->n_groups = (n_pages + DIGEST_GROUP_PAGES - 1) / DIGEST_GROUP_PAGES;
	p = mmap(NULL, t->n_groups * GROUP_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	t->pages = p != MAP_FAILED ? p : NULL;
	t->groups = calloc(t->n_groups, sizeof(*t->groups));
	t->filled = calloc(t->n_groups, sizeof(*t->filled));
	t->stale = calloc(t->n_groups, sizeof(*t->stale));
	if (t->pages == NULL || t->groups == NULL || t->filled == NULL ||
	    t->stale == NULL) {
		digest_tree_free(t);
		return -ENOMEM;
	}
	digest_page(&t->zero, zeros);
	*tp = t;
	return 0;
}

void
digest_tree_free(struct digest_tree *t)
{
	if (t == NULL)
		return;
	if (t->pages != NULL)
		munmap(t->pages, t->n_groups * GROUP_BYTES);
	free(t->groups);
	free(t->filled);
	free(t->stale);
	free(t);
}

const struct digest *
digest_tree_get(const struct digest_tree *t, uint64_t pfn)
{
	return t->filled[pfn / DIGEST_GROUP_PAGES] == 0 ? &t->zero :
	    &t->pages[pfn];
}

/* The group's first page that is not zero: now its digests count. */
static void
group_open(struct digest_tree *t, uint64_t group)
{
	struct digest *d = &t->pages[group * DIGEST_GROUP_PAGES];

	for (unsigned int i = 0; i < DIGEST_GROUP_PAGES; i++)
		d[i] = t->zero;
}

/* Its last such page has gone. Best effort: what stays is not looked at. */
static void
group_close(struct digest_tree *t, uint64_t group)
{
	(void)madvise(&t->pages[group * DIGEST_GROUP_PAGES], GROUP_BYTES,
	    MADV_DONTNEED);
}

void
digest_tree_set(struct digest_tree *t, uint64_t pfn, const struct digest *d)
{
	const uint64_t group = pfn / DIGEST_GROUP_PAGES;
	const struct digest now = *d;	/* it may lie in this very group */
	const bool zero = digest_equal(&now, &t->zero);

	if (t->filled[group] == 0) {
		if (zero)
			return;
		group_open(t, group);
	}
	t->filled[group] += digest_equal(&t->pages[pfn], &t->zero);
	t->filled[group] -= zero;
	t->pages[pfn] = now;
	t->stale[group] = true;
	if (t->filled[group] == 0)
		group_close(t, group);
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

	t->stale[group] = false;
	if (t->filled[group] == 0)
		return;
	if (n > DIGEST_GROUP_PAGES)
		n = DIGEST_GROUP_PAGES;
	crypto_generichash_init(&h, NULL, 0, DIGEST_BYTES);
	crypto_generichash_update(&h, (const uint8_t *)group_domain,
	    sizeof(group_domain));
	crypto_generichash_update(&h, t->pages[first].b, n * DIGEST_BYTES);
	crypto_generichash_final(&h, t->groups[group].b, DIGEST_BYTES);
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
	uint8_t number[8];

	(void)digest_tree_settle(t, t->n_groups);
	le_put64(number, t->n_pages);
	crypto_generichash_init(&h, NULL, 0, DIGEST_BYTES);
	crypto_generichash_update(&h, (const uint8_t *)root_domain,
	    sizeof(root_domain));
	crypto_generichash_update(&h, number, sizeof(number));
	for (uint64_t g = 0; g < t->n_groups; g++) {
		if (t->filled[g] == 0)
			continue;
		le_put64(number, g);
		crypto_generichash_update(&h, number, sizeof(number));
		crypto_generichash_update(&h, t->groups[g].b, DIGEST_BYTES);
	}
	crypto_generichash_update(&h, state->b, DIGEST_BYTES);
	crypto_generichash_final(&h, out->b, DIGEST_BYTES);
}
