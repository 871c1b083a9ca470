/* SPDX-License-Identifier: ISC */
/*
 * Requests to one persona-vmm, answered in order; one timer per request. Knows
 * no persona: what an answer means is the caller's business.
 */
#include "vmm-client.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "bounds.h"
#include "log.h"
#include "procbusy.h"

/* How many times its deadline a process that is busy is waited for. */
#define PATIENCE	12u
#define SEND_WAIT_MS	200	/* a vmm that does not read for so long is stuck */
#define FIELD(name)	PERSONA__VMM__REQUEST__WHAT_##name

struct call {
	TAILQ_ENTRY(call)	entry;
	struct vmm		*vmm;
	uint64_t		id;
	vmm_done_fn		*done;
	void			*arg;
	struct event		*timer;
	struct timeval		timeout;
	unsigned int		waited;		/* deadlines that have passed */
};

struct vmm {
	struct event_base	*base;
	int			fd;
	struct event		*ev;
	struct vmm_events	events;
	void			*arg;
	pid_t			pid;		/* 0: not known */
	uint64_t		next_id;
	TAILQ_HEAD(, call)	calls;
	bool			*freed;		/* told when freed in a callback */
	struct ipc_msg		in;
};

static void
call_finish(struct call *c, int r, const char *why,
    const Persona__Vmm__Reply *reply, struct ipc_msg *msg)
{
	vmm_done_fn *done = c->done;
	void *arg = c->arg;

	TAILQ_REMOVE(&c->vmm->calls, c, entry);
	if (c->timer != NULL)
		event_free(c->timer);
	free(c);
	if (done != NULL)
		done(arg, r, why, reply, msg);
}

static void
call_timeout_cb(evutil_socket_t fd, short what, void *arg)
{
	struct call *c = arg;

	(void)fd;
	(void)what;
	/* A loaded handset is slow; what neither runs nor waits to is stuck. */
	if (++c->waited < PATIENCE && c->vmm->pid > 0 &&
	    proc_is_busy(c->vmm->pid) && evtimer_add(c->timer,
	    &c->timeout) == 0)
		return;
	call_finish(c, -ETIMEDOUT, "the virtual machine does not answer",
	    NULL, NULL);
}

/* An answer that comes after its deadline finds no call and is dropped. */
static void
take_reply(struct vmm *v, const Persona__Vmm__Reply *reply)
{
	struct call *c;
	int r = reply->error > 0 ? -EPROTO : reply->error;
	const char *why = reply->message;

	TAILQ_FOREACH(c, &v->calls, entry)
		if (c->id == reply->id)
			break;
	if (c == NULL)
		return;
	if (r < 0 && (why == NULL || *why == '\0'))
		why = strerror(-r);
	call_finish(c, r, r < 0 ? why : "", reply, &v->in);
}

static void
take_message(struct vmm *v)
{
	Persona__Vmm__VmmMessage *m = persona__vmm__vmm_message__unpack(NULL,
	    v->in.len, v->in.data);
	bool freed = false;

	if (m == NULL) {
		log_warn("persona-vmm: a message that makes no sense");
		ipc_msg_fini(&v->in);
		return;
	}
	v->freed = &freed;
	if (m->kind_case == PERSONA__VMM__VMM_MESSAGE__KIND_REPLY)
		take_reply(v, m->reply);
	else if (m->kind_case == PERSONA__VMM__VMM_MESSAGE__KIND_EVENT &&
	    m->event->what_case == PERSONA__VMM__EVENT__WHAT_EXITED)
		v->events.exited(v->arg, m->event->exited);
	else if (m->kind_case == PERSONA__VMM__VMM_MESSAGE__KIND_EVENT &&
	    m->event->what_case == PERSONA__VMM__EVENT__WHAT_STOOD)
		v->events.stood(v->arg, m->event->stood->why);
	else if (m->kind_case == PERSONA__VMM__VMM_MESSAGE__KIND_EVENT &&
	    m->event->what_case == PERSONA__VMM__EVENT__WHAT_DISK_FAILED)
		v->events.disk_failed(v->arg, m->event->disk_failed);
	persona__vmm__vmm_message__free_unpacked(m, NULL);
	if (freed)
		return;
	v->freed = NULL;
	ipc_msg_fini(&v->in);
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct vmm *v = arg;
	int r = ipc_recv(fd, &v->in);

	(void)what;
	if (r == 1) {
		take_message(v);
	} else if (r != -EAGAIN && r != -EMSGSIZE) {
		event_del(v->ev);
		v->events.lost(v->arg);
	}
}

int
vmm_new(struct vmm **vp, struct event_base *base, int fd,
    const struct vmm_events *events, void *arg)
{
	struct vmm *v = calloc(1, sizeof(*v));

	if (v == NULL) {
		close(fd);
		return -ENOMEM;
	}
	v->base = base;
	v->fd = fd;
	v->events = *events;
	v->arg = arg;
	v->next_id = 1;
	TAILQ_INIT(&v->calls);
	v->ev = event_new(base, fd, EV_READ | EV_PERSIST, readable_cb, v);
	if (v->ev == NULL || event_add(v->ev, NULL) < 0) {
		vmm_free(v);
		return -ENOMEM;
	}
	*vp = v;
	return 0;
}

