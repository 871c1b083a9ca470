/* SPDX-License-Identifier: ISC */
/*
 * persona-sync receive: stands between personad and the engine of
 * sync-receive.c, with the streams that persona-gate handed in. All that a peer
 * can say is parsed here, where there is no /dev/kvm and no registry.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "clock.h"
#include "reason.h"
#include "space.h"
#include "stream.h"
#include "sync-receive.h"
#include "sync-roles.h"

#define NS		1000000000ULL
/* A peer that opened streams must offer something within this. */
#define OFFER_NS	(20 * NS)
/* And one that only asks must be done within this. */
#define QUESTION_NS	(20 * NS)

struct receiver {
	struct worker		*w;
	struct sync_receive	*engine;
	struct space_plan	plan;		/* of the offer */
	struct space		*space;
	int			gates[STREAMS_MAX];
	size_t			n_gates;
	uint64_t		opened_ns;
	bool			offered, asked;
};

/* --- what the engine reports ------------------------------------------------ */

static void
engine_again(void *arg)
{
	worker_again(((struct receiver *)arg)->w);
}

static void
tell_offered(struct receiver *s, uint64_t attempt,
    const Persona__Transfer__Persona *persona)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Offered offered = PERSONA__TRANSFER__OFFERED__INIT;

	s->offered = true;
	s->w->attempt = attempt;
	/* The engine has judged it. */
	(void)space_plan(&s->plan, persona->ram_bytes, persona->spec);
	offered.persona = (Persona__Transfer__Persona *)(uintptr_t)persona;
	offered.has_question = offered.question = s->asked;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_OFFERED;
	m.offered = &offered;
	worker_tell(s->w, &m, NULL, 0);
}

static void
engine_offered(void *arg, uint64_t attempt,
    const Persona__Transfer__Persona *persona)
{
	tell_offered(arg, attempt, persona);
}

static void
engine_asked(void *arg, uint64_t attempt,
    const Persona__Transfer__Persona *persona)
{
	struct receiver *s = arg;

	s->asked = true;
	tell_offered(s, attempt, persona);
}

/* The machine state as a sealed memory file, so that nobody changes it later. */
static int
seal_state(const void *state, size_t len)
{
	int fd = memfd_create("persona-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, state, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE) < 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static void
engine_verified(void *arg, const void *state, size_t len)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Verified verified =
	    PERSONA__TRANSFER__VERIFIED__INIT;
	struct receiver *s = arg;
	int fd = seal_state(state, len);

	if (fd < 0) {
		log_warn_r(fd, "cannot pass on the machine state");
		sync_receive_cancel(s->engine, REASON_INTERNAL, NULL);
		return;
	}
	verified.state_bytes = len;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_VERIFIED;
	m.verified = &verified;
	worker_tell(s->w, &m, &fd, 1);
	close(fd);
}

static void
engine_released(void *arg, uint64_t tenure, uint64_t stopped_for_ns)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Released released =
	    PERSONA__TRANSFER__RELEASED__INIT;

	released.tenure = tenure;
	released.stopped_for_ns = stopped_for_ns;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_RELEASED;
	m.released = &released;
	worker_tell(((struct receiver *)arg)->w, &m, NULL, 0);
}

static void
engine_progress(void *arg, const struct sync_progress *p)
{
	worker_progress(((struct receiver *)arg)->w, p);
}

static void
engine_ended(void *arg, uint32_t reason, const char *text)
{
	struct receiver *s = arg;
	struct sync_progress p;

	sync_receive_progress(s->engine, &p);
	worker_progress(s->w, &p);
	worker_ended(s->w, reason, text);
}

/* --- what personad says ------------------------------------------------------ */

