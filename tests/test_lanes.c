/* SPDX-License-Identifier: ISC */
/*
 * A bundle over streams that hold each other up, as the channels of one SSH session
 * do: they share a socket, and each has a window that its peer opens. Frames arrive
 * in about the order in which they were queued, whichever stream is asked first.
 */
#include <errno.h>
#include <string.h>

#include "bundle.h"
#include "stream.h"
#include "unit.h"

#define CHANNELS	4u
#define FRAME		9000u		/* payload bytes */
#define FRAME_BYTES	(FRAME + FRAME_HEADER_BYTES)
#define AMPLE		((size_t)1 << 30)

struct channel {
	struct stream		stream;	/* first: the ops get its address */
	struct wire		*wire;
	struct frame_parser	in;
	size_t			window, want, written;
};

/* All that the channels share, and what came out of its far end. */
struct wire {
	struct channel	channel[CHANNELS];
	struct bundle	*bundle;
	size_t		room;		/* of the socket, for all of them */
	uint64_t	whole;		/* frames that came whole */
	uint64_t	seen;		/* bits of those beyond `missing` */
	uint64_t	missing;	/* the first that did not */
	uint64_t	most_ahead;	/* how far others got before it came */
	int		failed;
};

static ssize_t
channel_read(struct stream *s, void *buf, size_t len)
{
	(void)s;
	(void)buf;
	(void)len;
	return -EAGAIN;
}

static void
note_frame(struct wire *w, uint64_t sequence)
{
	w->whole++;
	if (sequence > w->missing && sequence - w->missing > w->most_ahead)
		w->most_ahead = sequence - w->missing;
	if (sequence >= w->missing && sequence - w->missing < 64)
		w->seen |= (uint64_t)1 << (sequence - w->missing);
	while ((w->seen & 1) != 0) {
		w->seen >>= 1;
		w->missing++;
	}
}

static ssize_t
channel_write(struct stream *s, const void *buf, size_t len)
{
	struct channel *ch = (struct channel *)s;
	const uint8_t *payload;
	struct frame f;
	size_t room;
	uint8_t *p = frame_parser_space(&ch->in, &room);

	if (len > room)
		len = room;
	if (len > ch->window)
		len = ch->window;
	if (len > ch->wire->room)
		len = ch->wire->room;
	if (len == 0)
		return -EAGAIN;
	memcpy(p, buf, len);
	frame_parser_filled(&ch->in, len);
	while (frame_parser_next(&ch->in, &f, &payload) == 1)
		if (f.sequence > 0)
			note_frame(ch->wire, f.sequence);
	ch->window -= len;
	ch->wire->room -= len;
	ch->written += len;
	return (ssize_t)len;
}

static void
channel_want(struct stream *s, size_t to_write)
{
	((struct channel *)s)->want = to_write;
}

static size_t
channel_window(struct stream *s)
{
	return ((struct channel *)s)->window;
}

static int64_t
channel_unsent(struct stream *s)
{
	(void)s;
	return 0;
}

static void
channel_close(struct stream *s)
{
	frame_parser_fini(&((struct channel *)s)->in);
}

static const struct stream_ops channel_ops = {
	.kind = "channel",
	.read = channel_read,
	.write = channel_write,
	.want = channel_want,
	.window = channel_window,
	.unsent = channel_unsent,
	.close = channel_close,
};

static uint64_t
wire_now(void *arg)
{
	(void)arg;
	return 1;
}

static int
wire_frame(void *arg, const struct frame *f, const uint8_t *payload)
{
	(void)arg;
	(void)f;
	(void)payload;
	return 0;
}

static void
wire_room(void *arg)
{
	(void)arg;
}

static void
wire_failed(void *arg, int r, const char *why)
{
	(void)why;
	((struct wire *)arg)->failed = r;
}

