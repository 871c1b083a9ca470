/* SPDX-License-Identifier: ISC */
/* Judges an offer. Knows the registry's truth and this host's memory, no process. */
#include "arrival-check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "daemon.h"
#include "persona.h"
#include "policy-check.h"
#include "reason.h"
#include "spec.h"

/* What a handset keeps for itself beyond the guest's own memory. */
#define MEMORY_MARGIN_BYTES	(64ULL << 20)
/* What its disk must have left, for records that end the move well. */
#define DISK_MARGIN_BYTES	(1ULL << 20)
/* Numbers that only grow by one: anything near the end was made up. */
#define NUMBER_MAX		(1ULL << 62)

static bool
text_fits(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	memcpy(to, text, len + 1);
	return true;
}

uint32_t
arrival_parse(Persona__Transfer__Persona *offer, uint64_t attempt,
    struct persona_record *rec)
{
	const char *why;

	memset(rec, 0, sizeof(*rec));
	if (offer->has_state_version && offer->state_version != STATE_VERSION)
		return REASON_VERSION;
	if (!hexid_ok(offer->id) || !spec_name_ok(offer->name) ||
	    offer->ram_bytes < RAM_MIN_BYTES ||
	    offer->ram_bytes > RAM_MAX_BYTES ||
	    offer->ram_bytes % PAGE_BYTES != 0 ||
	    offer->vcpus < 1 || offer->vcpus > VCPUS_MAX ||
	    offer->tenure < 1 || offer->tenure >= NUMBER_MAX ||
	    attempt < 1 || attempt >= NUMBER_MAX)
		return REASON_PROTOCOL;
	if (!text_fits(rec->id, sizeof(rec->id), offer->id) ||
	    !text_fits(rec->name, sizeof(rec->name), offer->name) ||
	    !text_fits(rec->cpu_baseline, sizeof(rec->cpu_baseline),
	    offer->cpu_baseline) ||
	    !text_fits(rec->cmdline, sizeof(rec->cmdline),
	    offer->cmdline != NULL ? offer->cmdline : ""))
		return REASON_PROTOCOL;
	if (offer->spec != NULL)
		spec_drop_templates(offer->spec);
	if (spec_pack(offer->spec, &rec->spec, &why) < 0 ||
	    !spec_baseline_fits(offer->spec, offer->cpu_baseline))
		return REASON_PROTOCOL;
	rec->ram_bytes = offer->ram_bytes;
	rec->vcpus = offer->vcpus;
	rec->tenure = offer->tenure + 1;
	return REASON_OK;
}

uint64_t
memory_available(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	fclose(f);
	return kib * 1024;
}

void
objections_add(struct objections *o, uint32_t reason, const char *fmt, ...)
{
	va_list ap;

	if (o->n == OBJECTIONS_MAX)
		return;
	o->list[o->n].reason = reason;
	va_start(ap, fmt);
	vsnprintf(o->list[o->n].text, sizeof(o->list[o->n].text), fmt, ap);
	va_end(ap);
	o->n++;
}

void
objections_join(const struct objections *o, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < o->n && len < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%s",
		    i > 0 ? "; " : "", o->list[i].text);
}

/* A persona that was here before may come back, with a tenure that has grown. */
static void
check_history(const struct persona *p, const struct persona_record *rec,
    struct objections *o)
{
	if (p->hook != NULL) {
		objections_add(o, REASON_BUSY, "%s is already being moved "
		    "there", rec->name);
		return;
	}
	if (p->rec.holding == HOLDING_OWNER || rec->tenure <= p->rec.tenure)
		objections_add(o, REASON_NAME_TAKEN, "the other handset owns "
		    "%s itself (tenure %llu)", p->rec.name,
		    (unsigned long long)p->rec.tenure);
	if (p->rec.ram_bytes != rec->ram_bytes || p->rec.vcpus != rec->vcpus)
		objections_add(o, REASON_PROTOCOL, "the other handset knows "
		    "%s with another memory size or processors", rec->name);
	if (!policy_is_kept(p->daemon, &p->rec.spec, &rec->spec))
		objections_add(o, REASON_POLICY, "the other handset knows %s "
		    "with a policy, and it comes back without it or with an "
		    "older one", rec->name);
}

/* The source says what its files take up; a sparse file needs no more here. */
void
arrival_room(const struct daemon *d, const struct persona_record *rec,
    uint64_t stored_bytes, struct arrival_room *room)
{
	char path[CONF_STATE_DIR_MAX + 16];
	struct statvfs fs;

	memset(room, 0, sizeof(*room));
	room->memory_needed = rec->ram_bytes;
	room->memory_free = memory_available();
	room->disk_needed = stored_bytes;
	snprintf(path, sizeof(path), "%s/images", d->conf.state_dir);
	if (statvfs(path, &fs) == 0)
		room->disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	else
		room->disk_free = UINT64_MAX;	/* making the files says why */
}

static void
check_room(const struct persona_record *rec, const struct arrival_room *room,
    struct objections *o)
{
	if (room->memory_free > 0 && room->memory_free <
	    room->memory_needed + MEMORY_MARGIN_BYTES)
		objections_add(o, REASON_NO_MEMORY, "%s needs %llu MiB of "
		    "memory and the other handset has %llu MiB free",
		    rec->name, (unsigned long long)(room->memory_needed >> 20),
		    (unsigned long long)(room->memory_free >> 20));
	if (room->disk_needed > 0 && (room->disk_needed > room->disk_free ||
	    room->disk_free - room->disk_needed < DISK_MARGIN_BYTES))
		objections_add(o, REASON_DISK_FULL, "the files of %s take "
		    "%llu MiB and the other handset has %llu MiB free on its "
		    "disk", rec->name,
		    (unsigned long long)(room->disk_needed >> 20),
		    (unsigned long long)(room->disk_free >> 20));
}

/* What the policy's reader finds damaged is refused there. */
static void
check_arch(const struct persona_record *rec, struct objections *o)
{
	char why[REASON_TEXT_MAX + 1];
	Persona__Spec__Spec *s;

	if (spec_unpack(&rec->spec, &s) < 0)
		return;
	if (spec_check_host(s, why, sizeof(why)) < 0)
		objections_add(o, REASON_ARCH, "%s is made for %s and the "
		    "other handset is %s", rec->name, s->arch,
		    spec_host_arch());
	persona__spec__spec__free_unpacked(s, NULL);
}

void
arrival_check(struct daemon *d, const struct persona_record *rec,
    const struct arrival_room *room, struct objections *o)
{
	struct persona *known = persona_by_id(d, rec->id);
	struct persona *named = persona_by_name(d, rec->name), *p;
	char forbidden[POLICY_WHY_MAX];
	unsigned int n = 0;

	if (known != NULL)
		check_history(known, rec, o);
	if (named != NULL && named != known)
		objections_add(o, REASON_NAME_TAKEN, "the other handset has "
		    "another persona named %s", rec->name);
	check_arch(rec, o);
	if (policy_check(d, &rec->spec, POLICY_MOVE, NULL, forbidden) < 0)
		objections_add(o, REASON_POLICY, "the other handset refuses "
		    "%s: %s", rec->name, forbidden);
	TAILQ_FOREACH(p, &d->personas, entry)
		n++;
	if (known == NULL && n >= PERSONAS_MAX)
		objections_add(o, REASON_NO_MEMORY, "the other handset has %u "
		    "personas already", n);
	check_room(rec, room, o);
}