static void
on_stream(struct receiver *s, struct ipc_msg *in)
{
	int rfd = ipc_take_fd(in, 0), wfd = ipc_take_fd(in, 1);
	int gate = ipc_take_fd(in, 2), r;
	struct stream *stream;

	if (rfd < 0 || wfd < 0 || s->n_gates == STREAMS_MAX) {
		if (rfd >= 0)
			close(rfd);
		if (wfd >= 0)
			close(wfd);
		if (gate >= 0)
			close(gate);
		return;
	}
	/* Closed when we are done: the gate then leaves and sshd ends. */
	s->gates[s->n_gates++] = gate;
	if ((r = stream_fd_open(&stream, s->w->base, rfd, wfd)) < 0 ||
	    (r = sync_receive_add_stream(s->engine, stream)) < 0) {
		log_warn_r(r, "cannot use a stream");
		sync_receive_cancel(s->engine, REASON_INTERNAL, NULL);
	}
}

static void
on_accept(struct receiver *s, const Persona__Transfer__Accept *accept,
    struct ipc_msg *in)
{
	size_t n = 0;
	int r;

	if (s->space != NULL || !s->offered || s->asked)
		return;
	r = worker_space(&s->space, &s->plan, accept->regions,
	    accept->n_regions, in, true, &n);
	if (r < 0) {
		log_warn_r(r, "cannot use the memory and files for the guest");
		sync_receive_cancel(s->engine, REASON_INTERNAL, NULL);
		return;
	}
	sync_receive_accept(s->engine, s->space);
}

static void
on_running(struct receiver *s, const Persona__Transfer__Running *running)
{
	const struct blackout b = { .ns = running->has_blackout_ns ?
	    running->blackout_ns : 0, .by_guest = running->by_guest };

	sync_receive_running(s->engine, running->tenure, &b);
}

static void
receive_message(void *role, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct receiver *s = role;

	switch (m->kind_case) {
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_RECEIVE_SETUP:
		log_debug("receiving from %s",
		    m->receive_setup->peer_fingerprint);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_ADD_STREAM:
		on_stream(s, in);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_ACCEPT:
		on_accept(s, m->accept, in);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_REFUSE:
		sync_receive_refuse(s->engine, m->refuse->reason,
		    m->refuse->message);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_ANSWER:
		sync_receive_answer(s->engine, m->answer);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_PREPARED:
		sync_receive_prepared(s->engine, m->prepared->tenure);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_RUNNING:
		on_running(s, m->running);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_CANCEL:
		sync_receive_cancel(s->engine, m->cancel->reason,
		    m->cancel->message);
		break;
	default:
		log_warn("personad said something that is not for a receiver");
		break;
	}
}

/* --- life ------------------------------------------------------------------- */

static int
receive_open(struct worker *w, void **role)
{
	static const struct sync_receive_ops ops = {
		.now_ns = worker_now_ns, .again = engine_again,
		.offered = engine_offered, .asked = engine_asked,
		.verified = engine_verified,
		.released = engine_released, .progress = engine_progress,
		.ended = engine_ended,
	};
	struct receiver *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->w = w;
	s->opened_ns = clock_now_ns();
	*role = s;
	return sync_receive_new(&s->engine, &ops, s);
}

static void
receive_close(void *role)
{
	struct receiver *s = role;

	sync_receive_free(s->engine);
	space_free(s->space);
	for (size_t i = 0; i < s->n_gates; i++)
		if (s->gates[i] >= 0)
			close(s->gates[i]);
	free(s);
}

static void
receive_step(void *role)
{
	sync_receive_step(((struct receiver *)role)->engine);
}

static void
receive_tick(void *role)
{
	struct receiver *s = role;

	sync_receive_tick(s->engine);
	if (!s->offered && clock_now_ns() - s->opened_ns > OFFER_NS)
		worker_ended(s->w, REASON_LINK_LOST,
		    "the peer connected but offered nothing");
	else if (s->asked && clock_now_ns() - s->opened_ns > QUESTION_NS)
		worker_ended(s->w, REASON_LINK_LOST,
		    "the peer asked and did not say that it is done");
}

const struct worker_role role_receive = {
	.name = "receive",
	.sandbox = SANDBOX_RECEIVE,
	.open = receive_open,
	.close = receive_close,
	.message = receive_message,
	.step = receive_step,
	.tick = receive_tick,
};
