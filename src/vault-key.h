/* SPDX-License-Identifier: ISC */
/*
 * The key of one persona's encrypted directory, as it is kept beside it
 * (vault.proto): wrapped with the handset's vault key or with a passphrase. Knows
 * no backend and no mount.
 */
#ifndef VAULT_KEY_H
#define VAULT_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "crypt.h"
#include "vault.pb-c.h"

#define VAULT_VERSION	1u
#define VAULT_KEY_FILE_MAX	512u	/* a packed vault.VaultKey, bytes */
#define VAULT_KEY_NAME	"key"	/* of that file; written last: then all is there */

enum vault_method {
	VAULT_HANDSET = PERSONA__VAULT__VAULT_KEY__METHOD__HANDSET,
	VAULT_PASSPHRASE = PERSONA__VAULT__VAULT_KEY__METHOD__PASSPHRASE,
};

/* What opens a key: the bytes of a passphrase, or the handset's vault key. */
struct vault_secret {
	enum vault_method	method;
	const void		*bytes;
	size_t			len;
};

/*
 * The handset's vault key: the 32 bytes of this file (0600), made at the first
 * use. 0; -EUCLEAN when the file is something else; -EPERM when others can read
 * it; else -errno.
 */
int	vault_handset_key(const char *path, uint8_t key[CRYPT_KEY_BYTES]);

/*
 * Wrap a key; *len packed bytes in out[VAULT_KEY_FILE_MAX]. `cost` is what trying
 * a passphrase takes. 0 or -errno.
 */
int	vault_key_pack(uint8_t *out, size_t *len,
	    const uint8_t key[CRYPT_KEY_BYTES], const char *backend,
	    const struct vault_secret *secret, const struct crypt_cost *cost);

/*
 * What such a file says, checked, without opening it; the caller frees it with
 * persona__vault__vault_key__free_unpacked. 0; -ENOTSUP: a newer version's;
 * -EUCLEAN: damaged. Reading <dir>/key has -ENOENT and other -errno too.
 */
int	vault_key_parse(const void *packed, size_t len,
	    Persona__Vault__VaultKey **kp);
int	vault_key_read(const char *dir, Persona__Vault__VaultKey **kp);

/*
 * The key again. 0; -EKEYREJECTED: not this secret; -ENOKEY: it wants the other
 * kind; -EUCLEAN: damaged; -ENOMEM: too little memory for Argon2id.
 */
int	vault_key_open(uint8_t key[CRYPT_KEY_BYTES],
	    const Persona__Vault__VaultKey *k,
	    const struct vault_secret *secret);

#endif
