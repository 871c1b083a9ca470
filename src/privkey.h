/* SPDX-License-Identifier: ISC */
/*
 * The handset's private ed25519 key as ssh-keygen stores it, for the one thing that
 * SSH does not do with it: opening persona files that were sealed to it. Knows no
 * passphrases: our key has none.
 */
#ifndef PRIVKEY_H
#define PRIVKEY_H

#include <stdint.h>

#define PRIVKEY_SECRET_BYTES	64u	/* seed, then public key */

/* Read it from an open file. 0; -EINVAL when it is no such key; -errno. */
int	privkey_read(int fd, uint8_t secret[PRIVKEY_SECRET_BYTES]);

#endif
