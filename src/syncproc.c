/* SPDX-License-Identifier: ISC */
/* transfer.proto over a helper process. Knows no message's meaning. */
#include "syncproc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "helper.h"
#include "log.h"

struct syncproc {
	struct helper		*helper;
	struct syncproc_events	events;
	void			*arg;
};

static void
helper_message(void *arg, struct ipc_msg *in)
{
	Persona__Transfer__TransferMessage *m;
	struct syncproc *s = arg;

	m = persona__transfer__transfer_message__unpack(NULL, in->len,
	    in->data);
	if (m == NULL) {
		log_warn("persona-sync said something that makes no sense");
		return;
	}
	s->events.message(s->arg, m, in);
	persona__transfer__transfer_message__free_unpacked(m, NULL);
}

static void
helper_gone(void *arg)
{
	struct syncproc *s = arg;

	s->events.gone(s->arg);
}

int
syncproc_start(struct syncproc **sp, struct daemon *d, const char *role,
    const struct syncproc_events *events, void *arg)
{
	static const struct helper_events own = {
		.message = helper_message,
		.gone = helper_gone,
	};
	struct syncproc *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->events = *events;
	s->arg = arg;
	if ((r = helper_start(&s->helper, d, "persona-sync", role, &own,
	    s)) < 0) {
		free(s);
		return r;
	}
	*sp = s;
	return 0;
}

void
syncproc_send(struct syncproc *s, uint64_t attempt,
    Persona__Transfer__TransferMessage *m, const int *fds, size_t n_fds)
{
	if (s == NULL)
		return;
	m->attempt = attempt;
	helper_send(s->helper, &m->base, fds, n_fds);
}

pid_t
syncproc_pid(const struct syncproc *s)
{
	return s == NULL ? 0 : helper_pid(s->helper);
}

void
syncproc_free(struct syncproc *s)
{
	if (s == NULL)
		return;
	helper_free(s->helper);
	free(s);
}
