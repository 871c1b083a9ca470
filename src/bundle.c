/* SPDX-License-Identifier: ISC */
/*
 * Frames over several streams: striping, order, acknowledgements, heartbeats.
 * What a frame means, and what to do when the link is lost, is the owner's.
 */
#include "bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "flow.h"
#include "stream.h"
#include "sync.pb-c.h"

/* Out-of-order frames held for a slower stream; more is a peer's lie. */
#define REORDER_BYTES_MAX	((size_t)24 << 20)
#define ITEM_OVERHEAD		((size_t)128)
/* Acknowledge at least this often while frames keep coming. */
#define ACK_EVERY_BYTES		((size_t)32 << 10)
#define NS			1000000000ULL
#define BEAT_NS			NS
#define BEAT_EARLY_NS		(NS / 20)	/* to learn the round trip */
#define BEAT_EARLY_COUNT	8u
#define SILENCE_NS		(10 * NS)	/* of a peer that is alive */
/* Its kernel is never as busy. TCP tries three times in this, as it backs off. */
#define UNANSWERED_NS		(4 * NS)
/* A phone that changes its access point is back within this, and TCP tries then. */
#define DOUBT_NS		(2 * NS)
#define ON_ITS_WAY_NS		(NS / 5)	/* heard since, sent before */
/* Streams end one by one: on another one the peer's last word may still come. */
#define LAST_WORD_NS		(NS / 4)

/* One frame, header included. */
struct item {
	TAILQ_ENTRY(item) link;
	uint64_t	sequence;
	bool		written;	/* every byte went into a stream */
	size_t		len;
	uint8_t		data[];
};
TAILQ_HEAD(item_list, item);

