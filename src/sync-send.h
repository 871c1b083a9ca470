/* SPDX-License-Identifier: ISC */
/*
 * The source's side of a move: rounds while the guest runs, one
 * short stop, then waiting until the target owns it. A machine of states driven
 * by events; it never blocks. Knows streams only: no SSH, no KVM, no registry, no
 * clock but the one it is given. The guest can be stopped by its owner alone, who
 * is asked by want_stop; whatever happens here before Release, it goes on.
 */
#ifndef SYNC_SEND_H
#define SYNC_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync-state.h"

struct space;
struct stream;
struct sync_send;

struct sync_send_config {
	const Persona__Transfer__Persona *persona;	/* copied */
	uint64_t	attempt;		/* not 0 */
	uint32_t	blackout_budget_ms;
	uint64_t	bandwidth_limit;	/* bytes a second; 0: none */
	bool		allow_throttle;
	uint64_t	overhead_ns;		/* policy_init() */
};

/* None of these may free the engine, except `ended`, which comes once. */
struct sync_send_ops {
	uint64_t	(*now_ns)(void *arg);
	/* Call sync_send_step() from the loop, soon. Asking twice is fine. */
	void		(*again)(void *arg);
	/* Collect dirty pages, with `start`: begin logging. Answered by
	 * sync_send_harvested(); asked again only after that. */
	void		(*harvest)(void *arg, bool start);
	void		(*throttle)(void *arg, unsigned int percent);
	/* Stop the guest; answered by sync_send_stopped() or a cancel. */
	void		(*want_stop)(void *arg);
	/* The target holds it durably; answered by sync_send_release(). */
	void		(*prepared)(void *arg, uint64_t tenure);
	void		(*running)(void *arg, uint64_t tenure,
			    const struct blackout *b);
	void		(*progress)(void *arg, const struct sync_progress *p);
	void		(*ended)(void *arg, uint32_t reason, const char *text);
};

/* 0 or -errno. The engine waits for streams and sync_send_start(). */
int	sync_send_new(struct sync_send **sp, const struct sync_send_config *cfg,
	    const struct sync_send_ops *ops, void *arg);
void	sync_send_free(struct sync_send *s);

/* A stream to the proven peer; taken, also on failure. 0 or -errno. */
int	sync_send_add_stream(struct sync_send *s, struct stream *stream);

/*
 * What is to be sent, with the regions that space_plan() gives for the persona, and
 * the bitmap of harvests (rounds_new()); both stay the caller's. Greets and offers.
 * 0 or -errno.
 */
int	sync_send_start(struct sync_send *s, struct space *space,
	    uint64_t *dirty);

/* Answers; in a state that did not ask they change nothing. */
void	sync_send_harvested(struct sync_send *s);
void	sync_send_stopped(struct sync_send *s, const void *state, size_t len,
	    uint64_t stopped_at_ns);
void	sync_send_release(struct sync_send *s, uint64_t tenure);

/* The owner calls it off, or something of ours failed. Nothing after Release. */
void	sync_send_cancel(struct sync_send *s, uint32_t reason,
	    const char *text);

/* The interface that leads to the peer is said to be down: bundle_doubt(). */
void	sync_send_doubt_link(struct sync_send *s);

/* What ops.again asks for: encode and send while there is room. */
void	sync_send_step(struct sync_send *s);
/* Each 10 ms or so. */
void	sync_send_tick(struct sync_send *s);

/* Once it runs there: policy_overhead() of this move; 0 when it cannot be told. */
uint64_t sync_send_overhead_ns(const struct sync_send *s);

/* Where it is, and figures for a person; also after the end. */
enum sync_state sync_send_state(const struct sync_send *s);
void	sync_send_progress(struct sync_send *s, struct sync_progress *p);

#endif
