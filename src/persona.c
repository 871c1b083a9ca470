/* SPDX-License-Identifier: ISC */
/*
 * Personas of this handset as the daemon sees them: record, guest, state. Each
 * operation is a few callbacks that end in one `done`. Knows no clients and no
 * transfers.
 */
#include "persona.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "guest.h"
#include "guest-files.h"
#include "log.h"
#include "persona-wake.h"
#include "policy-check.h"
#include "saved.h"
#include "spec.h"

#define START_TIMEOUT_MS	30000	/* a busy handset is slow, not broken */
#define PAUSE_TIMEOUT_MS	5000

/* Somebody waiting for one thing about one persona. */
struct persona_wait {
	TAILQ_ENTRY(persona_wait) entry;
	struct persona		*persona;
	persona_done_fn		*done;
	void			*arg;
	bool			to_pause;
};

static struct persona_wait *
wait_new(struct persona *p, persona_done_fn *done, void *arg)
{
	struct persona_wait *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		done(arg, -ENOMEM, "no memory");
		return NULL;
	}
	w->persona = p;
	w->done = done;
	w->arg = arg;
	return w;
}

static void
wait_done(struct persona_wait *w, int r, const char *why)
{
	persona_done_fn *done = w->done;
	void *arg = w->arg;

	free(w);
	done(arg, r, why);
}

/* --- the list -------------------------------------------------------------------- */

struct persona *
persona_new(struct daemon *d, const struct persona_record *rec)
{
	struct persona *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->daemon = d;
	p->rec = *rec;
	p->suspended = saved_is(d, rec->id, SAVED_SUSPENDED);
	TAILQ_INIT(&p->waits);
	TAILQ_INSERT_TAIL(&d->personas, p, entry);
	return p;
}

void
persona_free(struct persona *p)
{
	TAILQ_REMOVE(&p->daemon->personas, p, entry);
	guest_leave(p->guest);
	free(p);
}

struct load {
	struct daemon	*daemon;
	bool		failed;
};

static void
load_one(const struct persona_record *rec, void *arg)
{
	struct load *l = arg;

	if (persona_new(l->daemon, rec) == NULL)
		l->failed = true;
}

int
personas_load(struct daemon *d)
{
	struct load l = { .daemon = d };
	int r = registry_persona_each(d->registry, load_one, &l);

	return r < 0 ? r : l.failed ? -ENOMEM : 0;
}

void
personas_free(struct daemon *d)
{
	while (!TAILQ_EMPTY(&d->personas))
		persona_free(TAILQ_FIRST(&d->personas));
}

struct persona *
persona_by_name(struct daemon *d, const char *name)
{
	struct persona *p;

	TAILQ_FOREACH(p, &d->personas, entry)
		if (strcmp(p->rec.name, name) == 0)
			return p;
	return NULL;
}

struct persona *
persona_by_id(struct daemon *d, const char *id)
{
	struct persona *p;

	TAILQ_FOREACH(p, &d->personas, entry)
		if (strcmp(p->rec.id, id) == 0)
			return p;
	return NULL;
}

void
persona_refresh(struct persona *p)
{
	struct persona_record rec;
	int r = registry_persona_get(p->daemon->registry, p->rec.id, &rec);

	if (r == 0)
		p->rec = rec;
	else
		log_warn_r(r, "persona %s: its record cannot be read",
		    p->rec.name);
}

void
persona_describe(const struct persona_record *rec, Persona__Spec__Spec *spec,
    Persona__Transfer__Persona *out)
{
	persona__transfer__persona__init(out);
	out->id = (char *)(uintptr_t)rec->id;
	out->name = (char *)(uintptr_t)rec->name;
	out->ram_bytes = rec->ram_bytes;
	out->vcpus = rec->vcpus;
	out->cpu_baseline = (char *)(uintptr_t)rec->cpu_baseline;
	out->tenure = rec->tenure;
	out->cmdline = (char *)(uintptr_t)rec->cmdline;
	out->has_state_version = true;
	out->state_version = STATE_VERSION;
	out->spec = spec;
}

#define STATE(name) PERSONA__CONTROL__PERSONA_INFO__STATE__##name

Persona__Control__PersonaInfo__State
persona_state(const struct persona *p)
{
	if (p->hook != NULL && p->hook->incoming)
		return STATE(RECEIVING);
	if (p->rec.holding == HOLDING_AWAY)
		return STATE(MOVED);
	if (p->rec.holding == HOLDING_RELEASED)
		return STATE(RELEASED);
	if (p->hook != NULL && !p->hook->asking)
		return p->hook->saving ? STATE(SAVING) : STATE(SENDING);
	if (p->guest == NULL && p->suspended)
		return STATE(SUSPENDED);
	if (p->guest == NULL)
		return p->rec.crashed ? STATE(CRASHED) : STATE(STOPPED);
	return p->paused || guest_stands_still(p->guest) != NULL ?
	    STATE(PAUSED) : STATE(RUNNING);
}

