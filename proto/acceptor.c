/* SPDX-License-Identifier: ISC */
/* One accept(2) a wake-up, and the rest after a failure that would repeat. */
#include "acceptor.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "log.h"

/* Long enough to cost nothing, short enough not to be noticed by a person. */
#define REST_US		200000

struct acceptor {
	const char	*what;
	acceptor_fn	*fn;
	void		*arg;
	struct event	*ready;
	struct event	*rest;
};

static void
rest_over_cb(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;

	(void)fd;
	(void)what;
	(void)event_add(a->ready, NULL);
}

/* The caller waits in the backlog: level-triggered, it would wake us at once. */
static void
take_a_rest(struct acceptor *a, int r)
{
	const struct timeval tv = { 0, REST_US };

	log_warn_r(r, "%s: nobody can be let in for a moment", a->what);
	if (event_add(a->rest, &tv) == 0)
		(void)event_del(a->ready);
}

static void
ready_cb(evutil_socket_t listen_fd, short what, void *arg)
{
	struct acceptor *a = arg;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	(void)what;
	fd = accept4(listen_fd, (struct sockaddr *)&ss, &len,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		a->fn(a->arg, fd, &ss, len);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
	    errno == ENOMEM)
		take_a_rest(a, -errno);
	/* Anything else is about this caller alone, who is gone. */
}

int
acceptor_new(struct acceptor **ap, struct event_base *base, int listen_fd,
    const char *what, acceptor_fn *fn, void *arg)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	*ap = NULL;
	if (a == NULL)
		return -ENOMEM;
	*a = (struct acceptor){ .what = what, .fn = fn, .arg = arg };
	a->ready = event_new(base, listen_fd, EV_READ | EV_PERSIST, ready_cb,
	    a);
	a->rest = evtimer_new(base, rest_over_cb, a);
	if (a->ready == NULL || a->rest == NULL ||
	    event_add(a->ready, NULL) < 0) {
		acceptor_free(a);
		return -ENOMEM;
	}
	*ap = a;
	return 0;
}

void
acceptor_free(struct acceptor *a)
{
	if (a == NULL)
		return;
	if (a->ready != NULL)
		event_free(a->ready);
	if (a->rest != NULL)
		event_free(a->rest);
	free(a);
}

bool
acceptor_rests(const struct acceptor *a)
{
	return evtimer_pending(a->rest, NULL) != 0;
}
