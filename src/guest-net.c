/* SPDX-License-Identifier: ISC */
/*
 * One persona-net: process, control connection, forwards. A port that is taken is
 * tried again, a process that dies is replaced after a pause that grows. Knows no
 * frame and no persona-vmm.
 */
#include "guest-net.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "daemon.h"
#include "guest-priv.h"
#include "launcher.h"
#include "log.h"
#include "net.pb-c.h"

#define AGAIN_MIN_MS	100u	/* before a dead process is replaced */
#define AGAIN_MAX_MS	30000u
#define HEALTHY_MS	60000u	/* having lived so long, it counts as new */
#define RETRY_MS	3000u	/* between tries to open a taken port */
#define SEND_WAIT_MS	200
#define ARGS_MAX	10

struct guest_net {
	struct daemon		*daemon;
	const char		*id, *name;
	guest_net_cable_fn	*cable;
	void			*arg;
	uint8_t			mac[NET_MAC_BYTES];
	Persona__Spec__Net	*wanted;	/* its forwards */
	int			errors[FORWARDS_MAX];
	struct child		*child;
	uint64_t		started_ms;
	uint32_t		again_ms;
	uint64_t		to_guest, from_guest;	/* bytes, as last told */
	struct event		*again_ev;	/* start, or configure, again */
	int			fd;		/* control connection; -1: none */
	struct event		*ev;
	struct ipc_msg		in;
};

static void
wake_in(struct guest_net *n, uint32_t ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
	    .tv_usec = (ms % 1000) * 1000 };

	(void)evtimer_add(n->again_ev, &tv);
}

static void
disconnect(struct guest_net *n)
{
	if (n->ev != NULL)
		event_free(n->ev);
	if (n->fd >= 0)
		close(n->fd);
	n->ev = NULL;
	n->fd = -1;
}

/* --- forwards ------------------------------------------------------------------- */

static void
warn_taken(struct guest_net *n, size_t i, int r)
{
	const Persona__Spec__Forward *f = n->wanted->forwards[i];

	if (n->errors[i] != r)
		log_warn_r(r, "persona %s: port %u of this handset does not "
		    "lead in", n->name, f->host_port);
}

static void
take_report(struct guest_net *n, const Persona__Net__Report *report)
{
	int errors[FORWARDS_MAX] = { 0 };

	for (size_t i = 0; i < report->n_failed; i++) {
		const Persona__Net__Failed *f = report->failed[i];

		if (f->index >= n->wanted->n_forwards || f->error >= 0)
			continue;
		warn_taken(n, f->index, f->error);
		errors[f->index] = f->error;
	}
	memcpy(n->errors, errors, sizeof(n->errors));
	if (report->n_failed > 0)
		wake_in(n, RETRY_MS);
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct guest_net *n = arg;
	Persona__Net__NetMessage *m;
	int r = ipc_recv(fd, &n->in);

	(void)what;
	if (r == -EAGAIN)
		return;
	if (r <= 0) {
		disconnect(n);		/* its process's end is what counts */
		return;
	}
	m = persona__net__net_message__unpack(NULL, n->in.len, n->in.data);
	if (m != NULL && m->kind_case == PERSONA__NET__NET_MESSAGE__KIND_REPORT)
		take_report(n, m->report);
	if (m != NULL && m->kind_case == PERSONA__NET__NET_MESSAGE__KIND_COUNTED) {
		n->to_guest = m->counted->to_guest_bytes;
		n->from_guest = m->counted->from_guest_bytes;
	}
	if (m != NULL)
		persona__net__net_message__free_unpacked(m, NULL);
	ipc_msg_fini(&n->in);
}

static int
send_configure(struct guest_net *n)
{
	Persona__Net__NetMessage m = PERSONA__NET__NET_MESSAGE__INIT;
	Persona__Net__Configure c = PERSONA__NET__CONFIGURE__INIT;

	if (n->fd < 0)
		return -ENOTCONN;
	c.n_forwards = n->wanted->n_forwards;
	c.forwards = n->wanted->forwards;
	m.kind_case = PERSONA__NET__NET_MESSAGE__KIND_CONFIGURE;
	m.configure = &c;
	return ipc_send(n->fd, &m.base, NULL, 0, SEND_WAIT_MS);
}

