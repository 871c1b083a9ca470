/* SPDX-License-Identifier: ISC */
/*
 * Public ed25519 keys as OpenSSH writes them: "ssh-ed25519 AAAA...", without a
 * comment. Texts may come from a peer or a file; anything else than exactly
 * this form is refused. Knows no files and no private keys.
 */
#ifndef PUBKEY_H
#define PUBKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

#define PUBKEY_TEXT_LEN		80u	/* without the NUL */
#define PUBKEY_BLOB_BYTES	51u	/* RFC 8709 section 4 */
#define PUBKEY_POINT_BYTES	32u	/* the last of the blob */

/* The bytes that SSH compares. 0, or -EINVAL for any other text. */
int	pubkey_parse(const char *text, uint8_t blob[PUBKEY_BLOB_BYTES]);

/* The bare ed25519 point within a text, and the text of a point. 0 or -EINVAL. */
int	pubkey_to_point(const char *text, uint8_t point[PUBKEY_POINT_BYTES]);
void	pubkey_from_point(const uint8_t point[PUBKEY_POINT_BYTES],
	    char text[PUBKEY_TEXT_LEN + 1]);

/* Both are well formed and the same key. */
bool	pubkey_equal(const char *a, const char *b);

/*
 * The fingerprint as `ssh-keygen -l` prints it: "SHA256:" and 43 characters.
 * `out` has room for FINGERPRINT_MAX + 1 bytes. 0 or -EINVAL.
 */
int	pubkey_fingerprint(const char *text, char *out);

/* Whether a text has the form of such a fingerprint. */
bool	pubkey_is_fingerprint(const char *text);

#endif
