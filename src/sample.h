/* SPDX-License-Identifier: ISC */
/*
 * What a persona's pages would cost to send, from a few of them: some that hold
 * something, and some that the guest keeps changing. Uses the encoder of a move and
 * sends nothing. Knows no peer, no rate and no clock but the one passed in.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdint.h>

struct sample;
struct space;

/*
 * `dirty` is the bitmap that harvests fill (rounds_new()); both are the caller's and
 * outlive this. 0 or -errno.
 */
int	sample_new(struct sample **sp, struct space *space, uint64_t *dirty);
void	sample_free(struct sample *s);

/*
 * A harvest has filled the bitmap. The first call throws away what it says: the
 * watch begins. Each further one ends a window. 0 or -errno of reading.
 */
int	sample_harvested(struct sample *s, uint64_t now_ns);

/* How many windows have ended. */
unsigned int sample_windows(const struct sample *s);

struct sample_change {
	uint64_t	window_ns, window_pages;	/* on average */
	uint64_t	watched_ns, watched_pages;	/* each page once */
	uint64_t	page_cost;	/* bytes a page takes again, x 256 */
};
void	sample_change(const struct sample *s, struct sample_change *c);

/*
 * Encode some of the pages that hold something, with this effort (pagecodec.h):
 * how many there are, bytes a page (x 256) and the time for one by now_ns. 0 or
 * -errno of reading.
 */
int	sample_pages(struct sample *s, int effort, uint64_t (*now_ns)(void *arg),
	    void *arg, uint64_t *pages, uint64_t *page_cost, uint64_t *page_ns);

#endif
