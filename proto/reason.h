/* SPDX-License-Identifier: ISC */
/*
 * Why a move ended: a stable number that both handsets share and one sentence
 * for the user. Numbers are wire format: never reused, never renumbered.
 */
#ifndef REASON_H
#define REASON_H

#include <stdint.h>

enum sync_reason {
	REASON_OK = 0,
	REASON_CANCELLED = 1,		/* the user said so, on either side */
	REASON_LINK_LOST = 2,		/* the link broke or went silent */
	REASON_UNREACHABLE = 3,		/* no address of the peer answered */
	REASON_KEY_MISMATCH = 4,	/* the peer's key is not the pinned one */
	REASON_NOT_PAIRED = 5,		/* the peer does not accept our key */
	REASON_VERSION = 6,		/* protocol or state versions differ */
	REASON_CPU_BASELINE = 7,	/* the target lacks the CPU baseline */
	REASON_NO_MEMORY = 8,		/* the target has no room in memory */
	REASON_NAME_TAKEN = 9,		/* another persona has that name there */
	REASON_PROTOCOL = 10,		/* the peer said something impossible */
	REASON_CORRUPT = 11,		/* root hash mismatch */
	REASON_VMM_FAILED = 12,		/* persona-vmm ended or refused */
	REASON_TARGET_FAILED = 13,	/* the target could not go on */
	REASON_INTERNAL = 14,		/* our own fault; the log says more */
	REASON_BUSY = 15,		/* another transfer of it is under way */
	REASON_NO_KVM = 16,		/* the target cannot run personas */
	REASON_DISK_FULL = 17,		/* a record could not be made durable */
	REASON_GUEST_ENDED = 18,	/* the guest powered off in mid-move */
	REASON_NOT_CONVERGING = 19,	/* dirties faster than the link carries */
	REASON_POLICY = 20,		/* its issuer does not allow it */
	REASON_ARCH = 21,		/* made for other processors */
	/* 40..49: persona files */
	REASON_FILE_FOREIGN = 40,	/* not a persona file */
	REASON_FILE_VERSION = 41,	/* made by a newer version */
	REASON_FILE_LOCKED = 42,	/* wants a passphrase */
	REASON_FILE_PASSPHRASE = 43,	/* the passphrase is not the one */
	REASON_FILE_RECIPIENT = 44,	/* made for other handsets */
	REASON_FILE_DAMAGED = 45,	/* changed since it was written */
	REASON_FILE_CUT = 46,		/* ends too early */
	REASON_FILE_TRAILING = 47,	/* goes on after its end */
	REASON_FILE_IO = 48,		/* cannot be read or written */
};

/*
 * One plain sentence without a full stop. Any number is fine: an unknown one
 * (a newer peer's) gets a sentence that says so. Static storage.
 */
const char	*reason_text(uint32_t reason);

/* A short stable word for JSON and logs: "link-lost". Static storage. */
const char	*reason_word(uint32_t reason);

#endif
