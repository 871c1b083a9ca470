/* SPDX-License-Identifier: ISC */
/*
 * What both roles of the sync engine have of a life: a state with a name in the log,
 * a bundle to the peer, and one end, which is told to the owner when last words have
 * left. Knows no page and no order of messages.
 */
#ifndef SYNC_ROLE_H
#define SYNC_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "frame.h"
#include "sync-state.h"

struct bundle;

struct sync_role {
	const char	*verb;		/* "sending" */
	uint64_t	goodbye_ns;	/* how long last words may take */
	void		*arg;		/* of the three that follow */
	uint64_t	(*now_ns)(void *arg);
	void		(*again)(void *arg);
	void		(*ended)(void *arg, uint32_t reason, const char *text);
	enum sync_state	state;
	struct bundle	*bundle;
	char		name[PERSONA_NAME_MAX + 1];
	/* the end */
	bool		ending, link_dead;
	uint64_t	ending_ns;
	uint32_t	reason;
	char		text[REASON_TEXT_MAX + 1];
};

/*
 * Takes a message the peer may send in the role's state. 0; -EPROTO, which ends the
 * move as the peer's fault; or another -errno, which ends it as ours.
 */
typedef int sync_take_fn(void *arg, const Persona__Sync__SyncMessage *m);

/* Enter a state; nothing else follows from it here. */
void	sync_role_enter(struct sync_role *role, enum sync_state state);

/*
 * It is over, for this reason: the first one counts. _give_up tells the peer why,
 * where there is still a link to it.
 */
void	sync_role_finish(struct sync_role *role, uint32_t reason,
	    const char *text);
void	sync_role_give_up(struct sync_role *role, uint32_t reason,
	    const char *text);

/* What the peer says to end it: an end, whatever the number. */
void	sync_role_told(struct sync_role *role, uint32_t reason,
	    const char *text);

/* The bundle has failed with r. */
void	sync_role_link_failed(struct sync_role *role, int r, const char *why);

/*
 * Over, and last words are out or nobody takes them: tell the owner, once. True
 * when it is over; the engine may be gone then.
 */
bool	sync_role_run_ending(struct sync_role *role);

/*
 * Unpack a MESSAGE frame and give it to `take`; only a Cancel may come outside the
 * order. What `take` returned, or -EPROTO.
 */
int	sync_role_message(const struct frame *f, const uint8_t *payload,
	    sync_take_fn *take, void *arg);

#endif
