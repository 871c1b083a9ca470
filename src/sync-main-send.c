/* SPDX-License-Identifier: ISC */
/*
 * persona-sync send: has the peer reached, then stands between personad, persona-vmm
 * and the engine of sync-send.c, or of sync-ask.c when it is only asked. Gets guest
 * memory only after the peer has proven its key. Decides nothing about the guest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "file-io.h"
#include "log.h"
#include "peer-dial.h"
#include "reason.h"
#include "space.h"
#include "stream.h"
#include "sync-ask.h"
#include "sync-roles.h"
#include "sync-send.h"
#include "vmm-harvest.h"

#define BUDGET_DEFAULT_MS	100u

struct sender {
	struct worker		*w;
	struct sync_send	*engine;	/* once connected, */
	struct sync_ask		*ask;		/* or this for a question */
	struct vmm_harvest	*vmm;
	struct space		*space;
	Persona__Transfer__TransferMessage *setup;	/* a copy */
	struct peer_dial	*dial;
};

static const Persona__Transfer__SendSetup *
setup(const struct sender *s)
{
	return s->setup->send_setup;
}

static void
ended(struct sender *s, uint32_t reason, const char *text)
{
	worker_ended(s->w, reason, text);
}

/* Our own trouble: through the engine if there is one, so that the peer knows. */
static void
fail(struct sender *s, uint32_t reason, const char *text)
{
	if (s->engine != NULL)
		sync_send_cancel(s->engine, reason, text);
	else if (s->ask != NULL)
		sync_ask_cancel(s->ask, reason, text);
	else
		ended(s, reason, text);
}

/* --- what the engine asks --------------------------------------------------- */

static void
engine_again(void *arg)
{
	worker_again(((struct sender *)arg)->w);
}

static void
engine_harvest(void *arg, bool start)
{
	vmm_harvest_ask(((struct sender *)arg)->vmm, start);
}

static void
engine_throttle(void *arg, unsigned int percent)
{
	vmm_harvest_throttle(((struct sender *)arg)->vmm, percent);
}

static void
engine_want_stop(void *arg)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__WantStop want = PERSONA__TRANSFER__WANT_STOP__INIT;

	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_WANT_STOP;
	m.want_stop = &want;
	worker_tell(((struct sender *)arg)->w, &m, NULL, 0);
}

static void
engine_prepared(void *arg, uint64_t tenure)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Prepared prepared =
	    PERSONA__TRANSFER__PREPARED__INIT;

	prepared.tenure = tenure;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_PREPARED;
	m.prepared = &prepared;
	worker_tell(((struct sender *)arg)->w, &m, NULL, 0);
}

static void
engine_running(void *arg, uint64_t tenure, const struct blackout *b)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Running running = PERSONA__TRANSFER__RUNNING__INIT;
	struct sender *s = arg;

	running.tenure = tenure;
	running.has_blackout_ns = b->ns > 0;
	running.blackout_ns = b->ns;
	running.has_by_guest = running.by_guest = b->by_guest;
	running.has_overhead_ns = true;
	running.overhead_ns = sync_send_overhead_ns(s->engine);
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_RUNNING;
	m.running = &running;
	worker_tell(((struct sender *)arg)->w, &m, NULL, 0);
}

static void
engine_progress(void *arg, const struct sync_progress *p)
{
	worker_progress(((struct sender *)arg)->w, p);
}

static void
engine_ended(void *arg, uint32_t reason, const char *text)
{
	struct sender *s = arg;
	struct sync_progress p;

	sync_send_progress(s->engine, &p);
	worker_progress(s->w, &p);
	ended(s, reason, text);
}

static void
ask_answered(void *arg, Persona__Transfer__Preflight *preflight)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;

	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_PREFLIGHT;
	m.preflight = preflight;
	worker_tell(((struct sender *)arg)->w, &m, NULL, 0);
}

static void
ask_ended(void *arg, uint32_t reason, const char *text)
{
	ended(arg, reason, text);
}

/* --- what persona-vmm answers ----------------------------------------------- */

