/* SPDX-License-Identifier: ISC */
/*
 * TCP to the first of several addresses that answers. One attempt at a time: the
 * caller has put the best link first. Knows nothing of what follows.
 */
#include "pair-dial.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair_dial {
	struct event_base	*base;
	dial_done_fn		*done;
	void			*arg;
	size_t			n;
	size_t			next;	/* address to try next */
	int			r;	/* of the last attempt */
	int			fd;	/* connecting, or -1 */
	struct event		*ev;	/* of fd, or of the pause before it */
	struct dial_address	addresses[DIAL_ADDRESSES_MAX];
};

static void	step_cb(evutil_socket_t fd, short what, void *arg);

static void
drop_attempt(struct pair_dial *d)
{
	if (d->ev != NULL)
		event_free(d->ev);
	d->ev = NULL;
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/* A socket on its way to the address, or -errno. */
static int
begin_connect(const struct dial_address *a)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *ai = NULL;
	char port[8];
	int fd = -1, r = -EINVAL;

	snprintf(port, sizeof(port), "%u", (unsigned int)a->port);
	if (getaddrinfo(a->host, port, &hints, &ai) != 0)
		return -EINVAL;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd < 0 || (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0 &&
	    errno != EINPROGRESS)) {
		r = -errno;
		goto out;
	}
	r = fd;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	freeaddrinfo(ai);
	return r;
}

static void
finish(struct pair_dial *d)
{
	int fd = d->fd;

	d->fd = -1;
	drop_attempt(d);
	d->done(d->arg, fd >= 0 ? 0 : d->r, fd, d->next - 1);
}

/* Start on the next address that lets itself be started on. */
static void
try_next(struct pair_dial *d)
{
	const struct timeval limit = { DIAL_ADDRESS_MS / 1000,
	    DIAL_ADDRESS_MS % 1000 * 1000 };

	drop_attempt(d);
	while (d->next < d->n) {
		if ((d->fd = begin_connect(&d->addresses[d->next++])) < 0) {
			d->r = d->fd;
			d->fd = -1;
			continue;
		}
		d->ev = event_new(d->base, d->fd, EV_WRITE, step_cb, d);
		if (d->ev != NULL && event_add(d->ev, &limit) == 0)
			return;
		d->r = -ENOMEM;
		drop_attempt(d);
	}
	finish(d);
}

/* The pause before the first, an answer, or none in time. */
static void
step_cb(evutil_socket_t fd, short what, void *arg)
{
	struct pair_dial *d = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	if (d->fd >= 0 && (what & EV_WRITE) && getsockopt(fd, SOL_SOCKET,
	    SO_ERROR, &error, &len) == 0 && error == 0) {
		finish(d);
		return;
	}
	if (d->fd >= 0)
		d->r = error != 0 ? -error : -ETIMEDOUT;
	try_next(d);
}

int
pair_dial_new(struct pair_dial **dp, struct event_base *base,
    const struct dial_address *addresses, size_t n, dial_done_fn *done,
    void *arg)
{
	struct pair_dial *d;

	*dp = NULL;
	if (n == 0 || n > DIAL_ADDRESSES_MAX)
		return -EINVAL;
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->base = base;
	d->done = done;
	d->arg = arg;
	d->n = n;
	d->fd = -1;
	memcpy(d->addresses, addresses, n * sizeof(*addresses));
	*dp = d;
	return 0;
}

void
pair_dial_free(struct pair_dial *d)
{
	if (d == NULL)
		return;
	drop_attempt(d);
	free(d);
}

/* From the loop, so that the callback never comes before we return. */
void
pair_dial_start(struct pair_dial *d)
{
	const struct timeval at_once = { 0, 0 };

	drop_attempt(d);
	d->next = 0;
	d->r = -EHOSTUNREACH;
	d->ev = evtimer_new(d->base, step_cb, d);
	if (d->ev != NULL)
		event_add(d->ev, &at_once);
}

