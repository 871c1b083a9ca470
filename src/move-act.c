/* SPDX-License-Identifier: ISC */
/*
 * What follows when something happens to a move: the handover steps, and each of
 * its actions becomes a record, a word to the worker or a request (move-vmm.c).
 * Decides nothing about ownership (handover.c does) and hears no message itself.
 */
#include "move-priv.h"

#include <errno.h>

#include "attempt.h"
#include "clock.h"
#include "daemon.h"
#include "guest.h"
#include "identity.h"
#include "log.h"
#include "peers.h"
#include "report.h"

#define LINGER_MS	3000	/* for persona-sync to say goodbye */

/* --- telling the worker --------------------------------------------------- */

void
move_send_setup(struct move *m)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SendSetup setup =
	    PERSONA__TRANSFER__SEND_SETUP__INIT;
	Persona__Transfer__Persona persona;
	Persona__Transfer__Address addrs[PEER_ADDRESSES_MAX];
	Persona__Transfer__Address *list[PEER_ADDRESSES_MAX];
	struct peer_place places[PEER_ADDRESSES_MAX];
	struct daemon *d = m->daemon;
	int key_fd = identity_private_fd(d->identity);

	persona_describe(&m->persona->rec, m->spec, &persona);
	persona.has_stored_bytes = true;
	persona.stored_bytes = image_files_stored(&m->files);
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
	setup.has_overhead_ns = m->peer.overhead_ns > 0;
	setup.overhead_ns = m->peer.overhead_ns;
	setup.has_question = setup.question = m->options.question;
	setup.has_channels = true;
	setup.channels = d->conf.channels;
	t.kind_case = KIND(SEND_SETUP);
	t.send_setup = &setup;
	syncproc_send(m->sync, m->handover.attempt, &t, &key_fd,
	    key_fd >= 0 ? 1 : 0);
	move_close_fd(&key_fd);
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

void
move_send_link_down(struct move *m)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__LinkDown down = PERSONA__TRANSFER__LINK_DOWN__INIT;

	if (m->sync == NULL)
		return;
	t.kind_case = KIND(LINK_DOWN);
	t.link_down = &down;
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

/* --- doing what the handover says ----------------------------------------- */

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
	move_step(m, r < 0 ? HANDOVER_STORE_FAILED : HANDOVER_STORED, 0, 0);
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
		return;		/* move.c tells it with the last figures */
	if (handover_is_binding(&m->handover)) {
		why = "the persona was released and the other handset did not "
		    "confirm; it may run there. It stays stopped here";
		log_warn("persona %s: %s", name, why);
	} else if (!m->options.question)
		log_info("persona %s: not moved to %s: %s", name, m->peer.name,
		    why != NULL ? why : reason_text(reason));
	report_end(m->report, reason, why);
	m->report = NULL;
}

static void
do_action(void *arg, const struct handover_action *a)
{
	struct move *m = arg;

	switch (a->kind) {
	case HANDOVER_STORE:
		store(m, a->record);
		break;
	case HANDOVER_PARK:
		move_park(m);
		break;
	case HANDOVER_RESUME:
		move_run_on(m);
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
		attempt_timer(m->timer, clock_now_ms() + LINGER_MS);
}

void
move_step(struct move *m, enum handover_event_kind kind, uint32_t reason,
    uint64_t tenure)
{
	struct handover_event e = { .kind = kind, .reason = reason,
	    .tenure = tenure, .attempt = m->handover.attempt };

	if (m->persona != NULL)
		attempt_step(&m->handover, m->persona->rec.name, &e,
		    do_action, m);
}

/* Events from outside come through here; step alone may call itself. */
void
move_happen(struct move *m, enum handover_event_kind kind, uint32_t reason,
    uint64_t tenure)
{
	m->depth++;
	move_step(m, kind, reason, tenure);
	if (--m->depth > 0 || m->persona == NULL)
		return;		/* an action's own event: the outer one tidies */
	if (m->handover.reported)
		let_go(m);
	else
		attempt_timer(m->timer, handover_deadline_ms(&m->handover));
}
