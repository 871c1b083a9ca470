/* SPDX-License-Identifier: ISC */
/*
 * The inside of a move, for its three files: move.c (its life and what it hears),
 * move-act.c (what follows: records and words to the worker) and move-vmm.c (what
 * persona-vmm is asked for it). Everybody else takes move.h.
 */
#ifndef MOVE_PRIV_H
#define MOVE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handover.h"
#include "image-files.h"
#include "move.h"
#include "persona.h"
#include "syncproc.h"
#include "transfer-id.h"

struct event;

#define KIND(name)	PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_##name

struct move {
	struct persona_hook	hook;		/* first: see move_from_hook() */
	struct daemon		*daemon;
	struct persona		*persona;	/* NULL: it is over for it */
	struct peer_record	peer;
	struct move_options	options;
	Persona__Spec__Spec	*spec;		/* as it is offered */
	struct image_files	files;		/* that go along */
	struct handover		handover;
	struct syncproc		*sync;
	struct report		*report;
	struct event		*timer;
	char			transfer_id[TRANSFER_ID_LEN + 1];
	int			transfer_fd;	/* towards the vmm, for the worker */
	int			dirty_fd;
	int			state_fd;
	uint64_t		state_bytes;
	uint64_t		stopped_at_ns;
	uint64_t		overhead_ns;	/* as this move had it; 0: not known */
	unsigned int		ifindex;	/* that it goes by; 0: not known */
	bool			stood_still;	/* before it was asked to stop */
	bool			memory_given;
	bool			asked;		/* a question was answered, */
	uint32_t		verdict;	/* with this reason of reason.h */
	unsigned int		depth;		/* of events within events */
	char			why[REASON_TEXT_MAX + 1]; /* the worker's words */
};

/* --- move.c --------------------------------------------------------------- */

/* The move that a persona's hook begins; only of a hook that is not incoming. */
struct move *move_from_hook(struct persona_hook *h);

/* Its last figures are told; what it holds is given back. */
void	move_free(struct move *m);

/* Close it if it is open; it is -1 then. */
void	move_close_fd(int *fd);

/* --- move-act.c ----------------------------------------------------------- */

/* The worker's first message: whom, what and how. */
void	move_send_setup(struct move *m);

/* The interface to the peer is said to be down (link-loss.h). */
void	move_send_link_down(struct move *m);

/*
 * Something has happened, as a callback heard it: the handover steps, its actions
 * are done, and a move that is over is let go. `m` may be gone after it.
 */
void	move_happen(struct move *m, enum handover_event_kind kind,
	    uint32_t reason, uint64_t tenure);

/* The same for an action's own outcome, from within it: `m` is still there. */
void	move_step(struct move *m, enum handover_event_kind kind,
	    uint32_t reason, uint64_t tenure);

/* --- move-vmm.c: PARKED, PARK_FAILED or CANCEL may follow ----------------- */

/* Pause it and take the machine's state. */
void	move_park(struct move *m);

/* The guest goes on here. */
void	move_run_on(struct move *m);

/* Show guest memory to the worker, once, after the peer has proven its key. */
void	move_give_memory(struct move *m);

#endif
