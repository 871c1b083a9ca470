/* SPDX-License-Identifier: ISC */
/*
 * A persona is offered: its place here is made ready, or the peer hears why not.
 * Knows what must give way to it (older attempts, a release nobody confirmed);
 * what may come at all is arrival-check.c's.
 */
#include "arrival-priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arrival-check.h"
#include "daemon.h"
#include "guest.h"
#include "guest-files.h"
#include "image-incoming.h"
#include "log.h"
#include "report.h"
#include "vault.h"

/* --- the answer ----------------------------------------------------------- */

static void
send_accept(struct arrival *a)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Accept accept = PERSONA__TRANSFER__ACCEPT__INIT;
	Persona__Transfer__Region regions[REGIONS_MAX], *list[REGIONS_MAX];
	int fds[IPC_MAX_FDS];
	size_t n = image_files_describe(&a->files, guest_ram_fd(a->guest),
	    regions, list, fds);

	accept.regions = list;
	accept.n_regions = a->files.plan.n_regions;
	t.kind_case = KIND(ACCEPT);
	t.accept = &accept;
	arrival_tell(a, &t, fds, n);
	/* The worker and the machine hold what they need. */
	image_files_close(&a->files);
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
	arrival_tell(a, &t, NULL, 0);
}

static void
waiting_ready(void *arg, int r, const char *why)
{
	struct arrival *a = arg;

	if (r == 0) {
		log_info("persona %s: arriving from %s, attempt %llu",
		    a->in.persona.name, a->peer.name,
		    (unsigned long long)a->in.attempt);
		guest_filled_by(a->guest, syncproc_pid(a->sync));
		send_accept(a);
		return;
	}
	snprintf(a->why, sizeof(a->why), "%s", why);
	send_refuse(a, r == -ENOTSUP ?
	    REASON_CPU_BASELINE : r == -ENOENT || r == -EACCES ||
	    r == -ENODEV || r == -ENXIO || r == -EPERM ?
	    REASON_NO_KVM : REASON_VMM_FAILED, why);
	arrival_happen(a, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
}

static const struct guest_events waiting_events = {
	.ready = waiting_ready,
	.ended = arrival_guest_ended,
};

/* --- its place here ------------------------------------------------------- */

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
		arrival_happen(old, HANDOVER_CANCEL, REASON_CANCELLED, 0);
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
make_files(struct arrival *a)
{
	struct persona_record *rec = &a->in.persona;
	Persona__Spec__Spec *spec;
	int r;

	if ((r = spec_unpack(&rec->spec, &spec)) < 0)
		return r;
	r = image_files_make(&a->files, a->all->daemon, rec->id,
	    a->in.attempt, rec->ram_bytes, spec);
	persona__spec__spec__free_unpacked(spec, NULL);
	return r;
}

/* The machine that waits is given the disks that are being filled. */
static int
start_waiting(struct arrival *a)
{
	struct daemon *d = a->all->daemon;
	struct guest_files files;
	char dir[INCOMING_DIR_MAX];
	const char *why;
	int r;

	guest_files_init(&files);
	image_incoming_dir(d, a->in.persona.id, a->in.attempt, dir);
	r = guest_files_open_disks(&files, d, dir, &a->in.persona.spec, &why);
	if (r == 0)
		r = guest_start(&a->guest, d, &a->in.persona, &files,
		    &waiting_events, a);
	guest_files_close(&files);
	return r;
}

static int
prepare_place(struct arrival *a)
{
	struct daemon *d = a->all->daemon;
	struct persona *p = persona_by_id(d, a->in.persona.id);
	int r;

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
	if ((r = make_files(a)) < 0)
		return r;
	return start_waiting(a);
}

/* Everything that speaks against it at once: it is not found out bit by bit. */
static uint32_t
judge(struct arrival *a, uint64_t stored_bytes, char why[REASON_TEXT_MAX + 1])
{
	struct daemon *d = a->all->daemon;
	struct objections objections = { 0 };
	struct arrival_room room;

	arrival_room(d, &a->in.persona, stored_bytes, &room);
	arrival_check(d, &a->in.persona, &room, &objections);
	objections_join(&objections, why, REASON_TEXT_MAX + 1);
	return objections.n > 0 ? objections.list[0].reason : REASON_OK;
}

static void
make_place(struct arrival *a)
{
	char why[REASON_TEXT_MAX + 1];
	uint32_t reason;
	int r = prepare_place(a);

	if (r == 0)
		return;
	reason = r == -ENOSPC || r == -EDQUOT ? REASON_DISK_FULL :
	    REASON_VMM_FAILED;
	snprintf(why, sizeof(why), "a place for %s cannot be made there: %s",
	    a->in.persona.name, strerror(-r));
	send_refuse(a, reason, why);
	arrival_happen(a, HANDOVER_CANCEL, reason, 0);
}

/* --- the vault of one that is encrypted ------------------------------------ */

static void
refuse_vault(struct arrival *a, int r, const char *text)
{
	char why[REASON_TEXT_MAX + 1];

	snprintf(why, sizeof(why), "%s must be kept encrypted, and there: %s",
	    a->in.persona.name, r == -ENOKEY ? "it is locked with a passphrase; "
	    "\"personactl unlock\" on that handset opens it" : text);
	send_refuse(a, REASON_TARGET_FAILED, why);
	arrival_happen(a, HANDOVER_CANCEL, REASON_TARGET_FAILED, 0);
}

/* Much can have come in between: what was checked is checked again. */
static void
vault_is_open(void *arg, int r, const char *text)
{
	char why[REASON_TEXT_MAX + 1] = "";
	struct arrival *a = arg;
	uint32_t reason;

	a->vault = NULL;
	if (handover_is_over(&a->handover)) {
		if (persona_by_id(a->all->daemon, a->in.persona.id) == NULL)
			vault_remove(a->all->daemon, a->in.persona.id);
		return;
	}
	if (r < 0) {
		refuse_vault(a, r, text);
		return;
	}
	reason = judge(a, 0, why);
	if (reason == REASON_OK) {
		make_place(a);
		return;
	}
	send_refuse(a, reason, why[0] != '\0' ? why : reason_text(reason));
	arrival_happen(a, HANDOVER_CANCEL, reason, 0);
}

/* Also when it is said to be unencrypted now: what was in a vault stays in one. */
static void
make_place_in_vault(struct arrival *a)
{
	struct daemon *d = a->all->daemon;
	int r;

	if (!vault_is_wanted(&a->in.persona.spec) &&
	    vault_state(d, a->in.persona.id) == VAULT_ABSENT) {
		make_place(a);
		return;
	}
	r = vault_ready(&a->vault, d, a->in.persona.id, vault_is_open, a);
	if (r < 0)
		refuse_vault(a, r, strerror(-r));
}

void
arrival_offered(struct arrival *a, uint64_t attempt,
    Persona__Transfer__Persona *offer)
{
	char why[REASON_TEXT_MAX + 1] = "";
	uint32_t reason;

	if (a->offered)
		return;
	a->offered = true;
	reason = arrival_parse(offer, attempt, &a->in.persona);
	a->in.attempt = attempt;
	memcpy(a->in.peer, a->peer.fingerprint, sizeof(a->in.peer));
	/* From here arrival_happen works, also for a refusal. */
	handover_target_init(&a->handover, attempt,
	    a->in.persona.tenure > 0 ? a->in.persona.tenure - 1 : 0);
	if (reason == REASON_OK) {
		give_up_older(a);
		reason = judge(a, offer->has_stored_bytes ?
		    offer->stored_bytes : 0, why);
	}
	if (reason != REASON_OK) {
		send_refuse(a, reason, why[0] != '\0' ? why :
		    reason_text(reason));
		return;
	}
	make_place_in_vault(a);
}
