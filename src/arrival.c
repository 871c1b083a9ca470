/* SPDX-License-Identifier: ISC */
/*
 * The target's side of a move: streams, offers and messages become events;
 * actions become requests and records. All a peer says was parsed in persona-sync
 * and is still only a claim here.
 */
#include "arrival.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "arrival-check.h"
#include "daemon.h"
#include "gate-server.h"
#include "guest.h"
#include "handover.h"
#include "log.h"
#include "persona.h"
#include "report.h"
#include "syncproc.h"
#include "transfer-id.h"

#define ARRIVALS_MAX	8	/* transfers at a time, of all peers */
#define VMM_TIMEOUT_MS	10000
#define LINGER_MS	3000
#define KIND(name)	PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_##name

struct arrival {
	struct persona_hook	hook;		/* first: see from_hook() */
	TAILQ_ENTRY(arrival)	entry;
	struct arrivals		*all;
	char			transfer_id[TRANSFER_ID_LEN + 1];
	struct peer_record	peer;
	struct syncproc		*sync;		/* NULL: gone */
	struct event		*timer;
	/* From the offer on: */
	struct incoming_record	in;
	struct handover		handover;
	struct persona		*persona;	/* NULL: not accepted, or over */
	struct guest		*guest;		/* until it is the persona's */
	struct report		*report;
	bool			offered;
	int			state_fd;
	uint64_t		stopped_at_ns;	/* as our clock would have it */
	uint64_t		blackout_ns;
	unsigned int		depth;		/* of events within events */
	char			why[REASON_TEXT_MAX + 1];
};

struct arrivals {
	struct daemon			*daemon;
	TAILQ_HEAD(, arrival)		list;
	unsigned int			n;
	/* while restoring after a restart */
	unsigned int			open;
	void				(*restored)(struct daemon *d);
};

static void happen(struct arrival *a, enum handover_event_kind kind,
	    uint32_t reason, uint64_t tenure);
static void step(struct arrival *a, enum handover_event_kind kind,
	    uint32_t reason, uint64_t tenure);

static struct arrival *
from_hook(struct persona_hook *h)
{
	return (struct arrival *)(void *)h;
}

static void
arrival_free(struct arrival *a)
{
	TAILQ_REMOVE(&a->all->list, a, entry);
	a->all->n--;
	if (a->persona != NULL)
		a->persona->hook = NULL;
	syncproc_free(a->sync);
	if (a->timer != NULL)
		event_free(a->timer);
	if (a->state_fd >= 0)
		close(a->state_fd);
	free(a);
}

/* --- telling the worker ------------------------------------------------------------- */

static void
tell(struct arrival *a, Persona__Transfer__TransferMessage *t, const int *fds,
    size_t n_fds)
{
	syncproc_send(a->sync, a->in.attempt, t, fds, n_fds);
}

static void
send_accept(struct arrival *a)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Accept accept = PERSONA__TRANSFER__ACCEPT__INIT;
	int fd = guest_ram_fd(a->guest);

	t.kind_case = KIND(ACCEPT);
	t.accept = &accept;
	tell(a, &t, &fd, 1);
}

static void
send_refuse(struct arrival *a, uint32_t reason, const char *why)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Refuse refuse = PERSONA__TRANSFER__REFUSE__INIT;

	log_info("persona %s: offered by %s, refused: %s", a->in.persona.name,
	    a->peer.name, why);
	refuse.reason = reason;
	refuse.message = (char *)(uintptr_t)why;
	t.kind_case = KIND(REFUSE);
	t.refuse = &refuse;
	tell(a, &t, NULL, 0);
}

static void
send_prepared(struct arrival *a)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Prepared prepared =
	    PERSONA__TRANSFER__PREPARED__INIT;

	prepared.tenure = a->in.persona.tenure;
	t.kind_case = KIND(PREPARED);
	t.prepared = &prepared;
	tell(a, &t, NULL, 0);
}

static void
send_running(struct arrival *a)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Running running = PERSONA__TRANSFER__RUNNING__INIT;

	running.tenure = a->in.persona.tenure;
	running.has_blackout_ns = a->blackout_ns > 0;
	running.blackout_ns = a->blackout_ns;
	t.kind_case = KIND(RUNNING);
	t.running = &running;
	tell(a, &t, NULL, 0);
}

