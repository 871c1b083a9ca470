/* SPDX-License-Identifier: ISC */
/* The table of endings, in the order of their numbers. Knows nothing else. */
#include "reason.h"

#include <stddef.h>

static const struct {
	const char	*word;
	const char	*text;
} reasons[] = {
	[REASON_OK] = { "ok", "the move is complete" },
	[REASON_CANCELLED] = { "cancelled", "the move was cancelled" },
	[REASON_LINK_LOST] = { "link-lost",
	    "the connection to the other handset was lost" },
	[REASON_UNREACHABLE] = { "unreachable",
	    "the other handset does not answer at any known address" },
	[REASON_KEY_MISMATCH] = { "key-mismatch",
	    "the other handset showed a different key than the one it was "
	    "paired with; someone may be in the middle, or it was reset" },
	[REASON_NOT_PAIRED] = { "not-paired",
	    "the other handset does not accept our key; pair again" },
	[REASON_VERSION] = { "version",
	    "the two handsets run versions that cannot talk to each other" },
	[REASON_CPU_BASELINE] = { "cpu-baseline",
	    "the other handset's processor lacks what this persona needs" },
	[REASON_NO_MEMORY] = { "no-memory",
	    "the other handset has too little free memory" },
	[REASON_NAME_TAKEN] = { "name-taken",
	    "the other handset already has a persona of that name" },
	[REASON_PROTOCOL] = { "protocol",
	    "the other handset sent something that makes no sense" },
	[REASON_CORRUPT] = { "corrupt",
	    "what arrived is not what was sent" },
	[REASON_VMM_FAILED] = { "vmm-failed",
	    "the virtual machine refused or ended" },
	[REASON_TARGET_FAILED] = { "target-failed",
	    "the other handset could not finish its part" },
	[REASON_INTERNAL] = { "internal", "an internal error" },
	[REASON_BUSY] = { "busy", "this persona is already being moved" },
	[REASON_NO_KVM] = { "no-kvm",
	    "the other handset cannot run personas" },
	[REASON_DISK_FULL] = { "disk-full",
	    "a record could not be written to disk" },
	[REASON_GUEST_ENDED] = { "guest-ended",
	    "the persona ended by itself during the move" },
	[REASON_NOT_CONVERGING] = { "not-converging",
	    "the persona changes its memory faster than the link carries it" },
};

#define N_REASONS (sizeof(reasons) / sizeof(reasons[0]))

const char *
reason_text(uint32_t reason)
{
	if (reason >= N_REASONS || reasons[reason].text == NULL)
		return "a reason this version does not know";
	return reasons[reason].text;
}

const char *
reason_word(uint32_t reason)
{
	if (reason >= N_REASONS || reasons[reason].word == NULL)
		return "unknown";
	return reasons[reason].word;
}
