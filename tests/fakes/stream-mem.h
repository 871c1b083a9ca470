/* SPDX-License-Identifier: ISC */
/*
 * A link in memory with a stream at each end, for tests of whatever speaks over
 * streams: bounded, slow, chopping, cut or corrupting as the test asks, and the
 * same in every run. Knows no event loop and no clock: time is stream_mem_step().
 */
#ifndef STREAM_MEM_H
#define STREAM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"

#define STREAM_MEM_DELAY_MAX	64u

struct stream_mem;

struct stream_mem_config {
	size_t		capacity;	/* bytes in flight a direction; 0: 64 KiB */
	unsigned int	delay_steps;	/* each way, <= STREAM_MEM_DELAY_MAX */
	size_t		step_bytes;	/* arriving in one step; 0: no limit */
	size_t		chunk_max;	/* a call moves 1..chunk_max; 0: all */
	uint32_t	seed;		/* of the chopping */
};

/* A link and its two ends; cfg NULL for the defaults. 0 or -errno. */
int	stream_mem_open(struct stream_mem **lp, struct stream *ends[2],
	    const struct stream_mem_config *cfg);

/*
 * Let one unit of time pass: bytes old enough arrive (with delay_steps 0 they
 * arrived when written), then each end that can read, or write and asked to, is
 * told. Ends may be closed by their callbacks. True while bytes are under way or
 * somebody moved some: `while (stream_mem_step(l));` runs until all is quiet
 * (not on a frozen link, where nothing moves).
 */
bool	stream_mem_step(struct stream_mem *l);

/*
 * Break the link: bytes in flight are lost, what arrived can still be read, then
 * reads give -ECONNRESET and writes -EPIPE.
 */
void	stream_mem_cut(struct stream_mem *l);

/* A silent link: writes are taken until it is full, nothing arrives. */
void	stream_mem_freeze(struct stream_mem *l, bool frozen);

/* What stream_unanswered_ns() says at both ends. */
void	stream_mem_set_unanswered(struct stream_mem *l, uint64_t ns);

/* Flip one bit of byte number `at` (from 0) that end `from` (0, 1) writes. */
void	stream_mem_flip(struct stream_mem *l, unsigned int from, uint64_t at);

/* Bytes that end `from` has written so far. */
uint64_t stream_mem_written(const struct stream_mem *l, unsigned int from);

/* Free the link, once both ends are closed or will not be used. NULL is fine. */
void	stream_mem_free(struct stream_mem *l);

#endif
