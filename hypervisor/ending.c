/* SPDX-License-Identifier: ISC */
/*
 * The end of a machine: the first account of it counts. Knows nothing of what ended.
 */
#include "ending.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bell.h"
#include "log.h"

struct ending {
	pthread_mutex_t	lock;
	enum hv_end	how;
	char		text[256];
	struct bell	*bell;
};

int
ending_new(struct ending **ep, struct event_base *base,
    void (*told)(void *arg), void *arg)
{
	struct ending *e;
	int r;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	if ((r = bell_new(&e->bell, base, told, arg)) < 0) {
		ending_free(e);
		return r;
	}
	*ep = e;
	return 0;
}

void
ending_free(struct ending *e)
{
	if (e == NULL)
		return;
	bell_free(e->bell);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void
ending_note(struct ending *e, enum hv_end how, const char *text)
{
	bool first;
	int r;

	pthread_mutex_lock(&e->lock);
	if ((first = e->how == HV_END_NONE)) {
		e->how = how;
		snprintf(e->text, sizeof(e->text), "%s", text);
	}
	pthread_mutex_unlock(&e->lock);
	if (first && (r = bell_ring(e->bell)) < 0)
		log_err("guest ended, but the loop cannot be told: %s",
		    strerror(-r));
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
