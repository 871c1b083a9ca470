/* SPDX-License-Identifier: ISC */
/*
 * The source's passes over a persona's pages: what is left of this round, what the
 * next will hold, and the pages of it made into payloads. Knows no peer, no
 * message, no time; it is told when dirty pages were harvested.
 */
#ifndef ROUNDS_H
#define ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "pageencode.h"

struct rounds;
struct space;

/*
 * Before the first round. `dirty` is the bitmap that harvests fill, one bit a page
 * in whole uint64 words up to the plan's n_dirty; it and the space are the caller's
 * and outlive this. Of what was sent, a quarter of memory is kept for deltas, within
 * bounds. 0 or -errno.
 */
int	rounds_new(struct rounds **rp, struct space *space, uint64_t *dirty);
void	rounds_free(struct rounds *r);

/*
 * The first round holds every page that may be something else than zero: once,
 * when what is written from here on will be harvested, and not before. Looks at a
 * few of them to guess what they will cost.
 */
void	rounds_survey(struct rounds *r);

/* A harvest has filled the bitmap: take it in. Returns the pages it named. */
uint64_t rounds_harvested(struct rounds *r);

/* The next round holds what was dirtied since. Only when the last is finished. */
void	rounds_begin(struct rounds *r);

/*
 * Encode pages of this round until a payload is worth sending, the round is
 * finished, or max_pages were looked at. *len may be 0; *payload is valid until the
 * next call. 0, or -errno when a page cannot be read.
 */
int	rounds_payload(struct rounds *r, uint64_t max_pages,
	    const uint8_t **payload, size_t *len);

/* Nothing of this round is left, and its last payload has been given out. */
bool	rounds_finished(const struct rounds *r);

/* How hard pages are packed from now on (pagecodec.h). */
void	rounds_set_effort(struct rounds *r, int effort);

/*
 * From now on pages of noise go before their turn, where some are near: they cost
 * the processor little and keep a link busy that packing cannot.
 */
void	rounds_hurry(struct rounds *r, bool hurry);

/* Hash groups that changed, so that the root is quick at the end. */
void	rounds_settle(struct rounds *r, uint64_t max_groups);
void	rounds_root(struct rounds *r, const struct digest *state,
	    struct digest *root);

/* 1 is the first round. */
uint32_t rounds_number(const struct rounds *r);
uint64_t rounds_pages_all(const struct rounds *r);	/* of the first round */
uint64_t rounds_pages_left(const struct rounds *r);	/* of this round */
uint64_t rounds_pages_next(const struct rounds *r);	/* waiting for the next */
/* Payload bytes a page took lately, x 256: of this round when it is far enough. */
uint64_t rounds_page_cost(const struct rounds *r);
/* Payload bytes that are probably still to come, of this round and the next. */
uint64_t rounds_bytes_left(const struct rounds *r);
const struct page_savings *rounds_savings(const struct rounds *r);

#endif
