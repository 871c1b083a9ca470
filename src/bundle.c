/* SPDX-License-Identifier: ISC */
/*
 * Frames over several streams: striping, delivery, acknowledgements. What waits
 * to go is in outbox.c, what came too early in early.c, how long silence may last
 * in pulse.c; what a frame means, and what to do when the link is lost, is the
 * owner's.
 */
#include "bundle.h"

#include <errno.h>
#include <stdlib.h>

#include "early.h"
#include "flow.h"
#include "outbox.h"
#include "pulse.h"
#include "stream.h"
#include "sync.pb-c.h"

/* Acknowledge at least this often while frames keep coming. */
#define ACK_EVERY_BYTES		((size_t)32 << 10)
/* Streams end one by one: on another one the peer's last word may still come. */
#define LAST_WORD_NS		250000000ULL

/* One stream: the frame it is in the middle of, and what it receives. */
struct lane {
	struct bundle		*b;
	struct stream		*s;
	struct outgoing		*cur;
	size_t			off;	/* bytes of cur written */
	size_t			window_most;	/* that its peer ever granted */
	bool			mute;	/* takes nothing more */
	bool			ended;	/* nothing more comes */
	struct frame_parser	in;
};

struct bundle {
	const struct bundle_ops	*ops;
	void			*arg;
	uint64_t		attempt;
	bool			dead;
	struct lane		lanes[STREAMS_MAX];
	size_t			n_lanes, n_ended;
	/* The first stream that broke or ended: when and how. */
	uint64_t		broken_ns;
	int			broken_r;
	const char		*broken_why;	/* NULL: none did */
	/* sending */
	struct outbox		outbox;
	struct flow		flow;
	/* receiving */
	uint64_t		expected;	/* next in order */
	struct early		early;		/* all > expected */
	size_t			applied_unsaid;	/* bytes not yet acknowledged */
	struct pulse		pulse;
	uint64_t		bytes_out, bytes_in;
};

static uint64_t
now_ns(const struct bundle *b)
{
	return b->ops->now_ns(b->arg);
}

static void
bundle_fail(struct bundle *b, int r, const char *why)
{
	if (b->dead)
		return;
	b->dead = true;
	b->ops->failed(b->arg, r, why);
}

static void
bundle_broken(struct bundle *b, int r, const char *why)
{
	if (b->broken_why != NULL)
		return;
	b->broken_ns = now_ns(b);
	b->broken_r = r;
	b->broken_why = why;
}

/* --- sending ---------------------------------------------------------------- */

/* Write until the frame is out or the stream is full. */
static void
lane_write(struct lane *l)
{
	struct bundle *b = l->b;

	while (l->cur != NULL && !l->mute) {
		ssize_t n = stream_write(l->s, l->cur->data + l->off,
		    l->cur->len - l->off);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			bundle_broken(b, (int)n, "the link broke while sending");
			l->mute = true;
			break;
		}
		l->off += (size_t)n;
		b->bytes_out += (uint64_t)n;
		if (l->off == l->cur->len) {
			outbox_written(l->cur);
			l->cur = NULL;
		}
	}
}

/*
 * The window that a stream must have for a frame to begin on it: a frame that
 * waits for the peer in its middle holds up all that come behind it on the other
 * streams. More than there ever was is not waited for.
 */
static size_t
lane_needs(struct lane *l, size_t len)
{
	size_t window = stream_window(l->s);

	if (window > l->window_most)
		l->window_most = window;
	return len < l->window_most ? len : l->window_most;
}

/* The first idle stream that can take a frame so long, or NULL. */
static struct lane *
free_lane(struct bundle *b, size_t len)
{
	for (size_t i = 0; i < b->n_lanes; i++) {
		struct lane *l = &b->lanes[i];
		size_t window = stream_window(l->s);

		if (l->cur == NULL && !l->mute && window > 0 &&
		    window >= lane_needs(l, len))
			return l;
	}
	return NULL;
}

/*
 * Go on with what was begun, the oldest frame first: where streams share a socket,
 * whoever writes first has all of it, and the others' frames would stand half done
 * while newer ones pass.
 */
