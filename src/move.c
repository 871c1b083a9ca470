/* SPDX-License-Identifier: ISC */
/*
 * The source's side of a move, from its start to its end: messages of the worker
 * and the guest's end become events (move-act.c does what follows). Parses
 * nothing that a peer said.
 */
#include "move-priv.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "battery.h"
#include "daemon.h"
#include "log.h"
#include "outlet.h"
#include "reason.h"
#include "report.h"
#include "sync-policy.h"

struct move *
move_from_hook(struct persona_hook *h)
{
	return (struct move *)(void *)h;
}

void
move_close_fd(int *fd)
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

/* What it took this time, for the next move there. */
static void
learn(const struct move *m)
{
	uint64_t ns = policy_overhead_mean(m->peer.overhead_ns,
	    m->overhead_ns);
	int r;

	if (m->overhead_ns == 0 || m->stood_still ||
	    m->handover.state != HANDOVER_MOVED)
		return;
	log_debug("peer %s: a handover there takes %llu us beside its pages",
	    m->peer.name, (unsigned long long)(ns / 1000));
	r = registry_peer_learn(m->daemon->registry, m->peer.fingerprint, ns);
	if (r < 0 && r != -ENOENT)
		log_warn_r(r, "peer %s: what was learnt is lost", m->peer.name);
}

void
move_free(struct move *m)
{
	if (m->persona != NULL)
		m->persona->hook = NULL;
	tell_moved(m);
	learn(m);
	syncproc_free(m->sync);
	if (m->timer != NULL)
		event_free(m->timer);
	move_close_fd(&m->transfer_fd);
	move_close_fd(&m->dirty_fd);
	move_close_fd(&m->state_fd);
	image_files_close(&m->files);
	if (m->spec != NULL)
		persona__spec__spec__free_unpacked(m->spec, NULL);
	free(m);
}

/* --- what happens --------------------------------------------------------- */

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct move *m = arg;

	(void)fd;
	(void)what;
	if (m->persona == NULL)
		move_free(m);
	else
		move_happen(m, HANDOVER_TICK, 0, 0);
}

static void
guest_ended(struct persona_hook *h, const char *why)
{
	struct move *m = move_from_hook(h);

	snprintf(m->why, sizeof(m->why), "the persona ended during the move: "
	    "%.400s", why);
	move_happen(m, HANDOVER_GUEST_ENDED, 0, 0);
}

static void
on_running(struct move *m, const Persona__Transfer__Running *running)
{
	const struct blackout b = { .ns = running->blackout_ns,
	    .by_guest = running->by_guest };

	if (running->has_blackout_ns)
		report_blackout(m->report, &b);
	m->overhead_ns = running->overhead_ns;
	move_happen(m, HANDOVER_PEER_RUNNING, 0, running->tenure);
}

/* The answer, and how our own battery stands, which nobody else knows. */
static void
on_preflight(struct move *m, Persona__Transfer__Preflight *p)
{
	struct battery battery;

	if (!m->options.question || m->asked)
		return;
	m->asked = true;
	p->has_battery_percent = p->has_battery_charging =
	    battery_read(BATTERY_DIR, &battery) == 0;
	if (p->has_battery_percent) {
		p->battery_percent = battery.percent;
		p->battery_charging = battery.charging;
	}
	report_preflight(m->report, p);
	if (p->answer->n_objections > 0) {
		m->verdict = p->answer->objections[0]->reason;
		snprintf(m->why, sizeof(m->why), "%s",
		    p->answer->objections[0]->message);
	} else if (p->estimate != NULL && !p->estimate->ends) {
		m->verdict = REASON_NOT_CONVERGING;
		snprintf(m->why, sizeof(m->why), "%s",
		    reason_text(m->verdict));
	}
}

/* The guest never was in danger, and the move that carried the question is over. */
static void
on_question_ended(struct move *m, uint32_t reason)
{
	const char *why = m->why;

	if (reason == REASON_OK)
		reason = m->asked ? m->verdict : REASON_INTERNAL;
	if (reason == REASON_OK)
		why = "it can move there";
	log_info("persona %s: asked %s: %s", m->persona != NULL ?
	    m->persona->rec.name : "?", m->peer.name, why);
	report_end(m->report, reason, why);
	m->report = NULL;
	if (m->persona != NULL)
		move_happen(m, HANDOVER_CANCEL, REASON_CANCELLED, 0);
}

