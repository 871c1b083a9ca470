/* SPDX-License-Identifier: ISC */
/*
 * A peer asks whether a persona could come: everything that would be checked then
 * is checked now, and nothing is made, reserved or given up. What speaks against it
 * is arrival-check.c's to say, and persona-vmm's.
 */
#include "arrival-priv.h"

#include <stdlib.h>
#include <string.h>

#include "arrival-check.h"
#include "battery.h"
#include "config.h"
#include "daemon.h"
#include "log.h"
#include "reason.h"
#include "vmm-probe.h"


struct question_in {
	struct arrival		*arrival;
	struct vmm_probe	*probe;		/* NULL: it has answered */
	struct objections	objections;
	struct arrival_room	room;
	char			cpu_highest[BASELINE_MAX + 1];
};

void
question_in_free(struct question_in *q)
{
	if (q == NULL)
		return;
	vmm_probe_free(q->probe);
	free(q);
}

static void
add_figures(const struct question_in *q, Persona__Transfer__Answer *answer)
{
	const struct arrival_room *room = &q->room;
	struct battery battery;

	answer->has_memory_needed = answer->has_disk_needed = true;
	answer->memory_needed = room->memory_needed;
	answer->disk_needed = room->disk_needed;
	answer->has_memory_free = room->memory_free > 0;
	answer->memory_free = room->memory_free;
	answer->has_disk_free = room->disk_free != UINT64_MAX;
	answer->disk_free = room->disk_free;
	if (q->cpu_highest[0] != '\0')
		answer->cpu_highest = (char *)(uintptr_t)q->cpu_highest;
	answer->cpu_needed = q->arrival->in.persona.cpu_baseline;
	answer->version = (char *)(uintptr_t)PACKAGE_VERSION;
	if (battery_read(BATTERY_DIR, &battery) == 0) {
		answer->has_battery_percent = true;
		answer->battery_percent = battery.percent;
		answer->has_battery_charging = true;
		answer->battery_charging = battery.charging;
	}
}

static void
send_answer(struct question_in *q)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Answer answer = PERSONA__TRANSFER__ANSWER__INIT;
	Persona__Transfer__Objection said[OBJECTIONS_MAX];
	Persona__Transfer__Objection *list[OBJECTIONS_MAX];
	struct arrival *a = q->arrival;

	for (size_t i = 0; i < q->objections.n; i++) {
		persona__transfer__objection__init(&said[i]);
		said[i].reason = q->objections.list[i].reason;
		said[i].message = q->objections.list[i].text;
		list[i] = &said[i];
	}
	answer.n_objections = q->objections.n;
	answer.objections = list;
	add_figures(q, &answer);
	log_info("persona %s: %s asked whether it could come: %s",
	    a->in.persona.name, a->peer.name, q->objections.n == 0 ? "yes" :
	    q->objections.list[0].text);
	t.kind_case = KIND(ANSWER);
	t.answer = &answer;
	arrival_tell(a, &t, NULL, 0);
}

/* What this handset's KVM can show decides last. */
static void
probed(void *arg, const char *out)
{
	struct question_in *q = arg;
	const struct persona_record *rec = &q->arrival->in.persona;

	q->probe = NULL;
	if (vmm_probe_has_baseline(out, rec->cpu_baseline, q->cpu_highest,
	    sizeof(q->cpu_highest)))
		;
	else if (q->cpu_highest[0] == '\0')
		objections_add(&q->objections, REASON_NO_KVM, "the other "
		    "handset cannot run personas; \"personactl doctor\" there "
		    "says why");
	else
		objections_add(&q->objections, REASON_CPU_BASELINE, "%s was "
		    "made for %s processors and the other handset has %s",
		    rec->name, rec->cpu_baseline, q->cpu_highest);
	send_answer(q);
}

void
arrival_asked(struct arrival *a, uint64_t attempt,
    Persona__Transfer__Persona *offer)
{
	struct daemon *d = a->all->daemon;
	struct question_in *q;
	uint32_t reason;

	if (a->offered || a->question != NULL ||
	    (q = calloc(1, sizeof(*q))) == NULL)
		return;
	q->arrival = a;
	a->question = q;
	a->in.attempt = attempt;
	reason = arrival_parse(offer, attempt, &a->in.persona);
	if (reason != REASON_OK) {
		objections_add(&q->objections, reason, "%s",
		    reason_text(reason));
		send_answer(q);
		return;
	}
	arrival_room(d, &a->in.persona, offer->has_stored_bytes ?
	    offer->stored_bytes : 0, &q->room);
	arrival_check(d, &a->in.persona, &q->room, &q->objections);
	if (vmm_probe_start(&q->probe, d, probed, q) < 0)
		probed(q, "");
}
