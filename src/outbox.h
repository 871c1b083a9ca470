/* SPDX-License-Identifier: ISC */
/*
 * Frames of ours that the peer has not acknowledged: those that wait for a stream,
 * and those that went. Knows no stream, no time, and no message.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* One frame as it travels, header included. */
struct outgoing {
	TAILQ_ENTRY(outgoing) link;
	uint64_t	sequence;	/* 0: urgent, not acknowledged */
	bool		written;	/* every byte went into a stream */
	size_t		len;
	uint8_t		data[];
};
TAILQ_HEAD(outgoing_list, outgoing);

/* Embedded by its owner, who may read it and changes it by these calls only. */
struct outbox {
	struct outgoing_list	urgent, waiting, unacked;
	uint64_t		next_sequence;
	size_t			unacked_bytes;	/* waiting and unacked */
};

/*
 * Nothing waits. _fini frees what does; what streams are in the middle of must have
 * been given to outbox_abandon() before.
 */
void	outbox_init(struct outbox *o);
void	outbox_fini(struct outbox *o);

/*
 * Queue a copy of one frame behind the others; sequence numbers begin at 1.
 * 0, -EMSGSIZE over FRAME_PAYLOAD_MAX, -ENOMEM.
 */
int	outbox_put(struct outbox *o, uint64_t attempt, uint8_t kind,
	    uint8_t flags, const void *payload, size_t len);

/* The same outside the order, before everything that waits. */
int	outbox_put_urgent(struct outbox *o, uint64_t attempt, uint8_t kind,
	    const void *payload, size_t len);

/*
 * What a stream carries next, or NULL. The stream has it until it says
 * outbox_written() or, as it ends, outbox_abandon(), and does not free it.
 */
struct outgoing *outbox_next(struct outbox *o);
size_t	outbox_next_len(const struct outbox *o);	/* 0: nothing waits */
void	outbox_written(struct outgoing *f);
void	outbox_abandon(struct outgoing *f);

/*
 * The peer has applied everything below `sequence`: forget it; *bytes is how much
 * that was, headers included. 0, or -EPROTO when the peer cannot have that yet.
 */
int	outbox_acked(struct outbox *o, uint64_t sequence, size_t *bytes);

/* Nothing waits for a stream. */
bool	outbox_idle(const struct outbox *o);

#endif
