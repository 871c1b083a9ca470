/* SPDX-License-Identifier: ISC */
/*
 * A word from any thread to the main loop: look. Knows not what there is to see.
 */
#ifndef BELL_H
#define BELL_H

struct bell;
struct event_base;

/* `heard` is called from the loop after each bell_ring, or once after several. */
int	bell_new(struct bell **bp, struct event_base *base,
	    void (*heard)(void *arg), void *arg);
/* NULL is fine. */
void	bell_free(struct bell *b);

/* From now on it is heard at most once in so many milliseconds. 0 or -ENOMEM. */
int	bell_pace(struct bell *b, unsigned int every_ms);

/* Any thread. 0 or -errno. */
int	bell_ring(struct bell *b);

#endif