static void
vmm_harvested(void *arg)
{
	struct sender *s = arg;

	if (s->ask != NULL)
		sync_ask_harvested(s->ask);
	else
		sync_send_harvested(s->engine);
}

static void
vmm_failed(void *arg, const char *why)
{
	/* Once released, the guest's own process is expected to go. */
	fail(arg, REASON_VMM_FAILED, why);
}

/* --- the peer --------------------------------------------------------------- */

static void
tell_proven(struct sender *s, const Persona__Transfer__Address *at)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__PeerProven proven =
	    PERSONA__TRANSFER__PEER_PROVEN__INIT;
	char text[128];

	snprintf(text, sizeof(text), "%s %u", at->host, at->port);
	proven.address = text;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_PEER_PROVEN;
	m.peer_proven = &proven;
	worker_tell(s->w, &m, NULL, 0);
}

static int
make_engine(struct sender *s, struct stream **streams, size_t n)
{
	static const struct sync_send_ops ops = {
		.now_ns = worker_now_ns, .again = engine_again,
		.harvest = engine_harvest, .throttle = engine_throttle,
		.want_stop = engine_want_stop, .prepared = engine_prepared,
		.running = engine_running, .progress = engine_progress,
		.ended = engine_ended,
	};
	static const struct sync_ask_ops ask_ops = {
		.now_ns = worker_now_ns, .again = engine_again,
		.harvest = engine_harvest, .answered = ask_answered,
		.ended = ask_ended,
	};
	const Persona__Transfer__SendSetup *p = setup(s);
	struct sync_send_config cfg = {
		.persona = p->persona,
		.attempt = s->w->attempt,
		.blackout_budget_ms = p->has_blackout_budget_ms ?
		    p->blackout_budget_ms : BUDGET_DEFAULT_MS,
		.bandwidth_limit = p->has_bandwidth_limit ?
		    p->bandwidth_limit : 0,
		.allow_throttle = !p->has_allow_throttle || p->allow_throttle,
		.overhead_ns = p->overhead_ns,
	};
	int r = p->question ? sync_ask_new(&s->ask, &cfg, &ask_ops, s) :
	    sync_send_new(&s->engine, &cfg, &ops, s);

	for (size_t i = 0; i < n; i++) {
		if (r < 0)
			stream_close(streams[i]);
		else
			r = p->question ?
			    sync_ask_add_stream(s->ask, streams[i]) :
			    sync_send_add_stream(s->engine, streams[i]);
	}
	return r;
}

static void
peer_reached(void *arg, const Persona__Transfer__Address *at,
    struct stream **streams, size_t n)
{
	struct sender *s = arg;
	int r;

	if ((r = make_engine(s, streams, n)) < 0) {
		log_warn_r(r, "cannot begin");
		fail(s, REASON_INTERNAL, NULL);
		return;
	}
	tell_proven(s, at);
}

static void
peer_failed(void *arg, uint32_t reason, const char *text)
{
	ended(arg, reason, text);
}

/* --- what personad says ------------------------------------------------------ */

static void
on_setup(struct sender *s, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	static const struct peer_dial_ops ops = {
		.reached = peer_reached,
		.failed = peer_failed,
	};
	int fd = ipc_take_fd(in, 0);

	if (s->setup != NULL ||
	    m->send_setup->n_addresses > PEER_DIAL_ADDRESSES_MAX)
		goto out;
	s->w->attempt = m->attempt;
	s->setup = persona__transfer__transfer_message__unpack(NULL, in->len,
	    in->data);
	if (s->setup == NULL || peer_dial_new(&s->dial, s->w->base, setup(s),
	    fd, &ops, s) < 0) {
		ended(s, REASON_INTERNAL, "the identity key cannot be read");
		goto out;
	}
	peer_dial_start(s->dial);
out:
	if (fd >= 0)
		close(fd);
}

