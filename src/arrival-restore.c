/* SPDX-License-Identifier: ISC */
/*
 * After a restart: what was PREPARED finds its waiting guest again, or is aborted.
 * Knows no peer and no stream; the word that is missing may come from a person.
 */
#include "arrival-priv.h"

#include <stdio.h>

#include "daemon.h"
#include "guest.h"
#include "image-incoming.h"
#include "log.h"

/* --- files -------------------------------------------------------------------- */

void
arrival_settle_image(struct daemon *d, const struct persona_record *rec)
{
	int r;

	if (rec->image_attempt == 0)
		return;
	r = image_incoming_publish(d, rec->id, rec->image_attempt);
	if (r == 0)
		r = registry_image_settled(d->registry, rec->id);
	if (r < 0)
		log_warn_r(r, "persona %s: its files have not got their place "
		    "yet; the next start of personad tries again", rec->name);
}

/* Ours and not in place yet, or of an attempt that may still become ours. */
static bool
keep_incoming(void *arg, const char *id, uint64_t attempt)
{
	struct daemon *d = arg;
	struct incoming_record in;
	struct persona_record rec;

	if (registry_persona_get(d->registry, id, &rec) == 0 &&
	    rec.image_attempt == attempt)
		return true;
	return registry_incoming_get(d->registry, id, &in) == 0 &&
	    in.attempt == attempt && !in.aborted;
}

void
arrivals_settle_images(struct daemon *d)
{
	struct persona *p;

	TAILQ_FOREACH(p, &d->personas, entry) {
		arrival_settle_image(d, &p->rec);
		persona_refresh(p);
	}
	image_incoming_sweep(d, keep_incoming, d);
}

/* --- waiting guests ----------------------------------------------------------- */

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
		.ended = arrival_guest_ended,
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
		arrival_happen(a, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
	}
	restored_one(all);
}

static void
lost(void *arg, bool crashed, const char *why)
{
	struct arrival *a = arg;
	struct arrivals *all = a->all;

	arrival_guest_ended(a, crashed, why);
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
	arrival_happen(a, HANDOVER_GUEST_ENDED, 0, 0);
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
