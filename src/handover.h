/* SPDX-License-Identifier: ISC */
/*
 * The handover of persona-design(7), as a pure state machine: one attempt of one
 * side. Events go in, actions come out in the order in which they must be done;
 * time is passed in. Knows no process, message, file or clock.
 *
 * Durability is an action like any other: HANDOVER_STORE is always the last of its
 * list, and what may only follow a durable record is not said before the answer
 * HANDOVER_STORED has come in. An event of another attempt changes nothing.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reason.h"

enum handover_state {
	/* --- source --- */
	HANDOVER_COPYING,	/* guest runs here, rounds flow; we own it; any
				   failure ends the attempt and nothing else */
	HANDOVER_STOPPING,	/* STOPPED is being written; guest still runs */
	HANDOVER_PARKING,	/* STOPPED on record; persona-vmm pauses and saves;
				   we own it and may go back */
	HANDOVER_STOPPED,	/* guest parked, state on its way; we own it; PREPARED
				   leads on, anything else back to running */
	HANDOVER_RELEASING,	/* target is PREPARED; RELEASED is being written;
				   nobody runs it, nobody has been told */
	HANDOVER_RELEASED,	/* given away; it never runs here at this tenure;
				   only the target's word leads on */
	HANDOVER_CONFIRMING,	/* the target runs it; MOVED is being written */
	HANDOVER_MOVED,		/* the end: it lives there */
	HANDOVER_KEPT,		/* the end: this attempt is dead, it runs on here */

	/* --- target --- */
	HANDOVER_RECEIVING,	/* memory fills; nothing is ours; may be dropped */
	HANDOVER_LOADING,	/* root verified; persona-vmm loads, stays paused */
	HANDOVER_PREPARING,	/* loaded; PREPARED is being written */
	HANDOVER_PREPARED,	/* we could own it at a word; not ours, must be kept:
				   the source may have released it */
	HANDOVER_OWNING,	/* the source released; OWNER is being written; tried
				   until it is */
	HANDOVER_WAKING,	/* ours on record; vCPUs are being resumed */
	HANDOVER_OWNER,		/* the end: ours, whatever becomes of the link */
	HANDOVER_ABORTING,	/* ABORTED is being written */
	HANDOVER_ABORTED,	/* the end: never ours by this attempt */
	HANDOVER_DROPPED,	/* the end, before anything was on record */
};

enum handover_event_kind {
	/* what the rest of this handset has done */
	HANDOVER_STORED,
	HANDOVER_STORE_FAILED,		/* nothing changed on record */
	HANDOVER_PARKED,
	HANDOVER_PARK_FAILED,
	HANDOVER_LOADED,
	HANDOVER_LOAD_FAILED,
	HANDOVER_RESUMED,
	HANDOVER_RESUME_FAILED,
	HANDOVER_GUEST_ENDED,
	HANDOVER_CANCEL,		/* a person, or personad, says stop */
	HANDOVER_TICK,			/* time went by */
	/* what came over the link */
	HANDOVER_WANT_STOP,
	HANDOVER_VERIFIED,
	HANDOVER_PEER_PREPARED,		/* tenure */
	HANDOVER_PEER_RELEASED,		/* tenure */
	HANDOVER_PEER_RUNNING,		/* tenure */
	HANDOVER_LINK_ENDED,		/* reason; the worker is gone */
};

struct handover_event {
	enum handover_event_kind kind;
	uint64_t	attempt;
	uint64_t	tenure;
	uint32_t	reason;		/* with LINK_ENDED and CANCEL */
};

enum handover_action_kind {
	HANDOVER_STORE,			/* record */
	HANDOVER_SEND_CANCEL,		/* reason */
	HANDOVER_END,			/* reason; tell whoever follows, once */
	/* source */
	HANDOVER_PARK,			/* pause and save */
	HANDOVER_RESUME,		/* it runs on here */
	HANDOVER_SEND_STOPPED,
	HANDOVER_SEND_RELEASE,
	HANDOVER_FORGET,		/* its memory here is not needed any more */
	/* target */
	HANDOVER_LOAD,
	HANDOVER_SEND_PREPARED,
	HANDOVER_WAKE,
	HANDOVER_SEND_RUNNING,
	HANDOVER_DROP,			/* end the waiting persona-vmm */
};

enum handover_record {
	HANDOVER_RECORD_STOPPED,
	HANDOVER_RECORD_KEPT,
	HANDOVER_RECORD_RELEASED,
	HANDOVER_RECORD_MOVED,
	HANDOVER_RECORD_PREPARED,
	HANDOVER_RECORD_OWNER,
	HANDOVER_RECORD_ABORTED,
};

struct handover_action {
	enum handover_action_kind kind;
	enum handover_record	record;		/* with STORE */
	uint32_t		reason;		/* with END and SEND_CANCEL */
};

#define HANDOVER_ACTIONS_MAX	4

/*
 * How long the guest waits, parked, for PREPARED before it runs on here; twice the
 * blackout that the user allows comes on top.
 */
#define HANDOVER_PREPARED_MS	5000
/* How long a released persona waits for RUNNING before the move is reported. */
#define HANDOVER_RUNNING_MS	15000
/* Between two tries of a record that must be written. */
#define HANDOVER_RETRY_MS	1000

struct handover {
	enum handover_state	state;
	uint64_t		attempt;
	uint64_t		tenure;		/* n at the source, n + 1 after */
	uint64_t		deadline_ms;	/* 0: none */
	uint32_t		prepared_ms;	/* the wait for PREPARED */
	uint32_t		why;		/* of an abort being written */
	bool			guest_gone;
	bool			reported;	/* END was given */
};

/*
 * An attempt begins. `tenure` is n, as the source owns it; budget_ms how long the
 * guest may stand still as far as the user cares.
 */
void	handover_source_init(struct handover *h, uint64_t attempt,
	    uint64_t tenure, uint32_t budget_ms);
void	handover_target_init(struct handover *h, uint64_t attempt,
	    uint64_t tenure);

/*
 * After personad's restart, a target that had PREPARED on record and whose
 * persona-vmm is still there.
 */
void	handover_target_restore(struct handover *h, uint64_t attempt,
	    uint64_t tenure);

/* The number of actions written to out[HANDOVER_ACTIONS_MAX]. */
size_t	handover_step(struct handover *h, const struct handover_event *e,
	    uint64_t now_ms, struct handover_action *out);

/* When HANDOVER_TICK is wanted, as now_ms counts; 0: not at all. */
uint64_t handover_deadline_ms(const struct handover *h);

/* Nothing will come of this attempt any more. */
bool	handover_is_over(const struct handover *h);

/* The source may not run it, or the target must keep what it has. */
bool	handover_is_binding(const struct handover *h);

/* The state's name as in the model and the logs: "PREPARED". Static. */
const char *handover_state_name(enum handover_state s);

#endif
