/* SPDX-License-Identifier: ISC */
/*
 * Checks on short texts that strangers wrote: a handset's name, a key's
 * fingerprint. Knows only bytes; whether a text is true is nobody's business here.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Fit to be shown as one line: 1..max bytes of well-formed UTF-8 (RFC 3629: no
 * surrogates, no overlong forms), without control characters (C0, DEL, C1),
 * line and paragraph separators, or the marks that turn the direction of text
 * round, by which one name can be made to look like another.
 */
bool	text_is_line(const char *s, size_t len, size_t max);

/* "SHA256:" and 43 base64 characters, as OpenSSH prints a key's fingerprint. */
bool	text_is_fingerprint(const char *s, size_t len);

#endif
