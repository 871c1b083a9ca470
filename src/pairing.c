/* SPDX-License-Identifier: ISC */
/*
 * The state machine of pairing (pairing.h says what it is worth and why). Bytes
 * in, bytes out, time passed in; knows no socket, registry or private key.
 */
#include "pairing.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pairing-hash.h"
#include "pairing.pb-c.h"
#include "text.h"

#define MAGIC_BYTES	(sizeof(PAIRING_MAGIC) - 1)
#define LENGTH_BYTES	2u
/* All that one side ever says: commit or nothing, handset, verdict, refuse. */
#define OUTPUT_MAX	(4 * (PAIRING_MSG_MAX + LENGTH_BYTES))
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

	uint8_t			in[PAIRING_MSG_MAX + LENGTH_BYTES];
	size_t			in_len;
	bool			magic_seen;
	uint8_t			out[OUTPUT_MAX];
	size_t			out_len;
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

static void
queue(struct pairing *p, const void *data, size_t len)
{
	if (len > sizeof(p->out) - p->out_len) {
		finish(p, PAIRING_FAILED, "internal error: too much to say");
		return;
	}
	memcpy(p->out + p->out_len, data, len);
	p->out_len += len;
}

static void
queue_message(struct pairing *p, const Persona__Pairing__WireMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(&m->base);
	uint8_t buf[LENGTH_BYTES + PAIRING_MSG_MAX];

	if (len > PAIRING_MSG_MAX) {
		finish(p, PAIRING_FAILED, "internal error: message too long");
		return;
	}
	buf[0] = (uint8_t)len;
	buf[1] = (uint8_t)(len >> 8);
	protobuf_c_message_pack(&m->base, buf + LENGTH_BYTES);
	queue(p, buf, LENGTH_BYTES + len);
}

static void
queue_commit(struct pairing *p)
{
	Persona__Pairing__WireMessage m = PERSONA__PAIRING__WIRE_MESSAGE__INIT;
	Persona__Pairing__Commit commit = PERSONA__PAIRING__COMMIT__INIT;
	uint8_t hash[PAIRING_HASH_BYTES];

	pairing_commitment(&p->own, PROTOCOL_VERSION, hash);
	commit.version = PROTOCOL_VERSION;
	commit.commitment = (ProtobufCBinaryData){ sizeof(hash), hash };
	m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_COMMIT;
	m.commit = &commit;
	queue(p, PAIRING_MAGIC, MAGIC_BYTES);
	queue_message(p, &m);
}

static void
queue_handset(struct pairing *p)
{
	Persona__Pairing__WireMessage m = PERSONA__PAIRING__WIRE_MESSAGE__INIT;
	Persona__Pairing__Handset h = PERSONA__PAIRING__HANDSET__INIT;
	struct pairing_share *own = &p->own;

	h.identity = (ProtobufCBinaryData){ sizeof(own->identity),
	    own->identity };
	h.ephemeral = (ProtobufCBinaryData){ sizeof(own->ephemeral),
	    own->ephemeral };
	h.nonce = (ProtobufCBinaryData){ sizeof(own->nonce), own->nonce };
	h.name = own->name;
	h.has_port = own->port != 0;
	h.port = own->port;
	if (p->role == PAIRING_INITIATOR) {
		m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_REVEAL;
		m.reveal = &h;
	} else {
		m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_REPLY;
		m.reply = &h;
	}
	queue_message(p, &m);
}

static void
queue_verdict(struct pairing *p, bool same)
{
	Persona__Pairing__WireMessage m = PERSONA__PAIRING__WIRE_MESSAGE__INIT;
	Persona__Pairing__Verdict v = PERSONA__PAIRING__VERDICT__INIT;
	uint8_t mac[PAIRING_HASH_BYTES];

	pairing_verdict_mac(p->key, p->role, same, mac);
	v.same = same;
	v.mac = (ProtobufCBinaryData){ sizeof(mac), mac };
	m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_VERDICT;
	m.verdict = &v;
	queue_message(p, &m);
}

static void
queue_refuse(struct pairing *p, uint32_t why)
{
	Persona__Pairing__WireMessage m = PERSONA__PAIRING__WIRE_MESSAGE__INIT;
	Persona__Pairing__Refuse refuse = PERSONA__PAIRING__REFUSE__INIT;

	refuse.why = why;
	refuse.has_version = why == PERSONA__PAIRING__REFUSE__WHY__VERSION;
	refuse.version = PROTOCOL_VERSION;
	m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_REFUSE;
	m.refuse = &refuse;
	queue_message(p, &m);
}

/* The other side said what it may not: tell it, and end. */
static void
fail_protocol(struct pairing *p, const char *message)
{
	queue_refuse(p, PERSONA__PAIRING__REFUSE__WHY__PROTOCOL);
	finish(p, PAIRING_FAILED, message);
}

/* --- in ------------------------------------------------------------------------ */

static bool
take_bytes(uint8_t *to, size_t len, const ProtobufCBinaryData *from)
{
	if (from->len != len)
		return false;
	memcpy(to, from->data, len);
	return true;
}

