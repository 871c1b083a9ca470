/* SPDX-License-Identifier: ISC */
/*
 * The choice between LZ4 and levels of zstd. Measures nothing itself.
 */
#include "effort.h"

#include "pagecodec.h"

/*
 * What a core makes of pages, in and out (tests/bench/bench-codec): LZ4 500 MB/s
 * into a third, zstd's levels 250 into a quarter and 100 into a fifth. A link that
 * takes more than comes out would wait; one that is very slow may be slow because a
 * processor at its other end is, or because ours is.
 */
#define FAST_LINK	((uint64_t)80 << 20)	/* bytes a second */
#define CALM_LINK	((uint64_t)32 << 20)
#define SLOW_LINK	((uint64_t)8 << 20)
#define FULL		65536u
#define DRY		(FULL / 2)
#define MEMORY		64u	/* choices that the smoothed filling recalls */
/* What is under way keeps the link busy for so long, as parts of a second. */
#define SOON_DRY(rate)	((rate) / 100)
#define SOME(rate)	((rate) / 25)
#define PLENTY(rate)	((rate) / 10)
/* With an unknown link: a frame or two. */
#define FEW_BYTES	((size_t)128 << 10)

void
effort_init(struct effort *e)
{
	e->fill = FULL;
}

int
effort_choose(struct effort *e, uint64_t rate, size_t queued)
{
	unsigned int fill = FULL;

	if (queued < SOON_DRY(rate))
		fill = (unsigned int)(queued * (uint64_t)FULL / SOON_DRY(rate));
	e->fill += (fill + MEMORY / 2) / MEMORY;
	e->fill -= e->fill / MEMORY;
	if (rate >= FAST_LINK || e->fill < DRY)
		return PAGE_EFFORT_FAST;
	if (rate > 0 && rate < CALM_LINK &&
	    queued > (rate < SLOW_LINK ? PLENTY(rate) : SOME(rate)))
		return PAGE_EFFORT_MOST;
	return PAGE_EFFORT_MORE;
}

bool
effort_hurries(uint64_t rate, size_t queued)
{
	return rate < FAST_LINK &&
	    queued < (rate > 0 ? SOON_DRY(rate) : FEW_BYTES);
}
