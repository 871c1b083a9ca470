/* SPDX-License-Identifier: ISC */
/*
 * Connections of the control socket: credentials, messages in, replies out.
 * Knows requests only through the table in control-table.c.
 */
#include "control.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "acceptor.h"
#include "daemon.h"
#include "ipc.h"
#include "log.h"
#include "persona.h"

#define CONNECTIONS_MAX	64
#define GROUPS_MAX	256

struct control_connection {
	TAILQ_ENTRY(control_connection) entry;
	struct control		*control;
	int			fd;
	struct event		*ev;
	uid_t			uid;
	gid_t			gid;
	struct control_request	*open;	/* NULL: none is being answered */
};

struct control_request {
	struct control_connection	*conn;	/* NULL: the client has left */
	uid_t				uid;
	gid_t				gid;
	void				(*gone)(void *arg);
	void				*gone_arg;
	int				fds[IPC_MAX_FDS];	/* -1: taken */
	size_t				n_fds;
};

struct control {
	struct daemon		*daemon;
	int			fd;
	struct acceptor		*acceptor;
	char			path[CONF_RUNTIME_DIR_MAX + 16];
	bool			has_group;
	gid_t			group;
	unsigned int		n_connections;
	TAILQ_HEAD(, control_connection) connections;
	struct ipc_msg		in;
};

/* --- who may ---------------------------------------------------------------------- */

/* Also the groups beyond the first, as the kernel knew them at connect(2). */
static bool
in_group(int fd, gid_t first, gid_t wanted)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (first == wanted)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

static bool
may_ask(const struct control *c, int fd, uid_t uid, gid_t gid)
{
	if (uid == 0 || uid == geteuid())
		return true;
	return c->has_group && in_group(fd, gid, c->group);
}

/* --- requests --------------------------------------------------------------------- */

/* The descriptors that came along wait here, longer than their message. */
static void
keep_fds(struct control_request *req, struct ipc_msg *in)
{
	int fd;

	while (req->n_fds < IPC_MAX_FDS &&
	    (fd = ipc_take_fd(in, req->n_fds)) >= 0)
		req->fds[req->n_fds++] = fd;
}

static void
close_fds(struct control_request *req)
{
	for (size_t i = 0; i < req->n_fds; i++)
		if (req->fds[i] >= 0)
			close(req->fds[i]);
	req->n_fds = 0;
}

static void
request_end(struct control_request *req)
{
	if (req->conn != NULL)
		req->conn->open = NULL;
	close_fds(req);
	free(req);
}

void
control_credentials(struct control_request *req, uid_t *uid, gid_t *gid)
{
	*uid = req->uid;
	*gid = req->gid;
}

int
control_take_fd(struct control_request *req, size_t i)
{
	int fd = i < req->n_fds ? req->fds[i] : -1;

	if (fd >= 0)
		req->fds[i] = -1;
	return fd;
}

void
control_on_gone(struct control_request *req, void (*gone)(void *arg),
    void *arg)
{
	req->gone = gone;
	req->gone_arg = arg;
}

static void
connection_close(struct control_connection *conn)
{
	struct control_request *req = conn->open;

	TAILQ_REMOVE(&conn->control->connections, conn, entry);
	conn->control->n_connections--;
	event_free(conn->ev);
	close(conn->fd);
	free(conn);
	if (req == NULL)
		return;
	req->conn = NULL;
	if (req->gone != NULL) {
		req->gone(req->gone_arg);
		request_end(req);
	}
}

void
control_reply(struct control_request *req, Persona__Control__Reply *reply,
    const int *fds, size_t n_fds)
{
	Persona__Control__ControlMessage m =
	    PERSONA__CONTROL__CONTROL_MESSAGE__INIT;
	int r = 0;

	m.kind_case = PERSONA__CONTROL__CONTROL_MESSAGE__KIND_REPLY;
	m.reply = reply;
	if (req->conn != NULL)
		r = ipc_send(req->conn->fd, &m.base, fds, n_fds, 0);
	/* Progress may be lost on a slow client; a last word may not: hang up. */
	if (r < 0 && reply->done && req->conn != NULL)
		(void)shutdown(req->conn->fd, SHUT_RDWR);
	if (reply->done)
		request_end(req);
}

void
control_ok(struct control_request *req)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;

	reply.done = true;
	control_reply(req, &reply, NULL, 0);
}

void
control_fail(struct control_request *req, int r, const char *fmt, ...)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	char text[REASON_TEXT_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply.error = r < 0 ? r : -EIO;
	reply.message = text;
	reply.done = true;
	control_reply(req, &reply, NULL, 0);
}

void
control_run(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	const struct control_command *cmd = control_command(what);
	const char *name = control_persona_name(what);
	struct persona *p = persona_by_name(d, name);
	unsigned int bit;
	bool asking;

	if (p == NULL) {
		control_fail(req, -ENOENT, "there is no persona \"%.63s\" on "
		    "this handset; \"personactl list\" shows those there are",
		    name);
		return;
	}
	/* A question is a transfer in all but what it changes. */
	asking = p->hook != NULL && p->hook->asking;
	bit = asking ? CONTROL_IN(SENDING) : 1u << persona_state(p);
	if ((cmd->allowed_in & bit) == 0) {
		control_fail(req, -EBUSY, "%s: %s is not possible while %s%s",
		    p->rec.name, cmd->name, asking ? "a handset is asked "
		    "whether it could move there" : "it is ", asking ? "" :
		    persona_state_word(persona_state(p)));
		return;
	}
	if (!control_needs_image(what) || !control_open_first(p, req, what))
		cmd->run_persona(p, req, what);
}

