/* SPDX-License-Identifier: ISC */
/*
 * The receiver's half of the page forms (pagecodec.h): applies the payload of a
 * PAGES frame to a space and says what it now is. Everything in a payload is a
 * peer's claim. Knows no stream and no guest.
 */
#ifndef PAGEDECODE_H
#define PAGEDECODE_H

#include <stddef.h>
#include <stdint.h>

struct decoder;
struct digest_tree;
struct space;

/*
 * For a space that is all zero and may be written, with a tree that says so; both
 * stay the caller's and outlive this. 0 or -ENOMEM.
 */
int	decoder_new(struct decoder **dp, struct space *space,
	    struct digest_tree *tree);
void	decoder_free(struct decoder *d);

/*
 * Apply one payload: space and tree follow. 0; -EPROTO when it says something
 * impossible; -EBADMSG when a delta's base is not what we have; or what writing
 * to the space failed with (-ENOSPC).
 */
int	decoder_apply(struct decoder *d, const uint8_t *payload, size_t len);

/* Pages written so far, counting repeats. */
uint64_t decoder_pages(const struct decoder *d);

#endif
