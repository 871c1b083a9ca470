/* SPDX-License-Identifier: ISC */
/*
 * What follows when something happens to an arrival: the handover steps, and each
 * of its actions becomes a record, a word to the worker or a request to the
 * waiting persona-vmm. Decides nothing about ownership; handover.c does.
 */
#include "arrival-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attempt.h"
#include "clock.h"
#include "daemon.h"
#include "guest.h"
#include "image-incoming.h"
#include "log.h"
#include "report.h"
#include "vault.h"

#define VMM_TIMEOUT_MS	10000
#define LINGER_MS	3000	/* for persona-sync to carry the last word */

static void step(struct arrival *a, enum handover_event_kind kind,
	    uint32_t reason, uint64_t tenure);

/* --- telling the worker --------------------------------------------------- */

void
arrival_tell(struct arrival *a, Persona__Transfer__TransferMessage *t,
    const int *fds, size_t n_fds)
{
	syncproc_send(a->sync, a->in.attempt, t, fds, n_fds);
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
	arrival_tell(a, &t, NULL, 0);
}

static void
send_running(struct arrival *a)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Running running = PERSONA__TRANSFER__RUNNING__INIT;

	running.tenure = a->in.persona.tenure;
	running.has_blackout_ns = a->blackout.ns > 0;
	running.blackout_ns = a->blackout.ns;
	running.has_by_guest = running.by_guest = a->blackout.by_guest;
	t.kind_case = KIND(RUNNING);
	t.running = &running;
	arrival_tell(a, &t, NULL, 0);
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
	arrival_tell(a, &t, NULL, 0);
}

/* --- what is asked of persona-vmm ----------------------------------------- */

static struct question *
ask(const struct arrival *a)
{
	return attempt_ask(a->all->daemon, a->in.persona.id, a->in.attempt);
}

/* The arrival again, if it is still the one that asked. */
static struct arrival *
answered(struct question *q)
{
	uint64_t attempt;
	struct persona *p = attempt_answered(q, &attempt);
	struct arrival *a;

	if (p == NULL || p->hook == NULL || !p->hook->incoming)
		return NULL;
	a = arrival_from_hook(p->hook);
	return a->in.attempt == attempt ? a : NULL;
}

static void
loaded(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct arrival *a = answered(arg);

	(void)reply;
	(void)msg;
	if (a == NULL)
		return;
	if (r < 0)
		snprintf(a->why, sizeof(a->why), "the other handset cannot "
		    "load the persona: %.400s", why);
	arrival_happen(a, r < 0 ? HANDOVER_LOAD_FAILED : HANDOVER_LOADED, 0, 0);
}

static void
load(struct arrival *a)
{
	struct vmm *v = guest_vmm(a->guest);
	struct question *q = ask(a);

	if (q == NULL || v == NULL ||
	    vmm_load(v, a->state_fd, VMM_TIMEOUT_MS, loaded, q) < 0) {
		free(q);
		step(a, HANDOVER_LOAD_FAILED, 0, 0);
	}
}

/* The guest's clock tells where its persona-vmm does; else ours must do. */
static struct blackout
blackout_of(const struct arrival *a, const Persona__Vmm__Reply *reply)
{
	if (reply->result_case == PERSONA__VMM__REPLY__RESULT_RESUME &&
	    reply->resume->has_guest_gap_ns)
		return (struct blackout){ .ns = reply->resume->guest_gap_ns,
		    .by_guest = true };
	return (struct blackout){ .ns = clock_now_ns() - a->stopped_at_ns };
}

static void
woken(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct arrival *a = answered(arg);

	(void)msg;
	if (a == NULL)
		return;
	if (r == 0)
		a->blackout = blackout_of(a, reply);
	if (r < 0)
		snprintf(a->why, sizeof(a->why), "%s", why);
	arrival_happen(a, r < 0 ? HANDOVER_RESUME_FAILED : HANDOVER_RESUMED,
	    0, 0);
}

/*
 * The guest's clocks go on by all the time it stood still, which may be longer than
 * this handset is up: an instant in the future has wrapped.
 */
static void
wake(struct arrival *a)
{
	struct vmm *v = guest_vmm(a->persona->guest);
	struct question *q = ask(a);
	const uint64_t now = clock_now_ns();
	int r = -ESHUTDOWN;

	if (q != NULL && v != NULL)
		r = a->stopped_at_ns <= now ?
		    vmm_resume_since(v, a->stopped_at_ns, VMM_TIMEOUT_MS,
		    woken, q) : vmm_resume_after(v, now - a->stopped_at_ns,
		    VMM_TIMEOUT_MS, woken, q);
	if (r < 0) {
		free(q);
		step(a, HANDOVER_RESUME_FAILED, 0, 0);
	}
}

/* --- doing what the handover says ----------------------------------------- */

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
	image_files_close(&a->files);
	/* What the worker still writes goes nowhere. */
	if (p != NULL)
		image_incoming_drop(a->all->daemon, a->in.persona.id,
		    a->in.attempt);
	if (p != NULL && p->unrecorded) {
		a->persona = NULL;
		p->hook = NULL;
		persona_free(p);
		vault_remove(a->all->daemon, a->in.persona.id);
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
		    (unsigned long long)(a->blackout.ns / 1000000));
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
do_action(void *arg, const struct handover_action *act)
{
	struct arrival *a = arg;

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
step(struct arrival *a, enum handover_event_kind kind, uint32_t reason,
    uint64_t tenure)
{
	struct handover_event e = { .kind = kind, .reason = reason,
	    .tenure = tenure, .attempt = a->handover.attempt };

	attempt_step(&a->handover, a->in.persona.name, &e, do_action, a);
}

/*
 * Once it is over for the persona it is free for other things; persona-sync gets a
 * moment to carry the last word.
 */
static void
let_go(struct arrival *a)
{
	if (a->persona != NULL) {
		if (a->handover.state == HANDOVER_OWNER)
			arrival_settle_image(a->all->daemon,
			    &a->persona->rec);
		persona_refresh(a->persona);
		a->persona->hook = NULL;
		a->persona = NULL;
		registry_tidy(a->all->daemon->registry);
	}
	if (a->sync == NULL) {
		if (!a->handover.reported)
			end(a, REASON_OK);
		arrival_free(a);
	} else if (a->handover.state == HANDOVER_OWNER && !a->handover.reported)
		attempt_timer(a->timer, 0);	/* the report wants its figures */
	else
		attempt_timer(a->timer, clock_now_ms() + LINGER_MS);
}

void
arrival_happen(struct arrival *a, enum handover_event_kind kind,
    uint32_t reason, uint64_t tenure)
{
	a->depth++;
	step(a, kind, reason, tenure);
	if (--a->depth > 0)
		return;		/* an action's own event: the outer one tidies */
	if (handover_is_over(&a->handover))
		let_go(a);
	else
		attempt_timer(a->timer, handover_deadline_ms(&a->handover));
}
