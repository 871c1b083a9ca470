/* SPDX-License-Identifier: ISC */
/*
 * The source's side of a move: messages become events, actions become requests
 * and records. Decides nothing about ownership (handover.c does) and parses
 * nothing that a peer said.
 */
#include "move.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon.h"
#include "guest.h"
#include "handover.h"
#include "identity.h"
#include "log.h"
#include "peers.h"
#include "persona.h"
#include "report.h"
#include "syncproc.h"
#include "transfer-id.h"

#define VMM_TIMEOUT_MS	5000	/* pause, save, attach: milliseconds if well */
#define LINGER_MS	3000	/* for persona-sync to say goodbye */
#define KIND(name)	PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_##name

struct move {
	struct persona_hook	hook;		/* first: see from_hook() */
	struct daemon		*daemon;
	struct persona		*persona;	/* NULL: it is over for it */
	struct peer_record	peer;
	struct move_options	options;
	struct handover		handover;
	struct syncproc		*sync;
	struct report		*report;
	struct event		*timer;
	char			transfer_id[TRANSFER_ID_LEN + 1];
	int			transfer_fd;	/* towards the vmm, for the worker */
	int			dirty_fd;
	int			state_fd;
	uint64_t		state_bytes;
	uint64_t		stopped_at_ns;
	bool			memory_given;
	unsigned int		depth;		/* of events within events */
	char			why[REASON_TEXT_MAX + 1]; /* the worker's words */
};

static void step(struct move *m, enum handover_event_kind kind,
	    uint32_t reason, uint64_t tenure);
static void happen(struct move *m, enum handover_event_kind kind,
	    uint32_t reason, uint64_t tenure);

