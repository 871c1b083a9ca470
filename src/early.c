/* SPDX-License-Identifier: ISC */
/*
 * A list in order of sequence numbers, with a bound on its bytes. Whose turn it
 * is, the bundle knows.
 */
#include "early.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a slower stream may hold up; more is a peer's lie. */
#define EARLY_BYTES_MAX		((size_t)24 << 20)
#define OVERHEAD_BYTES		((size_t)128)	/* a frame */

void
early_init(struct early *e)
{
	TAILQ_INIT(&e->frames);
	e->bytes = 0;
}

void
early_fini(struct early *e)
{
	struct early_frame *it;

	while ((it = TAILQ_FIRST(&e->frames)) != NULL) {
		TAILQ_REMOVE(&e->frames, it, link);
		free(it);
	}
}

int
early_keep(struct early *e, const struct frame *f, const uint8_t *payload)
{
	struct early_frame *at = TAILQ_LAST(&e->frames, early_list), *it;

	while (at != NULL && at->f.sequence > f->sequence)
		at = TAILQ_PREV(at, early_list, link);
	if (at != NULL && at->f.sequence == f->sequence)
		return 0;
	if (e->bytes + f->length + OVERHEAD_BYTES > EARLY_BYTES_MAX)
		return -EPROTO;
	if ((it = malloc(sizeof(*it) + f->length)) == NULL)
		return -ENOMEM;
	it->f = *f;
	if (f->length > 0)
		memcpy(it->payload, payload, f->length);
	e->bytes += f->length + OVERHEAD_BYTES;
	if (at != NULL)
		TAILQ_INSERT_AFTER(&e->frames, at, it, link);
	else
		TAILQ_INSERT_HEAD(&e->frames, it, link);
	return 0;
}

struct early_frame *
early_take(struct early *e, uint64_t sequence)
{
	struct early_frame *it = TAILQ_FIRST(&e->frames);

	if (it == NULL || it->f.sequence != sequence)
		return NULL;
	TAILQ_REMOVE(&e->frames, it, link);
	e->bytes -= it->f.length + OVERHEAD_BYTES;
	return it;
}
