/* SPDX-License-Identifier: ISC */
/*
 * Avahi's event loop interface on libevent: watches are persistent events,
 * timeouts are timers. Knows nothing of what Avahi does with it.
 */
#include "avahi-poll.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/time.h>

/* Avahi names these types and leaves them to us. */
struct AvahiWatch {
	struct event_base	*base;
	struct event		*ev;	/* NULL while nothing is waited for */
	int			fd;
	AvahiWatchEvent		happened;	/* valid during the callback */
	AvahiWatchCallback	callback;
	void			*arg;
};

struct AvahiTimeout {
	struct event		*ev;
	AvahiTimeoutCallback	callback;
	void			*arg;
};

/* The callback may free the watch: it is not touched afterwards. */
static void
watch_cb(evutil_socket_t fd, short what, void *arg)
{
	AvahiWatch *w = arg;

	w->happened = (what & EV_READ ? AVAHI_WATCH_IN : 0) |
	    (what & EV_WRITE ? AVAHI_WATCH_OUT : 0);
	w->callback(w, fd, w->happened, w->arg);
}

/* Hang-ups and errors reach Avahi as readable: the read then says which. */
static void
watch_update(AvahiWatch *w, AvahiWatchEvent want)
{
	short what = (want & AVAHI_WATCH_IN ? EV_READ : 0) |
	    (want & AVAHI_WATCH_OUT ? EV_WRITE : 0);

	if (w->ev != NULL)
		event_free(w->ev);
	w->ev = NULL;
	if (what == 0)
		return;
	w->ev = event_new(w->base, w->fd, (short)(what | EV_PERSIST), watch_cb,
	    w);
	if (w->ev != NULL)
		event_add(w->ev, NULL);
}

static AvahiWatch *
watch_new(const AvahiPoll *api, int fd, AvahiWatchEvent want,
    AvahiWatchCallback callback, void *arg)
{
	AvahiWatch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->base = api->userdata;
	w->fd = fd;
	w->callback = callback;
	w->arg = arg;
	watch_update(w, want);
	return w;
}

static AvahiWatchEvent
watch_get_events(AvahiWatch *w)
{
	return w->happened;
}

static void
watch_free(AvahiWatch *w)
{
	if (w->ev != NULL)
		event_free(w->ev);
	free(w);
}

/* The callback may free the timeout: it is not touched afterwards. */
static void
timeout_cb(evutil_socket_t fd, short what, void *arg)
{
	AvahiTimeout *t = arg;

	(void)fd;
	(void)what;
	t->callback(t, t->arg);
}

/* Avahi gives a wall-clock time, libevent takes a span. NULL: never. */
static void
timeout_update(AvahiTimeout *t, const struct timeval *at)
{
	struct timeval now, span = { 0, 0 };

	event_del(t->ev);
	if (at == NULL)
		return;
	gettimeofday(&now, NULL);
	if (timercmp(at, &now, >))
		timersub(at, &now, &span);
	event_add(t->ev, &span);
}

static AvahiTimeout *
timeout_new(const AvahiPoll *api, const struct timeval *at,
    AvahiTimeoutCallback callback, void *arg)
{
	AvahiTimeout *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->callback = callback;
	t->arg = arg;
	if ((t->ev = event_new(api->userdata, -1, 0, timeout_cb, t)) == NULL) {
		free(t);
		return NULL;
	}
	timeout_update(t, at);
	return t;
}

static void
timeout_free(AvahiTimeout *t)
{
	event_free(t->ev);
	free(t);
}

void
avahi_poll_init(AvahiPoll *api, struct event_base *base)
{
	*api = (AvahiPoll){
		.userdata = base,
		.watch_new = watch_new,
		.watch_update = watch_update,
		.watch_get_events = watch_get_events,
		.watch_free = watch_free,
		.timeout_new = timeout_new,
		.timeout_update = timeout_update,
		.timeout_free = timeout_free,
	};
}