/* Whoever asked has left. */
static void
question_left(void *arg)
{
	struct move *m = arg;

	m->report = NULL;
	if (m->persona != NULL)
		move_happen(m, HANDOVER_CANCEL, REASON_CANCELLED, 0);
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
	if (m->options.question) {
		on_question_ended(m, ended->reason);
		return;
	}
	if (m->persona == NULL)
		tell_moved(m);
	else
		move_happen(m, HANDOVER_LINK_ENDED, ended->reason, 0);
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
		m->ifindex = outlet_towards(t->peer_proven->address);
		move_give_memory(m);
		break;
	case KIND(PREFLIGHT):
		on_preflight(m, t->preflight);
		break;
	case KIND(WANT_STOP):
		if (m->options.question)
			break;	/* what is only asked about is not stopped */
		move_happen(m, HANDOVER_WANT_STOP, 0, 0);
		break;
	case KIND(PREPARED):
		move_happen(m, HANDOVER_PEER_PREPARED, 0, t->prepared->tenure);
		break;
	case KIND(RUNNING):
		on_running(m, t->running);
		break;
	case KIND(PROGRESS):
		m->hook.throttle_percent = t->progress->throttle_percent;
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
	move_happen(m, HANDOVER_LINK_ENDED, REASON_INTERNAL, 0);
}

/* --- the front door ------------------------------------------------------- */

/* What goes along with memory: its disks, and its boot files if it has any here. */
static int
open_files(struct move *m, const struct persona *p)
{
	int r;

	if ((r = spec_unpack(&p->rec.spec, &m->spec)) < 0)
		return r;
	if (!p->rec.has_boot)
		spec_drop_boot(m->spec);
	r = image_files_open(&m->files, p->daemon, p->rec.id,
	    p->rec.ram_bytes, m->spec);
	if (r < 0)
		log_warn_r(r, "persona %s: its files cannot be opened",
		    p->rec.name);
	return r;
}

static int
move_new(struct move **mp, struct persona *p, const struct peer_record *peer,
    const struct move_options *options)
{
	struct move *m = calloc(1, sizeof(*m));
	int r;

	if (m == NULL)
		return -ENOMEM;
	m->hook.guest_ended = guest_ended;
	m->hook.asking = options->question;
	m->daemon = p->daemon;
	m->peer = *peer;
	m->options = *options;
	m->transfer_fd = m->dirty_fd = m->state_fd = -1;
	image_files_init(&m->files);
	*mp = m;
	m->timer = evtimer_new(p->daemon->base, timer_cb, m);
	if (m->timer == NULL)
		return -ENOMEM;
	if ((r = open_files(m, p)) < 0)
		return r;
	return transfer_id_new(m->transfer_id);
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

	*why = "its disks and boot files cannot be opened";
	if ((r = move_new(&m, p, peer, options)) < 0)
		goto fail;
	if ((r = registry_attempt_new(p->daemon->registry, p->rec.id,
	    &attempt)) < 0) {
		*why = "the attempt cannot be recorded";
		goto fail;
	}
	handover_source_init(&m->handover, attempt, p->rec.tenure,
	    m->options.blackout_budget_ms);
	if ((r = syncproc_start(&m->sync, p->daemon, "send", &events, m)) < 0) {
		*why = "persona-sync cannot be started";
		goto fail;
	}
	m->persona = p;
	p->hook = &m->hook;
	persona_refresh(p);
	*reportp = m->report = report_new(p->daemon, p->rec.name, peer->name,
	    true, attempt, p->rec.ram_bytes);
	log_info("persona %s: %s %s, attempt %llu", p->rec.name,
	    options->question ? "asking" : "moving to", peer->name, (unsigned long long)attempt);
	if (options->question)
		report_on_left(m->report, question_left, m);
	move_send_setup(m);
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
	m = move_from_hook(p->hook);
	if (handover_is_binding(&m->handover))
		return -EALREADY;
	move_happen(m, HANDOVER_CANCEL, REASON_CANCELLED, 0);
	return 0;
}

void
moves_link_down(struct daemon *d, unsigned int ifindex)
{
	struct persona *p;

	TAILQ_FOREACH(p, &d->personas, entry)
		if (p->hook != NULL && !p->hook->incoming && !p->hook->saving &&
		    move_from_hook(p->hook)->ifindex == ifindex)
			move_send_link_down(move_from_hook(p->hook));
}

void
moves_unpaired(struct daemon *d, const char *fingerprint)
{
	struct persona *p;
	struct move *m;

	TAILQ_FOREACH(p, &d->personas, entry) {
		if (p->hook == NULL || p->hook->incoming || p->hook->saving)
			continue;
		m = move_from_hook(p->hook);
		if (strcmp(m->peer.fingerprint, fingerprint) != 0 ||
		    handover_is_binding(&m->handover))
			continue;
		snprintf(m->why, sizeof(m->why), "the handsets are not paired "
		    "any more");
		move_happen(m, HANDOVER_CANCEL, REASON_NOT_PAIRED, 0);
	}
}

void
move_abandon(struct persona *p)
{
	struct move *m;
	bool lingers;

	if (p->hook == NULL || p->hook->incoming)
		return;
	m = move_from_hook(p->hook);
	lingers = m->sync != NULL;
	if (!handover_is_binding(&m->handover))
		move_happen(m, HANDOVER_CANCEL, REASON_CANCELLED, 0);
	if (lingers)
		move_free(m);
}