/* One stream: the frame it is in the middle of, and what it receives. */
struct lane {
	struct bundle		*b;
	struct stream		*s;
	struct item		*cur;
	size_t			off;	/* bytes of cur written */
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
	struct item_list	urgent, waiting, unacked;
	uint64_t		next_sequence;
	size_t			unacked_bytes;	/* waiting and unacked */
	struct flow		flow;
	/* receiving */
	uint64_t		expected;	/* next in order */
	struct item_list	early;		/* ascending, all > expected */
	size_t			early_bytes;
	size_t			applied_unsaid;	/* bytes not yet acknowledged */
	uint64_t		heard_ns, beat_ns;
	uint64_t		doubt_ns;	/* since when; 0: no doubt */
	unsigned int		beats;
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

static struct item *
item_new(const struct bundle *b, uint8_t kind, uint8_t flags,
    uint64_t sequence, const void *payload, size_t len)
{
	struct frame f = { .kind = kind, .flags = flags,
	    .length = (uint32_t)len, .sequence = sequence,
	    .attempt = b->attempt };
	struct item *it;

	it = malloc(sizeof(*it) + FRAME_HEADER_BYTES + len);
	if (it == NULL)
		return NULL;
	it->sequence = sequence;
	it->written = false;
	it->len = FRAME_HEADER_BYTES + len;
	frame_header_encode(it->data, &f, payload);
	if (len > 0)
		memcpy(it->data + FRAME_HEADER_BYTES, payload, len);
	return it;
}

static void
items_free(struct item_list *list)
{
	struct item *it;

	while ((it = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, it, link);
		free(it);
	}
}

/* What this stream carries next, or NULL. */
static struct item *
lane_next(struct lane *l)
{
	struct bundle *b = l->b;
	struct item *it;

	if ((it = TAILQ_FIRST(&b->urgent)) != NULL) {
		TAILQ_REMOVE(&b->urgent, it, link);
	} else if ((it = TAILQ_FIRST(&b->waiting)) != NULL) {
		TAILQ_REMOVE(&b->waiting, it, link);
		TAILQ_INSERT_TAIL(&b->unacked, it, link);
	}
	return it;
}

static void
lane_done(struct lane *l)
{
	struct item *it = l->cur;

	l->cur = NULL;
	it->written = true;
	if (it->sequence == 0)
		free(it);
}

/* Write until the stream is full or nothing waits. */
static void
lane_write(struct lane *l)
{
	struct bundle *b = l->b;

	while (!b->dead && !l->mute) {
		ssize_t n;

		if (l->cur == NULL) {
			l->off = 0;
			if ((l->cur = lane_next(l)) == NULL)
				break;
		}
		n = stream_write(l->s, l->cur->data + l->off,
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
		if (l->off == l->cur->len)
			lane_done(l);
	}
	if (!b->dead && !l->mute)
		stream_want(l->s, l->cur != NULL);
}

static void
bundle_push(struct bundle *b)
{
	for (size_t i = 0; i < b->n_lanes && !b->dead; i++)
		if (b->lanes[i].cur == NULL && !b->lanes[i].mute)
			lane_write(&b->lanes[i]);
}

int
bundle_send(struct bundle *b, uint8_t kind, uint8_t flags, const void *payload,
    size_t len)
{
	struct item *it;

	if (b->dead)
		return -EPIPE;
	if (len > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	it = item_new(b, kind, flags, b->next_sequence, payload, len);
	if (it == NULL)
		return -ENOMEM;
	b->next_sequence++;
	b->unacked_bytes += it->len;
	flow_spend(&b->flow, it->len);
	TAILQ_INSERT_TAIL(&b->waiting, it, link);
	bundle_push(b);
	return b->dead ? -EPIPE : 0;
}

int
bundle_send_urgent(struct bundle *b, uint8_t kind, const void *payload,
    size_t len)
{
	struct item *it;

	if (b->dead)
		return -EPIPE;
	if (len > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	if ((it = item_new(b, kind, 0, 0, payload, len)) == NULL)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&b->urgent, it, link);
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

	b->beat_ns = now;
	b->beats++;
	m.has_beat = 1;
	m.beat = now;
	send_link(b, &m);
}

/* --- receiving -------------------------------------------------------------- */

/* The peer has applied everything below `ack`. */
static int
take_ack(struct bundle *b, uint64_t ack)
{
	size_t bytes = 0;
	struct item *it;

	while ((it = TAILQ_FIRST(&b->unacked)) != NULL && it->sequence < ack) {
		if (!it->written)
			return -EPROTO;	/* it cannot have this one yet */
		TAILQ_REMOVE(&b->unacked, it, link);
		bytes += it->len;
		free(it);
	}
	if (it == NULL && ack > b->next_sequence)
		return -EPROTO;
	b->unacked_bytes -= bytes;
	if (bytes > 0)
		flow_acked(&b->flow, now_ns(b), bytes, b->unacked_bytes);
	return 0;
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

/* Keep a frame whose turn has not come. */
static int
keep_early(struct bundle *b, const struct frame *f, const uint8_t *payload)
{
	struct item *at = TAILQ_LAST(&b->early, item_list), *it;

	while (at != NULL && at->sequence > f->sequence)
		at = TAILQ_PREV(at, item_list, link);
	if (at != NULL && at->sequence == f->sequence)
		return 0;	/* a repeat */
	if (b->early_bytes + f->length + ITEM_OVERHEAD > REORDER_BYTES_MAX)
		return -EPROTO;
	it = item_new(b, f->kind, f->flags, f->sequence, payload, f->length);
	if (it == NULL)
		return -ENOMEM;
	b->early_bytes += f->length + ITEM_OVERHEAD;
	if (at != NULL)
		TAILQ_INSERT_AFTER(&b->early, at, it, link);
	else
		TAILQ_INSERT_HEAD(&b->early, it, link);
	return 0;
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
	struct item *it;
	int r = 0;

	while (r == 0 && (it = TAILQ_FIRST(&b->early)) != NULL &&
	    it->sequence == b->expected) {
		struct frame f;

		TAILQ_REMOVE(&b->early, it, link);
		b->early_bytes -= it->len - FRAME_HEADER_BYTES + ITEM_OVERHEAD;
		r = frame_header_decode(&f, it->data);
		if (r == 0)
			r = deliver(b, &f, it->data + FRAME_HEADER_BYTES);
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
		return keep_early(b, f, payload);
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
		b->heard_ns = now_ns(b);
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
		lane_write(l);
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
	b->next_sequence = 1;
	b->expected = 1;
	TAILQ_INIT(&b->urgent);
	TAILQ_INIT(&b->waiting);
	TAILQ_INIT(&b->unacked);
	TAILQ_INIT(&b->early);
	b->heard_ns = now_ns(b);
	flow_init(&b->flow, b->heard_ns);
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
	if (b->doubt_ns == 0)
		b->doubt_ns = now_ns(b);
}

/* What silence means, or NULL as long as it means nothing. */
static const char *
judge_silence(struct bundle *b, uint64_t now)
{
	uint64_t silent = now - b->heard_ns;

	if (b->doubt_ns != 0 && b->heard_ns > b->doubt_ns + ON_ITS_WAY_NS)
		b->doubt_ns = 0;
	if (b->doubt_ns != 0 && now - b->doubt_ns > DOUBT_NS)
		return "the link is down";
	if (silent > SILENCE_NS)
		return "the link went silent";
	for (size_t i = 0; silent > NS && i < b->n_lanes; i++)
		if (stream_unanswered_ns(b->lanes[i].s) > UNANSWERED_NS)
			return "nothing gets through the link any more";
	return NULL;
}

void
bundle_tick(struct bundle *b)
{
	uint64_t now = now_ns(b), every = BEAT_NS;
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
	if (b->beats < BEAT_EARLY_COUNT || b->doubt_ns != 0)
		every = BEAT_EARLY_NS;
	if (b->attempt != 0 && (b->beats == 0 || now - b->beat_ns >= every))
		send_beat(b, now);
	if (!b->dead)
		b->ops->room(b->arg);
}

size_t
bundle_room(struct bundle *b)
{
	size_t limit = flow_inflight_limit(&b->flow), room, allowed;

	if (b->dead || b->unacked_bytes >= limit)
		return 0;
	room = limit - b->unacked_bytes;
	allowed = flow_allowed(&b->flow, now_ns(b));
	if (allowed < room)
		flow_idle(&b->flow);	/* the limit's rate is not the link's */
	return allowed < room ? allowed : room;
}

bool
bundle_flushed(const struct bundle *b)
{
	if (!TAILQ_EMPTY(&b->urgent) || !TAILQ_EMPTY(&b->waiting))
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
	return b->unacked_bytes;
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

		/* A sequenced frame in progress stands in unacked as well. */
		if (l->cur != NULL && l->cur->sequence == 0)
			free(l->cur);
		stream_close(l->s);
		frame_parser_fini(&l->in);
	}
	items_free(&b->urgent);
	items_free(&b->waiting);
	items_free(&b->unacked);
	items_free(&b->early);
	free(b);
}
