/* SPDX-License-Identifier: ISC */
/*
 * Pairing: two handsets that have never met learn each other's identity key,
 * with a person at each as the judge. A pure state machine: bytes in, bytes
 * out, time passed in. Knows no socket, no registry and no private identity key.
 *
 * The exchange (persona-protocol(7)), initiator I and responder R:
 *
 *	I -> R	"PAIR", Commit: H(everything in I's Handset)
 *	R -> I	Handset: identity, name, ephemeral, nonce, port
 *	I -> R	Handset: the same of I
 *	both	show six digits: H(all of the above) mod 10^6
 *	both	Verdict: what the person said, under a MAC
 *
 * What it is worth against someone in the middle, who can read, change, delay
 * and drop everything:
 *
 * - To be pinned he must show each side a key of his own in place of the other's
 *   and still have both show the same digits. R's nonce is not known when he
 *   has to commit towards R, and he must show R's stand-in to I before I
 *   reveals. So each side's digits hold a random part he learns only after he
 *   has fixed his own: he has one chance in a million, and a person who
 *   notices the other 999,999. Without the commitment he could try nonces until
 *   the digits meet, in a second.
 * - Both keys, both names and both ephemeral keys are in the digits, so none of
 *   them can be exchanged one by one. The remainder of 64 bits by 10^6 is
 *   uneven by less than 10^-13: no rejection is needed.
 * - The digits cover an X25519 exchange, so the same look of the person that
 *   accepts the identity keys also accepts a shared secret. The verdicts carry
 *   a MAC under it: "the other person said yes" cannot be forged or reflected.
 *
 * What each side relies on: it pins the other's key only after its own person
 * said "same" *and* the other's verdict "same" came with a true MAC. If one says
 * no, neither pins. The last verdict can be lost (two generals): then the side
 * that got both has pinned and the other has not, which shows as "not paired" at
 * the first contact and harms nobody; pairing again mends it.
 *
 * How often he may try: each attempt needs a person's command at both handsets,
 * which buys one pairing with one caller; personad turns all others away. So the
 * persons set the pace and no program needs to count.
 *
 * What it does not do: prove that the other holds the private half of its
 * identity key. The SSH connection does, each time. Someone who pairs under
 * another handset's public key only gains that we trust that handset.
 */
#ifndef PAIRING_H
#define PAIRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "pubkey.h"

#define PAIRING_MAGIC		"PAIR"	/* the initiator's first bytes */
#define PAIRING_DIGITS		6u
#define PAIRING_MSG_MAX		512u	/* one WireMessage, bytes */
#define PAIRING_STEP_MS		10000u	/* for each answer of a program */
#define PAIRING_PERSON_MS	60000u	/* for the persons; default */

struct pairing;

enum pairing_role {
	PAIRING_INITIATOR,
	PAIRING_RESPONDER,
};

enum pairing_state {
	PAIRING_WAIT_COMMIT,	/* R: nothing is known of the other */
	PAIRING_WAIT_REPLY,	/* I: bound to our Handset, none of it shown */
	PAIRING_WAIT_REVEAL,	/* R: the other is bound, we have shown ours */
	PAIRING_COMPARE,	/* digits shown; our person has not answered */
	PAIRING_WAIT_PEER,	/* our person said yes; theirs has not (yet) */
	PAIRING_PAIRED,		/* both said yes: the key may be pinned */
	PAIRING_REFUSED,	/* somebody said no, or is not ready for us */
	PAIRING_TIMED_OUT,
	PAIRING_FAILED,		/* the link or the other's bytes */
};

/* One side as the other is shown it. */
struct pairing_handset {
	char		name[HANDSET_NAME_MAX + 1];
	char		key[PUBKEY_TEXT_LEN + 1];	/* "ssh-ed25519 AAAA..." */
	uint16_t	port;		/* where its personad listens; 0: not said */
};

/*
 * Begin; `own` is copied. person_ms is the time for the persons once the digits
 * are shown. 0, -EINVAL when `own` is not what a handset may be, -ENOMEM.
 */
int	pairing_new(struct pairing **pp, enum pairing_role role,
	    const struct pairing_handset *own, uint32_t person_ms,
	    uint64_t now_ms);
void	pairing_free(struct pairing *p);	/* wipes; NULL is fine */

/* Bytes from the other side, in any pieces. Ignored once it has ended. */
void	pairing_input(struct pairing *p, const void *data, size_t len,
	    uint64_t now_ms);
/* The other side's stream ended or broke. */
void	pairing_input_end(struct pairing *p);

/* Our person has compared. Only the first answer while COMPARE counts. */
void	pairing_answer(struct pairing *p, bool same);
/* Our person or personad no longer wants it: the other side is told. */
void	pairing_cancel(struct pairing *p);
/* A responder that is not ready: say why (pairing.proto, Refuse.Why); it ends. */
void	pairing_turn_away(struct pairing *p, uint32_t why);

/* When pairing_tick must be called next, and calling it. */
uint64_t pairing_due_ms(const struct pairing *p);
void	pairing_tick(struct pairing *p, uint64_t now_ms);

/*
 * Bytes for the other side; say how many were written. There may still be some
 * after the end, and they matter: the other side learns from them how it ended.
 */
const void	*pairing_output(const struct pairing *p, size_t *len);
void		pairing_output_done(struct pairing *p, size_t len);

enum pairing_state pairing_state(const struct pairing *p);
static inline bool
pairing_ended(enum pairing_state s)
{
	return s >= PAIRING_PAIRED;
}

/* From COMPARE on; NULL before. The digits are six characters. */
const char			*pairing_digits(const struct pairing *p);
const struct pairing_handset	*pairing_peer(const struct pairing *p);

/* Once ended: a sentence for the person, without a full stop. */
const char	*pairing_message(const struct pairing *p);

/* Ended because the other side is not ready for a pairing: try again soon. */
bool	pairing_peer_not_ready(const struct pairing *p);

#endif