static struct move *
from_hook(struct persona_hook *h)
{
	return (struct move *)(void *)h;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The end of a move that went well, told with the worker's last figures. */
static void
tell_moved(struct move *m)
{
	if (m->handover.state == HANDOVER_MOVED)
		report_end(m->report, REASON_OK, NULL);
	m->report = NULL;
}

static void
move_free(struct move *m)
{
	if (m->persona != NULL)
		m->persona->hook = NULL;
	tell_moved(m);
	syncproc_free(m->sync);
	if (m->timer != NULL)
		event_free(m->timer);
	close_fd(&m->transfer_fd);
	close_fd(&m->dirty_fd);
	close_fd(&m->state_fd);
	free(m);
}

/* --- asking persona-vmm ---------------------------------------------------------- */

/*
 * An answer may come when the move is gone: the question holds the persona's id
 * and the attempt, and finds the move again only if it is still the one.
 */
struct question {
	struct daemon	*daemon;
	char		id[PERSONA_ID_LEN + 1];
	uint64_t	attempt;
};

static struct question *
ask(const struct move *m)
{
	struct question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->daemon = m->daemon;
	q->attempt = m->handover.attempt;
	memcpy(q->id, m->persona->rec.id, sizeof(q->id));
	return q;
}

static struct move *
answered(struct question *q)
{
	struct persona *p = persona_by_id(q->daemon, q->id);
	uint64_t attempt = q->attempt;
	struct move *m;

	free(q);
	if (p == NULL || p->hook == NULL || p->hook->incoming)
		return NULL;
	m = from_hook(p->hook);
	return m->handover.attempt == attempt ? m : NULL;
}

static void
saved(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct move *m = answered(arg);

	if (m == NULL)
		return;
	if (r == 0 && (reply->result_case != PERSONA__VMM__REPLY__RESULT_SAVE ||
	    reply->save->bytes == 0 || reply->save->bytes > STATE_BLOB_MAX ||
	    (m->state_fd = ipc_take_fd(msg, 0)) < 0)) {
		r = -EPROTO;
		why = "persona-vmm gave no machine state";
	}
	if (r < 0) {
		snprintf(m->why, sizeof(m->why), "%s", why);
		happen(m, HANDOVER_PARK_FAILED, 0, 0);
		return;
	}
	m->state_bytes = reply->save->bytes;
	happen(m, HANDOVER_PARKED, 0, 0);
}

static void
paused(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct move *m = answered(arg);
	struct question *q;

	(void)reply;
	(void)msg;
	if (m == NULL)
		return;
	if (r == 0) {
		r = -ENOMEM;
		if ((q = ask(m)) != NULL && (r = vmm_save(guest_vmm(
		    m->persona->guest), VMM_TIMEOUT_MS, saved, q)) < 0)
			free(q);
	}
	if (r < 0) {
		snprintf(m->why, sizeof(m->why), "%s", why);
		happen(m, HANDOVER_PARK_FAILED, 0, 0);
	}
}

static void
park(struct move *m)
{
	struct vmm *v = guest_vmm(m->persona->guest);
	struct question *q = ask(m);
	int r = -ESHUTDOWN;

	/* From here the blackout counts: the guest stops a little later. */
	m->stopped_at_ns = daemon_now_ns();
	if (q != NULL && v != NULL)
		r = vmm_pause(v, VMM_TIMEOUT_MS, paused, q);
	if (r < 0) {
		free(q);
		step(m, HANDOVER_PARK_FAILED, 0, 0);
	}
}

static void
resumed(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct question *q = arg;
	struct persona *p = persona_by_id(q->daemon, q->id);

	(void)reply;
	(void)msg;
	free(q);
	if (p == NULL || r == 0)
		return;
	p->paused = true;
	log_err("persona %s: cannot be resumed after a failed move: %s",
	    p->rec.name, why);
}

static void
run_on(struct move *m)
{
	struct vmm *v = guest_vmm(m->persona->guest);
	struct question *q = ask(m);

	if (q == NULL || v == NULL ||
	    vmm_resume(v, 0, VMM_TIMEOUT_MS, resumed, q) < 0) {
		free(q);
		log_err("persona %s: cannot be resumed after a failed move",
		    m->persona->rec.name);
		return;
	}
	log_info("persona %s: runs on here", m->persona->rec.name);
}

/* --- guest memory for the worker --------------------------------------------------- */

/* The same memory, but nobody can write through this descriptor. */
static int
read_only(int fd)
{
	char path[32];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	return ro < 0 ? -errno : ro;
}

static void
attached(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SendMemory memory =
	    PERSONA__TRANSFER__SEND_MEMORY__INIT;
	struct move *m = answered(arg);
	int fds[3];

	(void)reply;
	(void)msg;
	if (m == NULL || m->handover.state != HANDOVER_COPYING)
		return;
	if (r == 0 && (fds[0] = read_only(guest_ram_fd(
	    m->persona->guest))) >= 0) {
		fds[1] = m->transfer_fd;
		fds[2] = m->dirty_fd;
		t.kind_case = KIND(SEND_MEMORY);
		t.send_memory = &memory;
		syncproc_send(m->sync, m->handover.attempt, &t, fds, 3);
		close(fds[0]);
		close_fd(&m->transfer_fd);
		return;
	}
	snprintf(m->why, sizeof(m->why), "%s", r < 0 ? why :
	    "the guest's memory cannot be shared");
	happen(m, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
}

static int
make_dirty_bitmap(uint64_t ram_bytes, int *fdp)
{
	uint64_t words = (ram_bytes / PAGE_BYTES + 63) / 64;
	int fd = memfd_create("persona-dirty", MFD_CLOEXEC |
	    MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)(words * 8)) < 0 || fcntl(fd, F_ADD_SEALS,
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

/* The peer has proven its key: now, and not before, memory is shown. */
static void
give_memory(struct move *m)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__TransferAttach attach =
	    PERSONA__VMM__TRANSFER_ATTACH__INIT;
	struct vmm *v = guest_vmm(m->persona->guest);
	struct question *q = ask(m);
	int sv[2] = { -1, -1 }, fds[2], r = -ESHUTDOWN;

	if (m->memory_given || q == NULL || v == NULL)
		goto out;
	m->memory_given = true;
	if ((r = make_dirty_bitmap(m->persona->rec.ram_bytes,
	    &m->dirty_fd)) < 0 || (r = ipc_pair(sv)) < 0)
		goto out;
	m->transfer_fd = sv[0];
	fds[0] = sv[1];
	fds[1] = m->dirty_fd;
	req.what_case = PERSONA__VMM__REQUEST__WHAT_TRANSFER;
	req.transfer = &attach;
	if ((r = vmm_request(v, &req, fds, 2, VMM_TIMEOUT_MS, attached,
	    q)) == 0)
		q = NULL;
out:
	close_fd(&sv[1]);
	free(q);
	if (r < 0)
		happen(m, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
}

/* --- telling the worker ------------------------------------------------------------ */

static void
send_setup(struct move *m)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SendSetup setup =
	    PERSONA__TRANSFER__SEND_SETUP__INIT;
	Persona__Transfer__Persona persona =
	    PERSONA__TRANSFER__PERSONA__INIT;
	Persona__Transfer__Address addrs[PEER_ADDRESSES_MAX];
	Persona__Transfer__Address *list[PEER_ADDRESSES_MAX];
	struct peer_place places[PEER_ADDRESSES_MAX];
	struct daemon *d = m->daemon;
	struct persona_record *rec = &m->persona->rec;
	int key_fd = identity_private_fd(d->identity);

	persona.id = rec->id;
	persona.name = rec->name;
	persona.ram_bytes = rec->ram_bytes;
	persona.vcpus = rec->vcpus;
	persona.cpu_baseline = rec->cpu_baseline;
	persona.tenure = rec->tenure;
	persona.cmdline = rec->cmdline;
	persona.has_state_version = true;
	persona.state_version = STATE_VERSION;
	setup.transfer_id = m->transfer_id;
	setup.persona = &persona;
	setup.n_addresses = peers_places(d->peers, &m->peer, places,
	    PEER_ADDRESSES_MAX);
	for (size_t i = 0; i < setup.n_addresses; i++) {
		persona__transfer__address__init(&addrs[i]);
		addrs[i].host = places[i].host;
		addrs[i].port = places[i].port;
		list[i] = &addrs[i];
	}
	setup.addresses = list;
	setup.peer_key = m->peer.key;
	setup.own_key = (char *)(uintptr_t)identity_key(d->identity);
	setup.has_blackout_budget_ms = true;
	setup.blackout_budget_ms = m->options.blackout_budget_ms;
	setup.has_bandwidth_limit = m->options.bandwidth_limit > 0;
	setup.bandwidth_limit = m->options.bandwidth_limit;
	setup.has_channels = true;
	setup.channels = d->conf.channels;
	t.kind_case = KIND(SEND_SETUP);
	t.send_setup = &setup;
	syncproc_send(m->sync, m->handover.attempt, &t, &key_fd,
	    key_fd >= 0 ? 1 : 0);
	close_fd(&key_fd);
}

static void
send_stopped(struct move *m)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Stopped stopped = PERSONA__TRANSFER__STOPPED__INIT;

	stopped.state_bytes = m->state_bytes;
	stopped.stopped_at_ns = m->stopped_at_ns;
	t.kind_case = KIND(STOPPED);
	t.stopped = &stopped;
	syncproc_send(m->sync, m->handover.attempt, &t, &m->state_fd, 1);
}

static void
send_release(struct move *m)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Release release = PERSONA__TRANSFER__RELEASE__INIT;

	release.tenure = m->handover.tenure + 1;
	t.kind_case = KIND(RELEASE);
	t.release = &release;
	syncproc_send(m->sync, m->handover.attempt, &t, NULL, 0);
}

