/* SPDX-License-Identifier: ISC */
/*
 * Who may run a persona at each step of a move, on both sides. Each state has
 * one function: the events that mean something in it; all others change nothing.
 * Knows no process, message, file or clock.
 */
#include "handover.h"

#include <string.h>

struct step {
	struct handover			*h;
	const struct handover_event	*e;
	uint64_t			now_ms;
	struct handover_action		*out;
	size_t				n;
};

static void
act(struct step *s, enum handover_action_kind kind)
{
	s->out[s->n++] = (struct handover_action){ .kind = kind };
}

static void
act_reason(struct step *s, enum handover_action_kind kind, uint32_t reason)
{
	s->out[s->n++] = (struct handover_action){ .kind = kind,
	    .reason = reason };
}

/* Always the last of its list. */
static void
store(struct step *s, enum handover_record record)
{
	s->out[s->n++] = (struct handover_action){ .kind = HANDOVER_STORE,
	    .record = record };
}

static void
enter(struct step *s, enum handover_state state, uint32_t timeout_ms)
{
	s->h->state = state;
	s->h->deadline_ms = timeout_ms > 0 ? s->now_ms + timeout_ms : 0;
}

static void
end(struct step *s, uint32_t reason)
{
	if (s->h->reported)
		return;
	s->h->reported = true;
	act_reason(s, HANDOVER_END, reason);
}

static bool
is_late(const struct step *s)
{
	return s->e->kind == HANDOVER_TICK && s->h->deadline_ms != 0 &&
	    s->now_ms >= s->h->deadline_ms;
}

/* Why an event ends an attempt, or REASON_OK when it does not. */
static uint32_t
failure(const struct step *s)
{
	switch (s->e->kind) {
	case HANDOVER_CANCEL:
	case HANDOVER_LINK_ENDED:
		return s->e->reason != REASON_OK ? s->e->reason :
		    (uint32_t)REASON_INTERNAL;
	case HANDOVER_GUEST_ENDED:
		return REASON_GUEST_ENDED;
	default:
		return REASON_OK;
	}
}

/* --- source --------------------------------------------------------------------- */

/* Nothing was stopped yet: it simply runs on. */
static void
stay(struct step *s, uint32_t reason)
{
	enter(s, HANDOVER_KEPT, 0);
	act_reason(s, HANDOVER_SEND_CANCEL, reason);
	end(s, reason);
}

/*
 * Stopped, not released: it runs on here and the attempt is dead for ever. The
 * guest comes first; should we die before the record says KEPT, STOPPED alone
 * means the same after a restart.
 */
static void
take_up_again(struct step *s, uint32_t reason)
{
	enter(s, HANDOVER_KEPT, 0);
	if (!s->h->guest_gone)
		act(s, HANDOVER_RESUME);
	act_reason(s, HANDOVER_SEND_CANCEL, reason);
	end(s, reason);
	store(s, HANDOVER_RECORD_KEPT);
}

static void
copying(struct step *s)
{
	uint32_t reason = failure(s);

	if (s->e->kind == HANDOVER_WANT_STOP) {
		enter(s, HANDOVER_STOPPING, 0);
		store(s, HANDOVER_RECORD_STOPPED);
	} else if (reason != REASON_OK) {
		stay(s, reason);
	}
}

static void
stopping(struct step *s)
{
	if (s->e->kind == HANDOVER_STORED) {
		enter(s, HANDOVER_PARKING, 0);
		act(s, HANDOVER_PARK);
	} else if (s->e->kind == HANDOVER_STORE_FAILED) {
		stay(s, REASON_DISK_FULL);
	}
}

static void
parking(struct step *s)
{
	uint32_t reason = failure(s);

	if (s->e->kind == HANDOVER_PARKED) {
		enter(s, HANDOVER_STOPPED, s->h->prepared_ms);
		act(s, HANDOVER_SEND_STOPPED);
	} else if (s->e->kind == HANDOVER_PARK_FAILED) {
		take_up_again(s, REASON_VMM_FAILED);
	} else if (reason != REASON_OK) {
		s->h->guest_gone = s->e->kind == HANDOVER_GUEST_ENDED;
		take_up_again(s, reason);
	}
}

static void
stopped(struct step *s)
{
	if (s->e->kind == HANDOVER_PEER_PREPARED) {
		if (s->e->tenure != s->h->tenure + 1) {
			take_up_again(s, REASON_PROTOCOL);
			return;
		}
		enter(s, HANDOVER_RELEASING, 0);
		store(s, HANDOVER_RECORD_RELEASED);
	} else if (s->e->kind == HANDOVER_GUEST_ENDED) {
		/* All of it is on its way already; only going back is gone. */
		s->h->guest_gone = true;
	} else if (is_late(s)) {
		take_up_again(s, REASON_TARGET_FAILED);
	} else if (failure(s) != REASON_OK) {
		take_up_again(s, failure(s));
	}
}