void
vmm_is_process(struct vmm *v, pid_t pid)
{
	v->pid = pid;
}

void
vmm_free(struct vmm *v)
{
	if (v == NULL)
		return;
	while (!TAILQ_EMPTY(&v->calls))
		call_finish(TAILQ_FIRST(&v->calls), -ESHUTDOWN,
		    "the virtual machine has ended", NULL, NULL);
	if (v->freed != NULL) {
		*v->freed = true;
		ipc_msg_fini(&v->in);
	}
	if (v->ev != NULL)
		event_free(v->ev);
	close(v->fd);
	free(v);
}

int
vmm_request(struct vmm *v, Persona__Vmm__Request *req, const int *fds,
    size_t n_fds, uint32_t timeout_ms, vmm_done_fn *done, void *arg)
{
	Persona__Vmm__VmmMessage m = PERSONA__VMM__VMM_MESSAGE__INIT;
	struct call *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->vmm = v;
	c->id = req->id = v->next_id++;
	c->done = done;
	c->arg = arg;
	c->timeout.tv_sec = timeout_ms / 1000;
	c->timeout.tv_usec = (timeout_ms % 1000) * 1000;
	TAILQ_INSERT_TAIL(&v->calls, c, entry);
	c->done = NULL;		/* until it is sent, a failure is the return value */
	r = -ENOMEM;
	c->timer = evtimer_new(v->base, call_timeout_cb, c);
	if (c->timer == NULL || evtimer_add(c->timer, &c->timeout) < 0)
		goto fail;
	m.kind_case = PERSONA__VMM__VMM_MESSAGE__KIND_REQUEST;
	m.request = req;
	if ((r = ipc_send(v->fd, &m.base, fds, n_fds, SEND_WAIT_MS)) < 0)
		goto fail;
	c->done = done;
	return 0;
fail:
	call_finish(c, r, "", NULL, NULL);
	return r;
}

/* --- the requests that are only a word ---------------------------------------- */

int
vmm_hello(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Hello hello = PERSONA__VMM__HELLO__INIT;

	req.what_case = FIELD(HELLO);
	req.hello = &hello;
	return vmm_request(v, &req, NULL, 0, timeout_ms, done, arg);
}

int
vmm_start(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Start start = PERSONA__VMM__START__INIT;

	req.what_case = FIELD(START);
	req.start = &start;
	return vmm_request(v, &req, NULL, 0, timeout_ms, done, arg);
}

int
vmm_pause(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Pause pause_req = PERSONA__VMM__PAUSE__INIT;

	req.what_case = FIELD(PAUSE);
	req.pause = &pause_req;
	return vmm_request(v, &req, NULL, 0, timeout_ms, done, arg);
}

static int
ask_resume(struct vmm *v, Persona__Vmm__Resume *resume, uint32_t timeout_ms,
    vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;

	req.what_case = FIELD(RESUME);
	req.resume = resume;
	return vmm_request(v, &req, NULL, 0, timeout_ms, done, arg);
}

int
vmm_resume(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Resume resume = PERSONA__VMM__RESUME__INIT;

	return ask_resume(v, &resume, timeout_ms, done, arg);
}

int
vmm_resume_since(struct vmm *v, uint64_t stopped_at_ns, uint32_t timeout_ms,
    vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Resume resume = PERSONA__VMM__RESUME__INIT;

	resume.has_stopped_at_ns = true;
	resume.stopped_at_ns = stopped_at_ns;
	return ask_resume(v, &resume, timeout_ms, done, arg);
}

int
vmm_resume_after(struct vmm *v, uint64_t stopped_for_ns, uint32_t timeout_ms,
    vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Resume resume = PERSONA__VMM__RESUME__INIT;

	resume.has_advance_clock_ns = true;
	resume.advance_clock_ns = stopped_for_ns;
	return ask_resume(v, &resume, timeout_ms, done, arg);
}

int
vmm_save(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Save save = PERSONA__VMM__SAVE__INIT;

	req.what_case = FIELD(SAVE);
	req.save = &save;
	return vmm_request(v, &req, NULL, 0, timeout_ms, done, arg);
}

int
vmm_take_state(int r, const Persona__Vmm__Reply *reply, struct ipc_msg *msg,
    int *fd, uint64_t *bytes, const char **why)
{
	if (r < 0)
		return r;
	if (reply->result_case != PERSONA__VMM__REPLY__RESULT_SAVE ||
	    reply->save->bytes == 0 || reply->save->bytes > STATE_BLOB_MAX ||
	    (*fd = ipc_take_fd(msg, 0)) < 0) {
		*fd = -1;
		*why = "persona-vmm gave no machine state";
		return -EPROTO;
	}
	*bytes = reply->save->bytes;
	return 0;
}

int
vmm_load(struct vmm *v, int state_fd, uint32_t timeout_ms, vmm_done_fn *done,
    void *arg)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Load load = PERSONA__VMM__LOAD__INIT;

	req.what_case = FIELD(LOAD);
	req.load = &load;
	return vmm_request(v, &req, &state_fd, 1, timeout_ms, done, arg);
}

int
vmm_stop(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Stop stop = PERSONA__VMM__STOP__INIT;

	req.what_case = FIELD(STOP);
	req.stop = &stop;
	return vmm_request(v, &req, NULL, 0, timeout_ms, done, arg);
}
