/* SPDX-License-Identifier: ISC */
/*
 * The control socket of persona-net: a Configure is compared with what is open,
 * and only the difference is done. Deliberately knows no libslirp.
 */
#include "net-control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bounds.h"
#include "forward.h"
#include "ipc.h"
#include "log.h"
#include "net-slirp.h"
#include "net-wire.h"
#include "net.pb-c.h"

#define REPORT_WAIT_MS	200

struct net_control {
	struct event_base *base;
	struct net_slirp *net;
	const struct net_wire *wire;	/* NULL: not plugged in yet */
	int		listen_fd, fd;
	uid_t		owner_uid;	/* whom we were started by */
	struct event	*listen_ev, *ev;
	size_t		n_open;
	struct forward	open[FORWARDS_MAX];
	struct ipc_msg	in;
};

static bool
same(const struct forward *a, const struct forward *b)
{
	return forward_same_host(a, b) && a->guest_port == b->guest_port;
}

static bool
is_among(const struct forward *all, size_t n, const struct forward *f)
{
	for (size_t i = 0; i < n; i++)
		if (same(&all[i], f))
			return true;
	return false;
}

int
net_control_add(struct net_control *c, const struct forward *f)
{
	char text[FORWARD_TEXT_MAX];
	int r;

	if (is_among(c->open, c->n_open, f))
		return 0;
	if (c->n_open == FORWARDS_MAX)
		return -ENOSPC;
	forward_format(f, text);
	if ((r = net_slirp_forward(c->net, f)) < 0) {
		log_debug("forward %s: %s", text, strerror(-r));
		return r;
	}
	c->open[c->n_open++] = *f;
	log_debug("forward %s: open", text);
	return 0;
}

static void
close_others(struct net_control *c, const struct forward *keep, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n_open; i++) {
		if (is_among(keep, n, &c->open[i]))
			c->open[kept++] = c->open[i];
		else
			net_slirp_unforward(c->net, &c->open[i]);
	}
	c->n_open = kept;
}

/* As it came; ports are looked at, whoever checked them before. */
static int
forward_of(const Persona__Spec__Forward *m, struct forward *f)
{
	memset(f, 0, sizeof(*f));
	f->udp = m->udp;
	f->host.s_addr = htonl(INADDR_LOOPBACK);
	if (m->host != NULL && inet_pton(AF_INET, m->host, &f->host) != 1)
		return -EINVAL;
	if (m->host_port < 1 || m->host_port > UINT16_MAX ||
	    m->guest_port < 1 || m->guest_port > UINT16_MAX)
		return -EINVAL;
	f->host_port = (uint16_t)m->host_port;
	f->guest_port = (uint16_t)m->guest_port;
	return 0;
}

/* --- messages ------------------------------------------------------------- */

static void
drop(struct net_control *c)
{
	if (c->ev != NULL)
		event_free(c->ev);
	if (c->fd >= 0)
		close(c->fd);
	c->ev = NULL;
	c->fd = -1;
}

static void
send_report(struct net_control *c, const int *errors, size_t n)
{
	Persona__Net__NetMessage m = PERSONA__NET__NET_MESSAGE__INIT;
	Persona__Net__Report report = PERSONA__NET__REPORT__INIT;
	Persona__Net__Failed failed[FORWARDS_MAX], *list[FORWARDS_MAX];

	for (size_t i = 0; i < n; i++) {
		Persona__Net__Failed *f = &failed[report.n_failed];

		if (errors[i] == 0)
			continue;
		persona__net__failed__init(f);
		f->index = (uint32_t)i;
		f->error = errors[i];
		list[report.n_failed++] = f;
	}
	report.failed = list;
	m.kind_case = PERSONA__NET__NET_MESSAGE__KIND_REPORT;
	m.report = &report;
	if (ipc_send(c->fd, &m.base, NULL, 0, REPORT_WAIT_MS) < 0)
		drop(c);
}

