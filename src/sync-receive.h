/* SPDX-License-Identifier: ISC */
/*
 * The target's side of a move: fills memory from what the peer
 * sends, verifies all of it by the root hash, and passes on the few decisions
 * that are its owner's. A machine of states driven by events; it never blocks.
 * Everything it reads is a peer's claim. Knows streams only: no SSH, no KVM, no
 * registry, no clock but the one it is given.
 */
#ifndef SYNC_RECEIVE_H
#define SYNC_RECEIVE_H

#include <stddef.h>
#include <stdint.h>

#include "sync-state.h"

struct space;
struct stream;
struct sync_receive;

/* None of these may free the engine, except `ended`, which comes once. */
struct sync_receive_ops {
	uint64_t	(*now_ns)(void *arg);
	/* Call sync_receive_step() from the loop, soon. Twice is fine. */
	void		(*again)(void *arg);
	/*
	 * A persona that stands within our bounds is offered (valid during the
	 * call). Answered by sync_receive_accept() or _refuse().
	 */
	void		(*offered)(void *arg, uint64_t attempt,
			    const Persona__Transfer__Persona *persona);
	/*
	 * The same as a question, answered by sync_receive_answer(). May be NULL:
	 * then questions are refused.
	 */
	void		(*asked)(void *arg, uint64_t attempt,
			    const Persona__Transfer__Persona *persona);
	/* Memory and this state are what the source had. Answered by
	 * sync_receive_prepared() once the owner has it durably, or a cancel. */
	void		(*verified)(void *arg, const void *state, size_t len);
	/* The source has let go; answered by sync_receive_running(). */
	void		(*released)(void *arg, uint64_t tenure,
			    uint64_t stopped_for_ns);
	void		(*progress)(void *arg, const struct sync_progress *p);
	void		(*ended)(void *arg, uint32_t reason, const char *text);
};

/* 0 or -errno. The engine waits for streams. */
int	sync_receive_new(struct sync_receive **sp,
	    const struct sync_receive_ops *ops, void *arg);
void	sync_receive_free(struct sync_receive *s);

/* A stream from the proven peer; taken, also on failure. 0 or -errno. */
int	sync_receive_add_stream(struct sync_receive *s, struct stream *stream);

/*
 * Answers; in a state that did not ask they change nothing. The space (the
 * caller's, outliving this) may be written, is all zero and has the regions that
 * space_plan() gives for what was offered.
 */
void	sync_receive_accept(struct sync_receive *s, struct space *space);
void	sync_receive_refuse(struct sync_receive *s, uint32_t reason,
	    const char *text);
/* What would be said to an offer; noise may follow, to measure the link. */
void	sync_receive_answer(struct sync_receive *s,
	    const Persona__Transfer__Answer *answer);
void	sync_receive_prepared(struct sync_receive *s, uint64_t tenure);
void	sync_receive_running(struct sync_receive *s, uint64_t tenure,
	    const struct blackout *b);

/* The owner calls it off, or something of ours failed. Nothing once released. */
void	sync_receive_cancel(struct sync_receive *s, uint32_t reason,
	    const char *text);

/* What ops.again asks for. */
void	sync_receive_step(struct sync_receive *s);
/* Each 10 ms or so. */
void	sync_receive_tick(struct sync_receive *s);

void	sync_receive_progress(const struct sync_receive *s,
	    struct sync_progress *p);

#endif
