/* SPDX-License-Identifier: ISC */
/*
 * A Linux process that lives inside a persona while it is moved: it keeps
 * rewriting and checking its memory and watches its clocks. Knows nothing of
 * moves; what it saw stands in one line of the file it is given.
 *
 *   witness MEGABYTES FILE
 *
 * "rounds=812 bad=0 backward=0 gap_ms=41 drift_ms=0 uptime_ms=20310": wrong
 * bytes, clock steps backwards, the longest time it did not run, and how far
 * CLOCK_REALTIME and CLOCK_MONOTONIC came apart since the start. FILE.gaps has a
 * line for each longer time it did not run: when it ended (Unix time) and how long.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORDS_A_PAGE	512u
#define PAGES_A_ROUND	8u
#define REPORT_MS	200
#define GAP_MS		500	/* longer is written down */

struct witness {
	uint64_t	(*pages)[WORDS_A_PAGE];
	uint32_t	*generation;	/* what each page was last filled with */
	size_t		n_pages;
	uint64_t	rounds;
	uint64_t	bad;		/* words that were not what was written */
	uint64_t	backward;	/* readings below the one before */
	int64_t		last_ns;
	int64_t		gap_ns;
	int64_t		start_ns;
	int64_t		start_offset_ns; /* realtime - monotonic */
	FILE		*gaps;
};

static int64_t
clock_ns(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A word that no other page, place or generation has. */
static uint64_t
expected(size_t page, size_t word, uint32_t generation)
{
	uint64_t x = ((uint64_t)page << 32 | generation) + word;

	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ULL;
	x ^= x >> 29;
	return x;
}

static void
fill_page(struct witness *w, size_t page)
{
	for (size_t i = 0; i < WORDS_A_PAGE; i++)
		w->pages[page][i] = expected(page, i, w->generation[page]);
}

static void
check_page(struct witness *w, size_t page)
{
	for (size_t i = 0; i < WORDS_A_PAGE; i++)
		if (w->pages[page][i] !=
		    expected(page, i, w->generation[page]))
			w->bad++;
}

static void
write_gap(struct witness *w, int64_t gap_ns)
{
	if (gap_ns < GAP_MS * 1000000LL)
		return;
	fprintf(w->gaps, "at_unix_s=%.3f gap_ms=%lld\n",
	    (double)clock_ns(CLOCK_REALTIME) / 1e9,
	    (long long)(gap_ns / 1000000));
	fflush(w->gaps);
}

static void
watch_clock(struct witness *w)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	if (now < w->last_ns)
		w->backward++;
	else if (now - w->last_ns > w->gap_ns)
		w->gap_ns = now - w->last_ns;
	write_gap(w, now - w->last_ns);
	w->last_ns = now;
}

static int
report(const struct witness *w, const char *path)
{
	char next[4096];
	FILE *f;

	snprintf(next, sizeof(next), "%s.new", path);
	if ((f = fopen(next, "w")) == NULL)
		return -errno;
	fprintf(f, "rounds=%llu bad=%llu backward=%llu gap_ms=%lld "
	    "drift_ms=%lld uptime_ms=%lld\n",
	    (unsigned long long)w->rounds, (unsigned long long)w->bad,
	    (unsigned long long)w->backward,
	    (long long)(w->gap_ns / 1000000),
	    (long long)((clock_ns(CLOCK_REALTIME) -
	    clock_ns(CLOCK_MONOTONIC) - w->start_offset_ns) / 1000000),
	    (long long)((w->last_ns - w->start_ns) / 1000000));
	if (fclose(f) != 0)
		return -errno;
	return rename(next, path) < 0 ? -errno : 0;
}

/* One slice: check some pages, give each new content; a phone is never idle. */
static void
round_once(struct witness *w)
{
	for (size_t i = 0; i < PAGES_A_ROUND; i++) {
		size_t page = (w->rounds * PAGES_A_ROUND + i) % w->n_pages;

		check_page(w, page);
		w->generation[page]++;
		fill_page(w, page);
	}
	w->rounds++;
}

int
main(int argc, char **argv)
{
	struct witness w = { 0 };
	char gaps[4096];
	const struct timespec rest = { .tv_nsec = 20000000 };	/* 1.6 MB/s */
	int64_t reported_ns = 0;
	long megabytes;

	if (argc != 3 || (megabytes = strtol(argv[1], NULL, 10)) < 1 ||
	    megabytes > 4096) {
		fprintf(stderr, "usage: witness MEGABYTES FILE\n");
		return 2;
	}
	w.n_pages = (size_t)megabytes * 256;
	w.pages = calloc(w.n_pages, sizeof(*w.pages));
	w.generation = calloc(w.n_pages, sizeof(*w.generation));
	snprintf(gaps, sizeof(gaps), "%s.gaps", argv[2]);
	w.gaps = fopen(gaps, "a");
	if (w.pages == NULL || w.generation == NULL || w.gaps == NULL)
		return 1;
	for (size_t i = 0; i < w.n_pages; i++)
		fill_page(&w, i);
	w.start_ns = w.last_ns = clock_ns(CLOCK_MONOTONIC);
	w.start_offset_ns = clock_ns(CLOCK_REALTIME) - w.start_ns;
	for (;;) {
		round_once(&w);
		watch_clock(&w);
		if (w.last_ns - reported_ns > REPORT_MS * 1000000LL) {
			reported_ns = w.last_ns;
			if (report(&w, argv[2]) < 0)
				return 1;
		}
		nanosleep(&rest, NULL);
	}
}