/* The regions, then the socket to the vmm, then the bitmap shared with it. */
static int
take_memory(struct sender *s, const Persona__Transfer__SendMemory *memory,
    struct ipc_msg *in)
{
	static const struct vmm_harvest_ops ops = {
		.harvested = vmm_harvested,
		.failed = vmm_failed,
	};
	struct space_plan plan;
	uint64_t *dirty;
	size_t n = 0;
	int r;

	if ((r = space_plan(&plan, setup(s)->persona->ram_bytes,
	    setup(s)->persona->spec)) < 0 ||
	    (r = worker_space(&s->space, &plan, memory->regions,
	    memory->n_regions, in, false, &n)) < 0)
		return r;
	if ((r = vmm_harvest_open(&s->vmm, s->w->base, ipc_take_fd(in, n),
	    ipc_take_fd(in, n + 1), plan.n_dirty, &ops, s)) < 0)
		return r;
	dirty = vmm_harvest_bitmap(s->vmm);
	return s->ask != NULL ? sync_ask_start(s->ask, s->space, dirty) :
	    sync_send_start(s->engine, s->space, dirty);
}

static void
on_memory(struct sender *s, const Persona__Transfer__SendMemory *memory,
    struct ipc_msg *in)
{
	int r;

	if ((s->engine == NULL && s->ask == NULL) || s->space != NULL)
		return;
	if ((r = take_memory(s, memory, in)) < 0) {
		log_warn_r(r, "cannot use the guest's memory and disks");
		fail(s, REASON_INTERNAL, NULL);
	}
}

static void
on_stopped(struct sender *s, const Persona__Transfer__Stopped *stopped,
    struct ipc_msg *in)
{
	int fd = ipc_take_fd(in, 0);
	size_t len = 0;
	char *state;

	if (fd < 0)
		return;
	state = stopped->state_bytes <= STATE_BLOB_MAX ?
	    malloc(stopped->state_bytes + 1) : NULL;
	if (state == NULL || file_read_start(fd, state, stopped->state_bytes,
	    &len) < 0 || len != stopped->state_bytes)
		sync_send_cancel(s->engine, REASON_VMM_FAILED,
		    "the saved machine state cannot be read");
	else
		sync_send_stopped(s->engine, state, len,
		    stopped->stopped_at_ns);
	free(state);
	close(fd);
}

static void
send_message(void *role, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct sender *s = role;

	switch (m->kind_case) {
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_SEND_SETUP:
		on_setup(s, m, in);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_SEND_MEMORY:
		on_memory(s, m->send_memory, in);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_STOPPED:
		if (s->engine != NULL)
			on_stopped(s, m->stopped, in);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_RELEASE:
		if (s->engine != NULL)
			sync_send_release(s->engine, m->release->tenure);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_LINK_DOWN:
		if (s->engine != NULL)
			sync_send_doubt_link(s->engine);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_CANCEL:
		fail(s, m->cancel->reason, m->cancel->message);
		break;
	default:
		log_warn("personad said something that is not for a sender");
		break;
	}
}

/* --- life ------------------------------------------------------------------- */

static int
send_open(struct worker *w, void **role)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->w = w;
	*role = s;
	return 0;
}

static void
send_close(void *role)
{
	struct sender *s = role;

	peer_dial_free(s->dial);
	sync_send_free(s->engine);
	sync_ask_free(s->ask);
	vmm_harvest_close(s->vmm);
	space_free(s->space);
	if (s->setup != NULL)
		persona__transfer__transfer_message__free_unpacked(s->setup,
		    NULL);
	free(s);
}

static void
send_step(void *role)
{
	struct sender *s = role;

	if (s->engine != NULL)
		sync_send_step(s->engine);
	if (s->ask != NULL)
		sync_ask_step(s->ask);
}

static void
send_tick(void *role)
{
	struct sender *s = role;

	if (s->engine != NULL)
		sync_send_tick(s->engine);
	if (s->ask != NULL)
		sync_ask_tick(s->ask);
}

const struct worker_role role_send = {
	.name = "send",
	.sandbox = SANDBOX_SEND,
	.open = send_open,
	.close = send_close,
	.message = send_message,
	.step = send_step,
	.tick = send_tick,
};
