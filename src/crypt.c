/* SPDX-License-Identifier: ISC */
/*
 * libsodium's Argon2id, secretbox, sealed box, secretstream and BLAKE2b, each used
 * as its manual says. Knows no format and no file.
 */
#include "crypt.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(CRYPT_KEY_BYTES == crypto_secretbox_KEYBYTES &&
    CRYPT_KEY_BYTES == crypto_secretstream_xchacha20poly1305_KEYBYTES,
    "one size of key");
_Static_assert(CRYPT_SALT_BYTES == crypto_pwhash_SALTBYTES, "salt");
_Static_assert(CRYPT_WRAPPED_BYTES == CRYPT_KEY_BYTES +
    crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES, "wrapped key");
_Static_assert(CRYPT_SEALED_BYTES == CRYPT_KEY_BYTES + crypto_box_SEALBYTES,
    "sealed key");
_Static_assert(CRYPT_POINT_BYTES == crypto_sign_PUBLICKEYBYTES &&
    CRYPT_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "ed25519 keys");
_Static_assert(CRYPT_STREAM_HEAD_BYTES ==
    crypto_secretstream_xchacha20poly1305_HEADERBYTES, "head of a stream");
_Static_assert(CRYPT_BLOCK_EXTRA ==
    crypto_secretstream_xchacha20poly1305_ABYTES, "what a block adds");

struct crypt_stream {
	crypto_secretstream_xchacha20poly1305_state	st;
};

struct crypt_hash {
	crypto_generichash_state	st;
};

int
crypt_init(void)
{
	return sodium_init() < 0 ? -ENOSYS : 0;
}

void
crypt_random(void *out, size_t len)
{
	randombytes_buf(out, len);
}

void
crypt_forget(void *secret, size_t len)
{
	sodium_memzero(secret, len);
}

/* --- keys --------------------------------------------------------------------- */

int
crypt_passphrase_key(uint8_t key[CRYPT_KEY_BYTES], const void *passphrase,
    size_t len, const uint8_t salt[CRYPT_SALT_BYTES],
    const struct crypt_cost *cost)
{
	if (cost->passes < crypto_pwhash_OPSLIMIT_MIN ||
	    cost->passes > CRYPT_COST_PASSES_MAX ||
	    cost->memory_kib < CRYPT_COST_MEMORY_KIB_MIN ||
	    cost->memory_kib > CRYPT_COST_MEMORY_KIB_MAX)
		return -ERANGE;
	if (crypto_pwhash(key, CRYPT_KEY_BYTES, passphrase, len, salt,
	    cost->passes, (size_t)cost->memory_kib << 10,
	    crypto_pwhash_ALG_ARGON2ID13) != 0)
		return -ENOMEM;
	return 0;
}

void
crypt_derive(uint8_t out[CRYPT_KEY_BYTES], const uint8_t key[CRYPT_KEY_BYTES],
    const void *purpose, size_t len)
{
	crypto_generichash(out, CRYPT_KEY_BYTES, purpose, len, key,
	    CRYPT_KEY_BYTES);
}

void
crypt_wrap(uint8_t out[CRYPT_WRAPPED_BYTES], const uint8_t key[CRYPT_KEY_BYTES],
    const uint8_t with[CRYPT_KEY_BYTES])
{
	randombytes_buf(out, crypto_secretbox_NONCEBYTES);
	crypto_secretbox_easy(out + crypto_secretbox_NONCEBYTES, key,
	    CRYPT_KEY_BYTES, out, with);
}

int
crypt_unwrap(uint8_t key[CRYPT_KEY_BYTES],
    const uint8_t wrapped[CRYPT_WRAPPED_BYTES],
    const uint8_t with[CRYPT_KEY_BYTES])
{
	if (crypto_secretbox_open_easy(key,
	    wrapped + crypto_secretbox_NONCEBYTES,
	    CRYPT_WRAPPED_BYTES - crypto_secretbox_NONCEBYTES, wrapped,
	    with) != 0)
		return -EKEYREJECTED;
	return 0;
}