static void
finish_begun(struct bundle *b)
{
	uint64_t tried = 0;	/* bits of lanes */
	struct lane *l;

	do {
		l = NULL;
		for (size_t i = 0; i < b->n_lanes; i++)
			if (b->lanes[i].cur != NULL && (tried >> i & 1) == 0 &&
			    (l == NULL || b->lanes[i].cur->sequence <
			    l->cur->sequence))
				l = &b->lanes[i];
		if (l != NULL) {
			tried |= (uint64_t)1 << (l - b->lanes);
			lane_write(l);
		}
	} while (l != NULL);
}

/* Give what waits to the streams that can take it. */
static void
bundle_push(struct bundle *b)
{
	struct lane *l;
	size_t len;

	finish_begun(b);
	while ((len = outbox_next_len(&b->outbox)) > 0 &&
	    (l = free_lane(b, len)) != NULL) {
		l->cur = outbox_next(&b->outbox);
		l->off = 0;
		lane_write(l);
	}
	for (size_t i = 0; i < b->n_lanes; i++) {
		l = &b->lanes[i];
		if (!l->mute)
			stream_want(l->s, l->cur != NULL ? 1 :
			    len > 0 ? lane_needs(l, len) : 0);
	}
}

int
bundle_send(struct bundle *b, uint8_t kind, uint8_t flags, const void *payload,
    size_t len)
{
	int r;

	if (b->dead)
		return -EPIPE;
	if ((r = outbox_put(&b->outbox, b->attempt, kind, flags, payload,
	    len)) < 0)
		return r;
	flow_spend(&b->flow, FRAME_HEADER_BYTES + len);
	bundle_push(b);
	return b->dead ? -EPIPE : 0;
}

int
bundle_send_urgent(struct bundle *b, uint8_t kind, const void *payload,
    size_t len)
{
	int r;

	if (b->dead)
		return -EPIPE;
	if ((r = outbox_put_urgent(&b->outbox, b->attempt, kind, payload,
	    len)) < 0)
		return r;
	bundle_push(b);
	return b->dead ? -EPIPE : 0;
}

static void
send_link(struct bundle *b, const Persona__Sync__LinkMessage *m)
{
	uint8_t buf[64];

	if (persona__sync__link_message__get_packed_size(m) <= sizeof(buf))
		(void)bundle_send_urgent(b, FRAME_LINK, buf,
		    persona__sync__link_message__pack(m, buf));
}

static void
send_ack(struct bundle *b)
{
	Persona__Sync__LinkMessage m = PERSONA__SYNC__LINK_MESSAGE__INIT;

	b->applied_unsaid = 0;
	m.has_ack = 1;
	m.ack = b->expected;
	send_link(b, &m);
}

static void
send_beat(struct bundle *b, uint64_t now)
{
	Persona__Sync__LinkMessage m = PERSONA__SYNC__LINK_MESSAGE__INIT;

	pulse_beaten(&b->pulse, now);
	m.has_beat = 1;
	m.beat = now;
	send_link(b, &m);
}

/* --- receiving -------------------------------------------------------------- */

static int
take_ack(struct bundle *b, uint64_t ack)
{
	size_t bytes;
	int r = outbox_acked(&b->outbox, ack, &bytes);

	if (r == 0 && bytes > 0)
		flow_acked(&b->flow, now_ns(b), bytes,
		    b->outbox.unacked_bytes);
	return r;
}

static int
take_link(struct bundle *b, const uint8_t *payload, size_t len)
{
	Persona__Sync__LinkMessage *m, back =
	    PERSONA__SYNC__LINK_MESSAGE__INIT;
	uint64_t now = now_ns(b);
	int r = 0;

	m = persona__sync__link_message__unpack(NULL, len, payload);
	if (m == NULL)
		return -EPROTO;
	if (m->has_ack)
		r = take_ack(b, m->ack);
	if (m->has_echo && m->echo <= now)
		flow_rtt(&b->flow, now - m->echo);
	if (m->has_beat) {
		back.has_echo = 1;
		back.echo = m->beat;
		send_link(b, &back);
	}
	persona__sync__link_message__free_unpacked(m, NULL);
	return r;
}