/* What the other side says it is: checked for form, believed in nothing. */
static bool
take_handset(struct pairing_share *s, const Persona__Pairing__Handset *h)
{
	size_t name_len = strlen(h->name);

	if (!take_bytes(s->identity, sizeof(s->identity), &h->identity) ||
	    !take_bytes(s->ephemeral, sizeof(s->ephemeral), &h->ephemeral) ||
	    !take_bytes(s->nonce, sizeof(s->nonce), &h->nonce) ||
	    !text_is_line(h->name, name_len, HANDSET_NAME_MAX) ||
	    (h->has_port && (h->port == 0 || h->port > UINT16_MAX)))
		return false;
	memcpy(s->name, h->name, name_len + 1);
	s->port = h->has_port ? (uint16_t)h->port : 0;
	return true;
}

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
on_commit(struct pairing *p, const Persona__Pairing__WireMessage *m, uint64_t now_ms)
{
	if (m->commit->version != PROTOCOL_VERSION) {
		queue_refuse(p, PERSONA__PAIRING__REFUSE__WHY__VERSION);
		finish(p, PAIRING_FAILED, "the other handset speaks another "
		    "version of the protocol; update the older one");
		return;
	}
	if (!take_bytes(p->commitment, sizeof(p->commitment),
	    &m->commit->commitment)) {
		fail_protocol(p, "the other handset's commitment is malformed");
		return;
	}
	queue_handset(p);
	p->state = PAIRING_WAIT_REVEAL;
	p->due_ms = now_ms + PAIRING_STEP_MS;
}

static void
on_reply(struct pairing *p, const Persona__Pairing__WireMessage *m, uint64_t now_ms)
{
	if (!take_handset(&p->peer, m->reply)) {
		fail_protocol(p, "the other handset's introduction is malformed");
		return;
	}
	queue_handset(p);
	enter_compare(p, now_ms);
}

static void
on_reveal(struct pairing *p, const Persona__Pairing__WireMessage *m, uint64_t now_ms)
{
	uint8_t hash[PAIRING_HASH_BYTES];

	if (!take_handset(&p->peer, m->reveal)) {
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
on_verdict(struct pairing *p, const Persona__Pairing__WireMessage *m, uint64_t now_ms)
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
on_refuse(struct pairing *p, const Persona__Pairing__WireMessage *m, uint64_t now_ms)
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
	void		(*take)(struct pairing *p, const Persona__Pairing__WireMessage *m,
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
take_message(struct pairing *p, const uint8_t *data, size_t len,
    uint64_t now_ms)
{
	Persona__Pairing__WireMessage *m = persona__pairing__wire_message__unpack(NULL, len,
	    data);
	size_t i;

	if (m == NULL) {
		fail_protocol(p, "the other handset sent what is no message");
		return;
	}
	for (i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (expected[i].kind == m->kind_case &&
		    (expected[i].states & IN_STATE(p->state)))
			break;
	if (i == sizeof(expected) / sizeof(expected[0]))
		fail_protocol(p, "the other handset spoke out of turn");
	else
		expected[i].take(p, m, now_ms);
	persona__pairing__wire_message__free_unpacked(m, NULL);
}

/* Forget the first n bytes of the input. */
static void
consume(struct pairing *p, size_t n)
{
	p->in_len -= n;
	memmove(p->in, p->in + n, p->in_len);
}

static bool
take_magic(struct pairing *p)
{
	if (p->in_len < MAGIC_BYTES)
		return false;
	if (memcmp(p->in, PAIRING_MAGIC, MAGIC_BYTES) != 0) {
		finish(p, PAIRING_FAILED, "this is no pairing");
		return false;
	}
	consume(p, MAGIC_BYTES);
	p->magic_seen = true;
	return true;
}

/* Act on one whole message, if there is one. */
static bool
take_one(struct pairing *p, uint64_t now_ms)
{
	size_t len;

	if (!p->magic_seen)
		return take_magic(p);
	if (p->in_len < LENGTH_BYTES)
		return false;
	len = (size_t)p->in[0] | (size_t)p->in[1] << 8;
	if (len == 0 || len > PAIRING_MSG_MAX) {
		fail_protocol(p, "the other handset sent a message of an "
		    "impossible length");
		return false;
	}
	if (p->in_len < LENGTH_BYTES + len)
		return false;
	take_message(p, p->in + LENGTH_BYTES, len, now_ms);
	consume(p, LENGTH_BYTES + len);
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
		p->magic_seen = true;	/* the responder sends none */
		p->state = PAIRING_WAIT_REPLY;
		queue_commit(p);
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
		size_t n = sizeof(p->in) - p->in_len;

		if (n > len)
			n = len;
		memcpy(p->in + p->in_len, from, n);
		p->in_len += n;
		from += n;
		len -= n;
		while (!pairing_ended(p->state) && take_one(p, now_ms))
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
	queue_verdict(p, same);
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
	queue_refuse(p, PERSONA__PAIRING__REFUSE__WHY__REFUSED);
	finish(p, PAIRING_REFUSED, "cancelled here");
}

void
pairing_turn_away(struct pairing *p, uint32_t why)
{
	if (pairing_ended(p->state))
		return;
	queue_refuse(p, why);
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
	queue_refuse(p, PERSONA__PAIRING__REFUSE__WHY__TIMED_OUT);
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
	*len = p->out_len;
	return p->out;
}

void
pairing_output_done(struct pairing *p, size_t len)
{
	p->out_len -= len;
	memmove(p->out, p->out + len, p->out_len);
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
