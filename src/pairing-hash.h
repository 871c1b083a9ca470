/* SPDX-License-Identifier: ISC */
/*
 * The arithmetic of pairing: commitment, digits, key and MAC, over what the two
 * sides showed each other. Pure functions; knows no messages and no order of
 * events. Private to pairing.
 */
#ifndef PAIRING_HASH_H
#define PAIRING_HASH_H

#include "pairing.h"

#define PAIRING_HASH_BYTES	32u	/* BLAKE2b-256 */
#define PAIRING_NONCE_BYTES	32u
#define PAIRING_POINT_BYTES	32u	/* X25519, ed25519 */

/* What one side contributes, as the hashes see it. */
struct pairing_share {
	uint8_t		identity[PAIRING_POINT_BYTES];
	uint8_t		ephemeral[PAIRING_POINT_BYTES];
	uint8_t		nonce[PAIRING_NONCE_BYTES];
	char		name[HANDSET_NAME_MAX + 1];
	uint16_t	port;
};

/* What the initiator binds itself to. */
void	pairing_commitment(const struct pairing_share *initiator,
	    uint32_t version, uint8_t out[PAIRING_HASH_BYTES]);

/* The transcript: everything that both showed, in one hash. */
void	pairing_transcript(const struct pairing_share *initiator,
	    const struct pairing_share *responder, uint32_t version,
	    uint8_t out[PAIRING_HASH_BYTES]);

/* What both people compare: PAIRING_DIGITS digits and a NUL. */
void	pairing_make_digits(const uint8_t transcript[PAIRING_HASH_BYTES],
	    char out[PAIRING_DIGITS + 1]);

/* The secret both share. -EPROTO when the other's point is a trap. */
int	pairing_make_key(const uint8_t transcript[PAIRING_HASH_BYTES],
	    const uint8_t secret[PAIRING_POINT_BYTES],
	    const uint8_t other_ephemeral[PAIRING_POINT_BYTES],
	    uint8_t key[PAIRING_HASH_BYTES]);

/* The MAC on what the person at `role` said. */
void	pairing_verdict_mac(const uint8_t key[PAIRING_HASH_BYTES],
	    enum pairing_role role, bool same, uint8_t out[PAIRING_HASH_BYTES]);

#endif
