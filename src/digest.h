/* SPDX-License-Identifier: ISC */
/*
 * What a persona's pages (space.h) and machine state are, in 32 bytes: BLAKE2b-256
 * of each page, of each group of 512 pages, and of the groups and the state. Only
 * groups that changed are hashed again. Knows no transport and no guest; it is
 * told the digest of each page by whoever read or wrote it.
 *
 * page  = BLAKE2b-256(4096 bytes); one that no region has counts as zero
 * group = BLAKE2b-256("persona group" 0, page digests in order)
 * root  = BLAKE2b-256("persona root" 0, u64le pages, groups, state digest)
 *
 * where groups are u64le number and digest of each group that is not all zero, in
 * order: empty ones cost neither memory nor time, in space of whatever size.
 */
#ifndef DIGEST_H
#define DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bounds.h"

#define DIGEST_BYTES		32u
#define DIGEST_GROUP_PAGES	SPACE_ALIGN_PAGES

struct digest {
	uint8_t	b[DIGEST_BYTES];
};

struct digest_tree;

static inline bool
digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, DIGEST_BYTES) == 0;
}

/* Of one page, or of any bytes (the machine state). */
void	digest_page(struct digest *out, const void *page);
void	digest_bytes(struct digest *out, const void *data, size_t len);

/* A tree over n_pages pages, all zero, as fresh memory is. 0 or -ENOMEM. */
int	digest_tree_new(struct digest_tree **tp, uint64_t n_pages);
void	digest_tree_free(struct digest_tree *t);

/*
 * pfn < n_pages is the caller's promise. What _get points to is valid until the
 * next _set.
 */
const struct digest *digest_tree_get(const struct digest_tree *t, uint64_t pfn);
void	digest_tree_set(struct digest_tree *t, uint64_t pfn,
	    const struct digest *d);

/* That of a page of zeros. */
const struct digest *digest_tree_zero(const struct digest_tree *t);

/*
 * Hash up to `max` groups that changed, so that little is left to do when the
 * root is asked for. True while some are left.
 */
bool	digest_tree_settle(struct digest_tree *t, uint64_t max);

/*
 * The root hash over all pages and the machine state's digest (persona-protocol(7));
 * settles what is left.
 */
void	digest_tree_root(struct digest_tree *t, const struct digest *state,
	    struct digest *out);

#endif
