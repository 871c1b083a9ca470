/* SPDX-License-Identifier: ISC */
/*
 * After a restart: find the guests that ran on without us, and make the records
 * true for those that did not. Knows the source's side of the handover only as far as
 * "STOPPED without RELEASED is a dead attempt".
 */
#include "persona.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon.h"
#include "guest.h"
#include "log.h"
#include "saved.h"
#include "saving.h"

#define RESUME_TIMEOUT_MS	5000

/* One search over all personas; freed when the last has answered. */
struct search {
	struct daemon	*daemon;
	unsigned int	open;
	void		(*done)(struct daemon *d);
};

struct finding {
	struct search	*search;
	struct persona	*persona;
	struct guest	*guest;
};

static void
answered(struct search *s)
{
	struct daemon *d = s->daemon;
	void (*done)(struct daemon *d) = s->done;

	if (--s->open > 0)
		return;
	free(s);
	done(d);
}

/* The record says that it runs and it does not. */
static void
record_loss(struct persona *p, const char *why)
{
	bool released = p->rec.holding == HOLDING_RELEASED;

	if (!p->rec.running)
		return;
	log_warn("persona %s: %s", p->rec.name, why);
	(void)registry_persona_ended(p->daemon->registry, p->rec.id, !released,
	    why);
	persona_refresh(p);
}

static void
resumed(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct persona *p = arg;

	(void)reply;
	(void)msg;
	if (r < 0) {
		p->paused = true;
		log_warn_r(r, "persona %s: cannot be resumed: %s",
		    p->rec.name, why);
	} else
		log_info("persona %s: what held it still is over, it runs on",
		    p->rec.name);
}

/*
 * It was parked to be saved, and goes on. A suspend that was whole already is void,
 * since the guest is still there and its disk will change.
 */
static void
end_saving(struct persona *p)
{
	persona_forget_suspended(p);
	saved_sweep(p->daemon, p->rec.id);
	(void)vmm_resume(guest_vmm(p->guest), RESUME_TIMEOUT_MS, resumed, p);
}

/*
 * What a restart means for a guest that is there. An attempt that got to STOPPED
 * is dead for ever and the guest goes on; RELEASED never runs here again.
 */
static void
settle(struct persona *p)
{
	struct outgoing_record out;
	struct registry *reg = p->daemon->registry;
	bool was_running = guest_was_running(p->guest);
	const char *stood;

	if (registry_outgoing_get(reg, p->rec.id, &out) < 0) {
		if (!was_running && saving_was_interrupted(p)) {
			end_saving(p);
			return;
		}
		stood = guest_stands_still(p->guest);
		p->paused = !was_running && stood == NULL;
		saved_sweep(p->daemon, p->rec.id);
		if (stood != NULL)
			log_warn("persona %s: found again; it stands still: "
			    "%s", p->rec.name, stood);
		else
			log_info("persona %s: found again, %s", p->rec.name,
			    p->paused ? "paused" : "running");
		return;
	}
	if (out.released) {
		log_warn("persona %s: was given to %s and the answer is "
		    "missing; it stays paused here", p->rec.name,
		    p->rec.peer_name);
		return;
	}
	(void)registry_source_kept(reg, p->rec.id, out.attempt);
	(void)vmm_resume(guest_vmm(p->guest), RESUME_TIMEOUT_MS, resumed, p);
}

/*
 * A start is put on record before the guest runs: a machine that is there without
 * that record is half made, and a suspended memory that it lies on is still whole.
 */
static bool
never_ran(const struct persona *p)
{
	return p->rec.holding == HOLDING_OWNER && !p->rec.running;
}

static void
found(void *arg, int r, const char *why)
{
	struct finding *f = arg;
	struct search *s = f->search;
	struct persona *p = f->persona;

	if (r == 0 && never_ran(p)) {
		log_info("persona %s: its start was cut short; nothing of it "
		    "has run", p->rec.name);
		guest_discard(f->guest);
		saved_sweep(p->daemon, p->rec.id);
	} else if (r == 0) {
		persona_adopt_guest(p, f->guest);
		settle(p);
	} else {
		log_warn_r(r, "persona %s: %s", p->rec.name, why);
		guest_discard(f->guest);
		record_loss(p, "persona-vmm did not answer after personad's "
		    "restart");
	}
	free(f);
	answered(s);
}

/* It ended before it could say hello. */
static void
lost(void *arg, bool crashed, const char *why)
{
	struct finding *f = arg;
	struct search *s = f->search;

	(void)crashed;
	record_loss(f->persona, why);
	free(f);
	answered(s);
}

static void
find_one(struct search *s, struct persona *p)
{
	static const struct guest_events events = {
		.ready = found,
		.ended = lost,
	};
	struct finding *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return;
	f->search = s;
	f->persona = p;
	s->open++;
	if (guest_find(&f->guest, s->daemon, &p->rec, &events, f) == 0)
		return;
	record_loss(p, "persona-vmm was gone when personad started again");
	saved_sweep(s->daemon, p->rec.id);
	s->open--;
	free(f);
}

void
personas_find_guests(struct daemon *d, void (*done)(struct daemon *d))
{
	struct search *s = calloc(1, sizeof(*s));
	struct persona *p;

	if (s == NULL) {
		done(d);
		return;
	}
	s->daemon = d;
	s->done = done;
	s->open = 1;
	TAILQ_FOREACH(p, &d->personas, entry)
		if (p->rec.holding != HOLDING_AWAY)
			find_one(s, p);
	answered(s);
}