static void
send_cancel(struct arrival *a, uint32_t reason)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Cancel cancel = PERSONA__TRANSFER__CANCEL__INIT;

	cancel.reason = reason;
	cancel.message = a->why[0] != '\0' ? a->why : NULL;
	t.kind_case = KIND(CANCEL);
	t.cancel = &cancel;
	tell(a, &t, NULL, 0);
}

/* --- doing what the handover says ------------------------------------------------------ */

static void
loaded(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct arrival *a = arg;

	(void)reply;
	(void)msg;
	if (r < 0)
		snprintf(a->why, sizeof(a->why), "the other handset cannot "
		    "load the persona: %.400s", why);
	happen(a, r < 0 ? HANDOVER_LOAD_FAILED : HANDOVER_LOADED, 0, 0);
}

static void
load(struct arrival *a)
{
	struct vmm *v = guest_vmm(a->guest);

	if (v == NULL || vmm_load(v, a->state_fd, VMM_TIMEOUT_MS, loaded,
	    a) < 0)
		step(a, HANDOVER_LOAD_FAILED, 0, 0);
}

static void
woken(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct arrival *a = arg;

	(void)reply;
	(void)msg;
	a->blackout_ns = daemon_now_ns() - a->stopped_at_ns;
	if (r < 0)
		snprintf(a->why, sizeof(a->why), "%s", why);
	happen(a, r < 0 ? HANDOVER_RESUME_FAILED : HANDOVER_RESUMED, 0, 0);
}

/* The guest's clocks go on by all the time it stood still. */
static void
wake(struct arrival *a)
{
	struct vmm *v = guest_vmm(a->persona->guest);

	if (v == NULL || vmm_resume(v, daemon_now_ns() - a->stopped_at_ns,
	    VMM_TIMEOUT_MS, woken, a) < 0)
		step(a, HANDOVER_RESUME_FAILED, 0, 0);
}

/* From the moment the record says OWNER, the persona and its guest are one. */
static void
become_owner(struct arrival *a)
{
	struct guest *g = a->guest;

	a->persona->unrecorded = false;
	persona_refresh(a->persona);
	a->guest = NULL;
	if (g != NULL)
		persona_adopt_guest(a->persona, g);
	else
		(void)registry_persona_ended(a->all->daemon->registry,
		    a->in.persona.id, true, "persona-vmm ended as it arrived");
}

static void
store(struct arrival *a, enum handover_record record)
{
	struct registry *reg = a->all->daemon->registry;
	const char *id = a->in.persona.id;
	int r = -EINVAL;

	if (record == HANDOVER_RECORD_PREPARED)
		r = registry_target_prepared(reg, &a->in);
	else if (record == HANDOVER_RECORD_OWNER)
		r = registry_target_owner(reg, id, a->in.attempt);
	else if (record == HANDOVER_RECORD_ABORTED)
		r = registry_target_aborted(reg, id, a->in.attempt);
	if (r < 0) {
		log_warn_r(r, "persona %s: attempt %llu: a record could not be "
		    "written", a->in.persona.name,
		    (unsigned long long)a->in.attempt);
		snprintf(a->why, sizeof(a->why), "the other handset cannot "
		    "record it: %s", strerror(-r));
	} else if (record == HANDOVER_RECORD_OWNER)
		become_owner(a);
	step(a, r < 0 ? HANDOVER_STORE_FAILED : HANDOVER_STORED, 0, 0);
}

/* What waited here goes; a persona that was here before stays as it was. */
static void
drop(struct arrival *a)
{
	struct guest *g = a->guest;
	struct persona *p = a->persona;

	a->guest = NULL;
	guest_discard(g);
	if (p != NULL && p->unrecorded) {
		a->persona = NULL;
		p->hook = NULL;
		persona_free(p);
	}
}

static void
end(struct arrival *a, uint32_t reason)
{
	const char *name = a->in.persona.name;
	const char *why = a->why[0] != '\0' ? a->why : reason_text(reason);

	if (reason == REASON_OK)
		log_info("persona %s: has come from %s, blackout %llu ms",
		    name, a->peer.name,
		    (unsigned long long)(a->blackout_ns / 1000000));
	else if (a->handover.state == HANDOVER_PREPARED)
		log_warn("persona %s: complete here, but the word of %s is "
		    "missing; it waits. \"personactl cancel %s\" gives it up",
		    name, a->peer.name, name);
	else
		log_info("persona %s: has not come from %s: %s", name,
		    a->peer.name, why);
	report_end(a->report, reason, reason == REASON_OK ? NULL : why);
	a->report = NULL;
}

