/* SPDX-License-Identifier: ISC */
/*
 * Frames that came before their turn, kept until those before them are here.
 * Knows no stream, and not what a frame means.
 */
#ifndef EARLY_H
#define EARLY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "frame.h"

struct early_frame {
	TAILQ_ENTRY(early_frame) link;
	struct frame	f;
	uint8_t		payload[];	/* f.length bytes */
};
TAILQ_HEAD(early_list, early_frame);

struct early {
	struct early_list	frames;		/* ascending by sequence */
	size_t			bytes;
};

/* Nothing is kept. _fini frees what is. */
void	early_init(struct early *e);
void	early_fini(struct early *e);

/*
 * Keep a copy of a frame; a repeat changes nothing. 0, -ENOMEM, or -EPROTO when
 * more would be kept than uneven streams account for.
 */
int	early_keep(struct early *e, const struct frame *f,
	    const uint8_t *payload);

/* The frame of this sequence, for the caller to free(); NULL: not here yet. */
struct early_frame *early_take(struct early *e, uint64_t sequence);

#endif
