/* SPDX-License-Identifier: ISC */
/*
 * Frames in and out of a SOCK_SEQPACKET socket, in bursts. Deliberately knows no
 * frame's meaning.
 */
#include "net-wire.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bounds.h"

#define BURST		64u	/* frames read before others get their turn */
#define QUEUE_FRAMES	512u	/* then frames are dropped */
#define FULL_FRAMES	64u	/* from here on the source is asked to wait */

struct queued {
	STAILQ_ENTRY(queued)	entry;
	size_t			len;
	uint8_t			frame[];
};

struct net_wire {
	int			fd;
	struct event		*read_ev, *write_ev;
	struct net_wire_ops	ops;
	void			*arg;
	STAILQ_HEAD(, queued)	queue;
	unsigned int		n_queued;
	bool			full;
	struct net_wire_count	count;
	uint8_t			in[NET_FRAME_MAX];
};

static void
gone(struct net_wire *w)
{
	(void)event_del(w->read_ev);
	(void)event_del(w->write_ev);
	w->ops.gone(w->arg);
}

/* 0, -EAGAIN to try it again later, or -EPIPE. */
static int
send_now(struct net_wire *w, const uint8_t *frame, size_t len)
{
	if (send(w->fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
		w->count.to_guest += len;
		return 0;
	}
	switch (errno) {
	case EAGAIN:
	case EINTR:
	case ENOBUFS:
	case ENOMEM:
		return -EAGAIN;
	case EMSGSIZE:
		return 0;		/* dropped */
	default:
		return -EPIPE;		/* reading will tell */
	}
}

static void
read_cb(evutil_socket_t fd, short what, void *arg)
{
	struct net_wire *w = arg;

	(void)what;
	for (unsigned int i = 0; i < BURST; i++) {
		ssize_t n = recv(fd, w->in, sizeof(w->in),
		    MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			gone(w);
			return;
		}
		if ((size_t)n > sizeof(w->in))
			continue;
		w->count.from_guest += (size_t)n;
		w->ops.frame(w->arg, w->in, (size_t)n);
	}
}

static void
write_cb(evutil_socket_t fd, short what, void *arg)
{
	struct net_wire *w = arg;
	struct queued *q;

	(void)fd;
	(void)what;
	while ((q = STAILQ_FIRST(&w->queue)) != NULL) {
		if (send_now(w, q->frame, q->len) == -EAGAIN) {
			(void)event_add(w->write_ev, NULL);
			return;
		}
		STAILQ_REMOVE_HEAD(&w->queue, entry);
		w->n_queued--;
		free(q);
	}
	if (w->full) {
		w->full = false;
		w->ops.full(w->arg, false);
	}
}

void
net_wire_send(struct net_wire *w, const uint8_t *frame, size_t len)
{
	struct queued *q;

	if (w->n_queued == 0 && send_now(w, frame, len) != -EAGAIN)
		return;
	if (w->n_queued == QUEUE_FRAMES ||
	    (q = malloc(sizeof(*q) + len)) == NULL)
		return;
	q->len = len;
	memcpy(q->frame, frame, len);
	STAILQ_INSERT_TAIL(&w->queue, q, entry);
	if (w->n_queued++ == 0)
		(void)event_add(w->write_ev, NULL);
	if (w->n_queued == FULL_FRAMES && !w->full) {
		w->full = true;
		w->ops.full(w->arg, true);
	}
}

struct net_wire_count
net_wire_counted(const struct net_wire *w)
{
	return w->count;
}

int
net_wire_new(struct net_wire **wp, struct event_base *base, int fd,
    const struct net_wire_ops *ops, void *arg)
{
	struct net_wire *w;

	if ((w = calloc(1, sizeof(*w))) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	w->fd = fd;
	w->ops = *ops;
	w->arg = arg;
	STAILQ_INIT(&w->queue);
	w->read_ev = event_new(base, fd, EV_READ | EV_PERSIST, read_cb, w);
	w->write_ev = event_new(base, fd, EV_WRITE, write_cb, w);
	if (w->read_ev == NULL || w->write_ev == NULL ||
	    event_add(w->read_ev, NULL) < 0) {
		net_wire_free(w);
		return -ENOMEM;
	}
	*wp = w;
	return 0;
}

void
net_wire_free(struct net_wire *w)
{
	struct queued *q;

	if (w == NULL)
		return;
	while ((q = STAILQ_FIRST(&w->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->queue, entry);
		free(q);
	}
	if (w->read_ev != NULL)
		event_free(w->read_ev);
	if (w->write_ev != NULL)
		event_free(w->write_ev);
	close(w->fd);
	free(w);
}