void
guest_net_traffic(struct guest_net *n, uint64_t *to_guest_bytes,
    uint64_t *from_guest_bytes)
{
	Persona__Net__NetMessage m = PERSONA__NET__NET_MESSAGE__INIT;
	Persona__Net__Count count = PERSONA__NET__COUNT__INIT;

	*to_guest_bytes = n->to_guest;
	*from_guest_bytes = n->from_guest;
	m.kind_case = PERSONA__NET__NET_MESSAGE__KIND_COUNT;
	m.count = &count;
	if (n->fd >= 0)		/* a process that cannot answer says so by its end */
		(void)ipc_send(n->fd, &m.base, NULL, 0, 0);
}

static int
take_over(struct guest_net *n)
{
	int r;

	disconnect(n);
	if ((r = guest_trace_connect(n->daemon, n->id, TRACE_NET, &n->fd)) < 0)
		return r;
	n->ev = event_new(n->daemon->base, n->fd, EV_READ | EV_PERSIST,
	    readable_cb, n);
	if (n->ev == NULL || event_add(n->ev, NULL) < 0) {
		disconnect(n);
		return -ENOMEM;
	}
	return send_configure(n);
}

/* A deep copy, by way of the wire. NULL: no memory. */
static Persona__Spec__Net *
copy_net(const Persona__Spec__Net *net)
{
	size_t len = persona__spec__net__get_packed_size(net);
	uint8_t *bytes = malloc(len > 0 ? len : 1);
	Persona__Spec__Net *copy = NULL;

	if (bytes != NULL) {
		persona__spec__net__pack(net, bytes);
		copy = persona__spec__net__unpack(NULL, len, bytes);
	}
	free(bytes);
	return copy;
}

int
guest_net_configure(struct guest_net *n, const Persona__Spec__Net *net)
{
	Persona__Spec__Net *copy = copy_net(net);

	if (copy == NULL)
		return -ENOMEM;
	persona__spec__net__free_unpacked(n->wanted, NULL);
	n->wanted = copy;
	memset(n->errors, 0, sizeof(n->errors));
	return send_configure(n);
}

/* --- the process ---------------------------------------------------------------- */

static void
process_ended(void *arg, int status)
{
	struct guest_net *n = arg;
	char text[128];

	n->child = NULL;
	disconnect(n);
	if (status != 0)
		log_warn("persona %s: persona-net %s", n->name,
		    child_status_text(status, text, sizeof(text)));
	if (clock_now_ms() - n->started_ms >= HEALTHY_MS)
		n->again_ms = AGAIN_MIN_MS;
	/* When the guest has gone too, this is freed before the timer fires. */
	wake_in(n, n->again_ms);
	n->again_ms = n->again_ms * 2 < AGAIN_MAX_MS ? n->again_ms * 2 :
	    AGAIN_MAX_MS;
}

static int
spawn(struct guest_net *n, int cable_fd, int listen_fd)
{
	char frame[16], control[16], user[16], program[DAEMON_PROGRAM_MAX];
	char *argv[ARGS_MAX] = { (char *)"persona-net", (char *)"--frame-fd",
	    frame, (char *)"--listen-fd", control };
	struct launch_spec spec = { .argv = argv, .n_fds = 2,
	    .fds = { cable_fd, listen_fd } };
	size_t n_args = 5;
	int r;

	snprintf(frame, sizeof(frame), "%d", LAUNCH_FD_BASE);
	snprintf(control, sizeof(control), "%d", LAUNCH_FD_BASE + 1);
	if (n->daemon->conf.host_loopback)
		argv[n_args++] = (char *)"--host-loopback";
	if (n->daemon->debug)
		argv[n_args++] = (char *)"--verbose";
	if (geteuid() == 0) {
		spec.uid = launcher_free_uid(n->daemon->launcher,
		    n->daemon->conf.first_uid, CONF_UIDS);
		if (spec.uid == 0)
			return -EUSERS;
		snprintf(user, sizeof(user), "%u", (unsigned int)spec.uid);
		argv[n_args++] = (char *)"--user";
		argv[n_args++] = user;
	}
	spec.path = daemon_program(n->daemon, "persona-net", program);
	if ((r = launcher_spawn(n->daemon->launcher, &spec, process_ended, n,
	    &n->child)) < 0)
		return r;
	n->started_ms = clock_now_ms();
	return guest_trace_write(n->daemon, n->id, TRACE_NET,
	    child_pid(n->child));
}