const char *
persona_state_word(Persona__Control__PersonaInfo__State s)
{
	static const char *const words[] = {
		[STATE(STOPPED)] = "stopped",
		[STATE(RUNNING)] = "running",
		[STATE(PAUSED)] = "paused",
		[STATE(SENDING)] = "being moved away",
		[STATE(RECEIVING)] = "still arriving",
		[STATE(RELEASED)] = "given away, not yet confirmed",
		[STATE(CRASHED)] = "crashed",
		[STATE(MOVED)] = "living on another handset",
		[STATE(SUSPENDED)] = "suspended",
		[STATE(SAVING)] = "being saved",
	};

	if ((size_t)s >= sizeof(words) / sizeof(words[0]))
		return "in an unknown state";
	return words[s];
}

/* --- the end --------------------------------------------------------------------- */

static void
start_failed(struct persona *p, int r, const char *why)
{
	struct persona_wait *w = p->starter;

	p->starter = NULL;
	if (w != NULL)
		wait_done(w, r, why);
}

/* Put the end on record, then tell everybody who waited for it. */
static void
guest_ended(void *arg, bool crashed, const char *why)
{
	struct persona *p = arg;
	struct persona_hook *h = p->hook;
	struct persona_wait *w;
	int r;

	p->guest = NULL;
	p->ready = false;
	p->paused = false;
	if (crashed)
		log_warn("persona %s: crashed: %s", p->rec.name, why);
	else
		log_info("persona %s: ended: %s", p->rec.name, why);
	r = registry_persona_ended(p->daemon->registry, p->rec.id, crashed,
	    why);
	if (r < 0)
		log_warn_r(r, "persona %s: its end could not be recorded",
		    p->rec.name);
	persona_refresh(p);
	start_failed(p, -ESHUTDOWN, why);
	while ((w = TAILQ_FIRST(&p->waits)) != NULL) {
		TAILQ_REMOVE(&p->waits, w, entry);
		wait_done(w, 0, why);
	}
	if (h != NULL)
		h->guest_ended(h, why);
}

/* --- start ----------------------------------------------------------------------- */

static void
started(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct persona *p = arg;
	struct persona_wait *w = p->starter;

	(void)reply;
	(void)msg;
	if (r < 0) {
		if (p->guest != NULL)
			guest_kill(p->guest);	/* guest_ended answers */
		return;
	}
	p->starter = NULL;
	daemon_policies_look(p->daemon);
	log_info("persona %s: running, persona-vmm[%d]", p->rec.name,
	    (int)guest_pid(p->guest));
	if (w != NULL)
		wait_done(w, 0, why);
}

/* The machine is made: record first, then run, so that a crash finds it again. */
static void
machine_ready(void *arg, int r, const char *why)
{
	struct persona *p = arg;
	struct guest *g = p->guest;

	if (r == 0 && (r = registry_persona_started(p->daemon->registry,
	    p->rec.id)) < 0)
		why = "the start could not be recorded";
	if (r == 0 && (r = vmm_start(guest_vmm(g), START_TIMEOUT_MS, started,
	    p)) < 0)
		why = "persona-vmm does not listen";
	if (r == 0) {
		p->ready = true;
		persona_refresh(p);
		return;
	}
	log_warn_r(r, "persona %s: cannot start: %s", p->rec.name, why);
	p->guest = NULL;
	guest_discard(g);
	(void)registry_persona_ended(p->daemon->registry, p->rec.id, false,
	    why);
	persona_refresh(p);
	start_failed(p, r, why);
}

static const struct guest_events guest_events = {
	.ready = machine_ready,
	.ended = guest_ended,
};

void
persona_woken(struct persona *p, int r, const char *why)
{
	struct guest *g = p->guest;

	if (g != NULL)
		guest_set_events(g, &guest_events, p);
	if (r == 0) {
		p->ready = true;
		p->suspended = false;
		persona_refresh(p);
		started(p, 0, NULL, NULL, NULL);
		return;
	}
	log_warn_r(r, "persona %s: cannot go on: %s", p->rec.name, why);
	p->guest = NULL;
	guest_discard(g);
	(void)registry_persona_ended(p->daemon->registry, p->rec.id, false,
	    why);
	p->suspended = saved_is(p->daemon, p->rec.id, SAVED_SUSPENDED);
	persona_refresh(p);
	start_failed(p, r, why);
}

static int
begin_start(struct persona *p, const char **why)
{
	struct guest_files files;
	int r;

	r = guest_files_open(&files, p->daemon, p->rec.id, &p->rec.spec, why);
	if (r < 0)
		return r;
	r = guest_start(&p->guest, p->daemon, &p->rec, &files, &guest_events,
	    p);
	if (r < 0)
		*why = "persona-vmm cannot be started";
	guest_files_close(&files);
	return r;
}

/* It may be older than the checks of what arrives; policy_check sees damage. */
static int
check_host(const struct persona *p, char *why, size_t size)
{
	Persona__Spec__Spec *s;
	int r;

	if (spec_unpack(&p->rec.spec, &s) < 0)
		return 0;
	r = spec_check_host(s, why, size);
	persona__spec__spec__free_unpacked(s, NULL);
	return r;
}