static void
configure(struct net_control *c, const Persona__Net__Configure *q)
{
	struct forward wanted[FORWARDS_MAX];
	int errors[FORWARDS_MAX];
	size_t n = q->n_forwards;

	for (size_t i = 0; i < n; i++)
		errors[i] = forward_of(q->forwards[i], &wanted[i]);
	close_others(c, wanted, n);
	for (size_t i = 0; i < n; i++)
		if (errors[i] == 0)
			errors[i] = net_control_add(c, &wanted[i]);
	send_report(c, errors, n);
}

static void
send_count(struct net_control *c)
{
	Persona__Net__NetMessage m = PERSONA__NET__NET_MESSAGE__INIT;
	Persona__Net__Counted counted = PERSONA__NET__COUNTED__INIT;

	if (c->wire != NULL) {
		struct net_wire_count n = net_wire_counted(c->wire);

		counted.to_guest_bytes = n.to_guest;
		counted.from_guest_bytes = n.from_guest;
	}
	m.kind_case = PERSONA__NET__NET_MESSAGE__KIND_COUNTED;
	m.counted = &counted;
	if (ipc_send(c->fd, &m.base, NULL, 0, REPORT_WAIT_MS) < 0)
		drop(c);
}

static void
conn_cb(evutil_socket_t fd, short what, void *arg)
{
	struct net_control *c = arg;
	Persona__Net__NetMessage *m;
	int r;

	(void)what;
	if ((r = ipc_recv(fd, &c->in)) == -EAGAIN)
		return;
	if (r <= 0) {
		drop(c);
		return;
	}
	m = persona__net__net_message__unpack(NULL, c->in.len, c->in.data);
	if (m != NULL && m->kind_case ==
	    PERSONA__NET__NET_MESSAGE__KIND_CONFIGURE &&
	    m->configure->n_forwards <= FORWARDS_MAX)
		configure(c, m->configure);
	else if (m != NULL && m->kind_case ==
	    PERSONA__NET__NET_MESSAGE__KIND_COUNT)
		send_count(c);
	else
		drop(c);
	if (m != NULL)
		persona__net__net_message__free_unpacked(m, NULL);
	ipc_msg_fini(&c->in);
}

/* A new personad takes the place of one that may not have noticed its end. */
static void
accept_cb(evutil_socket_t listen_fd, short what, void *arg)
{
	struct net_control *c = arg;
	uint32_t uid, gid;
	int32_t pid;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd < 0)
		return;
	if (ipc_peer_cred(fd, &uid, &gid, &pid) < 0 || uid != c->owner_uid) {
		log_warn("refused a connection of another user");
		close(fd);
		return;
	}
	drop(c);
	c->fd = fd;
	c->ev = event_new(c->base, fd, EV_READ | EV_PERSIST, conn_cb, c);
	if (c->ev == NULL || event_add(c->ev, NULL) < 0)
		drop(c);
}

int
net_control_new(struct net_control **cp, struct event_base *base,
    struct net_slirp *net, int listen_fd)
{
	struct net_control *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		if (listen_fd >= 0)
			close(listen_fd);
		return -ENOMEM;
	}
	c->base = base;
	c->net = net;
	c->listen_fd = listen_fd;
	c->owner_uid = geteuid();	/* before we become somebody else */
	c->fd = -1;
	*cp = c;
	if (listen_fd < 0)
		return 0;
	c->listen_ev = event_new(base, listen_fd, EV_READ | EV_PERSIST,
	    accept_cb, c);
	if (c->listen_ev != NULL && event_add(c->listen_ev, NULL) == 0)
		return 0;
	net_control_free(c);
	*cp = NULL;
	return -ENOMEM;
}

void
net_control_count(struct net_control *c, const struct net_wire *wire)
{
	c->wire = wire;
}

void
net_control_free(struct net_control *c)
{
	if (c == NULL)
		return;
	drop(c);
	if (c->listen_ev != NULL)
		event_free(c->listen_ev);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	free(c);
}
