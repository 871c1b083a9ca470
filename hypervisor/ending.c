/* SPDX-License-Identifier: ISC */
/*
 * The end of a machine, from any thread to the loop by an eventfd. Knows nothing
 * of what ended.
 */
#include "ending.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

struct ending {
	pthread_mutex_t	lock;
	enum hv_end	how;
	char		text[256];
	int		fd;		/* eventfd: wakes the loop */
	struct event	*ev;
	void		(*told)(void *arg);
	void		*arg;
};

static void
noted_cb(evutil_socket_t fd, short what, void *arg)
{
	struct ending *e = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) >= 0)
		e->told(e->arg);
}

int
ending_new(struct ending **ep, struct event_base *base,
    void (*told)(void *arg), void *arg)
{
	struct ending *e;
	int r = -ENOMEM;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	e->told = told;
	e->arg = arg;
	if ((e->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		r = -errno;
		goto fail;
	}
	e->ev = event_new(base, e->fd, EV_READ | EV_PERSIST, noted_cb, e);
	if (e->ev == NULL || event_add(e->ev, NULL) < 0)
		goto fail;
	*ep = e;
	return 0;
fail:
	ending_free(e);
	return r;
}

void
ending_free(struct ending *e)
{
	if (e == NULL)
		return;
	if (e->ev != NULL)
		event_free(e->ev);
	if (e->fd >= 0)
		close(e->fd);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void
ending_note(struct ending *e, enum hv_end how, const char *text)
{
	const uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&e->lock);
	if ((first = e->how == HV_END_NONE)) {
		e->how = how;
		snprintf(e->text, sizeof(e->text), "%s", text);
	}
	pthread_mutex_unlock(&e->lock);
	if (first && write(e->fd, &one, sizeof(one)) < 0)
		log_err("guest ended, but the loop cannot be told: %s",
		    strerror(errno));
}

enum hv_end
ending_get(struct ending *e, const char **text)
{
	enum hv_end how;

	pthread_mutex_lock(&e->lock);
	how = e->how;
	pthread_mutex_unlock(&e->lock);
	*text = e->text;		/* written once, before `how` */
	return how;
}