static void
do_action(struct arrival *a, const struct handover_action *act)
{
	switch (act->kind) {
	case HANDOVER_STORE:
		store(a, act->record);
		break;
	case HANDOVER_LOAD:
		load(a);
		break;
	case HANDOVER_SEND_PREPARED:
		send_prepared(a);
		break;
	case HANDOVER_WAKE:
		wake(a);
		break;
	case HANDOVER_SEND_RUNNING:
		send_running(a);
		break;
	case HANDOVER_SEND_CANCEL:
		send_cancel(a, act->reason);
		break;
	case HANDOVER_DROP:
		drop(a);
		break;
	case HANDOVER_END:
		end(a, act->reason);
		break;
	default:
		break;
	}
}

static void
set_timer(struct arrival *a, uint64_t at_ms)
{
	uint64_t now = daemon_now_ms(), in = at_ms > now ? at_ms - now : 0;
	struct timeval tv = { .tv_sec = (time_t)(in / 1000),
	    .tv_usec = (suseconds_t)(in % 1000 * 1000) };

	if (at_ms == 0)
		(void)evtimer_del(a->timer);
	else
		(void)evtimer_add(a->timer, &tv);
}

static void
step(struct arrival *a, enum handover_event_kind kind, uint32_t reason,
    uint64_t tenure)
{
	struct handover_action actions[HANDOVER_ACTIONS_MAX];
	struct handover_event e = { .kind = kind, .reason = reason,
	    .tenure = tenure, .attempt = a->handover.attempt };
	enum handover_state before = a->handover.state;
	size_t n;

	n = handover_step(&a->handover, &e, daemon_now_ms(), actions);
	if (a->handover.state != before)
		log_debug("persona %s: attempt %llu: %s", a->in.persona.name,
		    (unsigned long long)a->in.attempt,
		    handover_state_name(a->handover.state));
	for (size_t i = 0; i < n; i++)
		do_action(a, &actions[i]);
}

/*
 * Once it is over for the persona it is free for other things; persona-sync gets a
 * moment to carry the last word.
 */
static void
let_go(struct arrival *a)
{
	if (a->persona != NULL) {
		a->persona->hook = NULL;
		a->persona = NULL;
		registry_tidy(a->all->daemon->registry);
	}
	if (a->sync == NULL) {
		if (!a->handover.reported)
			end(a, REASON_OK);
		arrival_free(a);
	} else if (a->handover.state == HANDOVER_OWNER && !a->handover.reported)
		set_timer(a, 0);	/* the report wants the worker's figures */
	else
		set_timer(a, daemon_now_ms() + LINGER_MS);
}

static void
happen(struct arrival *a, enum handover_event_kind kind, uint32_t reason,
    uint64_t tenure)
{
	a->depth++;
	step(a, kind, reason, tenure);
	if (--a->depth > 0)
		return;		/* an action's own event: the outer one tidies */
	if (handover_is_over(&a->handover))
		let_go(a);
	else
		set_timer(a, handover_deadline_ms(&a->handover));
}

/* --- the offer -------------------------------------------------------------------------- */

