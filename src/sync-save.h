/* SPDX-License-Identifier: ISC */
/*
 * The near end of the sync engine: a persona's pages copied into files of this
 * handset, all of one instant. Rounds while the guest runs, the last pages while
 * it is parked, then it may run on and the copy is hashed and made durable. The
 * caller asks the guest; this file knows no guest, no process and no file's name.
 */
#ifndef SYNC_SAVE_H
#define SYNC_SAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"

struct space;
struct sync_save;

enum save_state {
	SAVE_COPY,	/* the guest runs; it is copied and changes meanwhile */
	SAVE_STOPPING,	/* the stop was asked for */
	SAVE_STOPPED,	/* parked; what is copied now is the instant */
	SAVE_FINISH,	/* it may run on; the copy is hashed and synced */
	SAVE_ENDED,
};

struct sync_save_ops {
	/* Call sync_save_step soon. */
	void		(*again)(void *arg);
	uint64_t	(*now_ns)(void *arg);
	/* Harvest dirty pages, then sync_save_harvested; `start` logging. */
	void		(*harvest)(void *arg, bool start);
	/* Park the guest and save its state, then sync_save_stopped. */
	void		(*want_stop)(void *arg);
	/* Nothing of the guest is looked at any more. */
	void		(*copied)(void *arg);
	/* On stable storage; root is NULL unless one was asked for. Last. */
	void		(*done)(void *arg, const struct digest *root);
	/* It cannot be done: -errno of reading or writing. Last. */
	void		(*failed)(void *arg, int r);
};

struct sync_save_config {
	struct space	*from, *to;	/* of one plan; `to` is empty */
	/* Shared with whoever logs; one bit a page up to the plan's n_dirty. */
	uint64_t	*dirty;
	/* Park the guest before the first page: no rounds, no `dirty`. */
	bool		stop_first;
	bool		rooted;		/* hash what was written */
};

struct sync_save_progress {
	enum save_state	state;
	uint32_t	round;		/* 1 is the first full pass */
	uint64_t	pages_total;	/* that hold something */
	uint64_t	pages_left;	/* of this round, or to be hashed */
	uint64_t	bytes;		/* copied so far */
};

/* The spaces stay the caller's and live longer. 0 or -ENOMEM. */
int	sync_save_new(struct sync_save **sp, const struct sync_save_config *c,
	    const struct sync_save_ops *ops, void *arg);
void	sync_save_free(struct sync_save *s);

/* Begin: the first question is asked from within. */
void	sync_save_begin(struct sync_save *s);

/* The answers. Those that nobody asked for change nothing. */
void	sync_save_harvested(struct sync_save *s);
void	sync_save_stopped(struct sync_save *s, const void *machine_state,
	    size_t len);

/* A few milliseconds of work. */
void	sync_save_step(struct sync_save *s);

void	sync_save_progress(const struct sync_save *s,
	    struct sync_save_progress *p);

#endif
