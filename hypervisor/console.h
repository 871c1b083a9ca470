/* SPDX-License-Identifier: ISC */
/*
 * The host side of a guest's console: recent output in a bounded ring, input in
 * a small buffer, and a stream that may come and go. Knows no device kind.
 *
 * Calls marked (locked) want the bus lock held and may come from any thread; the
 * rest come from the main thread with the bus locked. All input and output on
 * the stream happens in the main thread's loop.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console;
struct dev_env;

/*
 * `input` is called from the main thread with the bus locked when there is
 * something to console_read; never before console_start. 0 or -errno.
 */
int	console_new(struct console **cp, const struct dev_env *env,
	    void (*input)(void *arg), void *arg);
void	console_free(struct console *c);

/* Guest output (locked). Never blocks: a reader too slow loses the oldest. */
void	console_write(struct console *c, const void *buf, size_t len);

/* Take up to `max` bytes of input (locked). How many there were. */
size_t	console_read(struct console *c, void *buf, size_t max);

/* Replace the stream (-1: none); takes the descriptor. 0 or -errno. */
int	console_attach(struct console *c, int stream_fd);

/* Let input flow to the guest, or hold it back. stop sends what it can. */
void	console_start(struct console *c);
void	console_stop(struct console *c);

#endif