static int
deliver(struct bundle *b, const struct frame *f, const uint8_t *payload)
{
	int r = b->ops->frame(b->arg, f, payload);

	if (r < 0) {
		b->dead = true;
		return r;
	}
	b->expected++;
	b->applied_unsaid += FRAME_HEADER_BYTES + f->length;
	if (b->applied_unsaid >= ACK_EVERY_BYTES)
		send_ack(b);
	return 0;
}

/* Frames whose turn has come since. */
static int
deliver_early(struct bundle *b)
{
	struct early_frame *it;
	int r = 0;

	while (r == 0 &&
	    (it = early_take(&b->early, b->expected)) != NULL) {
		r = deliver(b, &it->f, it->payload);
		free(it);
	}
	return r;
}

/* 0, or < 0 when the bundle is of no more use. */
static int
take_frame(struct bundle *b, const struct frame *f, const uint8_t *payload)
{
	int r;

	if (b->attempt == 0)
		b->attempt = f->attempt;
	if (f->attempt != b->attempt)
		return 0;	/* another attempt changes nothing */
	if (f->kind == FRAME_LINK)
		return f->sequence == 0 ?
		    take_link(b, payload, f->length) : -EPROTO;
	if (f->sequence == 0) {
		if ((r = b->ops->frame(b->arg, f, payload)) < 0)
			b->dead = true;
		return r;
	}
	if (f->sequence < b->expected)
		return 0;	/* a repeat */
	if (f->sequence > b->expected)
		return early_keep(&b->early, f, payload);
	if ((r = deliver(b, f, payload)) < 0)
		return r;
	return deliver_early(b);
}

/* Everything whole that has come over this stream. */
static int
lane_frames(struct lane *l)
{
	const uint8_t *payload;
	struct frame f;
	int r;

	while ((r = frame_parser_next(&l->in, &f, &payload)) > 0)
		if ((r = take_frame(l->b, &f, payload)) < 0)
			break;
	return r;
}

static void
lane_end(struct lane *l, int r)
{
	struct bundle *b = l->b;

	l->ended = l->mute = true;
	bundle_broken(b, r, "the peer closed the link");
	if (++b->n_ended == b->n_lanes)
		bundle_fail(b, b->broken_r, b->broken_why);
}

static void
lane_read(struct lane *l)
{
	struct bundle *b = l->b;

	while (!b->dead && !l->ended) {
		size_t room;
		uint8_t *p = frame_parser_space(&l->in, &room);
		ssize_t n = stream_read(l->s, p, room);
		int r;

		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			lane_end(l, n == 0 ? -ECONNRESET : (int)n);
			return;
		}
		b->bytes_in += (uint64_t)n;
		pulse_heard(&b->pulse, now_ns(b));
		frame_parser_filled(&l->in, (size_t)n);
		if ((r = lane_frames(l)) < 0) {
			bundle_fail(b, r, r == -EBADMSG ?
			    "a frame arrived damaged" :
			    "the peer sent something that is no frame of ours");
			return;
		}
	}
}

static void
lane_ready_cb(struct stream *s, void *arg)
{
	struct lane *l = arg;
	struct bundle *b = l->b;

	(void)s;
	if (l->ended)
		return;
	lane_read(l);
	if (!b->dead && b->applied_unsaid > 0)
		send_ack(b);
	if (!b->dead)
		bundle_push(b);
	if (!b->dead)
		b->ops->room(b->arg);
}

/* --- life ------------------------------------------------------------------- */

int
bundle_new(struct bundle **bp, const struct bundle_ops *ops, void *arg,
    uint64_t attempt)
{
	struct bundle *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return -ENOMEM;
	b->ops = ops;
	b->arg = arg;
	b->attempt = attempt;
	b->expected = 1;
	outbox_init(&b->outbox);
	early_init(&b->early);
	pulse_init(&b->pulse, now_ns(b));
	flow_init(&b->flow, now_ns(b));
	*bp = b;
	return 0;
}

