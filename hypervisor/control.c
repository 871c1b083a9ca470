/* SPDX-License-Identifier: ISC */
/*
 * The control server: connections come and go, requests are answered, the end is
 * told. Deliberately knows no KVM, and not what a request does (request.c).
 *
 * The guest outlives its owner's connection (personad may be restarted), but a
 * TRANSFER connection leaves nothing behind: what it turned on is turned off.
 */
#include "control.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor.h"
#include "bell.h"
#include "control-private.h"
#include "disk.h"
#include "log.h"

#define DISK_TROUBLE_MS		1000	/* a storm of errors is told in doses */
#define REPLY_TIMEOUT_MS	1000	/* an asker that does not read is gone */
#define EXIT_POLL_MS		10	/* has the owner read the end yet? */
#define EXIT_WAIT_MS		2000	/* vmm.proto, Exited */

static void
answer_request(struct conn *conn, const Persona__Vmm__Request *q)
{
	Persona__Vmm__VmmMessage m = PERSONA__VMM__VMM_MESSAGE__INIT;
	struct answer a = { .fd = -1 };
	int r;

	persona__vmm__reply__init(&a.reply);
	r = request_run(conn, q, &a);
	a.reply.id = q->id;
	a.reply.error = r;
	if (r < 0) {
		a.reply.result_case = PERSONA__VMM__REPLY__RESULT__NOT_SET;
		if (a.why[0] == '\0')
			snprintf(a.why, sizeof(a.why), "%s", strerror(-r));
		a.reply.message = a.why;
	}
	m.kind_case = PERSONA__VMM__VMM_MESSAGE__KIND_REPLY;
	m.reply = &a.reply;
	if (conn->fd >= 0 && ipc_send(conn->fd, &m.base, &a.fd,
	    a.fd >= 0 ? 1 : 0, REPLY_TIMEOUT_MS) < 0)
		control_drop(conn);
	if (a.close_fd && a.fd >= 0)
		close(a.fd);
}

/* --- connections --------------------------------------------------------- */

/* The guest of an owner who is gone and cannot come back helps nobody. */
static void
owner_gone(struct control *c)
{
	if (c->exit_ev != NULL)		/* already leaving, with a reason */
		return;
	if (c->hv != NULL && hv_state(c->hv) != HV_FRESH &&
	    hv_state(c->hv) != HV_BROKEN && c->listen_fd >= 0) {
		log_info("persona %s: owner gone, waiting for the next",
		    c->name);
		return;
	}
	c->exit_status = c->hv == NULL ? c->exit_status : 1;
	event_base_loopbreak(c->base);
}

static void
conn_close(struct conn *conn)
{
	if (conn->ev != NULL)
		event_free(conn->ev);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->ev = NULL;
	conn->fd = -1;
}

void
control_drop(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	conn_close(conn);
	if (conn->role == ROLE_OWNER)
		owner_gone(conn->control);
	else
		request_transfer_over(conn->control);
}

static void
conn_cb(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	struct control *c = conn->control;
	Persona__Vmm__VmmMessage *m;
	int r;

	(void)what;
	if ((r = ipc_recv(fd, &c->in)) == -EAGAIN)
		return;
	if (r <= 0) {
		control_drop(conn);
		return;
	}
	m = persona__vmm__vmm_message__unpack(NULL, c->in.len, c->in.data);
	if (m != NULL && m->kind_case ==
	    PERSONA__VMM__VMM_MESSAGE__KIND_REQUEST) {
		answer_request(conn, m->request);
	} else {
		log_warn("control: a message that is no request");
		control_drop(conn);
	}
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
	ipc_msg_fini(&c->in);
}

int
control_open(struct control *c, struct conn *conn, int fd)
{
	conn->fd = fd;
	conn->ev = event_new(c->base, fd, EV_READ | EV_PERSIST, conn_cb, conn);
	if (conn->ev == NULL || event_add(conn->ev, NULL) < 0) {
		conn_close(conn);
		return -ENOMEM;
	}
	return 0;
}