int
guest_net_start(struct guest_net *n, int *cable_fd)
{
	int sv[2] = { -1, -1 }, listen_fd = -1, r;

	if ((r = ipc_pair(sv)) < 0)
		return r;
	if ((r = guest_trace_listen(n->daemon, n->id, TRACE_NET,
	    &listen_fd)) == 0 &&
	    (r = spawn(n, sv[1], listen_fd)) == 0)
		r = take_over(n);
	close(sv[1]);
	if (listen_fd >= 0)
		close(listen_fd);
	if (r < 0)
		close(sv[0]);
	else
		*cable_fd = sv[0];
	return r;
}

static void
again_cb(evutil_socket_t unused, short what, void *arg)
{
	struct guest_net *n = arg;
	int fd, r;

	(void)unused;
	(void)what;
	if (n->child != NULL) {
		(void)send_configure(n);
		return;
	}
	if ((r = guest_net_start(n, &fd)) < 0) {
		log_warn_r(r, "persona %s: persona-net cannot be started",
		    n->name);
		if (n->child == NULL)
			wake_in(n, AGAIN_MAX_MS);
		return;
	}
	log_info("persona %s: on the network again, persona-net[%d]", n->name,
	    (int)child_pid(n->child));
	n->cable(n->arg, fd);
}

void
guest_net_find(struct guest_net *n)
{
	uint64_t ticks;
	pid_t pid;

	if (guest_trace_read(n->daemon, n->id, TRACE_NET, &pid, &ticks) == 0 &&
	    launcher_watch(n->daemon->launcher, pid, ticks, process_ended, n,
	    &n->child) == 0) {
		n->started_ms = clock_now_ms();
		if (take_over(n) == 0)
			return;
		child_kill(n->child, SIGKILL);	/* its end brings another */
		return;
	}
	wake_in(n, AGAIN_MIN_MS);
}

/* --- life ----------------------------------------------------------------------- */

int
guest_net_new(struct guest_net **np, struct daemon *d, const char *id,
    const char *name, const Persona__Spec__Net *net, guest_net_cable_fn *cable,
    void *arg)
{
	struct guest_net *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return -ENOMEM;
	n->daemon = d;
	n->id = id;
	n->name = name;
	n->cable = cable;
	n->arg = arg;
	n->fd = -1;
	n->again_ms = AGAIN_MIN_MS;
	memcpy(n->mac, net->mac.data, sizeof(n->mac));	/* spec_check: 6 */
	n->wanted = copy_net(net);
	n->again_ev = evtimer_new(d->base, again_cb, n);
	if (n->wanted == NULL || n->again_ev == NULL) {
		guest_net_free(n);
		return -ENOMEM;
	}
	*np = n;
	return 0;
}

void
guest_net_free(struct guest_net *n)
{
	if (n == NULL)
		return;
	child_forget(n->child);
	disconnect(n);
	if (n->again_ev != NULL)
		event_free(n->again_ev);
	if (n->wanted != NULL)
		persona__spec__net__free_unpacked(n->wanted, NULL);
	free(n);
}

const uint8_t *
guest_net_mac(const struct guest_net *n)
{
	return n->mac;
}

pid_t
guest_net_pid(const struct guest_net *n)
{
	return n == NULL ? 0 : child_pid(n->child);
}

int
guest_net_error(const struct guest_net *n, size_t i)
{
	return n == NULL || i >= FORWARDS_MAX ? 0 : n->errors[i];
}
