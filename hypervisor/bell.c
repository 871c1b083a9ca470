/* SPDX-License-Identifier: ISC */
/* An eventfd and an event on it. Knows nothing else. */
#include "bell.h"

#include <errno.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bell {
	int		fd;
	struct event	*ev;
	struct event	*rest;		/* NULL: as often as it is rung */
	unsigned int	every_ms;
	void		(*heard)(void *arg);
	void		*arg;
};

static void
rung_cb(evutil_socket_t fd, short what, void *arg)
{
	struct bell *b = arg;
	const struct timeval tv = { .tv_sec = b->every_ms / 1000,
	    .tv_usec = b->every_ms % 1000 * 1000 };
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	if (b->rest != NULL && event_add(b->rest, &tv) == 0)
		(void)event_del(b->ev);
	b->heard(b->arg);
}

static void
rested_cb(evutil_socket_t fd, short what, void *arg)
{
	struct bell *b = arg;

	(void)fd;
	(void)what;
	(void)event_add(b->ev, NULL);
}

int
bell_new(struct bell **bp, struct event_base *base, void (*heard)(void *arg),
    void *arg)
{
	struct bell *b;
	int r = -ENOMEM;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		return -ENOMEM;
	b->heard = heard;
	b->arg = arg;
	if ((b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		r = -errno;
		goto fail;
	}
	b->ev = event_new(base, b->fd, EV_READ | EV_PERSIST, rung_cb, b);
	if (b->ev == NULL || event_add(b->ev, NULL) < 0)
		goto fail;
	*bp = b;
	return 0;
fail:
	bell_free(b);
	return r;
}

int
bell_pace(struct bell *b, unsigned int every_ms)
{
	b->rest = evtimer_new(event_get_base(b->ev), rested_cb, b);
	b->every_ms = every_ms;
	return b->rest == NULL ? -ENOMEM : 0;
}

void
bell_free(struct bell *b)
{
	if (b == NULL)
		return;
	if (b->rest != NULL)
		event_free(b->rest);
	if (b->ev != NULL)
		event_free(b->ev);
	if (b->fd >= 0)
		close(b->fd);
	free(b);
}

int
bell_ring(struct bell *b)
{
	const uint64_t one = 1;

	return write(b->fd, &one, sizeof(one)) < 0 ? -errno : 0;
}
