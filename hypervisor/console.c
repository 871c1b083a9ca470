/* SPDX-License-Identifier: ISC */
/*
 * Carries bytes between a guest's console device and a stream on the main loop.
 * Deliberately knows neither registers nor queues, and never waits: a guest that
 * talks to nobody runs as fast as one that is listened to.
 */
#include "console.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bounds.h"
#include "bus.h"
#include "dev.h"

#define INPUT_BYTES	1024u

struct console {
	struct bus	*bus;
	struct event_base *base;
	void		(*input)(void *arg);
	void		*arg;
	bool		started;

	/* vCPU threads say "look here" through kick_fd; only the main thread
	 * touches events, so the loop needs no locks of its own. */
	int		kick_fd;
	struct event	*kick_ev;
	bool		kicked;

	int		fd;		/* the stream, -1: none */
	struct event	*read_ev;
	struct event	*write_ev;

	/* Output: bytes [written - CONSOLE_RING_BYTES, written) are in the
	 * ring at their number modulo its size; those from `sent` on still
	 * have to go to the stream. */
	uint64_t	written;
	uint64_t	sent;
	size_t		n_in;
	uint8_t		in[INPUT_BYTES];
	uint8_t		ring[CONSOLE_RING_BYTES];
};

static void
kick(struct console *c)
{
	uint64_t one = 1;

	if (c->kicked || c->fd < 0)
		return;
	c->kicked = true;
	/* Cannot fail: the counter is cleared long before it is full. */
	if (write(c->kick_fd, &one, sizeof(one)) < 0)
		c->kicked = false;
}

static void
detach(struct console *c)
{
	if (c->read_ev != NULL)
		event_free(c->read_ev);
	if (c->write_ev != NULL)
		event_free(c->write_ev);
	c->read_ev = c->write_ev = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* A stream that died must not kill us; one that is no socket cannot say so. */
static ssize_t
stream_write(int fd, const void *buf, size_t len)
{
	ssize_t n = send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno == ENOTSOCK)
		n = write(fd, buf, len);
	return n;
}

/* Send what the stream takes. 0, -EAGAIN with output left, or it is dead. */
static int
flush(struct console *c)
{
	if (c->written - c->sent > CONSOLE_RING_BYTES)
		c->sent = c->written - CONSOLE_RING_BYTES;
	while (c->sent < c->written) {
		size_t at = c->sent % CONSOLE_RING_BYTES;
		size_t len = CONSOLE_RING_BYTES - at;
		ssize_t n;

		if (len > c->written - c->sent)
			len = c->written - c->sent;
		n = stream_write(c->fd, c->ring + at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		c->sent += (uint64_t)n;
	}
	return 0;
}

/*
 * The one place that decides what we wait for: room for output while there is
 * some, input while there is room for it.
 */
static void
update(struct console *c)
{
	int r;

	if (c->fd < 0)
		return;
	r = flush(c);
	if (r < 0 && r != -EAGAIN) {
		detach(c);
		return;
	}
	if (r == -EAGAIN)
		event_add(c->write_ev, NULL);
	else
		event_del(c->write_ev);
	if (c->started && c->n_in < INPUT_BYTES)
		event_add(c->read_ev, NULL);
	else
		event_del(c->read_ev);
}

static void
kick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct console *c = arg;
	uint64_t n;

	(void)what;
	bus_lock(c->bus);
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		event_del(c->kick_ev);	/* cannot happen; never spin */
	c->kicked = false;
	update(c);
	bus_unlock(c->bus);
}

static void
write_cb(evutil_socket_t fd, short what, void *arg)
{
	struct console *c = arg;

	(void)fd;
	(void)what;
	bus_lock(c->bus);
	update(c);
	bus_unlock(c->bus);
}

static void
read_cb(evutil_socket_t fd, short what, void *arg)
{
	struct console *c = arg;
	ssize_t n;

	(void)what;
	bus_lock(c->bus);
	if (!c->started || c->n_in == INPUT_BYTES)
		goto out;
	n = read(fd, c->in + c->n_in, INPUT_BYTES - c->n_in);
	if (n > 0) {
		c->n_in += (size_t)n;
		c->input(c->arg);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		detach(c);	/* the reader has left; the ring goes on */
	}
out:
	update(c);
	bus_unlock(c->bus);
}

int
console_new(struct console **cp, const struct dev_env *env,
    void (*input)(void *arg), void *arg)
{
	struct console *c;
	int r = -ENOMEM;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return -ENOMEM;
	c->bus = env->bus;
	c->base = env->base;
	c->input = input;
	c->arg = arg;
	c->fd = -1;
	if ((c->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		r = -errno;
		goto out;
	}
	c->kick_ev = event_new(c->base, c->kick_fd, EV_READ | EV_PERSIST,
	    kick_cb, c);
	if (c->kick_ev == NULL || event_add(c->kick_ev, NULL) < 0)
		goto out;
	*cp = c;
	c = NULL;
	r = 0;
out:
	console_free(c);
	return r;
}

void
console_free(struct console *c)
{
	if (c == NULL)
		return;
	detach(c);
	if (c->kick_ev != NULL)
		event_free(c->kick_ev);
	if (c->kick_fd >= 0)
		close(c->kick_fd);
	free(c);
}

void
console_write(struct console *c, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	if (len > CONSOLE_RING_BYTES) {	/* the beginning is lost anyway */
		p += len - CONSOLE_RING_BYTES;
		c->written += len - CONSOLE_RING_BYTES;
		len = CONSOLE_RING_BYTES;
	}
	while (len > 0) {
		size_t at = c->written % CONSOLE_RING_BYTES;
		size_t n = CONSOLE_RING_BYTES - at;

		if (n > len)
			n = len;
		memcpy(c->ring + at, p, n);
		c->written += n;
		p += n;
		len -= n;
	}
	kick(c);
}

size_t
console_read(struct console *c, void *buf, size_t max)
{
	size_t n = c->n_in < max ? c->n_in : max;

	if (!c->started || n == 0)
		return 0;
	memcpy(buf, c->in, n);
	c->n_in -= n;
	memmove(c->in, c->in + n, c->n_in);
	kick(c);	/* there is room for more now */
	return n;
}

int
console_attach(struct console *c, int stream_fd)
{
	int flags;

	detach(c);
	c->n_in = 0;
	if (stream_fd < 0)
		return 0;
	c->fd = stream_fd;
	if ((flags = fcntl(stream_fd, F_GETFL)) < 0 ||
	    fcntl(stream_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		goto failed;
	c->read_ev = event_new(c->base, stream_fd, EV_READ, read_cb, c);
	c->write_ev = event_new(c->base, stream_fd, EV_WRITE, write_cb, c);
	if (c->read_ev == NULL || c->write_ev == NULL)
		goto failed;
	c->sent = c->written > CONSOLE_RING_BYTES ?
	    c->written - CONSOLE_RING_BYTES : 0;
	update(c);
	return 0;
failed:
	detach(c);
	return -EINVAL;
}

void
console_start(struct console *c)
{
	c->started = true;
	if (c->n_in > 0)
		c->input(c->arg);
	update(c);
}

void
console_stop(struct console *c)
{
	c->started = false;
	update(c);
}