static void
dispatch(struct control_connection *conn,
    const Persona__Control__Request *what)
{
	const struct control_command *cmd = control_command(what);
	struct daemon *d = conn->control->daemon;
	struct control_request *req = calloc(1, sizeof(*req));

	if (req == NULL) {
		(void)shutdown(conn->fd, SHUT_RDWR);
		return;
	}
	req->conn = conn;
	req->uid = conn->uid;
	req->gid = conn->gid;
	conn->open = req;
	keep_fds(req, &conn->control->in);
	if (cmd == NULL)
		control_fail(req, -ENOSYS, "this personad does not know that "
		    "request; is personactl newer than personad?");
	else if (cmd->run != NULL)
		cmd->run(d, req, what);
	else
		control_run(d, req, what);
}

/* --- connections ------------------------------------------------------------------- */

/* False: it makes no sense, and the connection goes. */
static bool
take_message(struct control_connection *conn, const struct ipc_msg *in)
{
	Persona__Control__ControlMessage *m;
	bool ok;

	m = persona__control__control_message__unpack(NULL, in->len, in->data);
	ok = m != NULL && conn->open == NULL && m->kind_case ==
	    PERSONA__CONTROL__CONTROL_MESSAGE__KIND_REQUEST;
	if (ok)
		dispatch(conn, m->request);
	if (m != NULL)
		persona__control__control_message__free_unpacked(m, NULL);
	return ok;
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct control_connection *conn = arg;
	struct ipc_msg *in = &conn->control->in;
	int r = ipc_recv(fd, in);

	(void)what;
	if (r == -EAGAIN)
		return;
	if (r == 1) {
		bool ok = take_message(conn, in);

		ipc_msg_fini(in);
		if (ok)
			return;
		log_warn("control: uid %u sent something that makes no sense",
		    (unsigned int)conn->uid);
	}
	connection_close(conn);
}

static int
connection_new(struct control *c, int fd, uid_t uid, gid_t gid)
{
	struct control_connection *conn = calloc(1, sizeof(*conn));

	if (conn == NULL)
		return -ENOMEM;
	conn->control = c;
	conn->fd = fd;
	conn->uid = uid;
	conn->gid = gid;
	conn->ev = event_new(c->daemon->base, fd, EV_READ | EV_PERSIST,
	    readable_cb, conn);
	if (conn->ev == NULL || event_add(conn->ev, NULL) < 0) {
		if (conn->ev != NULL)
			event_free(conn->ev);
		free(conn);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&c->connections, conn, entry);
	c->n_connections++;
	return 0;
}

static void
called(void *arg, int fd, const struct sockaddr_storage *from, socklen_t len)
{
	struct control *c = arg;
	uint32_t uid = UINT32_MAX, gid = UINT32_MAX;	/* nobody */
	int32_t pid;

	(void)from;
	(void)len;
	if (ipc_peer_cred(fd, &uid, &gid, &pid) < 0 ||
	    !may_ask(c, fd, uid, gid)) {
		log_warn("control: refused a connection from uid %u",
		    (unsigned int)uid);
		close(fd);
	} else if (c->n_connections >= CONNECTIONS_MAX ||
	    connection_new(c, fd, uid, gid) < 0) {
		log_warn("control: too many connections");
		close(fd);
	}
}

static int
find_group(struct control *c, const char *name)
{
	const struct group *g;

	if (name[0] == '\0')
		return 0;
	if ((g = getgrnam(name)) == NULL) {
		log_err("group \"%s\" of the configuration does not exist",
		    name);
		return -ENOENT;
	}
	c->has_group = true;
	c->group = g->gr_gid;
	return 0;
}

/* The mode keeps others out early; may_ask is what decides. */
static int
listen_on(struct control *c)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", c->path);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (c->fd < 0)
		return -errno;
	(void)unlink(c->path);
	if (bind(c->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	if (c->has_group && chown(c->path, (uid_t)-1, c->group) < 0)
		log_warn_r(-errno, "control: the group cannot be set on %s",
		    c->path);
	if (chmod(c->path, c->has_group ? 0660 : 0600) < 0 ||
	    listen(c->fd, 16) < 0)
		return -errno;
	return 0;
}

int
control_open(struct control **cp, struct daemon *d)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->daemon = d;
	c->fd = -1;
	TAILQ_INIT(&c->connections);
	snprintf(c->path, sizeof(c->path), "%s/control.sock",
	    d->conf.runtime_dir);
	if ((r = find_group(c, d->conf.group)) < 0 ||
	    (r = listen_on(c)) < 0 || (r = acceptor_new(&c->acceptor, d->base,
	    c->fd, "control", called, c)) < 0)
		goto fail;
	*cp = c;
	return 0;
fail:
	control_close(c);
	return r;
}

void
control_close(struct control *c)
{
	if (c == NULL)
		return;
	while (!TAILQ_EMPTY(&c->connections))
		connection_close(TAILQ_FIRST(&c->connections));
	acceptor_free(c->acceptor);
	if (c->fd >= 0) {
		close(c->fd);
		(void)unlink(c->path);
	}
	free(c);
}
