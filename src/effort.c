/* SPDX-License-Identifier: ISC */
/*
 * The choice between LZ4 and levels of zstd. Measures nothing itself.
 */
#include "effort.h"

#include "pagecodec.h"

/*
 * zstd packs about 240 MB/s into a quarter, LZ4 twice that into a third: at 80
 * MB/s and above the link takes more than zstd gives.
 */
#define FAST_LINK	((uint64_t)80 << 20)	/* bytes a second */
#define SLOW_LINK	((uint64_t)16 << 20)
#define FULL		65536u
#define DRY		(FULL / 2)
#define MEMORY		64u	/* choices that the smoothed filling recalls */
/* What is under way keeps the link busy for so long, as parts of a second. */
#define SOON_DRY(rate)	((rate) / 100)
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
	if (rate > 0 && rate < SLOW_LINK && queued > PLENTY(rate))
		return PAGE_EFFORT_MOST;
	return PAGE_EFFORT_MORE;
}

bool
effort_hurries(uint64_t rate, size_t queued)
{
	return rate < FAST_LINK &&
	    queued < (rate > 0 ? SOON_DRY(rate) : FEW_BYTES);
}
