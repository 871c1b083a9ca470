/* SPDX-License-Identifier: ISC */
/*
 * What every role of the sync engine has of a life: a state with a name in the log,
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

/* What an engine is to its role. */
struct sync_role_ops {
	const char	*verb;		/* "sending" */
	uint64_t	goodbye_ns;	/* how long last words may take */
	/*
	 * A frame from the peer, while it is not over. 0; -EPROTO, which ends it as
	 * the peer's fault; or another -errno, which goes to `failed`.
	 */
	int		(*frame)(void *engine, const struct frame *f,
			    const uint8_t *payload);
	/* Our own trouble with a frame: give up, in words that fit. */
	void		(*failed)(void *engine, int r);
};

/* Whose engine it is. None of these may free it, except `ended`, which comes once. */
struct sync_owner {
	uint64_t	(*now_ns)(void *arg);
	void		(*again)(void *arg);	/* step it from the loop, soon */
	void		(*ended)(void *arg, uint32_t reason, const char *text);
	void		*arg;
};

struct sync_role {
	const struct sync_role_ops *ops;
	void		*engine;
	struct sync_owner owner;
	enum sync_state	state;
	struct bundle	*bundle;
	char		name[PERSONA_NAME_MAX + 1];
	/* the end */
	bool		ending, link_dead;
	uint64_t	ending_ns;
	uint32_t	reason;
	char		text[REASON_TEXT_MAX + 1];
};

/* Takes a message the peer may send in the role's state; returns as `frame` does. */
typedef int sync_take_fn(void *engine, const Persona__Sync__SyncMessage *m);

/*
 * A role in SYNC_HELLO with an empty bundle; the attempt as bundle_new() has it.
 * 0 or -ENOMEM; _fini takes the role either way, and one that is all zero.
 */
int	sync_role_init(struct sync_role *role, const struct sync_role_ops *ops,
	    void *engine, const struct sync_owner *owner, uint64_t attempt);
void	sync_role_fini(struct sync_role *role);

/* The owner's clock, and a step from its loop. */
uint64_t sync_role_now_ns(const struct sync_role *role);
void	sync_role_again(struct sync_role *role);

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

/*
 * Over, and last words are out or nobody takes them: tell the owner, once. True
 * when it is over; the engine may be gone then.
 */
bool	sync_role_run_ending(struct sync_role *role);

/*
 * Unpack a MESSAGE frame and give it to `take`; only a Cancel may come outside the
 * order. What `take` returned, or -EPROTO.
 */
int	sync_role_message(struct sync_role *role, const struct frame *f,
	    const uint8_t *payload, sync_take_fn *take);

/* Whether the peer speaks our version; if not, it is over. */
bool	sync_role_same_version(struct sync_role *role,
	    const Persona__Sync__Hello *hello);

#endif