static void
releasing(struct step *s)
{
	if (s->e->kind == HANDOVER_STORED) {
		enter(s, HANDOVER_RELEASED, HANDOVER_RUNNING_MS);
		act(s, HANDOVER_SEND_RELEASE);
	} else if (s->e->kind == HANDOVER_STORE_FAILED) {
		take_up_again(s, REASON_DISK_FULL);
	}
}

/* Cancel comes too late here; time and a lost link only end the waiting. */
static void
released(struct step *s)
{
	if (s->e->kind == HANDOVER_PEER_RUNNING &&
	    s->e->tenure == s->h->tenure + 1) {
		enter(s, HANDOVER_CONFIRMING, 0);
		store(s, HANDOVER_RECORD_MOVED);
	} else if (is_late(s) || s->e->kind == HANDOVER_LINK_ENDED) {
		s->h->deadline_ms = 0;
		end(s, REASON_LINK_LOST);
	}
}

static void
confirming(struct step *s)
{
	if (s->e->kind == HANDOVER_STORED) {
		enter(s, HANDOVER_MOVED, 0);
		act(s, HANDOVER_FORGET);
		end(s, REASON_OK);
	} else if (s->e->kind == HANDOVER_STORE_FAILED) {
		enter(s, HANDOVER_CONFIRMING, HANDOVER_RETRY_MS);
	} else if (is_late(s)) {
		store(s, HANDOVER_RECORD_MOVED);
	}
}

/* --- target --------------------------------------------------------------------- */

/* What waits here is no guest yet: when it ends, the machine has failed. */
static uint32_t
target_failure(const struct step *s)
{
	return s->e->kind == HANDOVER_GUEST_ENDED ?
	    (uint32_t)REASON_VMM_FAILED : failure(s);
}

/* Nothing is on record: forget it all. */
static void
drop(struct step *s, uint32_t reason)
{
	enter(s, HANDOVER_DROPPED, 0);
	act(s, HANDOVER_DROP);
	act_reason(s, HANDOVER_SEND_CANCEL, reason);
	end(s, reason);
}

static void
receiving(struct step *s)
{
	uint32_t reason = target_failure(s);

	if (s->e->kind == HANDOVER_VERIFIED) {
		enter(s, HANDOVER_LOADING, 0);
		act(s, HANDOVER_LOAD);
	} else if (reason != REASON_OK) {
		drop(s, reason);
	}
}

static void
loading(struct step *s)
{
	uint32_t reason = target_failure(s);

	if (s->e->kind == HANDOVER_LOADED) {
		enter(s, HANDOVER_PREPARING, 0);
		store(s, HANDOVER_RECORD_PREPARED);
	} else if (s->e->kind == HANDOVER_LOAD_FAILED) {
		drop(s, REASON_VMM_FAILED);
	} else if (reason != REASON_OK) {
		drop(s, reason);
	}
}

static void
preparing(struct step *s)
{
	if (s->e->kind == HANDOVER_STORED) {
		enter(s, HANDOVER_PREPARED, 0);
		act(s, HANDOVER_SEND_PREPARED);
	} else if (s->e->kind == HANDOVER_STORE_FAILED) {
		drop(s, REASON_DISK_FULL);
	}
}

static void
abort_attempt(struct step *s, uint32_t reason)
{
	s->h->why = reason;
	enter(s, HANDOVER_ABORTING, 0);
	store(s, HANDOVER_RECORD_ABORTED);
}

/* The link is silent or gone: the source may have released, so we wait. */
static bool
tells_nothing(uint32_t reason)
{
	return reason == REASON_OK || reason == REASON_LINK_LOST ||
	    reason == REASON_UNREACHABLE || reason == REASON_INTERNAL;
}

/*
 * Time alone never aborts. The source's own word that the attempt is over does, and
 * so does a person's; if the guest is gone, there is nothing left to own.
 */
static void
prepared(struct step *s)
{
	if (s->e->kind == HANDOVER_PEER_RELEASED &&
	    s->e->tenure == s->h->tenure + 1) {
		enter(s, HANDOVER_OWNING, 0);
		store(s, HANDOVER_RECORD_OWNER);
	} else if (s->e->kind == HANDOVER_CANCEL ||
	    s->e->kind == HANDOVER_GUEST_ENDED) {
		abort_attempt(s, target_failure(s));
	} else if (s->e->kind == HANDOVER_LINK_ENDED) {
		if (tells_nothing(s->e->reason))
			end(s, REASON_LINK_LOST);
		else
			abort_attempt(s, s->e->reason);
	}
}

static void
owning(struct step *s)
{
	if (s->e->kind == HANDOVER_STORED) {
		enter(s, HANDOVER_WAKING, 0);
		act(s, HANDOVER_WAKE);
	} else if (s->e->kind == HANDOVER_STORE_FAILED) {
		enter(s, HANDOVER_OWNING, HANDOVER_RETRY_MS);
	} else if (is_late(s)) {
		store(s, HANDOVER_RECORD_OWNER);
	}
}