int
bundle_add(struct bundle *b, struct stream *s)
{
	struct lane *l = &b->lanes[b->n_lanes];
	int r = -ENOSPC;

	if (b->n_lanes == STREAMS_MAX ||
	    (r = frame_parser_init(&l->in)) < 0) {
		stream_close(s);
		return r;
	}
	l->b = b;
	l->s = s;
	b->n_lanes++;
	stream_set_ready(s, lane_ready_cb, l);
	bundle_push(b);
	return 0;
}

void
bundle_doubt(struct bundle *b)
{
	pulse_doubt(&b->pulse, now_ns(b));
}

/* What silence means, or NULL as long as it means nothing. */
static const char *
judge_silence(struct bundle *b, uint64_t now)
{
	const char *why = pulse_lost(&b->pulse, now);

	if (why != NULL || !pulse_faint(&b->pulse, now))
		return why;
	for (size_t i = 0; i < b->n_lanes; i++)
		if (stream_unanswered_ns(b->lanes[i].s) > PULSE_UNANSWERED_NS)
			return "nothing gets through the link any more";
	return NULL;
}

void
bundle_tick(struct bundle *b)
{
	uint64_t now = now_ns(b);
	const char *why;

	if (b->dead || b->n_lanes == 0)
		return;
	if ((why = judge_silence(b, now)) != NULL) {
		bundle_fail(b, -ETIMEDOUT, why);
		return;
	}
	if (b->broken_why != NULL && now - b->broken_ns > LAST_WORD_NS) {
		bundle_fail(b, b->broken_r, b->broken_why);
		return;
	}
	/* Before an attempt is adopted there is nothing to name in a beat. */
	if (b->attempt != 0 && pulse_beat_due(&b->pulse, now))
		send_beat(b, now);
	if (!b->dead)
		b->ops->room(b->arg);
}

size_t
bundle_room(struct bundle *b)
{
	size_t limit = flow_inflight_limit(&b->flow), room, allowed;

	if (b->dead || b->outbox.unacked_bytes >= limit)
		return 0;
	room = limit - b->outbox.unacked_bytes;
	allowed = flow_allowed(&b->flow, now_ns(b));
	if (allowed < room)
		flow_idle(&b->flow);	/* the limit's rate is not the link's */
	return allowed < room ? allowed : room;
}

bool
bundle_flushed(const struct bundle *b)
{
	if (!outbox_idle(&b->outbox))
		return false;
	/* What a stream still holds would go down with us. */
	for (size_t i = 0; i < b->n_lanes; i++)
		if (b->lanes[i].cur != NULL ||
		    stream_unsent(b->lanes[i].s) > 0)
			return false;
	return true;
}

uint64_t
bundle_attempt(const struct bundle *b)
{
	return b->attempt;
}

size_t
bundle_unacked(const struct bundle *b)
{
	return b->outbox.unacked_bytes;
}

void
bundle_set_cap(struct bundle *b, uint64_t cap)
{
	flow_set_cap(&b->flow, now_ns(b), cap);
}

void
bundle_set_queue(struct bundle *b, uint64_t queue_ns)
{
	flow_set_queue(&b->flow, queue_ns);
}

uint64_t
bundle_rate(const struct bundle *b)
{
	uint64_t rate = b->flow.rate, cap = b->flow.cap;

	return cap > 0 && (rate == 0 || rate > cap) ? cap : rate;
}

uint64_t
bundle_rtt_ns(const struct bundle *b)
{
	return b->flow.rtt_min_ns;
}

uint64_t
bundle_bytes_out(const struct bundle *b)
{
	return b->bytes_out;
}

uint64_t
bundle_bytes_in(const struct bundle *b)
{
	return b->bytes_in;
}

void
bundle_free(struct bundle *b)
{
	if (b == NULL)
		return;
	for (size_t i = 0; i < b->n_lanes; i++) {
		struct lane *l = &b->lanes[i];

		if (l->cur != NULL)
			outbox_abandon(l->cur);
		stream_close(l->s);
		frame_parser_fini(&l->in);
	}
	outbox_fini(&b->outbox);
	early_fini(&b->early);
	free(b);
}
