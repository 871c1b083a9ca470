/* SPDX-License-Identifier: ISC */
/*
 * Pairing's messages to and from bytes. Everything read here is a stranger's:
 * each length is checked before it is used. Knows no state and no hash.
 */
#include "pairing-wire.h"

#include <errno.h>
#include <string.h>

#include "text.h"

#define MAGIC_BYTES	(sizeof(PAIRING_MAGIC) - 1)

/* --- out ----------------------------------------------------------------------- */

static int
append(struct pairing_wire *w, const void *data, size_t len)
{
	if (len > sizeof(w->out) - w->out_len)
		return -EMSGSIZE;
	memcpy(w->out + w->out_len, data, len);
	w->out_len += len;
	return 0;
}

static int
append_message(struct pairing_wire *w, const Persona__Pairing__WireMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(&m->base);
	uint8_t buf[PAIRING_WIRE_LENGTH_BYTES + PAIRING_MSG_MAX];

	if (len > PAIRING_MSG_MAX)
		return -EMSGSIZE;
	buf[0] = (uint8_t)len;
	buf[1] = (uint8_t)(len >> 8);
	protobuf_c_message_pack(&m->base, buf + PAIRING_WIRE_LENGTH_BYTES);
	return append(w, buf, PAIRING_WIRE_LENGTH_BYTES + len);
}

int
pairing_wire_commit(struct pairing_wire *w,
    uint8_t commitment[PAIRING_HASH_BYTES])
{
	Persona__Pairing__WireMessage m = PERSONA__PAIRING__WIRE_MESSAGE__INIT;
	Persona__Pairing__Commit commit = PERSONA__PAIRING__COMMIT__INIT;
	int r;

	commit.version = PROTOCOL_VERSION;
	commit.commitment = (ProtobufCBinaryData){ PAIRING_HASH_BYTES,
	    commitment };
	m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_COMMIT;
	m.commit = &commit;
	if ((r = append(w, PAIRING_MAGIC, MAGIC_BYTES)) < 0)
		return r;
	return append_message(w, &m);
}

int
pairing_wire_handset(struct pairing_wire *w, enum pairing_role role,
    struct pairing_share *own)
{
	Persona__Pairing__WireMessage m = PERSONA__PAIRING__WIRE_MESSAGE__INIT;
	Persona__Pairing__Handset h = PERSONA__PAIRING__HANDSET__INIT;

	h.identity = (ProtobufCBinaryData){ sizeof(own->identity),
	    own->identity };
	h.ephemeral = (ProtobufCBinaryData){ sizeof(own->ephemeral),
	    own->ephemeral };
	h.nonce = (ProtobufCBinaryData){ sizeof(own->nonce), own->nonce };
	h.name = own->name;
	h.has_port = own->port != 0;
	h.port = own->port;
	if (role == PAIRING_INITIATOR) {
		m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_REVEAL;
		m.reveal = &h;
	} else {
		m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_REPLY;
		m.reply = &h;
	}
	return append_message(w, &m);
}

int
pairing_wire_verdict(struct pairing_wire *w, bool same,
    uint8_t mac[PAIRING_HASH_BYTES])
{
	Persona__Pairing__WireMessage m = PERSONA__PAIRING__WIRE_MESSAGE__INIT;
	Persona__Pairing__Verdict v = PERSONA__PAIRING__VERDICT__INIT;

	v.same = same;
	v.mac = (ProtobufCBinaryData){ PAIRING_HASH_BYTES, mac };
	m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_VERDICT;
	m.verdict = &v;
	return append_message(w, &m);
}

int
pairing_wire_refuse(struct pairing_wire *w, uint32_t why)
{
	Persona__Pairing__WireMessage m = PERSONA__PAIRING__WIRE_MESSAGE__INIT;
	Persona__Pairing__Refuse refuse = PERSONA__PAIRING__REFUSE__INIT;

	refuse.why = why;
	refuse.has_version = why == PERSONA__PAIRING__REFUSE__WHY__VERSION;
	refuse.version = PROTOCOL_VERSION;
	m.kind_case = PERSONA__PAIRING__WIRE_MESSAGE__KIND_REFUSE;
	m.refuse = &refuse;
	return append_message(w, &m);
}

void
pairing_wire_sent(struct pairing_wire *w, size_t n)
{
	w->out_len -= n;
	memmove(w->out, w->out + n, w->out_len);
}

/* --- in ------------------------------------------------------------------------ */

size_t
pairing_wire_feed(struct pairing_wire *w, const void *data, size_t len)
{
	size_t n = sizeof(w->in) - w->in_len;

	if (n > len)
		n = len;
	memcpy(w->in + w->in_len, data, n);
	w->in_len += n;
	return n;
}

/* Forget the first n bytes of the input. */
static void
consume(struct pairing_wire *w, size_t n)
{
	w->in_len -= n;
	memmove(w->in, w->in + n, w->in_len);
}

/* 1 when it stands there (and is taken), 0 when it may still come. */
static int
take_magic(struct pairing_wire *w, const char **why)
{
	if (w->in_len < MAGIC_BYTES)
		return 0;
	if (memcmp(w->in, PAIRING_MAGIC, MAGIC_BYTES) != 0) {
		*why = "this is no pairing";
		return -ENOMSG;
	}
	consume(w, MAGIC_BYTES);
	w->magic_seen = true;
	return 1;
}

int
pairing_wire_next(struct pairing_wire *w, Persona__Pairing__WireMessage **m,
    const char **why)
{
	size_t len;
	int r;

	if (!w->magic_seen && (r = take_magic(w, why)) <= 0)
		return r;
	if (w->in_len < PAIRING_WIRE_LENGTH_BYTES)
		return 0;
	len = (size_t)w->in[0] | (size_t)w->in[1] << 8;
	if (len == 0 || len > PAIRING_MSG_MAX) {
		*why = "the other handset sent a message of an impossible "
		    "length";
		return -EPROTO;
	}
	if (w->in_len < PAIRING_WIRE_LENGTH_BYTES + len)
		return 0;
	*m = persona__pairing__wire_message__unpack(NULL, len,
	    w->in + PAIRING_WIRE_LENGTH_BYTES);
	if (*m == NULL) {
		*why = "the other handset sent what is no message";
		return -EPROTO;
	}
	consume(w, PAIRING_WIRE_LENGTH_BYTES + len);
	return 1;
}

static bool
take_bytes(uint8_t *to, size_t len, const ProtobufCBinaryData *from)
{
	if (from->len != len)
		return false;
	memcpy(to, from->data, len);
	return true;
}

bool
pairing_wire_share(const Persona__Pairing__Handset *h,
    struct pairing_share *out)
{
	size_t name_len = strlen(h->name);

	if (!take_bytes(out->identity, sizeof(out->identity), &h->identity) ||
	    !take_bytes(out->ephemeral, sizeof(out->ephemeral),
	    &h->ephemeral) ||
	    !take_bytes(out->nonce, sizeof(out->nonce), &h->nonce) ||
	    !text_is_line(h->name, name_len, HANDSET_NAME_MAX) ||
	    (h->has_port && (h->port == 0 || h->port > UINT16_MAX)))
		return false;
	memcpy(out->name, h->name, name_len + 1);
	out->port = h->has_port ? (uint16_t)h->port : 0;
	return true;
}
