/* SPDX-License-Identifier: ISC */
/*
 * How a machine ended: noted once, by whichever thread sees it first, and told on
 * the main loop. Knows no vCPU, no device and not what follows.
 */
#ifndef ENDING_H
#define ENDING_H

#include "hv.h"

struct ending;

/* `told` is called from the loop, once, after the first ending_note(). 0 or -errno. */
int	ending_new(struct ending **ep, struct event_base *base,
	    void (*told)(void *arg), void *arg);
void	ending_free(struct ending *e);

/* It has ended like this. Any thread; the first one counts. */
void	ending_note(struct ending *e, enum hv_end how, const char *text);

/* How, and the sentence for it; HV_END_NONE and "" before. Any thread. */
enum hv_end	ending_get(struct ending *e, const char **text);

#endif
