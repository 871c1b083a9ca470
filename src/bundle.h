/* SPDX-License-Identifier: ISC */
/*
 * One totally ordered stream of frames striped over several streams to the same
 * peer: the receiver puts them back in order and acknowledges what was applied,
 * the sender keeps what is not acknowledged and limits how much is under way.
 * Knows no message but its own acks and heartbeats, no page, and no clock but
 * the one it is given.
 */
#ifndef BUNDLE_H
#define BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

struct bundle;
struct stream;

struct bundle_ops {
	/* CLOCK_MONOTONIC or a test's idea of it. */
	uint64_t	(*now_ns)(void *arg);
	/*
	 * The next frame in order, or an urgent one (f->sequence 0). When this
	 * returns < 0 the bundle goes quiet: the callee has its own story.
	 */
	int		(*frame)(void *arg, const struct frame *f,
			    const uint8_t *payload);
	/* There may be room to send again. */
	void		(*room)(void *arg);
	/* The link is gone or the peer speaks nonsense (-EPROTO, -EBADMSG...). */
	void		(*failed)(void *arg, int r, const char *why);
};

/*
 * An empty bundle for one attempt; 0 adopts that of the first frame that comes.
 * Callbacks come from stream events and bundle_tick only; none of them may free
 * the bundle. 0 or -ENOMEM.
 */
int	bundle_new(struct bundle **bp, const struct bundle_ops *ops, void *arg,
	    uint64_t attempt);

/* Add a stream (taken, also on failure). 0, -ENOSPC over STREAMS_MAX, -ENOMEM. */
int	bundle_add(struct bundle *b, struct stream *s);

/* The attempt of the frames; 0 until one was adopted. */
uint64_t bundle_attempt(const struct bundle *b);

/*
 * Queue one frame behind the others. Always taken: it is the caller who asks
 * bundle_room() before sending bulk. 0, -EMSGSIZE, -ENOMEM, -EPIPE once failed.
 */
int	bundle_send(struct bundle *b, uint8_t kind, uint8_t flags,
	    const void *payload, size_t len);

/* The same outside the order, before everything that waits. Not acknowledged. */
int	bundle_send_urgent(struct bundle *b, uint8_t kind, const void *payload,
	    size_t len);

/* Bytes of bulk that may be queued now without letting the queue grow long. */
size_t	bundle_room(struct bundle *b);

/* Bytes queued or sent that the peer has not acknowledged. */
size_t	bundle_unacked(const struct bundle *b);

/* Everything queued has left this process, as far as the streams can tell. */
bool	bundle_flushed(const struct bundle *b);

/* Time passes: heartbeats, silence, the bandwidth limit. Each 10 ms or so. */
void	bundle_tick(struct bundle *b);

/*
 * Somebody says that the link is gone. That is believed unless the peer is heard
 * again within two seconds; by itself, silence is given longer.
 */
void	bundle_doubt(struct bundle *b);

/* Bytes a second; 0 for none. */
void	bundle_set_cap(struct bundle *b, uint64_t cap);

/* flow_set_queue(): how long a queue bundle_room() lets grow. */
void	bundle_set_queue(struct bundle *b, uint64_t queue_ns);

/* Measured goodput in bytes a second, 0 when not known yet. */
uint64_t bundle_rate(const struct bundle *b);
/* The shortest round trip seen, 0 when none yet. */
uint64_t bundle_rtt_ns(const struct bundle *b);
/* Bytes written to the streams, and read from them, headers included. */
uint64_t bundle_bytes_out(const struct bundle *b);
uint64_t bundle_bytes_in(const struct bundle *b);

/* Close the streams and free. NULL is fine. */
void	bundle_free(struct bundle *b);

#endif
