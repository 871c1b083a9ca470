/* SPDX-License-Identifier: ISC */
/*
 * The target's side of a move, from its first stream to its end: streams and
 * messages become events (arrival-act.c does what follows). All a peer says was
 * parsed in persona-sync and is still only a claim here.
 */
#include "arrival-priv.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "daemon.h"
#include "gate-server.h"
#include "guest.h"
#include "log.h"
#include "report.h"
#include "vault.h"

/* A year; who says more than that has no clock. */
#define STOOD_MAX_NS	(366ULL * 86400 * 1000000000)
#define ARRIVALS_MAX	8	/* transfers at a time, of all peers */

struct arrival *
arrival_from_hook(struct persona_hook *h)
{
	return (struct arrival *)(void *)h;
}

void
arrival_free(struct arrival *a)
{
	TAILQ_REMOVE(&a->all->list, a, entry);
	a->all->n--;
	if (a->persona != NULL)
		a->persona->hook = NULL;
	if (a->vault != NULL) {
		vault_cancel(a->vault);
		/* Nobody may ever come to live in it. */
		if (persona_by_id(a->all->daemon, a->in.persona.id) == NULL)
			vault_remove(a->all->daemon, a->in.persona.id);
	}
	syncproc_free(a->sync);
	question_in_free(a->question);
	image_files_close(&a->files);
	if (a->timer != NULL)
		event_free(a->timer);
	if (a->state_fd >= 0)
		close(a->state_fd);
	free(a);
}

/* --- what happens --------------------------------------------------------- */

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct arrival *a = arg;

	(void)fd;
	(void)what;
	if (handover_is_over(&a->handover))
		arrival_free(a);
	else
		arrival_happen(a, HANDOVER_TICK, 0, 0);
}

void
arrival_guest_ended(void *arg, bool crashed, const char *why)
{
	struct arrival *a = arg;

	(void)crashed;
	a->guest = NULL;
	snprintf(a->why, sizeof(a->why), "the virtual machine on the other "
	    "handset ended: %.400s", why);
	arrival_happen(a, HANDOVER_GUEST_ENDED, 0, 0);
}

/* Only while the guest is the persona's already: the record is made there. */
static void
own_guest_ended(struct persona_hook *h, const char *why)
{
	struct arrival *a = arrival_from_hook(h);

	snprintf(a->why, sizeof(a->why), "%s", why);
	arrival_happen(a, HANDOVER_GUEST_ENDED, 0, 0);
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
	arrival_happen(a, HANDOVER_VERIFIED, 0, 0);
}

static void
on_released(struct arrival *a, const Persona__Transfer__Released *released)
{
	uint64_t now = clock_now_ns(), ago = released->stopped_for_ns;

	/* It may have stood still since before this handset was started: then it
	 * wraps, and so does every difference to it. */
	a->stopped_at_ns = ago < STOOD_MAX_NS ? now - ago : now;
	arrival_happen(a, HANDOVER_PEER_RELEASED, 0, released->tenure);
}

static void
on_ended(struct arrival *a, const Persona__Transfer__Ended *ended)
{
	if (ended->last != NULL)
		report_progress(a->report, ended->last);
	if (ended->has_cpu_ms)
		report_cpu(a->report, ended->cpu_ms);
	report_blackout(a->report, &a->blackout);
	if (a->why[0] == '\0' && ended->reason != REASON_OK)
		snprintf(a->why, sizeof(a->why), "%s", ended->message);
	arrival_happen(a, HANDOVER_LINK_ENDED, ended->reason, 0);
}

static void
sync_message(void *arg, const Persona__Transfer__TransferMessage *t,
    struct ipc_msg *in)
{
	struct arrival *a = arg;

	if (t->kind_case == KIND(OFFERED)) {
		if (t->offered->question)
			arrival_asked(a, t->attempt, t->offered->persona);
		else if (a->question == NULL)
			arrival_offered(a, t->attempt, t->offered->persona);
		return;
	}
	if (!a->offered || t->attempt != a->in.attempt)
		return;
	/* Before it has a place, only its end can be true. */
	if (a->vault != NULL && t->kind_case != KIND(ENDED))
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
	arrival_happen(a, HANDOVER_LINK_ENDED, REASON_LINK_LOST, 0);
}

/* --- streams -------------------------------------------------------------- */

int
arrival_new(struct arrivals *all, struct arrival **ap)
{
	struct arrival *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	a->all = all;
	a->state_fd = -1;
	image_files_init(&a->files);
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
	arrival_tell(a, &t, NULL, 0);
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
	arrival_tell(a, &t, fds, 3);
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

/* --- the front door ------------------------------------------------------- */

struct guest *
arrival_guest(const struct persona *p)
{
	if (p->hook == NULL || !p->hook->incoming)
		return NULL;
	return arrival_from_hook(p->hook)->guest;
}

int
arrival_cancel(struct persona *p)
{
	struct arrival *a;

	if (p->hook == NULL || !p->hook->incoming)
		return -ESRCH;
	a = arrival_from_hook(p->hook);
	if (a->handover.state == HANDOVER_OWNING ||
	    a->handover.state == HANDOVER_WAKING)
		return -EALREADY;
	arrival_happen(a, HANDOVER_CANCEL, REASON_CANCELLED, 0);
	return 0;
}

void
arrivals_unpaired(struct arrivals *all, const char *fingerprint)
{
	struct arrival *a, *next;

	for (a = TAILQ_FIRST(&all->list); a != NULL; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (strcmp(a->peer.fingerprint, fingerprint) != 0 ||
		    handover_is_over(&a->handover))
			continue;
		if (!a->offered) {
			arrival_free(a);
		} else if (!handover_is_binding(&a->handover)) {
			snprintf(a->why, sizeof(a->why), "the handsets are not "
			    "paired any more");
			arrival_happen(a, HANDOVER_CANCEL, REASON_NOT_PAIRED,
			    0);
		}
	}
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
	struct guest *g;
	bool stays;

	if (all == NULL)
		return;
	while ((a = TAILQ_FIRST(&all->list)) != NULL) {
		g = a->guest;
		stays = a->offered && handover_is_binding(&a->handover);
		a->guest = NULL;
		/* Before its guest, which answers what is open as it goes. */
		arrival_free(a);
		if (stays)
			guest_leave(g);
		else
			guest_discard(g);
	}
	free(all);
}
