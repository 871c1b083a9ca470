/* SPDX-License-Identifier: ISC */
/*
 * SOCK_SEQPACKET to personad's control socket, by ipc.h. Blocking: a command
 * has nothing else to do. Knows no request.
 */
#include "ctl-client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc.h"

/* personad reads its control socket at once; this long means it is stuck. */
#define SEND_TIMEOUT_MS 5000

struct ctl_client {
	int		fd;
	struct ipc_msg	msg;
};

static int
connect_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

const char *
ctl_unreachable_text(int r)
{
	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "personad is not running here, or uses another socket; "
		    "start it with 'systemctl start personad' or 'personad', "
		    "or name its socket with --socket";
	case -EACCES:
	case -EPERM:
		return "you may not talk to this personad; be its owner, root, "
		    "or a member of its group (personad.conf(5))";
	default:
		return strerror(-r);
	}
}

static int
report_unreachable(const struct ctl *ctl, int r)
{
	char text[512];

	snprintf(text, sizeof(text), "cannot reach personad at %s: %s",
	    ctl->socket_path, ctl_unreachable_text(r));
	return ctl_report(ctl, CTL_UNREACHABLE, r, 0, text);
}

static int
open_and_send(const struct ctl *ctl, const Persona__Control__Request *req,
    const int *fds, size_t n_fds, struct ctl_client **cp)
{
	Persona__Control__ControlMessage m =
	    PERSONA__CONTROL__CONTROL_MESSAGE__INIT;
	struct ctl_client *c;
	int r;

	if ((c = malloc(sizeof(*c))) == NULL)
		return -ENOMEM;
	r = c->fd = connect_socket(ctl->socket_path);
	if (r < 0)
		goto out;
	m.kind_case = PERSONA__CONTROL__CONTROL_MESSAGE__KIND_REQUEST;
	/* The message is only read from; protobuf-c has no const members. */
	m.request = (Persona__Control__Request *)(uintptr_t)req;
	r = ipc_send(c->fd, &m.base, fds, n_fds, SEND_TIMEOUT_MS);
	if (r < 0)
		goto out;
	*cp = c;
	return 0;
out:
	ctl_client_close(c);
	return r;
}

int
ctl_ask_quietly(struct ctl *ctl, const Persona__Control__Request *req,
    struct ctl_client **cp)
{
	*cp = NULL;
	return open_and_send(ctl, req, NULL, 0, cp);
}

int
ctl_ask_with(struct ctl *ctl, const Persona__Control__Request *req,
    const int *fds, size_t n_fds, struct ctl_client **cp)
{
	int r;

	*cp = NULL;
	if ((r = open_and_send(ctl, req, fds, n_fds, cp)) < 0)
		return report_unreachable(ctl, r);
	return CTL_OK;
}

int
ctl_ask(struct ctl *ctl, const Persona__Control__Request *req,
    struct ctl_client **cp)
{
	return ctl_ask_with(ctl, req, NULL, 0, cp);
}

int
ctl_client_fd(const struct ctl_client *c)
{
	return c->fd;
}

static int
unpack_reply(const struct ipc_msg *msg, Persona__Control__Reply **reply)
{
	Persona__Control__ControlMessage *m;

	m = persona__control__control_message__unpack(NULL, msg->len,
	    msg->data);
	if (m == NULL)
		return -EPROTO;
	if (m->kind_case != PERSONA__CONTROL__CONTROL_MESSAGE__KIND_REPLY) {
		persona__control__control_message__free_unpacked(m, NULL);
		return -EPROTO;
	}
	*reply = m->reply;
	m->kind_case = PERSONA__CONTROL__CONTROL_MESSAGE__KIND__NOT_SET;
	m->reply = NULL;
	persona__control__control_message__free_unpacked(m, NULL);
	return 1;
}

int
ctl_next_reply(struct ctl_client *c, bool wait,
    Persona__Control__Reply **reply, int *fd)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	int r;

	*reply = NULL;
	if (fd != NULL)
		*fd = -1;
	while ((r = ipc_recv(c->fd, &c->msg)) == -EAGAIN && wait)
		if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
			return -errno;
	if (r <= 0)
		return r;
	if ((r = unpack_reply(&c->msg, reply)) > 0 && fd != NULL)
		*fd = ipc_take_fd(&c->msg, 0);
	ipc_msg_fini(&c->msg);
	return r;
}

void
ctl_client_close(struct ctl_client *c)
{
	if (c == NULL)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

int
ctl_lost(const struct ctl *ctl, int r)
{
	if (r == -EPROTO)
		return ctl_report(ctl, CTL_UNREACHABLE, r, 0,
		    "personad answered in a way this personactl does not "
		    "understand; are they the same version?");
	return ctl_report(ctl, CTL_UNREACHABLE, r == 0 ? -EPIPE : r, 0,
	    "personad ended before it had answered; running personas go on "
	    "without it, start it again to reach them");
}

int
ctl_refused(const struct ctl *ctl, const Persona__Control__Reply *reply)
{
	return ctl_report(ctl, CTL_FAILED, reply->error,
	    reply->has_reason ? reply->reason : 0,
	    reply->message != NULL ? reply->message : strerror(-reply->error));
}

int
ctl_outcome(const struct ctl *ctl, int r, Persona__Control__Reply *reply,
    Persona__Control__Reply **last)
{
	int status;

	if (r <= 0)
		return ctl_lost(ctl, r);
	if (reply->error == 0) {
		*last = reply;
		return CTL_OK;
	}
	status = ctl_refused(ctl, reply);
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}

/*
 * A long list comes in several replies: the personas of `earlier` go before those
 * of `reply`. Frees `earlier`, NULL included. 0 or -ENOMEM.
 */
static int
put_before(Persona__Control__Reply *earlier, Persona__Control__Reply *reply)
{
	Persona__Control__PersonaInfo **all;
	size_t n;

	if (earlier == NULL)
		return 0;
	n = earlier->n_personas + reply->n_personas;
	all = reallocarray(earlier->personas, n + 1, sizeof(*all));
	if (all != NULL) {
		if (reply->n_personas > 0)
			memcpy(all + earlier->n_personas, reply->personas,
			    reply->n_personas * sizeof(*all));
		free(reply->personas);
		reply->personas = all;
		reply->n_personas = n;
		earlier->personas = NULL;
		earlier->n_personas = 0;
	}
	persona__control__reply__free_unpacked(earlier, NULL);
	return all != NULL ? 0 : -ENOMEM;
}

int
ctl_call(struct ctl *ctl, const Persona__Control__Request *req,
    Persona__Control__Reply **out)
{
	Persona__Control__Reply *reply = NULL, *earlier = NULL;
	struct ctl_client *c = NULL;
	int lost = 0, r, status;

	if ((status = ctl_ask(ctl, req, &c)) != CTL_OK)
		return status;
	while ((r = ctl_next_reply(c, true, &reply, NULL)) > 0) {
		if ((lost = put_before(earlier, reply)) < 0 || reply->done)
			break;
		earlier = reply;
		reply = NULL;
	}
	if (r <= 0) {
		persona__control__reply__free_unpacked(earlier, NULL);
		status = ctl_lost(ctl, r);
	} else if (lost < 0)
		status = ctl_fail(ctl, "out of memory");
	else if (reply->error != 0)
		status = ctl_refused(ctl, reply);
	else if (out != NULL) {
		*out = reply;
		reply = NULL;
	}
	if (reply != NULL)
		persona__control__reply__free_unpacked(reply, NULL);
	ctl_client_close(c);
	return status;
}
