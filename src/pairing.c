/* SPDX-License-Identifier: ISC */
/*
 * The state machine of pairing: what may come when, and what it means (pairing.h
 * says what it is worth and why). Time is passed in; knows no socket, registry,
 * private key or byte order (pairing-wire.c).
 */
#include "pairing.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pairing-hash.h"
#include "pairing-wire.h"
#include "text.h"

#define NO_DEADLINE	UINT64_MAX

struct pairing {
	enum pairing_role	role;
	enum pairing_state	state;
	uint64_t		due_ms;
	uint32_t		person_ms;
	const char		*message;	/* static; set at the end */
	bool			not_ready;

	struct pairing_share	own, peer;
	uint8_t			secret[PAIRING_POINT_BYTES];
	uint8_t			commitment[PAIRING_HASH_BYTES];	/* R: theirs */
	uint8_t			key[PAIRING_HASH_BYTES];
	bool			peer_said_same;
	char			digits[PAIRING_DIGITS + 1];
	struct pairing_handset	peer_shown;

	struct pairing_wire	wire;
};

/* --- ends ---------------------------------------------------------------------- */

static void
finish(struct pairing *p, enum pairing_state state, const char *message)
{
	if (pairing_ended(p->state))
		return;
	p->state = state;
	p->message = message;
	p->due_ms = NO_DEADLINE;
}

/* --- out ----------------------------------------------------------------------- */

/* What we have to say always fits; should it not, there is no pairing. */
static void
said(struct pairing *p, int r)
{
	if (r < 0)
		finish(p, PAIRING_FAILED, "internal error: too much to say");
}

static void
say_commit(struct pairing *p)
{
	uint8_t hash[PAIRING_HASH_BYTES];

	pairing_commitment(&p->own, PROTOCOL_VERSION, hash);
	said(p, pairing_wire_commit(&p->wire, hash));
}

static void
say_handset(struct pairing *p)
{
	said(p, pairing_wire_handset(&p->wire, p->role, &p->own));
}

static void
say_verdict(struct pairing *p, bool same)
{
	uint8_t mac[PAIRING_HASH_BYTES];

	pairing_verdict_mac(p->key, p->role, same, mac);
	said(p, pairing_wire_verdict(&p->wire, same, mac));
}

static void
say_refuse(struct pairing *p, uint32_t why)
{
	said(p, pairing_wire_refuse(&p->wire, why));
}

/* The other side said what it may not: tell it, and end. */
static void
fail_protocol(struct pairing *p, const char *message)
{
	say_refuse(p, PERSONA__PAIRING__REFUSE__WHY__PROTOCOL);
	finish(p, PAIRING_FAILED, message);
}

/* --- in ------------------------------------------------------------------------ */

static void
enter_compare(struct pairing *p, uint64_t now_ms)
{
	const bool initiator = p->role == PAIRING_INITIATOR;
	uint8_t transcript[PAIRING_HASH_BYTES];

	/* A mirror would show our own digits; nobody pairs with himself. */
	if (memcmp(p->own.identity, p->peer.identity,
	    sizeof(p->own.identity)) == 0) {
		fail_protocol(p, "the other handset shows our own key");
		return;
	}
	pairing_transcript(initiator ? &p->own : &p->peer,
	    initiator ? &p->peer : &p->own, PROTOCOL_VERSION, transcript);
	if (pairing_make_key(transcript, p->secret, p->peer.ephemeral,
	    p->key) < 0) {
		fail_protocol(p, "the other handset sent a weak key");
		return;
	}
	pairing_make_digits(transcript, p->digits);
	memcpy(p->peer_shown.name, p->peer.name, sizeof(p->peer_shown.name));
	p->peer_shown.port = p->peer.port;
	pubkey_from_point(p->peer.identity, p->peer_shown.key);
	p->state = PAIRING_COMPARE;
	p->due_ms = now_ms + p->person_ms;
}

static void
on_commit(struct pairing *p, const Persona__Pairing__WireMessage *m,
    uint64_t now_ms)
{
	if (m->commit->version != PROTOCOL_VERSION) {
		say_refuse(p, PERSONA__PAIRING__REFUSE__WHY__VERSION);
		finish(p, PAIRING_FAILED, "the other handset speaks another "
		    "version of the protocol; update the older one");
		return;
	}
	if (m->commit->commitment.len != sizeof(p->commitment)) {
		fail_protocol(p, "the other handset's commitment is malformed");
		return;
	}
	memcpy(p->commitment, m->commit->commitment.data,
	    sizeof(p->commitment));
	say_handset(p);
	p->state = PAIRING_WAIT_REVEAL;
	p->due_ms = now_ms + PAIRING_STEP_MS;
}

static void
on_reply(struct pairing *p, const Persona__Pairing__WireMessage *m,
    uint64_t now_ms)
{
	if (!pairing_wire_share(m->reply, &p->peer)) {
		fail_protocol(p, "the other handset's introduction is malformed");
		return;
	}
	say_handset(p);
	enter_compare(p, now_ms);
}