static void
send_cancel(struct move *m, uint32_t reason)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Cancel cancel = PERSONA__TRANSFER__CANCEL__INIT;

	cancel.reason = reason;
	cancel.message = m->why[0] != '\0' ? m->why : NULL;
	t.kind_case = KIND(CANCEL);
	t.cancel = &cancel;
	syncproc_send(m->sync, m->handover.attempt, &t, NULL, 0);
}

/* --- doing what the handover says ---------------------------------------------------- */

static int
write_record(struct move *m, enum handover_record record)
{
	struct registry *reg = m->daemon->registry;
	const char *id = m->persona->rec.id;
	uint64_t attempt = m->handover.attempt;

	switch (record) {
	case HANDOVER_RECORD_STOPPED:
		return registry_source_stopped(reg, id, attempt,
		    m->peer.fingerprint, m->peer.name);
	case HANDOVER_RECORD_KEPT:
		return registry_source_kept(reg, id, attempt);
	case HANDOVER_RECORD_RELEASED:
		return registry_source_released(reg, id, attempt,
		    m->handover.tenure + 1);
	case HANDOVER_RECORD_MOVED:
		return registry_source_moved(reg, id, attempt);
	default:
		return -EINVAL;
	}
}

static void
store(struct move *m, enum handover_record record)
{
	int r = write_record(m, record);

	if (r < 0)
		log_warn_r(r, "persona %s: attempt %llu: a record could not be "
		    "written", m->persona->rec.name,
		    (unsigned long long)m->handover.attempt);
	persona_refresh(m->persona);
	step(m, r < 0 ? HANDOVER_STORE_FAILED : HANDOVER_STORED, 0, 0);
}

/* It lives there now: memory here is given back. */
static void
forget(struct move *m)
{
	struct guest *g = persona_take_guest(m->persona);

	log_info("persona %s: lives on %s now", m->persona->rec.name,
	    m->peer.name);
	guest_discard(g);
}

