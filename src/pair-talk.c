/* SPDX-License-Identifier: ISC */
/*
 * A pairing between two ends of a socket. Knows neither the messages nor whose turn
 * it is.
 */
#include "pair-talk.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

struct pair_talk {
	int			sock;
	struct event		*read_ev, *write_ev;
	struct pairing		*pairing;
	const struct pair_talk_ops *ops;
	void			*arg;
	bool			unsendable;	/* the socket takes no more */
	bool			lingering;
};

static void
writable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct pair_talk *t = arg;

	(void)fd;
	(void)what;
	t->ops->changed(t->arg);
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct pair_talk *t = arg;
	uint8_t buf[PAIRING_MSG_MAX];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (t->lingering) {
		if (n <= 0)
			t->ops->gone(t->arg);
		return;
	}
	if (n > 0)
		pairing_input(t->pairing, buf, (size_t)n, clock_now_ms());
	else
		pairing_input_end(t->pairing);
	t->ops->changed(t->arg);
}

int
pair_talk_new(struct pair_talk **tp, struct event_base *base, int fd,
    const struct pair_talk_config *c, const struct pair_talk_ops *ops,
    void *arg)
{
	struct pair_talk *t = calloc(1, sizeof(*t));
	const int on = 1;
	int r = -ENOMEM;

	if (t == NULL) {
		close(fd);
		return -ENOMEM;
	}
	t->sock = fd;
	t->ops = ops;
	t->arg = arg;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	t->read_ev = event_new(base, fd, EV_READ | EV_PERSIST, readable_cb, t);
	t->write_ev = event_new(base, fd, EV_WRITE, writable_cb, t);
	if (t->read_ev == NULL || t->write_ev == NULL ||
	    event_add(t->read_ev, NULL) < 0 ||
	    (r = pairing_new(&t->pairing, c->role, c->own, c->timeout_ms,
	    clock_now_ms())) < 0) {
		pair_talk_free(t);
		return r;
	}
	*tp = t;
	return 0;
}

void
pair_talk_free(struct pair_talk *t)
{
	if (t == NULL)
		return;
	if (t->read_ev != NULL)
		event_free(t->read_ev);
	if (t->write_ev != NULL)
		event_free(t->write_ev);
	close(t->sock);
	pairing_free(t->pairing);
	free(t);
}

struct pairing *
pair_talk_pairing(struct pair_talk *t)
{
	return t->pairing;
}

bool
pair_talk_flush(struct pair_talk *t)
{
	const void *data;
	size_t len;
	ssize_t n;

	while (!t->unsendable &&
	    (data = pairing_output(t->pairing, &len), len > 0)) {
		n = send(t->sock, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			event_add(t->write_ev, NULL);
			return false;
		}
		if (n < 0)
			t->unsendable = true;
		else
			pairing_output_done(t->pairing, (size_t)n);
	}
	if (t->unsendable)
		pairing_input_end(t->pairing);
	return true;
}

void
pair_talk_linger(struct pair_talk *t)
{
	t->lingering = true;
	(void)shutdown(t->sock, SHUT_WR);
}