static void
on_reveal(struct pairing *p, const Persona__Pairing__WireMessage *m,
    uint64_t now_ms)
{
	uint8_t hash[PAIRING_HASH_BYTES];

	if (!pairing_wire_share(m->reveal, &p->peer)) {
		fail_protocol(p, "the other handset's introduction is malformed");
		return;
	}
	pairing_commitment(&p->peer, PROTOCOL_VERSION, hash);
	if (sodium_memcmp(hash, p->commitment, sizeof(hash)) != 0) {
		fail_protocol(p, "the other handset revealed something else "
		    "than it had committed to; somebody may be in between");
		return;
	}
	enter_compare(p, now_ms);
}

static void
on_verdict(struct pairing *p, const Persona__Pairing__WireMessage *m,
    uint64_t now_ms)
{
	const enum pairing_role theirs = p->role == PAIRING_INITIATOR ?
	    PAIRING_RESPONDER : PAIRING_INITIATOR;
	uint8_t mac[PAIRING_HASH_BYTES];

	(void)now_ms;
	pairing_verdict_mac(p->key, theirs, m->verdict->same, mac);
	if (m->verdict->mac.len != sizeof(mac) ||
	    sodium_memcmp(mac, m->verdict->mac.data, sizeof(mac)) != 0) {
		fail_protocol(p, "the other person's answer was forged; "
		    "somebody may be in between");
		return;
	}
	if (!m->verdict->same) {
		finish(p, PAIRING_REFUSED, "the person at the other handset "
		    "said that the digits differ");
		return;
	}
	p->peer_said_same = true;
	if (p->state == PAIRING_WAIT_PEER)
		finish(p, PAIRING_PAIRED, "paired");
}

/* Not under a MAC and need not be: it does no more than cutting the link. */
static void
on_refuse(struct pairing *p, const Persona__Pairing__WireMessage *m,
    uint64_t now_ms)
{
	(void)now_ms;
	switch (m->refuse->why) {
	case PERSONA__PAIRING__REFUSE__WHY__NOT_WAITING:
		p->not_ready = true;
		finish(p, PAIRING_REFUSED, "the other handset does not wait "
		    "for a pairing");
		break;
	case PERSONA__PAIRING__REFUSE__WHY__BUSY:
		p->not_ready = true;
		finish(p, PAIRING_REFUSED, "the other handset is busy with "
		    "another pairing");
		break;
	case PERSONA__PAIRING__REFUSE__WHY__VERSION:
		finish(p, PAIRING_FAILED, "the other handset speaks another "
		    "version of the protocol; update the older one");
		break;
	case PERSONA__PAIRING__REFUSE__WHY__PROTOCOL:
		finish(p, PAIRING_FAILED, "the other handset did not "
		    "understand us");
		break;
	case PERSONA__PAIRING__REFUSE__WHY__TIMED_OUT:
		finish(p, PAIRING_TIMED_OUT, "the person at the other handset "
		    "did not answer in time");
		break;
	default:
		finish(p, PAIRING_REFUSED, "the person at the other handset "
		    "refused");
		break;
	}
}

/* What may come when. Anything else ends the pairing. */
#define IN_STATE(s) (1u << (s))
static const struct {
	Persona__Pairing__WireMessage__KindCase kind;
	unsigned int	states;
	void		(*take)(struct pairing *p,
			    const Persona__Pairing__WireMessage *m,
			    uint64_t now_ms);
} expected[] = {
	{ PERSONA__PAIRING__WIRE_MESSAGE__KIND_COMMIT,
	    IN_STATE(PAIRING_WAIT_COMMIT), on_commit },
	{ PERSONA__PAIRING__WIRE_MESSAGE__KIND_REPLY,
	    IN_STATE(PAIRING_WAIT_REPLY), on_reply },
	{ PERSONA__PAIRING__WIRE_MESSAGE__KIND_REVEAL,
	    IN_STATE(PAIRING_WAIT_REVEAL), on_reveal },
	{ PERSONA__PAIRING__WIRE_MESSAGE__KIND_VERDICT,
	    IN_STATE(PAIRING_COMPARE) | IN_STATE(PAIRING_WAIT_PEER),
	    on_verdict },
	{ PERSONA__PAIRING__WIRE_MESSAGE__KIND_REFUSE, ~0u, on_refuse },
};

static void
take_message(struct pairing *p, const Persona__Pairing__WireMessage *m,
    uint64_t now_ms)
{
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (expected[i].kind == m->kind_case &&
		    (expected[i].states & IN_STATE(p->state))) {
			expected[i].take(p, m, now_ms);
			return;
		}
	fail_protocol(p, "the other handset spoke out of turn");
}

/* Act on one whole message; false when none is there or nothing may follow. */
static bool
take_one(struct pairing *p, uint64_t now_ms)
{
	Persona__Pairing__WireMessage *m;
	const char *why;
	int r;

	if (pairing_ended(p->state))
		return false;
	if ((r = pairing_wire_next(&p->wire, &m, &why)) == -ENOMSG)
		finish(p, PAIRING_FAILED, why);
	else if (r < 0)
		fail_protocol(p, why);
	if (r <= 0)
		return false;
	take_message(p, m, now_ms);
	persona__pairing__wire_message__free_unpacked(m, NULL);
	return true;
}