static bool
has_hung_up(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 &&
	    (p.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

static void
called(void *arg, int fd, const struct sockaddr_storage *from, socklen_t len)
{
	struct control *c = arg;
	uint32_t uid, gid;
	int32_t pid;

	(void)from;
	(void)len;
	if (ipc_peer_cred(fd, &uid, &gid, &pid) < 0 || uid != c->owner_uid) {
		log_warn("persona %s: refused an owner of another user",
		    c->name);
		close(fd);
		return;
	}
	/* The former owner's end may be in the queue behind us. */
	if (c->owner.fd >= 0 && has_hung_up(c->owner.fd))
		control_drop(&c->owner);
	if (c->owner.fd >= 0) {
		log_warn("persona %s: refused a second owner, pid %d",
		    c->name, (int)pid);
		close(fd);
		return;
	}
	if (control_open(c, &c->owner, fd) == 0 && c->exit_ev != NULL)
		control_tell_end(c);
}

/* --- the end ------------------------------------------------------------- */

static Persona__Vmm__Exited__Reason
exit_reason(enum hv_end end)
{
	switch (end) {
	case HV_END_POWER_OFF:
		return PERSONA__VMM__EXITED__REASON__POWER_OFF;
	case HV_END_RESET:
		return PERSONA__VMM__EXITED__REASON__RESET;
	case HV_END_STOPPED:
		return PERSONA__VMM__EXITED__REASON__STOPPED;
	case HV_END_CRASHED:
		return PERSONA__VMM__EXITED__REASON__CRASHED;
	default:
		return PERSONA__VMM__EXITED__REASON__UNKNOWN;
	}
}

static void
send_exited(struct control *c)
{
	Persona__Vmm__VmmMessage m = PERSONA__VMM__VMM_MESSAGE__INIT;
	Persona__Vmm__Event event = PERSONA__VMM__EVENT__INIT;
	Persona__Vmm__Exited exited = PERSONA__VMM__EXITED__INIT;
	const char *text = "stopped before it had a guest";
	enum hv_end end = HV_END_STOPPED;

	if (c->hv != NULL)
		end = hv_end(c->hv, &text);
	exited.reason = exit_reason(end);
	exited.message = (char *)text;
	event.what_case = PERSONA__VMM__EVENT__WHAT_EXITED;
	event.exited = &exited;
	m.kind_case = PERSONA__VMM__VMM_MESSAGE__KIND_EVENT;
	m.event = &event;
	c->exit_told = ipc_send(c->owner.fd, &m.base, NULL, 0, 0) == 0;
}

/* The next owner hears of it by Hello. */
static void
tell_owner(struct control *c, Persona__Vmm__Event *event)
{
	Persona__Vmm__VmmMessage m = PERSONA__VMM__VMM_MESSAGE__INIT;

	m.kind_case = PERSONA__VMM__VMM_MESSAGE__KIND_EVENT;
	m.event = event;
	if (c->owner.fd >= 0 && ipc_send(c->owner.fd, &m.base, NULL, 0,
	    REPLY_TIMEOUT_MS) < 0)
		control_drop(&c->owner);
}

void
control_stood(struct control *c, const char *why)
{
	Persona__Vmm__Event event = PERSONA__VMM__EVENT__INIT;
	Persona__Vmm__Stood stood = PERSONA__VMM__STOOD__INIT;

	if (why == NULL && c->stood[0] == '\0')
		return;
	snprintf(c->stood, sizeof(c->stood), "%s", why != NULL ? why : "");
	stood.why = why != NULL ? c->stood : NULL;
	event.what_case = PERSONA__VMM__EVENT__WHAT_STOOD;
	event.stood = &stood;
	tell_owner(c, &event);
}

bool
control_disk_failed(const struct control *c, unsigned int i,
    Persona__Vmm__DiskFailed *out)
{
	persona__vmm__disk_failed__init(out);
	out->disk = i;
	out->errors = c->disks[i] == NULL ? 0 : disk_errors(c->disks[i],
	    &out->last_error);
	return out->errors > 0;
}

/* From the loop, now and then while storage fails. */
static void
disk_trouble(void *arg)
{
	struct control *c = arg;
	Persona__Vmm__Event event = PERSONA__VMM__EVENT__INIT;
	Persona__Vmm__DiskFailed failed;

	event.what_case = PERSONA__VMM__EVENT__WHAT_DISK_FAILED;
	event.disk_failed = &failed;
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (control_disk_failed(c, i, &failed))
			tell_owner(c, &event);
}

/* Whether nothing of ours waits in the owner's socket any more. */
static bool
owner_has_read(const struct control *c)
{
	int waiting = 0;

	if (c->owner.fd < 0)
		return false;
	return ioctl(c->owner.fd, SIOCOUTQ, &waiting) == 0 && waiting == 0;
}

static void
exit_cb(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	(void)fd;
	(void)what;
	c->exit_waited_ms += EXIT_POLL_MS;
	if ((c->exit_told && (c->owner.fd < 0 || owner_has_read(c))) ||
	    c->exit_waited_ms >= EXIT_WAIT_MS)
		event_base_loopbreak(c->base);
}

void
control_tell_end(struct control *c)
{
	const struct timeval every = { 0, EXIT_POLL_MS * 1000 };

	if (c->owner.fd >= 0)
		send_exited(c);
	if (c->exit_ev != NULL)
		return;
	c->exit_ev = event_new(c->base, -1, EV_PERSIST, exit_cb, c);
	if (c->exit_ev == NULL || event_add(c->exit_ev, &every) < 0)
		event_base_loopbreak(c->base);
}

int
control_exit_status(const struct control *c)
{
	return c->exit_status;
}

int
control_new(struct control **cp, struct event_base *base,
    struct hv_host *host, uid_t owner_uid, int owner_fd, int listen_fd)
{
	struct control *c;
	int r = -ENOMEM;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		goto out;
	c->base = base;
	c->host = host;
	c->owner = (struct conn){ .control = c, .role = ROLE_OWNER, .fd = -1 };
	c->transfer = (struct conn){ .control = c, .role = ROLE_TRANSFER,
	    .fd = -1 };
	c->owner_uid = owner_uid;
	c->listen_fd = listen_fd;
	c->ram_fd = -1;
	snprintf(c->name, sizeof(c->name), "?");
	if ((r = bell_new(&c->disk_trouble, base, disk_trouble, c)) < 0 ||
	    (r = bell_pace(c->disk_trouble, DISK_TROUBLE_MS)) < 0)
		goto out;
	if (listen_fd >= 0 && (r = acceptor_new(&c->acceptor, base, listen_fd,
	    "control", called, c)) < 0)
		goto out;
	if (owner_fd >= 0) {
		r = control_open(c, &c->owner, owner_fd);
		owner_fd = -1;
		if (r < 0)
			goto out;
	}
	*cp = c;
	return 0;
out:
	if (owner_fd >= 0)
		close(owner_fd);
	control_free(c);
	return r;
}

void
control_free(struct control *c)
{
	if (c == NULL)
		return;
	conn_close(&c->transfer);
	conn_close(&c->owner);
	request_transfer_over(c);
	create_undo(c);
	bell_free(c->disk_trouble);
	acceptor_free(c->acceptor);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	if (c->exit_ev != NULL)
		event_free(c->exit_ev);
	if (c->ram_fd >= 0)
		close(c->ram_fd);
	free(c);
}