/* Ours also when it fails to wake: the source is told, the person too. */
static void
waking(struct step *s)
{
	if (s->e->kind == HANDOVER_RESUMED) {
		enter(s, HANDOVER_OWNER, 0);
		act(s, HANDOVER_SEND_RUNNING);
	} else if (s->e->kind == HANDOVER_RESUME_FAILED ||
	    s->e->kind == HANDOVER_GUEST_ENDED) {
		enter(s, HANDOVER_OWNER, 0);
		act(s, HANDOVER_SEND_RUNNING);
		end(s, REASON_VMM_FAILED);
	}
}

static void
owner(struct step *s)
{
	if (s->e->kind == HANDOVER_LINK_ENDED)
		end(s, REASON_OK);
}

/* What cannot be written down has not happened: then it is PREPARED still. */
static void
aborting(struct step *s)
{
	if (s->e->kind == HANDOVER_STORED) {
		enter(s, HANDOVER_ABORTED, 0);
		act(s, HANDOVER_DROP);
		act_reason(s, HANDOVER_SEND_CANCEL, s->h->why);
		end(s, s->h->why);
	} else if (s->e->kind == HANDOVER_STORE_FAILED) {
		enter(s, HANDOVER_PREPARED, 0);
		end(s, REASON_DISK_FULL);
	}
}

static void
over(struct step *s)
{
	(void)s;
}

/* --- the table ------------------------------------------------------------------- */

static const struct {
	const char	*name;
	void		(*step)(struct step *s);
	bool		over;
	bool		binding;
} states[] = {
	[HANDOVER_COPYING] = { "COPYING", copying, false, false },
	[HANDOVER_STOPPING] = { "STOPPING", stopping, false, false },
	[HANDOVER_PARKING] = { "PARKING", parking, false, false },
	[HANDOVER_STOPPED] = { "STOPPED", stopped, false, false },
	[HANDOVER_RELEASING] = { "RELEASING", releasing, false, false },
	[HANDOVER_RELEASED] = { "RELEASED", released, false, true },
	[HANDOVER_CONFIRMING] = { "CONFIRMING", confirming, false, true },
	[HANDOVER_MOVED] = { "MOVED", over, true, true },
	[HANDOVER_KEPT] = { "KEPT", over, true, false },
	[HANDOVER_RECEIVING] = { "RECEIVING", receiving, false, false },
	[HANDOVER_LOADING] = { "LOADING", loading, false, false },
	[HANDOVER_PREPARING] = { "PREPARING", preparing, false, false },
	[HANDOVER_PREPARED] = { "PREPARED", prepared, false, true },
	[HANDOVER_OWNING] = { "OWNING", owning, false, true },
	[HANDOVER_WAKING] = { "WAKING", waking, false, true },
	[HANDOVER_OWNER] = { "OWNER", owner, true, true },
	[HANDOVER_ABORTING] = { "ABORTING", aborting, false, true },
	[HANDOVER_ABORTED] = { "ABORTED", over, true, false },
	[HANDOVER_DROPPED] = { "DROPPED", over, true, false },
};

static void
init(struct handover *h, enum handover_state state, uint64_t attempt,
    uint64_t tenure)
{
	memset(h, 0, sizeof(*h));
	h->state = state;
	h->attempt = attempt;
	h->tenure = tenure;
}

void
handover_source_init(struct handover *h, uint64_t attempt, uint64_t tenure,
    uint32_t budget_ms)
{
	init(h, HANDOVER_COPYING, attempt, tenure);
	h->prepared_ms = HANDOVER_PREPARED_MS + 2 * budget_ms;
}

void
handover_target_init(struct handover *h, uint64_t attempt, uint64_t tenure)
{
	init(h, HANDOVER_RECEIVING, attempt, tenure);
}

void
handover_target_restore(struct handover *h, uint64_t attempt, uint64_t tenure)
{
	init(h, HANDOVER_PREPARED, attempt, tenure);
	h->reported = true;	/* whoever followed is gone */
}

size_t
handover_step(struct handover *h, const struct handover_event *e,
    uint64_t now_ms, struct handover_action *out)
{
	struct step s = { .h = h, .e = e, .now_ms = now_ms, .out = out };

	if (e->attempt != h->attempt)
		return 0;
	states[h->state].step(&s);
	return s.n;
}

uint64_t
handover_deadline_ms(const struct handover *h)
{
	return h->deadline_ms;
}

bool
handover_is_over(const struct handover *h)
{
	return states[h->state].over;
}

bool
handover_is_binding(const struct handover *h)
{
	return states[h->state].binding;
}

const char *
handover_state_name(enum handover_state s)
{
	return states[s].name;
}
