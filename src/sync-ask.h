/* SPDX-License-Identifier: ISC */
/*
 * The source's side of a question: would the peer take this persona, and how would
 * the move go? Offers it as a question, measures the link with noise, watches the
 * guest's memory for a moment, and estimates. Sends no page and changes nothing on
 * either side. A machine of states driven by events, as sync-send.h; knows streams
 * only.
 */
#ifndef SYNC_ASK_H
#define SYNC_ASK_H

#include <stdint.h>

#include "sync-send.h"

struct space;
struct stream;
struct sync_ask;

/* None of these may free the engine, except `ended`, which comes once. */
struct sync_ask_ops {
	uint64_t	(*now_ns)(void *arg);
	void		(*again)(void *arg);
	/* As sync_send_ops; answered by sync_ask_harvested(). */
	void		(*harvest)(void *arg, bool start);
	/*
	 * What the peer said (bounded and printable) and, without an objection, the
	 * estimate; valid during the call. Once, before `ended` with REASON_OK.
	 */
	void		(*answered)(void *arg,
			    Persona__Transfer__Preflight *preflight);
	void		(*ended)(void *arg, uint32_t reason, const char *text);
};

/* The config of a move. 0 or -errno. */
int	sync_ask_new(struct sync_ask **sp, const struct sync_send_config *cfg,
	    const struct sync_ask_ops *ops, void *arg);
void	sync_ask_free(struct sync_ask *s);

/* A stream to the proven peer; taken, also on failure. 0 or -errno. */
int	sync_ask_add_stream(struct sync_ask *s, struct stream *stream);

/*
 * What would be sent, and the bitmap of harvests (rounds_new()); both stay the
 * caller's. Greets and asks. 0 or -errno.
 */
int	sync_ask_start(struct sync_ask *s, struct space *space,
	    uint64_t *dirty);

/* As those of sync-send.h. */
void	sync_ask_harvested(struct sync_ask *s);
void	sync_ask_cancel(struct sync_ask *s, uint32_t reason, const char *text);
void	sync_ask_step(struct sync_ask *s);
/* Each 10 ms or so. */
void	sync_ask_tick(struct sync_ask *s);

/*
 * What a peer answered, made fit to be shown: bounded in number and size,
 * printable, no percentage above 100. 0, or -EPROTO. Changes `answer` in place.
 */
int	sync_ask_check_answer(Persona__Transfer__Answer *answer);

#endif
