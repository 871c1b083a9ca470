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
	[REASON_POLICY] = { "policy",
	    "the persona's policy does not allow it" },
	[REASON_ARCH] = { "arch",
	    "the persona is made for another kind of processor" },
	[REASON_FILE_FOREIGN] = { "file-foreign", "this is not a persona file" },
	[REASON_FILE_VERSION] = { "file-version",
	    "the file was made by a newer version of persona; update this one" },
	[REASON_FILE_LOCKED] = { "file-locked",
	    "the file is encrypted with a passphrase; name it with "
	    "--passphrase-file, or import on a terminal to be asked" },
	[REASON_FILE_PASSPHRASE] = { "file-passphrase",
	    "the passphrase is not the one that the file was encrypted with" },
	[REASON_FILE_RECIPIENT] = { "file-recipient",
	    "the file is encrypted for other handsets, not for this one" },
	[REASON_FILE_DAMAGED] = { "file-damaged",
	    "the file is damaged, or was changed after it was made; get it "
	    "again from where it came from" },
	[REASON_FILE_CUT] = { "file-cut",
	    "the file ends too early; copy it again" },
	[REASON_FILE_TRAILING] = { "file-trailing",
	    "the file goes on after its end; something was appended to it" },
	[REASON_FILE_IO] = { "file-io", "the file cannot be read or written" },
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