static void
waiting_ready(void *arg, int r, const char *why)
{
	struct arrival *a = arg;

	if (r == 0) {
		log_info("persona %s: arriving from %s, attempt %llu",
		    a->in.persona.name, a->peer.name,
		    (unsigned long long)a->in.attempt);
		send_accept(a);
		return;
	}
	snprintf(a->why, sizeof(a->why), "%s", why);
	send_refuse(a, r == -ENOTSUP ?
	    REASON_CPU_BASELINE : r == -ENOENT || r == -EACCES ||
	    r == -ENODEV || r == -ENXIO || r == -EPERM ?
	    REASON_NO_KVM : REASON_VMM_FAILED, why);
	happen(a, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
}

static void
waiting_ended(void *arg, bool crashed, const char *why)
{
	struct arrival *a = arg;

	(void)crashed;
	a->guest = NULL;
	snprintf(a->why, sizeof(a->why), "the virtual machine on the other "
	    "handset ended: %.400s", why);
	happen(a, HANDOVER_GUEST_ENDED, 0, 0);
}

/* Only while the guest is the persona's already: the record is made there. */
static void
own_guest_ended(struct persona_hook *h, const char *why)
{
	struct arrival *a = from_hook(h);

	snprintf(a->why, sizeof(a->why), "%s", why);
	happen(a, HANDOVER_GUEST_ENDED, 0, 0);
}

static const struct guest_events waiting_events = {
	.ready = waiting_ready,
	.ended = waiting_ended,
};

/*
 * The same source offers the same persona again at the same tenure: it runs
 * there, so what was PREPARED of an older attempt can be given up.
 */
static void
give_up_older(struct arrival *a)
{
	struct arrival *old, *next;

	for (old = TAILQ_FIRST(&a->all->list); old != NULL; old = next) {
		next = TAILQ_NEXT(old, entry);
		if (old == a || old->persona == NULL || strcmp(old->in.peer,
		    a->in.peer) != 0 || strcmp(old->in.persona.id,
		    a->in.persona.id) != 0 || old->in.persona.tenure !=
		    a->in.persona.tenure || old->in.attempt >= a->in.attempt)
			continue;
		log_info("persona %s: attempt %llu is given up for a newer one",
		    old->in.persona.name,
		    (unsigned long long)old->in.attempt);
		happen(old, HANDOVER_CANCEL, REASON_CANCELLED, 0);
	}
}

/*
 * A persona that we had released and never heard of again comes back with a
 * higher tenure: so it was owned there, and what is parked here is old.
 */
static void
settle_release(struct arrival *a, struct persona *p)
{
	struct outgoing_record out;
	struct registry *reg = a->all->daemon->registry;

	if (p->rec.holding != HOLDING_RELEASED)
		return;
	if (registry_outgoing_get(reg, p->rec.id, &out) == 0)
		(void)registry_source_moved(reg, p->rec.id, out.attempt);
	guest_discard(persona_take_guest(p));
	persona_refresh(p);
}

static int
prepare_place(struct arrival *a)
{
	struct daemon *d = a->all->daemon;
	struct persona *p = persona_by_id(d, a->in.persona.id);

	if (p == NULL) {
		if ((p = persona_new(d, &a->in.persona)) == NULL)
			return -ENOMEM;
		p->unrecorded = true;
	} else
		settle_release(a, p);
	a->persona = p;
	p->hook = &a->hook;
	a->report = report_new(d, a->in.persona.name, a->peer.name, false,
	    a->in.attempt, a->in.persona.ram_bytes);
	return guest_start(&a->guest, d, &a->in.persona, -1, -1,
	    &waiting_events, a);
}

static void
on_offered(struct arrival *a, uint64_t attempt,
    const Persona__Transfer__Persona *offer)
{
	char why[REASON_TEXT_MAX + 1] = "";
	uint32_t reason;
	int r;

	if (a->offered)
		return;
	a->offered = true;
	reason = arrival_parse(offer, attempt, &a->in.persona);
	a->in.attempt = attempt;
	memcpy(a->in.peer, a->peer.fingerprint, sizeof(a->in.peer));
	/* From here `happen` works, also for a refusal. */
	handover_target_init(&a->handover, attempt,
	    a->in.persona.tenure > 0 ? a->in.persona.tenure - 1 : 0);
	if (reason == REASON_OK) {
		give_up_older(a);
		reason = arrival_check(a->all->daemon, &a->in.persona, why);
	}
	if (reason != REASON_OK) {
		send_refuse(a, reason, why[0] != '\0' ? why :
		    reason_text(reason));
		return;
	}
	if ((r = prepare_place(a)) < 0) {
		send_refuse(a, REASON_VMM_FAILED, strerror(-r));
		happen(a, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
	}
}

/* --- what happens ------------------------------------------------------------------------ */

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct arrival *a = arg;

	(void)fd;
	(void)what;
	if (handover_is_over(&a->handover))
		arrival_free(a);
	else
		happen(a, HANDOVER_TICK, 0, 0);
}

static void
on_verified(struct arrival *a, struct ipc_msg *in)
{
	int fd = ipc_take_fd(in, 0);

	if (fd < 0 || a->state_fd >= 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	a->state_fd = fd;
	happen(a, HANDOVER_VERIFIED, 0, 0);
}

static void
on_released(struct arrival *a, const Persona__Transfer__Released *released)
{
	uint64_t now = daemon_now_ns(), ago = released->stopped_for_ns;

	a->stopped_at_ns = ago < now ? now - ago : now;
	happen(a, HANDOVER_PEER_RELEASED, 0, released->tenure);
}

static void
on_ended(struct arrival *a, const Persona__Transfer__Ended *ended)
{
	if (ended->last != NULL)
		report_progress(a->report, ended->last);
	if (ended->has_cpu_ms)
		report_cpu(a->report, ended->cpu_ms);
	report_blackout(a->report, a->blackout_ns);
	if (a->why[0] == '\0' && ended->reason != REASON_OK)
		snprintf(a->why, sizeof(a->why), "%s", ended->message);
	happen(a, HANDOVER_LINK_ENDED, ended->reason, 0);
}

static void
sync_message(void *arg, const Persona__Transfer__TransferMessage *t,
    struct ipc_msg *in)
{
	struct arrival *a = arg;

	if (t->kind_case == KIND(OFFERED)) {
		on_offered(a, t->attempt, t->offered->persona);
		return;
	}
	if (!a->offered || t->attempt != a->in.attempt)
		return;
	switch (t->kind_case) {
	case KIND(VERIFIED):
		on_verified(a, in);
		break;
	case KIND(RELEASED):
		on_released(a, t->released);
		break;
	case KIND(PROGRESS):
		report_progress(a->report, t->progress);
		break;
	case KIND(ENDED):
		on_ended(a, t->ended);
		break;
	default:
		break;
	}
}

static void
sync_gone(void *arg)
{
	struct arrival *a = arg;

	syncproc_free(a->sync);
	a->sync = NULL;
	if (!a->offered || a->persona == NULL) {
		arrival_free(a);
		return;
	}
	happen(a, HANDOVER_LINK_ENDED, REASON_LINK_LOST, 0);
}

/* --- streams ------------------------------------------------------------------------------ */

static int
arrival_new(struct arrivals *all, struct arrival **ap)
{
	struct arrival *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	a->all = all;
	a->state_fd = -1;
	a->hook.incoming = true;
	a->hook.guest_ended = own_guest_ended;
	TAILQ_INSERT_TAIL(&all->list, a, entry);
	all->n++;
	if ((a->timer = evtimer_new(all->daemon->base, timer_cb, a)) == NULL) {
		arrival_free(a);
		return -ENOMEM;
	}
	*ap = a;
	return 0;
}

/* The first stream of a transfer starts its worker. */
static int
begin(struct arrivals *all, const struct gate_stream *gs,
    const struct peer_record *peer, struct arrival **ap)
{
	static const struct syncproc_events events = {
		.message = sync_message,
		.gone = sync_gone,
	};
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__ReceiveSetup setup =
	    PERSONA__TRANSFER__RECEIVE_SETUP__INIT;
	struct arrival *a;
	int r;

	if (all->n >= ARRIVALS_MAX)
		return -EBUSY;
	if ((r = arrival_new(all, &a)) < 0)
		return r;
	a->peer = *peer;
	snprintf(a->transfer_id, sizeof(a->transfer_id), "%s", gs->transfer);
	if ((r = syncproc_start(&a->sync, all->daemon, "receive", &events,
	    a)) < 0) {
		arrival_free(a);
		return r;
	}
	setup.transfer_id = a->transfer_id;
	setup.peer_fingerprint = a->peer.fingerprint;
	t.kind_case = KIND(RECEIVE_SETUP);
	t.receive_setup = &setup;
	tell(a, &t, NULL, 0);
	*ap = a;
	return 0;
}

static struct arrival *
find(struct arrivals *all, const struct gate_stream *gs)
{
	struct arrival *a;

	TAILQ_FOREACH(a, &all->list, entry)
		if (a->sync != NULL &&
		    strcmp(a->transfer_id, gs->transfer) == 0 &&
		    strcmp(a->peer.fingerprint, gs->fingerprint) == 0)
			return a;
	return NULL;
}

static void
add_stream(struct arrival *a, const struct gate_stream *gs)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__AddStream add = PERSONA__TRANSFER__ADD_STREAM__INIT;
	const int fds[3] = { gs->rfd, gs->wfd, gs->gate_fd };

	add.channel = gs->channel;
	t.kind_case = KIND(ADD_STREAM);
	t.add_stream = &add;
	tell(a, &t, fds, 3);
}

void
arrivals_stream(void *arg, const struct gate_stream *gs)
{
	struct arrivals *all = arg;
	struct arrival *a = find(all, gs);
	struct peer_record peer;
	int r = 0;

	/* Unpaired since sshd let it in: then it is a stranger again. */
	if (registry_peer_get(all->daemon->registry, gs->fingerprint,
	    &peer) < 0)
		r = -EACCES;
	else if (a == NULL)
		r = begin(all, gs, &peer, &a);
	if (r == 0)
		add_stream(a, gs);
	else
		log_warn_r(r, "a stream of %s is refused", gs->fingerprint);
	close(gs->rfd);
	close(gs->wfd);
	close(gs->gate_fd);
}

/* --- after a restart ----------------------------------------------------------------------- */

static void
restored_one(struct arrivals *all)
{
	if (--all->open == 0)
		all->restored(all->daemon);
}

static void
found(void *arg, int r, const char *why)
{
	static const struct guest_events events = {
		.ended = waiting_ended,
	};
	struct arrival *a = arg;
	struct arrivals *all = a->all;

	if (r == 0) {
		guest_set_events(a->guest, &events, a);
		log_warn("persona %s: complete here since before the restart, "
		    "and the word of %s is missing; it waits",
		    a->in.persona.name, a->peer.name);
	} else {
		snprintf(a->why, sizeof(a->why), "%s", why);
		happen(a, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
	}
	restored_one(all);
}

static void
lost(void *arg, bool crashed, const char *why)
{
	struct arrival *a = arg;
	struct arrivals *all = a->all;

	waiting_ended(a, crashed, why);
	restored_one(all);
}

static void
restore_one(const struct incoming_record *in, void *arg)
{
	static const struct guest_events events = {
		.ready = found,
		.ended = lost,
	};
	struct arrivals *all = arg;
	struct daemon *d = all->daemon;
	struct arrival *a;
	struct persona *p;

	if (in->aborted || arrival_new(all, &a) < 0)
		return;
	a->in = *in;
	a->offered = true;
	snprintf(a->peer.fingerprint, sizeof(a->peer.fingerprint), "%s",
	    in->peer);
	if (registry_peer_get(d->registry, in->peer, &a->peer) < 0)
		snprintf(a->peer.name, sizeof(a->peer.name), "%s", "a handset "
		    "that is not paired any more");
	handover_target_restore(&a->handover, in->attempt,
	    in->persona.tenure - 1);
	if ((p = persona_by_id(d, in->persona.id)) == NULL) {
		if ((p = persona_new(d, &in->persona)) == NULL)
			return;
		p->unrecorded = true;
	}
	a->persona = p;
	p->hook = &a->hook;
	all->open++;
	if (guest_find(&a->guest, d, &in->persona, &events, a) == 0)
		return;
	snprintf(a->why, sizeof(a->why), "its persona-vmm was gone after a "
	    "restart");
	happen(a, HANDOVER_GUEST_ENDED, 0, 0);
	all->open--;
}

void
arrivals_restore(struct arrivals *all, void (*done)(struct daemon *d))
{
	all->restored = done;
	all->open = 1;
	(void)registry_incoming_each(all->daemon->registry, restore_one, all);
	restored_one(all);
}

/* --- the front door ------------------------------------------------------------------------ */

int
arrival_cancel(struct persona *p)
{
	struct arrival *a;

	if (p->hook == NULL || !p->hook->incoming)
		return -ESRCH;
	a = from_hook(p->hook);
	if (a->handover.state == HANDOVER_OWNING ||
	    a->handover.state == HANDOVER_WAKING)
		return -EALREADY;
	happen(a, HANDOVER_CANCEL, REASON_CANCELLED, 0);
	return 0;
}

int
arrivals_new(struct arrivals **ap, struct daemon *d)
{
	if ((*ap = calloc(1, sizeof(**ap))) == NULL)
		return -ENOMEM;
	(*ap)->daemon = d;
	TAILQ_INIT(&(*ap)->list);
	return 0;
}

void
arrivals_free(struct arrivals *all)
{
	struct arrival *a;

	if (all == NULL)
		return;
	while ((a = TAILQ_FIRST(&all->list)) != NULL) {
		if (handover_is_binding(&a->handover) && a->offered)
			guest_leave(a->guest);
		else
			guest_discard(a->guest);
		a->guest = NULL;
		arrival_free(a);
	}
	free(all);
}
