/* SPDX-License-Identifier: ISC */
/* Start a helper, carry its messages, see it end. Knows no message's meaning. */
#include "helper.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon.h"
#include "launcher.h"
#include "log.h"

#define SEND_WAIT_MS	200

struct helper {
	int			fd;
	struct event		*ev;
	struct child		*child;
	const char		*program;
	struct helper_events	events;
	void			*arg;
	bool			*freed;
	struct ipc_msg		in;
};

static void
process_ended(void *arg, int status)
{
	struct helper *h = arg;
	char text[128];

	if (status != 0)
		log_warn("%s[%d] %s", h->program, (int)child_pid(h->child),
		    child_status_text(status, text, sizeof(text)));
	h->child = NULL;	/* the socket's end is what counts */
}

static void
take_message(struct helper *h)
{
	bool freed = false;

	h->freed = &freed;
	h->events.message(h->arg, &h->in);
	if (freed)
		return;
	h->freed = NULL;
	ipc_msg_fini(&h->in);
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct helper *h = arg;
	int r = ipc_recv(fd, &h->in);

	(void)what;
	if (r == 1) {
		take_message(h);
	} else if (r != -EAGAIN && r != -EMSGSIZE) {
		event_del(h->ev);
		h->events.gone(h->arg);
	}
}

static int
spawn(struct helper *h, struct daemon *d, const char *role, int their_fd)
{
	char program[DAEMON_PROGRAM_MAX], number[16];
	char *argv[6];
	struct launch_spec spec = { .argv = argv, .n_fds = 1,
	    .die_with_us = true };
	size_t n = 0;

	snprintf(number, sizeof(number), "%d", LAUNCH_FD_BASE);
	argv[n++] = (char *)(uintptr_t)h->program;
	if (role != NULL)
		argv[n++] = (char *)(uintptr_t)role;
	argv[n++] = (char *)(uintptr_t)"--ipc-fd";
	argv[n++] = number;
	if (d->debug && role != NULL)	/* persona-pair has one voice */
		argv[n++] = (char *)(uintptr_t)"--debug";
	argv[n] = NULL;
	spec.path = daemon_program(d, h->program, program);
	spec.fds[0] = their_fd;
	return launcher_spawn(d->launcher, &spec, process_ended, h,
	    &h->child);
}

int
helper_start(struct helper **hp, struct daemon *d, const char *program,
    const char *role, const struct helper_events *events, void *arg)
{
	struct helper *h = calloc(1, sizeof(*h));
	int sv[2] = { -1, -1 }, r;

	if (h == NULL)
		return -ENOMEM;
	h->events = *events;
	h->arg = arg;
	h->program = program;
	h->fd = -1;
	if ((r = ipc_pair(sv)) < 0)
		goto fail;
	h->fd = sv[0];
	if ((r = spawn(h, d, role, sv[1])) < 0)
		goto fail;
	close(sv[1]);
	sv[1] = -1;
	r = -ENOMEM;
	h->ev = event_new(d->base, h->fd, EV_READ | EV_PERSIST, readable_cb,
	    h);
	if (h->ev == NULL || event_add(h->ev, NULL) < 0)
		goto fail;
	*hp = h;
	return 0;
fail:
	if (sv[1] >= 0)
		close(sv[1]);
	helper_free(h);
	return r;
}

void
helper_send(struct helper *h, const ProtobufCMessage *m, const int *fds,
    size_t n_fds)
{
	int r = ipc_send(h->fd, m, fds, n_fds, SEND_WAIT_MS);

	if (r == 0 || r == -EPIPE)
		return;
	/* A process that does not read for so long cannot finish its work. */
	log_warn_r(r, "%s[%d] does not listen, killing it", h->program,
	    (int)child_pid(h->child));
	child_kill(h->child, SIGKILL);
}

pid_t
helper_pid(const struct helper *h)
{
	return child_pid(h->child);
}

void
helper_free(struct helper *h)
{
	if (h == NULL)
		return;
	if (h->freed != NULL) {
		*h->freed = true;
		ipc_msg_fini(&h->in);
	}
	child_kill(h->child, SIGKILL);
	child_forget(h->child);
	if (h->ev != NULL)
		event_free(h->ev);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}
