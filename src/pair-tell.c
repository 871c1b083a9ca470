/* SPDX-License-Identifier: ISC */
/*
 * persona-pair's words to personad, as datagrams. Knows no connection to a peer
 * and no order of events.
 */
#include "pair-tell.h"

#include "ipc.h"
#include "pubkey.h"

#define IPC_WAIT_MS	1000

static void
tell(int ipc, const Persona__Pairing__PairMessage *m)
{
	(void)ipc_send(ipc, &m->base, NULL, 0, IPC_WAIT_MS);
}

void
pair_tell_step(int ipc, Persona__Pairing__Step__What what)
{
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;
	Persona__Pairing__Step step = PERSONA__PAIRING__STEP__INIT;

	step.what = what;
	m.kind_case = PERSONA__PAIRING__PAIR_MESSAGE__KIND_STEP;
	m.step = &step;
	tell(ipc, &m);
}

void
pair_tell_compare(int ipc, const struct pairing *p)
{
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;
	Persona__Pairing__Compare c = PERSONA__PAIRING__COMPARE__INIT;
	const struct pairing_handset *peer = pairing_peer(p);
	char fingerprint[FINGERPRINT_MAX + 1];

	if (pubkey_fingerprint(peer->key, fingerprint) < 0)
		return;		/* cannot be: pairing made the text */
	c.digits = (char *)pairing_digits(p);
	c.peer_name = (char *)peer->name;
	c.peer_key = (char *)peer->key;
	c.fingerprint = fingerprint;
	m.kind_case = PERSONA__PAIRING__PAIR_MESSAGE__KIND_COMPARE;
	m.compare = &c;
	tell(ipc, &m);
}

void
pair_tell_result(int ipc, Persona__Pairing__Result__End end,
    const char *message, const struct pairing *p, const char *host)
{
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;
	Persona__Pairing__Result res = PERSONA__PAIRING__RESULT__INIT;
	const struct pairing_handset *peer;
	char fingerprint[FINGERPRINT_MAX + 1];

	res.end = end;
	res.message = (char *)message;
	if (end == PERSONA__PAIRING__RESULT__END__PAIRED) {
		peer = pairing_peer(p);
		if (pubkey_fingerprint(peer->key, fingerprint) < 0)
			return;
		res.peer_name = (char *)peer->name;
		res.peer_key = (char *)peer->key;
		res.fingerprint = fingerprint;
		res.peer_host = (char *)host;
		res.has_peer_port = peer->port != 0;
		res.peer_port = peer->port;
	}
	m.kind_case = PERSONA__PAIRING__PAIR_MESSAGE__KIND_RESULT;
	m.result = &res;
	tell(ipc, &m);
}
