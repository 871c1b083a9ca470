/* SPDX-License-Identifier: ISC */
/*
 * The queue of a bundle's sender: urgent, waiting, unacknowledged. Which stream
 * takes a frame, and when more may be queued, is bundle.c's.
 */
#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

static void
list_free(struct outgoing_list *list)
{
	struct outgoing *f;

	while ((f = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, f, link);
		free(f);
	}
}

void
outbox_init(struct outbox *o)
{
	TAILQ_INIT(&o->urgent);
	TAILQ_INIT(&o->waiting);
	TAILQ_INIT(&o->unacked);
	o->next_sequence = 1;
	o->unacked_bytes = 0;
}

void
outbox_fini(struct outbox *o)
{
	list_free(&o->urgent);
	list_free(&o->waiting);
	list_free(&o->unacked);
}

/* Append a frame with this header, but for its length. */
static int
append(struct outgoing_list *list, struct frame *header, const void *payload,
    size_t len)
{
	struct outgoing *f;

	if (len > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	f = malloc(sizeof(*f) + FRAME_HEADER_BYTES + len);
	if (f == NULL)
		return -ENOMEM;
	header->length = (uint32_t)len;
	f->sequence = header->sequence;
	f->written = false;
	f->len = FRAME_HEADER_BYTES + len;
	frame_header_encode(f->data, header, payload);
	if (len > 0)
		memcpy(f->data + FRAME_HEADER_BYTES, payload, len);
	TAILQ_INSERT_TAIL(list, f, link);
	return 0;
}

int
outbox_put(struct outbox *o, uint64_t attempt, uint8_t kind, uint8_t flags,
    const void *payload, size_t len)
{
	struct frame header = { .kind = kind, .flags = flags,
	    .sequence = o->next_sequence, .attempt = attempt };
	int r = append(&o->waiting, &header, payload, len);

	if (r == 0) {
		o->next_sequence++;
		o->unacked_bytes += FRAME_HEADER_BYTES + len;
	}
	return r;
}

int
outbox_put_urgent(struct outbox *o, uint64_t attempt, uint8_t kind,
    const void *payload, size_t len)
{
	struct frame header = { .kind = kind, .attempt = attempt };

	return append(&o->urgent, &header, payload, len);
}

struct outgoing *
outbox_next(struct outbox *o)
{
	struct outgoing *f;

	if ((f = TAILQ_FIRST(&o->urgent)) != NULL) {
		TAILQ_REMOVE(&o->urgent, f, link);
	} else if ((f = TAILQ_FIRST(&o->waiting)) != NULL) {
		TAILQ_REMOVE(&o->waiting, f, link);
		TAILQ_INSERT_TAIL(&o->unacked, f, link);
	}
	return f;
}

size_t
outbox_next_len(const struct outbox *o)
{
	const struct outgoing *f = TAILQ_FIRST(&o->urgent);

	if (f == NULL)
		f = TAILQ_FIRST(&o->waiting);
	return f != NULL ? f->len : 0;
}

void
outbox_written(struct outgoing *f)
{
	f->written = true;
	outbox_abandon(f);
}

void
outbox_abandon(struct outgoing *f)
{
	/* One that has a number stands in unacked as well. */
	if (f->sequence == 0)
		free(f);
}

int
outbox_acked(struct outbox *o, uint64_t sequence, size_t *bytes)
{
	struct outgoing *f;

	*bytes = 0;
	while ((f = TAILQ_FIRST(&o->unacked)) != NULL &&
	    f->sequence < sequence) {
		if (!f->written)
			return -EPROTO;
		TAILQ_REMOVE(&o->unacked, f, link);
		*bytes += f->len;
		free(f);
	}
	if (f == NULL && sequence > o->next_sequence)
		return -EPROTO;
	o->unacked_bytes -= *bytes;
	return 0;
}

bool
outbox_idle(const struct outbox *o)
{
	return outbox_next_len(o) == 0;
}
