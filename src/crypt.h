/* SPDX-License-Identifier: ISC */
/*
 * The cryptography of persona files, as libsodium does it: a key from a
 * passphrase, a key wrapped in another or sealed to a handset, a stream of blocks
 * that cannot be changed, cut or reordered unnoticed, and a running digest. Knows
 * no format and no file.
 */
#ifndef CRYPT_H
#define CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPT_KEY_BYTES		32u
#define CRYPT_SALT_BYTES	16u
#define CRYPT_WRAPPED_BYTES	72u	/* nonce, MAC, key */
#define CRYPT_SEALED_BYTES	80u	/* ephemeral key, MAC, key */
#define CRYPT_POINT_BYTES	32u	/* an ed25519 public key */
#define CRYPT_SECRET_BYTES	64u	/* an ed25519 private key, seed first */
#define CRYPT_STREAM_HEAD_BYTES	24u
#define CRYPT_BLOCK_EXTRA	17u	/* a sealed block is so much longer */
#define CRYPT_HASH_BYTES	32u

/* Once, before anything else here. 0 or -ENOSYS. */
int	crypt_init(void);

/* Random bytes, good enough for keys. Cannot fail once crypt_init() has not. */
void	crypt_random(void *out, size_t len);

/* Overwrite a secret so that the compiler does not think it pointless. */
void	crypt_forget(void *secret, size_t len);

/* --- keys --------------------------------------------------------------------- */

/* What it costs to try one passphrase (Argon2id). */
struct crypt_cost {
	uint32_t	passes;
	uint32_t	memory_kib;
};

/* What we ask for: about a second, and a quarter of a GiB, of a handset. */
#define CRYPT_COST_PASSES	3u
#define CRYPT_COST_MEMORY_KIB	(256u << 10)
/* What a file may ask of us. */
#define CRYPT_COST_PASSES_MAX		16u
#define CRYPT_COST_MEMORY_KIB_MIN	8u
#define CRYPT_COST_MEMORY_KIB_MAX	(1u << 20)

/*
 * The key of a passphrase. 0; -ERANGE when the cost is out of bounds; -ENOMEM
 * when this handset has less memory than it takes.
 */
int	crypt_passphrase_key(uint8_t key[CRYPT_KEY_BYTES],
	    const void *passphrase, size_t len,
	    const uint8_t salt[CRYPT_SALT_BYTES],
	    const struct crypt_cost *cost);

/* A key from a key and what it is for. */
void	crypt_derive(uint8_t out[CRYPT_KEY_BYTES],
	    const uint8_t key[CRYPT_KEY_BYTES], const void *purpose, size_t len);

/* Hide a key with another. Unwrapping is 0, or -EKEYREJECTED: not that one. */
void	crypt_wrap(uint8_t out[CRYPT_WRAPPED_BYTES],
	    const uint8_t key[CRYPT_KEY_BYTES],
	    const uint8_t with[CRYPT_KEY_BYTES]);
int	crypt_unwrap(uint8_t key[CRYPT_KEY_BYTES],
	    const uint8_t wrapped[CRYPT_WRAPPED_BYTES],
	    const uint8_t with[CRYPT_KEY_BYTES]);

/*
 * Hide a key so that only the holder of an ed25519 key gets at it. Sealing is 0,
 * or -EINVAL for what is no such key; unsealing 0, or -EKEYREJECTED.
 */
int	crypt_seal(uint8_t out[CRYPT_SEALED_BYTES],
	    const uint8_t key[CRYPT_KEY_BYTES],
	    const uint8_t point[CRYPT_POINT_BYTES]);
int	crypt_unseal(uint8_t key[CRYPT_KEY_BYTES],
	    const uint8_t sealed[CRYPT_SEALED_BYTES],
	    const uint8_t secret[CRYPT_SECRET_BYTES]);

/* --- blocks --------------------------------------------------------------------- */

struct crypt_stream;

/* One to write, whose head is told, and one to read with that head. 0 or -ENOMEM. */
int	crypt_stream_write(struct crypt_stream **sp,
	    const uint8_t key[CRYPT_KEY_BYTES],
	    uint8_t head[CRYPT_STREAM_HEAD_BYTES]);
int	crypt_stream_read(struct crypt_stream **sp,
	    const uint8_t key[CRYPT_KEY_BYTES],
	    const uint8_t head[CRYPT_STREAM_HEAD_BYTES]);
void	crypt_stream_free(struct crypt_stream *s);

/* The next block: `out` has len + CRYPT_BLOCK_EXTRA bytes. */
void	crypt_stream_push(struct crypt_stream *s, uint8_t *out,
	    const void *block, size_t len, bool last);

/*
 * The next block back: `out` has len - CRYPT_BLOCK_EXTRA bytes. 0, or -EBADMSG:
 * it is not the block that was written here, under this key.
 */
int	crypt_stream_pull(struct crypt_stream *s, uint8_t *out,
	    const void *sealed, size_t len, bool *last);

/* --- a running digest (BLAKE2b-256) ------------------------------------------------ */

struct crypt_hash;

int	crypt_hash_new(struct crypt_hash **hp);	/* 0 or -ENOMEM */
void	crypt_hash_free(struct crypt_hash *h);
void	crypt_hash_add(struct crypt_hash *h, const void *data, size_t len);

/* Of all so far; more may follow. */
void	crypt_hash_now(const struct crypt_hash *h,
	    uint8_t out[CRYPT_HASH_BYTES]);

#endif
