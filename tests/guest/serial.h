/* SPDX-License-Identifier: ISC */
/*
 * The 8250 at 0x3f8, polled, and the few shapes a line is made of. Knows no
 * meaning of a line. Output that nobody drains is dropped after a while, so that a
 * stuck reader never stops the guest.
 */
#ifndef SERIAL_H
#define SERIAL_H

#include <stddef.h>
#include <stdint.h>

void	serial_init(void);

/* One byte typed, or -1. */
int	serial_get(void);

void	say(const char *s);
void	say_bytes(const char *s, size_t len);
void	say_char(char c);
void	say_dec(uint64_t v);
void	say_hex(uint64_t v);		/* 16 digits */
void	say_field(const char *name, uint64_t v);	/* " name=v" */
void	say_field_hex(const char *name, uint64_t v);
void	say_end(void);			/* end of line */

/* Bytes dropped so far because nobody took them. */
uint64_t serial_dropped(void);

#endif
