/* SPDX-License-Identifier: ISC */
/* A stream over pipes or a socket moves bytes, tells its end, and never waits. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"
#include "unit.h"

struct seen {
	unsigned int	calls;
	size_t		got;
	ssize_t		last;
	bool		close_it;
};

static void
ready(struct stream *s, void *arg)
{
	struct seen *seen = arg;
	char buf[4096];

	seen->calls++;
	while ((seen->last = stream_read(s, buf, sizeof(buf))) > 0)
		seen->got += (size_t)seen->last;
	if (seen->close_it)
		stream_close(s);
}

static void
turn(struct event_base *base)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Two streams that talk to each other, over two pipes or a socket pair. */
static void
open_pair(struct event_base *base, bool sockets, struct stream *s[2])
{
	int a[2], b[2];

	if (sockets) {
		CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, a),
		    0);
		CU_ASSERT_EQUAL_FATAL(stream_fd_open(&s[0], base, a[0], a[0]),
		    0);
		CU_ASSERT_EQUAL_FATAL(stream_fd_open(&s[1], base, a[1], a[1]),
		    0);
		return;
	}
	CU_ASSERT_EQUAL_FATAL(pipe(a), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(b), 0);
	CU_ASSERT_EQUAL_FATAL(stream_fd_open(&s[0], base, a[0], b[1]), 0);
	CU_ASSERT_EQUAL_FATAL(stream_fd_open(&s[1], base, b[0], a[1]), 0);
}

static void
check_pair(bool sockets)
{
	static char block[1 << 16];
	struct event_base *base = event_base_new();
	struct seen seen = { 0 };
	struct stream *s[2];
	size_t sent = 0;
	ssize_t n;

	open_pair(base, sockets, s);
	stream_set_ready(s[1], ready, &seen);
	turn(base);
	CU_ASSERT_EQUAL(seen.calls, 0);
	/* Until it is full: never waits, and says how much is under way. */
	while ((n = stream_write(s[0], block, sizeof(block))) > 0)
		sent += (size_t)n;
	CU_ASSERT_EQUAL(n, -EAGAIN);
	CU_ASSERT_TRUE(sent > 0);
	CU_ASSERT_TRUE(stream_unsent(s[0]) >= (int64_t)sent);
	turn(base);
	CU_ASSERT_EQUAL(seen.got, sent);
	CU_ASSERT_EQUAL(seen.last, -EAGAIN);
	CU_ASSERT_EQUAL(stream_unsent(s[0]), 0);
	/* The end is told, and told once: no spinning on it. */
	stream_close(s[0]);
	turn(base);
	CU_ASSERT_EQUAL(seen.last, 0);
	seen.calls = 0;
	turn(base);
	CU_ASSERT_EQUAL(seen.calls, 0);
	CU_ASSERT_EQUAL(stream_write(s[1], "x", 1), -EPIPE);
	stream_close(s[1]);
	event_base_free(base);
}

static void
bytes_cross_pipes(void)
{
	check_pair(false);
}

static void
bytes_cross_a_socket(void)
{
	check_pair(true);
}

static void
writing_is_told_when_wanted(void)
{
	struct event_base *base = event_base_new();
	struct seen seen = { 0 }, closing = { .close_it = true };
	struct stream *s[2];

	open_pair(base, true, s);
	stream_set_ready(s[0], ready, &seen);
	turn(base);
	CU_ASSERT_EQUAL(seen.calls, 0);
	stream_want(s[0], true);
	turn(base);
	CU_ASSERT_TRUE(seen.calls > 0);
	stream_want(s[0], false);
	seen.calls = 0;
	turn(base);
	CU_ASSERT_EQUAL(seen.calls, 0);
	/* A callback may close its own stream. */
	stream_set_ready(s[1], ready, &closing);
	stream_want(s[1], true);
	turn(base);
	CU_ASSERT_EQUAL(closing.calls, 1);
	CU_ASSERT_EQUAL(seen.last, 0);
	stream_close(s[0]);
	stream_close(NULL);
	event_base_free(base);
}

static void
a_bad_descriptor_is_an_error(void)
{
	struct event_base *base = event_base_new();
	struct stream *s = NULL;

	CU_ASSERT_EQUAL(stream_fd_open(&s, base, 9999, 9999), -EBADF);
	CU_ASSERT_PTR_NULL(s);
	event_base_free(base);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "bytes cross pipes", bytes_cross_pipes },
		{ "bytes cross a socket", bytes_cross_a_socket },
		{ "writing is told when wanted", writing_is_told_when_wanted },
		{ "a bad descriptor is an error",
		    a_bad_descriptor_is_an_error },
	};

	signal(SIGPIPE, SIG_IGN);
	return unit_main("stream-fd", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