static void
wire_open(struct wire *w, size_t window, size_t room)
{
	static const struct bundle_ops ops = { .now_ns = wire_now,
	    .frame = wire_frame, .room = wire_room, .failed = wire_failed };

	memset(w, 0, sizeof(*w));
	w->missing = 1;
	w->room = room;
	CU_ASSERT_EQUAL_FATAL(bundle_new(&w->bundle, &ops, w, 7), 0);
	for (unsigned int i = 0; i < CHANNELS; i++) {
		struct channel *ch = &w->channel[i];

		ch->stream.ops = &channel_ops;
		ch->wire = w;
		ch->window = window;
		CU_ASSERT_EQUAL_FATAL(frame_parser_init(&ch->in), 0);
		CU_ASSERT_EQUAL_FATAL(bundle_add(w->bundle, &ch->stream), 0);
	}
}

static void
wire_send(struct wire *w, unsigned int n, size_t len)
{
	static const uint8_t payload[4 * FRAME];

	while (n-- > 0)
		CU_ASSERT_EQUAL(bundle_send(w->bundle, FRAME_PAGES, 0, payload,
		    len), 0);
}

/* The socket takes so much; the channels are asked from the first on, as ever. */
static void
wire_turn(struct wire *w, size_t room)
{
	w->room += room;
	for (unsigned int i = 0; i < CHANNELS; i++) {
		struct channel *ch = &w->channel[i];

		if (ch->want > 0 && ch->window >= ch->want && w->room > 0)
			ch->stream.ready(&ch->stream, ch->stream.ready_arg);
	}
}

static void
frames_begun_go_before_new_ones(void)
{
	struct wire w;

	wire_open(&w, AMPLE, 0);
	wire_send(&w, 400, FRAME);
	for (unsigned int i = 0; i < 2000 && w.whole < 400; i++)
		wire_turn(&w, 2000);
	CU_ASSERT_EQUAL(w.whole, 400);
	CU_ASSERT_EQUAL(w.missing, 401);
	CU_ASSERT(w.most_ahead < CHANNELS);
	CU_ASSERT_EQUAL(w.failed, 0);
	bundle_free(w.bundle);
}

static void
no_frame_begins_without_a_window_for_it(void)
{
	struct wire w;

	wire_open(&w, 2 * FRAME_BYTES + 2000, AMPLE);
	wire_send(&w, 20, FRAME);
	CU_ASSERT_EQUAL(w.whole, 2 * CHANNELS);
	for (unsigned int i = 0; i < CHANNELS; i++) {
		CU_ASSERT_EQUAL(w.channel[i].written, 2 * FRAME_BYTES);
		/* What is left of the window would not do. */
		CU_ASSERT_EQUAL(w.channel[i].want, FRAME_BYTES);
	}
	/* One peer allows more: its channel takes the next, the others wait. */
	w.channel[2].window += FRAME_BYTES;
	wire_turn(&w, 0);
	CU_ASSERT_EQUAL(w.whole, 2 * CHANNELS + 1);
	CU_ASSERT_EQUAL(w.missing, 2 * CHANNELS + 2);
	CU_ASSERT_EQUAL(w.channel[2].written, 3 * FRAME_BYTES);
	bundle_free(w.bundle);
}

/* A peer's window may be smaller than any frame: then it is used as it is. */
static void
small_windows_carry_large_frames(void)
{
	struct wire w;

	wire_open(&w, FRAME, AMPLE);
	wire_send(&w, 10, 3 * FRAME);
	for (unsigned int i = 0; i < 200 && w.whole < 10; i++) {
		for (unsigned int c = 0; c < CHANNELS; c++)
			w.channel[c].window = FRAME;
		wire_turn(&w, 0);
	}
	CU_ASSERT_EQUAL(w.whole, 10);
	CU_ASSERT_EQUAL(w.failed, 0);
	bundle_free(w.bundle);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "frames begun go before new ones",
		    frames_begun_go_before_new_ones },
		{ "no frame begins without a window for it",
		    no_frame_begins_without_a_window_for_it },
		{ "small windows carry large frames",
		    small_windows_carry_large_frames },
	};

	return unit_main("lanes", tests, sizeof(tests) / sizeof(tests[0]));
}