static void
end(struct move *m, uint32_t reason)
{
	const char *name = m->persona->rec.name;
	const char *why = m->why[0] != '\0' ? m->why : NULL;

	if (reason == REASON_OK)
		return;		/* see tell_moved */
	if (handover_is_binding(&m->handover)) {
		why = "the persona was released and the other handset did not "
		    "confirm; it may run there. It stays stopped here";
		log_warn("persona %s: %s", name, why);
	} else
		log_info("persona %s: not moved to %s: %s", name, m->peer.name,
		    why != NULL ? why : reason_text(reason));
	report_end(m->report, reason, why);
	m->report = NULL;
}

static void
do_action(struct move *m, const struct handover_action *a)
{
	switch (a->kind) {
	case HANDOVER_STORE:
		store(m, a->record);
		break;
	case HANDOVER_PARK:
		park(m);
		break;
	case HANDOVER_RESUME:
		run_on(m);
		break;
	case HANDOVER_SEND_STOPPED:
		send_stopped(m);
		break;
	case HANDOVER_SEND_RELEASE:
		send_release(m);
		break;
	case HANDOVER_SEND_CANCEL:
		send_cancel(m, a->reason);
		break;
	case HANDOVER_FORGET:
		forget(m);
		break;
	case HANDOVER_END:
		end(m, a->reason);
		break;
	default:
		break;
	}
}

static void
set_timer(struct move *m, uint64_t at_ms)
{
	uint64_t now = daemon_now_ms(), in = at_ms > now ? at_ms - now : 0;
	struct timeval tv = { .tv_sec = (time_t)(in / 1000),
	    .tv_usec = (suseconds_t)(in % 1000 * 1000) };

	if (at_ms == 0)
		(void)evtimer_del(m->timer);
	else
		(void)evtimer_add(m->timer, &tv);
}

/*
 * The persona is free for other things once its attempt is over, or once nothing
 * but the peer's word is missing; persona-sync gets a moment to say goodbye.
 */
static void
let_go(struct move *m)
{
	if (m->persona != NULL) {
		m->persona->hook = NULL;
		registry_tidy(m->daemon->registry);
		m->persona = NULL;
	}
	if (m->sync == NULL)
		move_free(m);
	else
		set_timer(m, daemon_now_ms() + LINGER_MS);
}

static void
step(struct move *m, enum handover_event_kind kind, uint32_t reason,
    uint64_t tenure)
{
	struct handover_action actions[HANDOVER_ACTIONS_MAX];
	struct handover_event e = { .kind = kind, .reason = reason,
	    .tenure = tenure, .attempt = m->handover.attempt };
	enum handover_state before = m->handover.state;
	size_t n;

	if (m->persona == NULL)
		return;
	n = handover_step(&m->handover, &e, daemon_now_ms(), actions);
	if (m->handover.state != before)
		log_debug("persona %s: attempt %llu: %s", m->persona->rec.name,
		    (unsigned long long)m->handover.attempt,
		    handover_state_name(m->handover.state));
	for (size_t i = 0; i < n; i++)
		do_action(m, &actions[i]);
}

/* Events from outside come through here; step alone may call itself. */
static void
happen(struct move *m, enum handover_event_kind kind, uint32_t reason,
    uint64_t tenure)
{
	m->depth++;
	step(m, kind, reason, tenure);
	if (--m->depth > 0 || m->persona == NULL)
		return;		/* an action's own event: the outer one tidies */
	if (m->handover.reported)
		let_go(m);
	else
		set_timer(m, handover_deadline_ms(&m->handover));
}

/* --- what happens -------------------------------------------------------------------- */

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct move *m = arg;

	(void)fd;
	(void)what;
	if (m->persona == NULL)
		move_free(m);
	else
		happen(m, HANDOVER_TICK, 0, 0);
}

static void
guest_ended(struct persona_hook *h, const char *why)
{
	struct move *m = from_hook(h);

	snprintf(m->why, sizeof(m->why), "the persona ended during the move: "
	    "%.400s", why);
	happen(m, HANDOVER_GUEST_ENDED, 0, 0);
}

static void
on_running(struct move *m, const Persona__Transfer__Running *running)
{
	if (running->has_blackout_ns)
		report_blackout(m->report, running->blackout_ns);
	happen(m, HANDOVER_PEER_RUNNING, 0, running->tenure);
}

