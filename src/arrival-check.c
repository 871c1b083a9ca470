/* SPDX-License-Identifier: ISC */
/* Judges an offer. Knows the registry's truth and this host's memory, no process. */
#include "arrival-check.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "daemon.h"
#include "persona.h"
#include "policy-check.h"
#include "reason.h"
#include "transfer-id.h"

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
	if (!hexid_ok(offer->id) || !persona_name_ok(offer->name) ||
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
	if (spec_pack(offer->spec, &rec->spec, &why) < 0)
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

/* A persona that was here before may come back, with a tenure that has grown. */
static uint32_t
check_history(const struct persona *p, const struct persona_record *rec,
    char *why)
{
	if (p->hook != NULL) {
		snprintf(why, REASON_TEXT_MAX + 1, "%s is already being moved "
		    "there", rec->name);
		return REASON_BUSY;
	}
	if (p->rec.holding == HOLDING_OWNER || rec->tenure <= p->rec.tenure) {
		snprintf(why, REASON_TEXT_MAX + 1, "the other handset owns %s "
		    "itself (tenure %llu)", p->rec.name,
		    (unsigned long long)p->rec.tenure);
		return REASON_NAME_TAKEN;
	}
	if (p->rec.ram_bytes != rec->ram_bytes ||
	    p->rec.vcpus != rec->vcpus) {
		snprintf(why, REASON_TEXT_MAX + 1, "the other handset knows %s "
		    "with another memory size or processors", rec->name);
		return REASON_PROTOCOL;
	}
	if (!policy_is_kept(p->daemon, &p->rec.spec, &rec->spec)) {
		snprintf(why, REASON_TEXT_MAX + 1, "the other handset knows %s "
		    "with a policy, and it comes back without it or with an "
		    "older one", rec->name);
		return REASON_POLICY;
	}
	return REASON_OK;
}

/* The source says what its files take up; a sparse file needs no more here. */
static uint32_t
check_disk(const struct daemon *d, const struct persona_record *rec,
    uint64_t stored_bytes, char *why)
{
	char path[CONF_STATE_DIR_MAX + 16];
	struct statvfs fs;
	uint64_t room;

	snprintf(path, sizeof(path), "%s/images", d->conf.state_dir);
	if (statvfs(path, &fs) < 0)
		return REASON_OK;	/* making the files will say why */
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (stored_bytes == 0 || (stored_bytes <= room &&
	    room - stored_bytes >= DISK_MARGIN_BYTES))
		return REASON_OK;
	snprintf(why, REASON_TEXT_MAX + 1, "the files of %s take %llu MiB and "
	    "the other handset has %llu MiB free on its disk", rec->name,
	    (unsigned long long)(stored_bytes >> 20),
	    (unsigned long long)(room >> 20));
	return REASON_DISK_FULL;
}

uint32_t
arrival_check(struct daemon *d, const struct persona_record *rec,
    uint64_t stored_bytes, char *why)
{
	struct persona *known = persona_by_id(d, rec->id);
	struct persona *named = persona_by_name(d, rec->name), *p;
	uint64_t available = memory_available();
	char forbidden[POLICY_WHY_MAX];
	unsigned int n = 0;
	uint32_t reason;

	if (known != NULL &&
	    (reason = check_history(known, rec, why)) != REASON_OK)
		return reason;
	if (named != NULL && named != known) {
		snprintf(why, REASON_TEXT_MAX + 1, "the other handset has "
		    "another persona named %s", rec->name);
		return REASON_NAME_TAKEN;
	}
	if (policy_check(d, &rec->spec, POLICY_MOVE, NULL, forbidden) < 0) {
		snprintf(why, REASON_TEXT_MAX + 1, "the other handset refuses "
		    "%s: %s", rec->name, forbidden);
		return REASON_POLICY;
	}
	TAILQ_FOREACH(p, &d->personas, entry)
		n++;
	if (known == NULL && n >= PERSONAS_MAX) {
		snprintf(why, REASON_TEXT_MAX + 1, "the other handset has %u "
		    "personas already", n);
		return REASON_NO_MEMORY;
	}
	if (available > 0 && available < rec->ram_bytes +
	    MEMORY_MARGIN_BYTES) {
		snprintf(why, REASON_TEXT_MAX + 1, "%s needs %llu MiB of "
		    "memory and the other handset has %llu MiB free",
		    rec->name, (unsigned long long)(rec->ram_bytes >> 20),
		    (unsigned long long)(available >> 20));
		return REASON_NO_MEMORY;
	}
	return check_disk(d, rec, stored_bytes, why);
}