/* --- the front door ------------------------------------------------------------ */

/* Our own share: the text key as a point, fresh nonce and ephemeral key. */
static int
make_share(struct pairing *p, const struct pairing_handset *own)
{
	size_t name_len = strnlen(own->name, sizeof(own->name));

	if (!text_is_line(own->name, name_len, HANDSET_NAME_MAX) ||
	    pubkey_to_point(own->key, p->own.identity) < 0)
		return -EINVAL;
	memcpy(p->own.name, own->name, name_len);
	p->own.port = own->port;
	randombytes_buf(p->own.nonce, sizeof(p->own.nonce));
	randombytes_buf(p->secret, sizeof(p->secret));
	return crypto_scalarmult_base(p->own.ephemeral, p->secret) == 0 ? 0 :
	    -EIO;
}

int
pairing_new(struct pairing **pp, enum pairing_role role,
    const struct pairing_handset *own, uint32_t person_ms, uint64_t now_ms)
{
	struct pairing *p = NULL;
	int r;

	*pp = NULL;
	if (sodium_init() < 0)
		return -EIO;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return -ENOMEM;
	p->role = role;
	p->person_ms = person_ms;
	p->due_ms = now_ms + PAIRING_STEP_MS;
	if ((r = make_share(p, own)) < 0) {
		pairing_free(p);
		return r;
	}
	if (role == PAIRING_INITIATOR) {
		p->wire.magic_seen = true; /* the responder sends none */
		p->state = PAIRING_WAIT_REPLY;
		say_commit(p);
	} else {
		p->state = PAIRING_WAIT_COMMIT;
	}
	*pp = p;
	return 0;
}

void
pairing_free(struct pairing *p)
{
	if (p == NULL)
		return;
	sodium_memzero(p, sizeof(*p));
	free(p);
}

void
pairing_input(struct pairing *p, const void *data, size_t len, uint64_t now_ms)
{
	const uint8_t *from = data;

	while (len > 0 && !pairing_ended(p->state)) {
		size_t n = pairing_wire_feed(&p->wire, from, len);

		from += n;
		len -= n;
		while (take_one(p, now_ms))
			;
	}
}

void
pairing_input_end(struct pairing *p)
{
	finish(p, PAIRING_FAILED, p->state == PAIRING_WAIT_PEER ?
	    "the other handset went away before its person had answered" :
	    "the other handset closed the connection");
}

void
pairing_answer(struct pairing *p, bool same)
{
	if (p->state != PAIRING_COMPARE)
		return;
	say_verdict(p, same);
	if (!same)
		finish(p, PAIRING_REFUSED, "you said that the digits differ; "
		    "nothing was paired");
	else if (p->peer_said_same)
		finish(p, PAIRING_PAIRED, "paired");
	else
		p->state = PAIRING_WAIT_PEER;
}

void
pairing_cancel(struct pairing *p)
{
	if (pairing_ended(p->state))
		return;
	say_refuse(p, PERSONA__PAIRING__REFUSE__WHY__REFUSED);
	finish(p, PAIRING_REFUSED, "cancelled here");
}

void
pairing_turn_away(struct pairing *p, uint32_t why)
{
	if (pairing_ended(p->state))
		return;
	say_refuse(p, why);
	finish(p, PAIRING_REFUSED, "turned away");
}

uint64_t
pairing_due_ms(const struct pairing *p)
{
	return p->due_ms;
}

void
pairing_tick(struct pairing *p, uint64_t now_ms)
{
	if (now_ms < p->due_ms)
		return;
	say_refuse(p, PERSONA__PAIRING__REFUSE__WHY__TIMED_OUT);
	switch (p->state) {
	case PAIRING_COMPARE:
		finish(p, PAIRING_TIMED_OUT, "the digits were not confirmed "
		    "here in time");
		break;
	case PAIRING_WAIT_PEER:
		finish(p, PAIRING_TIMED_OUT, "the digits were not confirmed at "
		    "the other handset in time");
		break;
	default:
		finish(p, PAIRING_TIMED_OUT, "the other handset did not answer "
		    "in time");
		break;
	}
}

const void *
pairing_output(const struct pairing *p, size_t *len)
{
	*len = p->wire.out_len;
	return p->wire.out;
}

void
pairing_output_done(struct pairing *p, size_t len)
{
	pairing_wire_sent(&p->wire, len);
}

enum pairing_state
pairing_state(const struct pairing *p)
{
	return p->state;
}

const char *
pairing_digits(const struct pairing *p)
{
	return p->digits[0] != '\0' ? p->digits : NULL;
}

const struct pairing_handset *
pairing_peer(const struct pairing *p)
{
	return p->digits[0] != '\0' ? &p->peer_shown : NULL;
}

const char *
pairing_message(const struct pairing *p)
{
	return p->message;
}

bool
pairing_peer_not_ready(const struct pairing *p)
{
	return p->not_ready;
}
