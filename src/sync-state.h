/* SPDX-License-Identifier: ISC */
/*
 * What the roles of the sync engine share: the names of their states, the figures
 * they report, and the checks of what a peer says. Knows no stream and decides
 * nothing.
 */
#ifndef SYNC_STATE_H
#define SYNC_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "blackout.h"
#include "pageencode.h"
#include "sync.pb-c.h"

enum sync_state {
	SYNC_HELLO,	/* versions are compared; nothing is promised */
	SYNC_OFFER,	/* the target decides whether it takes the persona */
	SYNC_COPY,	/* rounds; the guest runs at the source */
	SYNC_DRAIN,	/* last live pages leave; the guest still runs */
	SYNC_STOPPING,	/* the source's personad is asked to stop the guest */
	SYNC_STOPPED,	/* guest parked; last pages, state and root flow */
	SYNC_VERIFIED,	/* target: root is equal; its personad loads and records */
	SYNC_PREPARED,	/* target holds it durably; source may release, or not */
	SYNC_RELEASED,	/* source never runs it again at this tenure */
	SYNC_RUNNING,	/* it runs at the target; goodbyes */
	SYNC_ENDED,	/* told the owner why; nothing happens any more */
};

/* For the log; "?" for none of them. */
const char	*sync_state_name(enum sync_state s);

/* Figures for a person, at most a fraction of a second old. */
struct sync_progress {
	enum sync_state		state;
	uint32_t		round;		/* 1 is the first full pass */
	uint64_t		pages_total;
	uint64_t		pages_left;	/* of this round */
	uint64_t		bytes;		/* on the streams, headers included */
	uint64_t		rate;		/* bytes a second */
	uint64_t		eta_ms;	/* 0: not known yet */
	uint64_t		projected_blackout_ms;
	uint32_t		throttle_percent;
	struct page_savings	savings;
};

/* Why a move ends when its bundle failed with r. */
uint32_t sync_link_reason(int r);

/*
 * A persona as a peer describes it: are all its figures within our bounds?
 * 0 or -EPROTO with *why.
 */
int	sync_check_persona(const Persona__Transfer__Persona *p,
	    const char **why);

/*
 * A peer's sentence as we may show and log it: bounded, never NULL; the
 * reason's own text where there is none.
 */
void	sync_copy_text(char *out, size_t size, uint32_t reason,
	    const char *text);

#endif
