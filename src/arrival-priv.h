/* SPDX-License-Identifier: ISC */
/*
 * The inside of an arrival, for its five files: arrival.c (its life and what it
 * hears), arrival-act.c (what follows), arrival-offer.c (whether it may come),
 * arrival-ask.c (when somebody only asks that) and
 * arrival-restore.c (after a restart). Everybody else takes arrival.h.
 */
#ifndef ARRIVAL_PRIV_H
#define ARRIVAL_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "arrival.h"
#include "blackout.h"
#include "handover.h"
#include "image-files.h"
#include "persona.h"
#include "syncproc.h"
#include "transfer-id.h"

struct event;
struct guest;
struct question_in;
struct report;
struct vault_job;

#define KIND(name)	PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_##name

struct arrival {
	struct persona_hook	hook;		/* first: see arrival_from_hook() */
	TAILQ_ENTRY(arrival)	entry;
	struct arrivals		*all;
	char			transfer_id[TRANSFER_ID_LEN + 1];
	struct peer_record	peer;
	struct syncproc		*sync;		/* NULL: gone */
	struct event		*timer;
	/* From the offer on: */
	struct incoming_record	in;
	struct handover		handover;
	struct persona		*persona;	/* NULL: not accepted, or over */
	struct guest		*guest;		/* until it is the persona's */
	struct image_files	files;		/* being filled */
	struct vault_job	*vault;		/* being opened for it, or NULL */
	struct report		*report;
	bool			offered;
	int			state_fd;
	uint64_t		stopped_at_ns;	/* as our clock would have it */
	struct blackout		blackout;
	unsigned int		depth;		/* of events within events */
	char			why[REASON_TEXT_MAX + 1];
	struct question_in	*question;	/* arrival-ask.c; NULL: an offer */
};

struct arrivals {
	struct daemon			*daemon;
	TAILQ_HEAD(, arrival)		list;
	unsigned int			n;
	/* while restoring after a restart */
	unsigned int			open;
	void				(*restored)(struct daemon *d);
};

/* --- arrival.c ------------------------------------------------------------ */

struct arrival *arrival_from_hook(struct persona_hook *h);

/* One in the list, with nothing in it yet. 0 or -ENOMEM. */
int	arrival_new(struct arrivals *all, struct arrival **ap);

/* Out of the list; the guest must have been given to somebody. */
void	arrival_free(struct arrival *a);

/* The waiting guest has ended: the `ended` of its guest_events. */
void	arrival_guest_ended(void *arg, bool crashed, const char *why);

/* --- arrival-act.c -------------------------------------------------------- */

/* A message to the worker; descriptors stay the caller's. */
void	arrival_tell(struct arrival *a, Persona__Transfer__TransferMessage *t,
	    const int *fds, size_t n_fds);

/*
 * Something has happened, as a callback heard it: the handover steps, its actions
 * are done, and an arrival that is over is let go. `a` may be gone after it.
 */
void	arrival_happen(struct arrival *a, enum handover_event_kind kind,
	    uint32_t reason, uint64_t tenure);

/* --- arrival-offer.c ------------------------------------------------------ */

/*
 * What the peer offers: accepted with a persona-vmm that waits for it, or refused
 * with a reason. The first offer counts. `a` may be gone after it.
 */
void	arrival_offered(struct arrival *a, uint64_t attempt,
	    Persona__Transfer__Persona *offer);

/* --- arrival-ask.c -------------------------------------------------------- */

/*
 * What the peer only asks about: answered a moment later, with nothing made ready.
 * The first counts, and no offer can follow it.
 */
void	arrival_asked(struct arrival *a, uint64_t attempt,
	    Persona__Transfer__Persona *offer);

/* NULL is fine. */
void	question_in_free(struct question_in *q);

#endif
