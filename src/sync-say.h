/* SPDX-License-Identifier: ISC */
/*
 * What the two sides of a transfer say to each other, one function a message
 * (proto/sync.proto, persona-protocol(7)). When each may be said is the roles'
 * matter; here is only how it is put.
 *
 * Each queues its message in order, behind the pages that wait, and returns 0 or
 * -errno of bundle_send(). What is passed is copied. Where a link that is dead may
 * be left to its own end, callers ignore the error.
 */
#ifndef SYNC_SAY_H
#define SYNC_SAY_H

#include <stddef.h>
#include <stdint.h>

#include "sync-state.h"

struct bundle;
struct digest;

/* Both sides: our version; that it is over, and why (reason.h). */
int	sync_say_hello(struct bundle *b);
/* Outside the order, so that it does not wait behind pages. */
int	sync_say_cancel(struct bundle *b, uint32_t reason, const char *text);

/*
 * The source: a round begins; the guest is stopped and its machine state follows,
 * which sync_say_state() sends; the root hash of it all; the persona is yours at
 * this tenure, after a stop of so many nanoseconds.
 */
int	sync_say_round(struct bundle *b, const struct sync_progress *p);
int	sync_say_stop(struct bundle *b, size_t state_bytes);
int	sync_say_state(struct bundle *b, const void *state, size_t len);
int	sync_say_root(struct bundle *b, const struct digest *root);
int	sync_say_release(struct bundle *b, uint64_t tenure,
	    uint64_t stopped_for_ns);

/*
 * The target: send it; do not, and why; how it would go, when that was the
 * question; it is held durably for this tenure; it runs here.
 */
int	sync_say_accept(struct bundle *b);
int	sync_say_refuse(struct bundle *b, uint32_t reason, const char *text);
int	sync_say_answer(struct bundle *b,
	    const Persona__Transfer__Answer *answer);
int	sync_say_prepared(struct bundle *b, uint64_t tenure);
int	sync_say_running(struct bundle *b, uint64_t tenure,
	    const struct blackout *blackout);

#endif
