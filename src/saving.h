/* SPDX-License-Identifier: ISC */
/*
 * A persona saved here: a checkpoint of it while it runs, its suspend to disk, or
 * the way back from a checkpoint. persona-sync save copies; this file parks the
 * guest for the instant that is saved. Knows no request and no format.
 */
#ifndef SAVING_H
#define SAVING_H

#include <stdbool.h>
#include <stdint.h>

#include "transfer.pb-c.h"

struct persona;
struct persona_hook;

enum saving_kind {
	SAVING_CHECKPOINT,	/* it runs on */
	SAVING_SUSPEND,		/* it ends, and goes on from here when it is started */
	SAVING_RESTORE,		/* it is switched off; a checkpoint becomes its image */
};

struct saving_events {
	void	(*progress)(void *arg, const Persona__Transfer__Progress *p);
	/*
	 * Over; the saving is gone. 0 with the checkpoint's number (SAVING_CHECKPOINT)
	 * and how long the guest stood still, or a reason (reason.h) and a sentence.
	 */
	void	(*ended)(void *arg, uint32_t reason, const char *why,
		    unsigned int number, uint64_t pause_ns);
};

/*
 * Begin. The state of the persona must allow it (control-table.c), and a restore
 * names its checkpoint in `number`. `label` may be NULL. 0, or -errno with *why a
 * sentence, and no event comes.
 */
int	saving_start(struct persona *p, enum saving_kind kind,
	    unsigned int number, const char *label,
	    const struct saving_events *events, void *arg, const char **why);

/* Give it up; `ended` comes from within. The guest runs on. */
void	saving_cancel(struct persona_hook *h);

/* personad leaves: no event comes. */
void	saving_abandon(struct persona_hook *h);

/*
 * A guest was found again after a restart of personad. True: a saving was under
 * way, so that a guest that stands still stands still for its sake.
 */
bool	saving_was_interrupted(const struct persona *p);

#endif
