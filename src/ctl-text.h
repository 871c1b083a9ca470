/* SPDX-License-Identifier: ISC */
/*
 * Text for a terminal: how wide UTF-8 is, and how to keep a peer's or a guest's
 * text from steering the terminal. Knows no locale: our output is UTF-8.
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H

#include <stdint.h>
#include <stddef.h>

#define TEXT_REPLACEMENT 0xfffdu	/* for bytes that are not UTF-8 */

/*
 * Take one code point off the front of *s (a C string, not at its end) and
 * move *s behind it. Bytes that are not UTF-8 give TEXT_REPLACEMENT, one each.
 */
uint32_t text_next(const char **s);

/* Columns that a printable string takes. */
unsigned int text_columns(const char *s);

/*
 * A heap copy in which everything that could move the cursor, reorder the line
 * or is not UTF-8 has become '?'. NULL stands for "". NULL only without memory.
 */
char	*text_printable(const char *s);

/* "512 MiB", "1.5 GiB", "17 KiB", "3 B": rounded for a person. */
void	text_size(char *out, size_t size, uint64_t bytes);

/* "200 Mbit/s" from bytes a second. */
void	text_rate(char *out, size_t size, uint64_t bytes_per_s);

/* "43 ms", "6 s", "6.4 s", "2 min 05 s", "1 h 10 min". */
void	text_duration(char *out, size_t size, uint64_t ms);

#endif
