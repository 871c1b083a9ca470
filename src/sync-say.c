/* SPDX-License-Identifier: ISC */
/*
 * Messages of a transfer from their figures to their bytes. Knows no state.
 */
#include "sync-say.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bounds.h"
#include "bundle.h"
#include "digest.h"

#define KIND(name) PERSONA__SYNC__SYNC_MESSAGE__KIND_##name

static int
say(struct bundle *b, const Persona__Sync__SyncMessage *m, bool urgent)
{
	size_t len = persona__sync__sync_message__get_packed_size(m);
	uint8_t *buf;
	int r;

	if (len > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	if ((buf = malloc(len > 0 ? len : 1)) == NULL)
		return -ENOMEM;
	persona__sync__sync_message__pack(m, buf);
	r = urgent ? bundle_send_urgent(b, FRAME_MESSAGE, buf, len) :
	    bundle_send(b, FRAME_MESSAGE, 0, buf, len);
	free(buf);
	return r;
}

/* --- both sides ------------------------------------------------------------- */

int
sync_say_hello(struct bundle *b)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Hello hello = PERSONA__SYNC__HELLO__INIT;

	hello.version = PROTOCOL_VERSION;
	m.kind_case = KIND(HELLO);
	m.hello = &hello;
	return say(b, &m, false);
}

int
sync_say_cancel(struct bundle *b, uint32_t reason, const char *text)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Cancel cancel = PERSONA__SYNC__CANCEL__INIT;

	cancel.reason = reason;
	cancel.message = (char *)(uintptr_t)text;
	m.kind_case = KIND(CANCEL);
	m.cancel = &cancel;
	return say(b, &m, true);
}

/* --- the source ------------------------------------------------------------- */

int
sync_say_round(struct bundle *b, const struct sync_progress *p)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Round round = PERSONA__SYNC__ROUND__INIT;

	round.round = p->round;
	round.pages = p->pages_left;
	round.has_rate = 1;
	round.rate = p->rate;
	round.has_eta_ms = p->eta_ms > 0;
	round.eta_ms = p->eta_ms;
	m.kind_case = KIND(ROUND);
	m.round = &round;
	return say(b, &m, false);
}

int
sync_say_stop(struct bundle *b, size_t state_bytes)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Stop stop = PERSONA__SYNC__STOP__INIT;

	stop.state_bytes = state_bytes;
	m.kind_case = KIND(STOP);
	m.stop = &stop;
	return say(b, &m, false);
}

int
sync_say_state(struct bundle *b, const void *state, size_t len)
{
	const uint8_t *next = state;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = len < FRAME_PAYLOAD_MAX ? len : FRAME_PAYLOAD_MAX;

		r = bundle_send(b, FRAME_STATE, 0, next, n);
		next += n;
		len -= n;
	}
	return r;
}

int
sync_say_root(struct bundle *b, const struct digest *root)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Root msg = PERSONA__SYNC__ROOT__INIT;

	msg.root.data = (uint8_t *)(uintptr_t)root->b;
	msg.root.len = sizeof(root->b);
	m.kind_case = KIND(ROOT);
	m.root = &msg;
	return say(b, &m, false);
}

int
sync_say_release(struct bundle *b, uint64_t tenure, uint64_t stopped_for_ns)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Release release = PERSONA__SYNC__RELEASE__INIT;

	release.tenure = tenure;
	release.stopped_for_ns = stopped_for_ns;
	m.kind_case = KIND(RELEASE);
	m.release = &release;
	return say(b, &m, false);
}

/* --- the target ------------------------------------------------------------- */

int
sync_say_accept(struct bundle *b)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Accept accept = PERSONA__SYNC__ACCEPT__INIT;

	m.kind_case = KIND(ACCEPT);
	m.accept = &accept;
	return say(b, &m, false);
}

int
sync_say_refuse(struct bundle *b, uint32_t reason, const char *text)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Refuse refuse = PERSONA__SYNC__REFUSE__INIT;

	refuse.reason = reason;
	refuse.message = (char *)(uintptr_t)text;
	m.kind_case = KIND(REFUSE);
	m.refuse = &refuse;
	return say(b, &m, false);
}

int
sync_say_answer(struct bundle *b, const Persona__Transfer__Answer *answer)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;

	m.kind_case = KIND(ANSWER);
	m.answer = (Persona__Transfer__Answer *)(uintptr_t)answer;
	return say(b, &m, false);
}

int
sync_say_prepared(struct bundle *b, uint64_t tenure)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Prepared prepared = PERSONA__SYNC__PREPARED__INIT;

	prepared.tenure = tenure;
	m.kind_case = KIND(PREPARED);
	m.prepared = &prepared;
	return say(b, &m, false);
}

int
sync_say_running(struct bundle *b, uint64_t tenure,
    const struct blackout *blackout)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Running running = PERSONA__SYNC__RUNNING__INIT;

	running.tenure = tenure;
	running.has_blackout_ns = blackout->ns > 0;
	running.blackout_ns = blackout->ns;
	running.has_by_guest = running.by_guest = blackout->by_guest;
	m.kind_case = KIND(RUNNING);
	m.running = &running;
	return say(b, &m, false);
}
