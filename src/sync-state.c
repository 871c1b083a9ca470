/* SPDX-License-Identifier: ISC */
/*
 * Names of states, reasons for errors, bounds for what a peer says. Decides nothing.
 */
#include "sync-state.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "hexid.h"
#include "reason.h"
#include "spec.h"

const char *
sync_state_name(enum sync_state s)
{
	static const char *const names[] = {
		[SYNC_HELLO] = "hello",
		[SYNC_OFFER] = "offer",
		[SYNC_COPY] = "copy",
		[SYNC_DRAIN] = "drain",
		[SYNC_STOPPING] = "stopping",
		[SYNC_STOPPED] = "stopped",
		[SYNC_VERIFIED] = "verified",
		[SYNC_PREPARED] = "prepared",
		[SYNC_RELEASED] = "released",
		[SYNC_RUNNING] = "running",
		[SYNC_ENDED] = "ended",
	};

	return (size_t)s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}

uint32_t
sync_link_reason(int r)
{
	switch (r) {
	case -EBADMSG:
		return REASON_CORRUPT;
	case -EPROTO:
	case -EMSGSIZE:
		return REASON_PROTOCOL;
	case -ENOMEM:
		return REASON_INTERNAL;
	default:
		return REASON_LINK_LOST;
	}
}

/* --- what a peer says about a persona ----------------------------------------- */

static bool
printable(const char *s, size_t max)
{
	if (strlen(s) > max)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s == 0x7f)
			return false;
	return true;
}

int
sync_check_persona(const Persona__Transfer__Persona *p, const char **why)
{
	if (!hexid_ok(p->id))
		*why = "the offered persona's id is not 32 hex digits";
	else if (!spec_name_ok(p->name))
		*why = "the offered persona's name is not a name";
	else if (p->ram_bytes < RAM_MIN_BYTES || p->ram_bytes > RAM_MAX_BYTES ||
	    p->ram_bytes % PAGE_BYTES != 0)
		*why = "the offered persona's memory size is out of bounds";
	else if (p->vcpus == 0 || p->vcpus > VCPUS_MAX)
		*why = "the offered persona's processor count is out of bounds";
	else if (!printable(p->cpu_baseline, PERSONA_NAME_MAX))
		*why = "the offered persona's CPU baseline is not a name";
	else if (!spec_baseline_fits(p->spec, p->cpu_baseline))
		*why = "the offered persona's CPU baseline is of another "
		    "architecture than the persona";
	else if (p->cmdline != NULL && !printable(p->cmdline, CMDLINE_MAX))
		*why = "the offered persona's command line is out of bounds";
	else if (p->tenure >= UINT64_MAX / 2)
		*why = "the offered persona's tenure is out of bounds";
	else
		return p->spec != NULL ? spec_check(p->spec, why) : 0;
	return -EPROTO;
}

void
sync_copy_text(char *out, size_t size, uint32_t reason, const char *text)
{
	if (text == NULL || text[0] == '\0' ||
	    !printable(text, REASON_TEXT_MAX))
		text = reason_text(reason);
	snprintf(out, size, "%s", text);
}
