/* SPDX-License-Identifier: ISC */
/*
 * The arithmetic of pairing on libsodium: BLAKE2b for every hash, X25519 for the
 * secret. Each use has its own label, each field its length before it, so that
 * no two different inputs run together. Knows no messages.
 */
#include "pairing-hash.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define LABEL_COMMITMENT	"persona pairing 1: commitment"
#define LABEL_TRANSCRIPT	"persona pairing 1: transcript"
#define LABEL_DIGITS		"persona pairing 1: digits"
#define LABEL_KEY		"persona pairing 1: key"
#define LABEL_VERDICT		"persona pairing 1: verdict"

#define DIGITS_RANGE		1000000u	/* 10^PAIRING_DIGITS */

static void
put(crypto_generichash_state *h, const void *data, size_t len)
{
	const uint8_t le[4] = { (uint8_t)len, (uint8_t)(len >> 8),
	    (uint8_t)(len >> 16), (uint8_t)(len >> 24) };

	crypto_generichash_update(h, le, sizeof(le));
	crypto_generichash_update(h, data, len);
}

static void
put_number(crypto_generichash_state *h, uint32_t v)
{
	const uint8_t le[4] = { (uint8_t)v, (uint8_t)(v >> 8),
	    (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	put(h, le, sizeof(le));
}

static void
put_share(crypto_generichash_state *h, const struct pairing_share *s)
{
	put(h, s->identity, sizeof(s->identity));
	put(h, s->name, strlen(s->name));
	put(h, s->ephemeral, sizeof(s->ephemeral));
	put(h, s->nonce, sizeof(s->nonce));
	put_number(h, s->port);
}

static void
begin(crypto_generichash_state *h, const char *label, const uint8_t *key)
{
	crypto_generichash_init(h, key, key != NULL ? PAIRING_HASH_BYTES : 0,
	    PAIRING_HASH_BYTES);
	put(h, label, strlen(label));
}

static void
end(crypto_generichash_state *h, uint8_t out[PAIRING_HASH_BYTES])
{
	crypto_generichash_final(h, out, PAIRING_HASH_BYTES);
	sodium_memzero(h, sizeof(*h));
}

void
pairing_commitment(const struct pairing_share *initiator, uint32_t version,
    uint8_t out[PAIRING_HASH_BYTES])
{
	crypto_generichash_state h;

	begin(&h, LABEL_COMMITMENT, NULL);
	put_number(&h, version);
	put_share(&h, initiator);
	end(&h, out);
}

void
pairing_transcript(const struct pairing_share *initiator,
    const struct pairing_share *responder, uint32_t version,
    uint8_t out[PAIRING_HASH_BYTES])
{
	crypto_generichash_state h;

	begin(&h, LABEL_TRANSCRIPT, NULL);
	put_number(&h, version);
	put_share(&h, initiator);
	put_share(&h, responder);
	end(&h, out);
}

void
pairing_make_digits(const uint8_t transcript[PAIRING_HASH_BYTES],
    char out[PAIRING_DIGITS + 1])
{
	crypto_generichash_state h;
	uint8_t hash[PAIRING_HASH_BYTES];
	uint64_t v = 0;

	begin(&h, LABEL_DIGITS, NULL);
	put(&h, transcript, PAIRING_HASH_BYTES);
	end(&h, hash);
	for (size_t i = 0; i < sizeof(v); i++)
		v |= (uint64_t)hash[i] << (8 * i);
	snprintf(out, PAIRING_DIGITS + 1, "%06u",
	    (unsigned int)(v % DIGITS_RANGE));
}

int
pairing_make_key(const uint8_t transcript[PAIRING_HASH_BYTES],
    const uint8_t secret[PAIRING_POINT_BYTES],
    const uint8_t other_ephemeral[PAIRING_POINT_BYTES],
    uint8_t key[PAIRING_HASH_BYTES])
{
	uint8_t shared[crypto_scalarmult_BYTES];
	crypto_generichash_state h;

	/* Points of small order give the same secret to everybody. */
	if (crypto_scalarmult(shared, secret, other_ephemeral) != 0)
		return -EPROTO;
	begin(&h, LABEL_KEY, NULL);
	put(&h, shared, sizeof(shared));
	put(&h, transcript, PAIRING_HASH_BYTES);
	end(&h, key);
	sodium_memzero(shared, sizeof(shared));
	return 0;
}

void
pairing_verdict_mac(const uint8_t key[PAIRING_HASH_BYTES],
    enum pairing_role role, bool same, uint8_t out[PAIRING_HASH_BYTES])
{
	crypto_generichash_state h;

	begin(&h, LABEL_VERDICT, key);
	put_number(&h, role == PAIRING_INITIATOR ? 1 : 2);
	put_number(&h, same ? 1 : 0);
	end(&h, out);
}
