/* SPDX-License-Identifier: ISC */
/*
 * Accepting gates, one message each. A gate runs as our own uid, yet it speaks
 * for a peer: what it says is checked again, and it gets a few seconds for it.
 */
#include "gate-server.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "acceptor.h"
#include "ipc.h"
#include "log.h"
#include "pubkey.h"
#include "transfer.pb-c.h"

#define HELLO_TIMEOUT_S		5
#define WAITING_MAX		64u	/* gates that have not said hello */

/* A gate that has connected and not said hello. */
struct waiting {
	struct gate_server	*server;
	struct event		*event;
	int			fd;
	TAILQ_ENTRY(waiting)	entry;
};

struct gate_server {
	struct event_base	*base;
	struct acceptor		*acceptor;
	struct sockaddr_un	sa;
	gate_stream_fn		*fn;
	void			*arg;
	int			fd;
	unsigned int		n_waiting;
	TAILQ_HEAD(, waiting)	waiting;
	struct ipc_msg		msg;	/* too large for a stack */
};

/* Forget the gate; its connection is closed unless it was taken (fd -1). */
static void
waiting_free(struct waiting *w)
{
	TAILQ_REMOVE(&w->server->waiting, w, entry);
	w->server->n_waiting--;
	event_free(w->event);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

static bool
is_stream_fd(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 &&
	    (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* The message as a gate_stream, without its descriptors. 0 or -EPROTO. */
static int
decode_hello(const struct ipc_msg *msg, struct gate_stream *gs)
{
	Persona__Transfer__GateHello *hello;
	int r = -EPROTO;

	hello = persona__transfer__gate_hello__unpack(NULL, msg->len,
	    msg->data);
	if (hello == NULL)
		return -EPROTO;
	if (!pubkey_is_fingerprint(hello->fingerprint) ||
	    !hexid_ok(hello->transfer) ||
	    hello->channel >= STREAMS_MAX)
		goto out;
	strcpy(gs->fingerprint, hello->fingerprint);
	strcpy(gs->transfer, hello->transfer);
	gs->channel = hello->channel;
	r = 0;
out:
	persona__transfer__gate_hello__free_unpacked(hello, NULL);
	return r;
}

static void
take_stream(struct gate_server *g, struct waiting *w)
{
	struct ipc_msg *msg = &g->msg;
	struct gate_stream gs;

	if (msg->n_fds != 2 || !is_stream_fd(msg->fds[0]) ||
	    !is_stream_fd(msg->fds[1]) || decode_hello(msg, &gs) < 0) {
		log_warn("gate: a malformed hello was refused");
		return;
	}
	gs.rfd = ipc_take_fd(msg, 0);
	gs.wfd = ipc_take_fd(msg, 1);
	gs.gate_fd = w->fd;
	w->fd = -1;
	g->fn(g->arg, &gs);
}

static void
hello_cb(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *w = arg;
	struct gate_server *g = w->server;
	int r;

	if (what & EV_TIMEOUT) {
		log_warn("gate: said nothing for %d s", HELLO_TIMEOUT_S);
		waiting_free(w);
		return;
	}
	if ((r = ipc_recv(fd, &g->msg)) == -EAGAIN) {
		const struct timeval tv = { HELLO_TIMEOUT_S, 0 };

		event_add(w->event, &tv);
		return;
	}
	if (r > 0)
		take_stream(g, w);
	ipc_msg_fini(&g->msg);
	waiting_free(w);
}

static bool
is_one_of_us(int fd)
{
	uint32_t uid, gid;
	int32_t pid;

	return ipc_peer_cred(fd, &uid, &gid, &pid) == 0 &&
	    (uid == geteuid() || uid == 0);
}

static void
called(void *arg, int fd, const struct sockaddr_storage *from, socklen_t len)
{
	const struct timeval tv = { HELLO_TIMEOUT_S, 0 };
	struct gate_server *g = arg;
	struct waiting *w;

	(void)from;
	(void)len;
	if (!is_one_of_us(fd) || g->n_waiting >= WAITING_MAX ||
	    (w = calloc(1, sizeof(*w))) == NULL) {
		log_warn("gate: a connection was refused");
		close(fd);
		return;
	}
	w->server = g;
	w->fd = fd;
	if ((w->event = event_new(g->base, fd, EV_READ, hello_cb, w)) ==
	    NULL) {
		close(fd);
		free(w);
		return;
	}
	TAILQ_INSERT_TAIL(&g->waiting, w, entry);
	g->n_waiting++;
	event_add(w->event, &tv);
}

/* A socket file that nobody answers behind is left from an earlier run. */
static int
remove_dead_socket(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0)
		r = -EADDRINUSE;
	else if (errno == ECONNREFUSED && unlink(sa->sun_path) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int
start_listening(struct gate_server *g)
{
	mode_t mask;
	int r = 0;

	g->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (g->fd < 0)
		return -errno;
	mask = umask(0177);
	if (bind(g->fd, (struct sockaddr *)&g->sa, sizeof(g->sa)) < 0)
		r = -errno;
	umask(mask);
	if (r == 0 && listen(g->fd, SOMAXCONN) < 0) {
		r = -errno;
		unlink(g->sa.sun_path);
	}
	return r;
}

int
gate_server_open(struct gate_server **gp, struct event_base *base,
    const char *path, gate_stream_fn *fn, void *arg)
{
	struct gate_server *g;
	int r = -ENOMEM;

	if (strlen(path) >= sizeof(g->sa.sun_path))
		return -ENAMETOOLONG;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return -ENOMEM;
	*g = (struct gate_server){ .base = base, .fn = fn, .arg = arg,
	    .fd = -1, .sa.sun_family = AF_UNIX };
	strcpy(g->sa.sun_path, path);
	TAILQ_INIT(&g->waiting);
	if ((r = remove_dead_socket(&g->sa)) < 0 ||
	    (r = start_listening(g)) < 0)
		goto fail;
	if ((r = acceptor_new(&g->acceptor, base, g->fd, "gate", called, g)) <
	    0) {
		unlink(path);
		goto fail;
	}
	*gp = g;
	return 0;
fail:
	if (g->fd >= 0)
		close(g->fd);
	free(g);
	return r;
}

void
gate_server_close(struct gate_server *g)
{
	struct waiting *w;

	if (g == NULL)
		return;
	while ((w = TAILQ_FIRST(&g->waiting)) != NULL)
		waiting_free(w);
	acceptor_free(g->acceptor);
	close(g->fd);
	unlink(g->sa.sun_path);
	free(g);
}