static void
on_ended(struct move *m, const Persona__Transfer__Ended *ended)
{
	if (ended->last != NULL)
		report_progress(m->report, ended->last);
	if (ended->has_cpu_ms)
		report_cpu(m->report, ended->cpu_ms);
	if (m->why[0] == '\0')
		snprintf(m->why, sizeof(m->why), "%s", ended->message);
	if (m->persona == NULL)
		tell_moved(m);
	else
		happen(m, HANDOVER_LINK_ENDED, ended->reason, 0);
}

static void
sync_message(void *arg, const Persona__Transfer__TransferMessage *t,
    struct ipc_msg *in)
{
	struct move *m = arg;

	(void)in;
	if (t->attempt != m->handover.attempt ||
	    (m->persona == NULL && t->kind_case != KIND(ENDED)))
		return;
	switch (t->kind_case) {
	case KIND(PEER_PROVEN):
		log_info("persona %s: %s answers at %.80s", m->persona->rec.name,
		    m->peer.name, t->peer_proven->address);
		give_memory(m);
		break;
	case KIND(WANT_STOP):
		happen(m, HANDOVER_WANT_STOP, 0, 0);
		break;
	case KIND(PREPARED):
		happen(m, HANDOVER_PEER_PREPARED, 0, t->prepared->tenure);
		break;
	case KIND(RUNNING):
		on_running(m, t->running);
		break;
	case KIND(PROGRESS):
		report_progress(m->report, t->progress);
		break;
	case KIND(ENDED):
		on_ended(m, t->ended);
		break;
	default:
		break;
	}
}

static void
sync_gone(void *arg)
{
	struct move *m = arg;

	syncproc_free(m->sync);
	m->sync = NULL;
	if (m->persona == NULL) {
		move_free(m);
		return;
	}
	if (m->why[0] == '\0')
		snprintf(m->why, sizeof(m->why), "persona-sync ended "
		    "unexpectedly");
	happen(m, HANDOVER_LINK_ENDED, REASON_INTERNAL, 0);
}

/* --- the front door -------------------------------------------------------------------- */

static int
move_new(struct move **mp, struct persona *p, const struct peer_record *peer,
    const struct move_options *options)
{
	struct move *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->hook.guest_ended = guest_ended;
	m->daemon = p->daemon;
	m->peer = *peer;
	m->options = *options;
	m->transfer_fd = m->dirty_fd = m->state_fd = -1;
	*mp = m;
	m->timer = evtimer_new(p->daemon->base, timer_cb, m);
	return m->timer == NULL ? -ENOMEM : transfer_id_new(m->transfer_id);
}

int
move_start(struct persona *p, const struct peer_record *peer,
    const struct move_options *options, struct report **reportp,
    const char **why)
{
	static const struct syncproc_events events = {
		.message = sync_message,
		.gone = sync_gone,
	};
	struct move *m = NULL;
	uint64_t attempt = 0;
	int r;

	*why = "an internal error";
	if ((r = move_new(&m, p, peer, options)) < 0)
		goto fail;
	if ((r = registry_attempt_new(p->daemon->registry, p->rec.id,
	    &attempt)) < 0) {
		*why = "the attempt cannot be recorded";
		goto fail;
	}
	handover_source_init(&m->handover, attempt, p->rec.tenure);
	if ((r = syncproc_start(&m->sync, p->daemon, "send", &events, m)) < 0) {
		*why = "persona-sync cannot be started";
		goto fail;
	}
	m->persona = p;
	p->hook = &m->hook;
	persona_refresh(p);
	*reportp = m->report = report_new(p->daemon, p->rec.name, peer->name,
	    true, attempt, p->rec.ram_bytes);
	log_info("persona %s: moving to %s, attempt %llu", p->rec.name,
	    peer->name, (unsigned long long)attempt);
	send_setup(m);
	return 0;
fail:
	if (m != NULL)
		move_free(m);
	return r;
}

int
move_cancel(struct persona *p)
{
	struct move *m;

	if (p->hook == NULL || p->hook->incoming)
		return -ESRCH;
	m = from_hook(p->hook);
	if (handover_is_binding(&m->handover))
		return -EALREADY;
	happen(m, HANDOVER_CANCEL, REASON_CANCELLED, 0);
	return 0;
}

void
move_abandon(struct persona *p)
{
	struct move *m;
	bool lingers;

	if (p->hook == NULL || p->hook->incoming)
		return;
	m = from_hook(p->hook);
	lingers = m->sync != NULL;
	if (!handover_is_binding(&m->handover))
		happen(m, HANDOVER_CANCEL, REASON_CANCELLED, 0);
	if (lingers)
		move_free(m);
}