void
persona_start(struct persona *p, persona_done_fn *done, void *arg)
{
	char forbidden[POLICY_WHY_MAX];
	const char *why = "";
	int r;

	if (p->guest != NULL || p->rec.holding != HOLDING_OWNER) {
		done(arg, -EBUSY, "it cannot be started now");
		return;
	}
	if ((r = check_host(p, forbidden, sizeof(forbidden))) < 0 ||
	    (r = policy_check(p->daemon, &p->rec.spec, POLICY_START, NULL,
	    forbidden)) < 0) {
		done(arg, r, forbidden);
		return;
	}
	if (p->suspended) {
		if ((p->starter = wait_new(p, done, arg)) != NULL &&
		    (r = persona_wake(p, &why)) < 0)
			start_failed(p, r, why);
		return;
	}
	if (!p->rec.has_boot) {
		done(arg, -ENOENT, "it was moved here running; its boot files "
		    "stayed where it was made. Move it back to start it there");
		return;
	}
	if ((p->starter = wait_new(p, done, arg)) == NULL)
		return;
	if ((r = begin_start(p, &why)) < 0)
		start_failed(p, r, why);
}

/* --- stop, pause, resume --------------------------------------------------------- */

static bool
wait_for_end(struct persona *p, persona_done_fn *done, void *arg)
{
	struct persona_wait *w;

	if (p->guest == NULL) {
		done(arg, -ESRCH, "it is not running");
		return false;
	}
	if ((w = wait_new(p, done, arg)) == NULL)
		return false;
	TAILQ_INSERT_TAIL(&p->waits, w, entry);
	return true;
}

void
persona_stop(struct persona *p, uint32_t timeout_ms, persona_done_fn *done,
    void *arg)
{
	if (wait_for_end(p, done, arg))
		guest_stop(p->guest, timeout_ms);
}

void
persona_kill(struct persona *p, persona_done_fn *done, void *arg)
{
	if (wait_for_end(p, done, arg))
		guest_kill(p->guest);
}

static void
pause_changed(void *arg, int r, const char *why,
    const Persona__Vmm__Reply *reply, struct ipc_msg *msg)
{
	struct persona_wait *w = arg;
	struct persona *p = w->persona;

	(void)reply;
	(void)msg;
	if (r == 0) {
		p->paused = w->to_pause;
		log_info("persona %s: %s", p->rec.name,
		    p->paused ? "paused" : "resumed");
	}
	wait_done(w, r, why);
}

static void
change_pause(struct persona *p, bool to_pause, persona_done_fn *done,
    void *arg)
{
	struct vmm *v = guest_vmm(p->guest);
	struct persona_wait *w;
	int r;

	if (v == NULL || !p->ready) {
		done(arg, -ESRCH, "it is not running");
		return;
	}
	if ((w = wait_new(p, done, arg)) == NULL)
		return;
	w->to_pause = to_pause;
	r = to_pause ? vmm_pause(v, PAUSE_TIMEOUT_MS, pause_changed, w) :
	    vmm_resume(v, PAUSE_TIMEOUT_MS, pause_changed, w);
	if (r < 0)
		wait_done(w, r, "persona-vmm does not listen");
}

void
persona_pause(struct persona *p, persona_done_fn *done, void *arg)
{
	change_pause(p, true, done, arg);
}

void
persona_resume(struct persona *p, persona_done_fn *done, void *arg)
{
	char forbidden[POLICY_WHY_MAX];
	int r = policy_check(p->daemon, &p->rec.spec, POLICY_START, NULL,
	    forbidden);

	if (r < 0)
		done(arg, r, forbidden);
	else
		change_pause(p, false, done, arg);
}

/* --- guests that come and go otherwise ------------------------------------------- */

void
persona_adopt_guest(struct persona *p, struct guest *g)
{
	p->guest = g;
	p->ready = true;
	p->paused = false;
	guest_set_events(g, &guest_events, p);
	daemon_policies_look(p->daemon);
}

struct guest *
persona_take_guest(struct persona *p)
{
	struct guest *g = p->guest;
	struct persona_wait *w;

	p->guest = NULL;
	p->ready = false;
	p->paused = false;
	while ((w = TAILQ_FIRST(&p->waits)) != NULL) {
		TAILQ_REMOVE(&p->waits, w, entry);
		wait_done(w, 0, "it has moved");
	}
	return g;
}

void
persona_end_suspended(struct persona *p)
{
	int r;

	guest_discard(persona_take_guest(p));
	r = registry_persona_ended(p->daemon->registry, p->rec.id, false,
	    "it was suspended");
	if (r < 0)
		log_warn_r(r, "persona %s: its end could not be recorded",
		    p->rec.name);
	p->suspended = true;
	persona_refresh(p);
}

void
persona_forget_suspended(struct persona *p)
{
	int r = saved_remove(p->daemon, p->rec.id, SAVED_SUSPENDED);

	if (r < 0)
		log_warn_r(r, "persona %s: its suspended memory cannot be "
		    "removed", p->rec.name);
	p->suspended = false;
}
