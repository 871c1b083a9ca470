/* SPDX-License-Identifier: ISC */
/*
 * A private ed25519 key as ssh-keygen stores it, for what SSH does not do with one:
 * opening persona files that were sealed to a handset, and signing policies. Knows
 * no passphrase.
 */
#ifndef PRIVKEY_H
#define PRIVKEY_H

#include <stdint.h>

#define PRIVKEY_SECRET_BYTES	64u	/* seed, then public key */

/*
 * Read it from an open file. 0; -ENOKEY when it has a passphrase; -EINVAL when it is
 * no such key; -errno. The caller wipes the secret.
 */
int	privkey_read(int fd, uint8_t secret[PRIVKEY_SECRET_BYTES]);

#endif
