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
	void		(*heard)(void *arg);
	void		*arg;
};

static void
rung_cb(evutil_socket_t fd, short what, void *arg)
{
	struct bell *b = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) >= 0)
		b->heard(b->arg);
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

void
bell_free(struct bell *b)
{
	if (b == NULL)
		return;
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
