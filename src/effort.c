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
#define SLOW_LINK	((uint64_t)6 << 20)
#define FULL		65536u
#define DRY		(FULL / 8)
#define MEMORY		64u	/* choices that the smoothed filling recalls */

void
effort_init(struct effort *e)
{
	e->fill = FULL;
}

int
effort_choose(struct effort *e, uint64_t rate, size_t queued, size_t limit)
{
	unsigned int fill = FULL;

	if (queued < limit)
		fill = (unsigned int)((uint64_t)queued * FULL / limit);
	e->fill += (fill + MEMORY / 2) / MEMORY;
	e->fill -= e->fill / MEMORY;
	if (rate >= FAST_LINK || e->fill < DRY)
		return PAGE_EFFORT_FAST;
	if (rate > 0 && rate < SLOW_LINK && fill > FULL / 2)
		return PAGE_EFFORT_MOST;
	return PAGE_EFFORT_MORE;
}
