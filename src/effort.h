/* SPDX-License-Identifier: ISC */
/*
 * How hard to compress: as hard as the link leaves time for, and no harder than
 * the processor keeps up with. Pure arithmetic; knows no codec's inside.
 */
#ifndef EFFORT_H
#define EFFORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct effort {
	unsigned int	fill;	/* 1/65536 of a queue that is not dry, smoothed */
};

/* Nothing is known of the link yet. */
void	effort_init(struct effort *e);

/*
 * The PAGE_EFFORT_* for what is encoded next. `rate` is the goodput in bytes a
 * second, 0 when not known; `queued` bytes are under way: a queue that keeps
 * running dry says that it is not the link which holds things up.
 */
int	effort_choose(struct effort *e, uint64_t rate, size_t queued);

/*
 * The link is about to run dry, and it is one that packing cannot keep busy: what
 * needs no packing should go now. Says nothing of links that outrun the processor.
 */
bool	effort_hurries(uint64_t rate, size_t queued);

#endif