int
crypt_seal(uint8_t out[CRYPT_SEALED_BYTES], const uint8_t key[CRYPT_KEY_BYTES],
    const uint8_t point[CRYPT_POINT_BYTES])
{
	uint8_t pub[crypto_box_PUBLICKEYBYTES];

	if (crypto_sign_ed25519_pk_to_curve25519(pub, point) != 0 ||
	    crypto_box_seal(out, key, CRYPT_KEY_BYTES, pub) != 0)
		return -EINVAL;
	return 0;
}

int
crypt_unseal(uint8_t key[CRYPT_KEY_BYTES],
    const uint8_t sealed[CRYPT_SEALED_BYTES],
    const uint8_t secret[CRYPT_SECRET_BYTES])
{
	uint8_t pub[crypto_box_PUBLICKEYBYTES], priv[crypto_box_SECRETKEYBYTES];
	int r = -EKEYREJECTED;

	if (crypto_sign_ed25519_sk_to_curve25519(priv, secret) == 0 &&
	    crypto_scalarmult_base(pub, priv) == 0 &&
	    crypto_box_seal_open(key, sealed, CRYPT_SEALED_BYTES, pub,
	    priv) == 0)
		r = 0;
	sodium_memzero(priv, sizeof(priv));
	return r;
}

/* --- blocks --------------------------------------------------------------------- */

int
crypt_stream_write(struct crypt_stream **sp, const uint8_t key[CRYPT_KEY_BYTES],
    uint8_t head[CRYPT_STREAM_HEAD_BYTES])
{
	struct crypt_stream *s = malloc(sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	crypto_secretstream_xchacha20poly1305_init_push(&s->st, head, key);
	*sp = s;
	return 0;
}

int
crypt_stream_read(struct crypt_stream **sp, const uint8_t key[CRYPT_KEY_BYTES],
    const uint8_t head[CRYPT_STREAM_HEAD_BYTES])
{
	struct crypt_stream *s = malloc(sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	crypto_secretstream_xchacha20poly1305_init_pull(&s->st, head, key);
	*sp = s;
	return 0;
}

void
crypt_stream_free(struct crypt_stream *s)
{
	if (s == NULL)
		return;
	sodium_memzero(s, sizeof(*s));
	free(s);
}

void
crypt_stream_push(struct crypt_stream *s, uint8_t *out, const void *block,
    size_t len, bool last)
{
	crypto_secretstream_xchacha20poly1305_push(&s->st, out, NULL, block,
	    len, NULL, 0, last ?
	    crypto_secretstream_xchacha20poly1305_TAG_FINAL :
	    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE);
}

int
crypt_stream_pull(struct crypt_stream *s, uint8_t *out, const void *sealed,
    size_t len, bool *last)
{
	unsigned char tag;

	if (crypto_secretstream_xchacha20poly1305_pull(&s->st, out, NULL, &tag,
	    sealed, len, NULL, 0) != 0)
		return -EBADMSG;
	*last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
	return 0;
}

/* --- a running digest ------------------------------------------------------------ */

int
crypt_hash_new(struct crypt_hash **hp)
{
	/* libsodium wants its state at a multiple of 64. */
	struct crypt_hash *h = aligned_alloc(_Alignof(struct crypt_hash),
	    sizeof(*h));

	if (h == NULL)
		return -ENOMEM;
	crypto_generichash_init(&h->st, NULL, 0, CRYPT_HASH_BYTES);
	*hp = h;
	return 0;
}

void
crypt_hash_free(struct crypt_hash *h)
{
	free(h);
}

void
crypt_hash_add(struct crypt_hash *h, const void *data, size_t len)
{
	crypto_generichash_update(&h->st, data, len);
}

void
crypt_hash_now(const struct crypt_hash *h, uint8_t out[CRYPT_HASH_BYTES])
{
	crypto_generichash_state copy = h->st;

	crypto_generichash_final(&copy, out, CRYPT_HASH_BYTES);
}
