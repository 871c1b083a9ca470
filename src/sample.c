/* SPDX-License-Identifier: ISC */
/*
 * A sample of a persona's pages through the real encoder. Keeps no result but
 * sums.
 */
#include "sample.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "digest.h"
#include "pageencode.h"
#include "pageset.h"
#include "space.h"

/*
 * Neighbours are packed together, so what is looked at comes in runs; and there are
 * many of them, because pages that are copies of others show only among many.
 */
#define RUN_PAGES	32u
#define RUNS		96u
/* Changed pages that are encoded after each window, to see what deltas take. */
#define CHANGED_PAGES	128u
#define SHADOW_BYTES	((uint64_t)8 << 20)

/* An encoder of its own, for a peer that has nothing. */
struct trial {
	struct digest_tree	*tree;
	struct encoder		*encoder;
	uint64_t		bytes;
};

struct sample {
	struct space		*space;
	uint64_t		n_pages;
	uint64_t		*dirty;
	uint64_t		dirty_words;
	struct pageset		seen;		/* changed since the watch began */
	struct trial		again;		/* of changed pages */
	uint64_t		changed[CHANGED_PAGES];
	unsigned int		n_changed;
	uint64_t		change_cost;	/* of the last time, x 256 */
	bool			watching;
	unsigned int		windows;
	uint64_t		begun_ns, ended_ns;
	uint64_t		sum_pages;
};

/* --- trials ------------------------------------------------------------------- */

static void
trial_fini(struct trial *t)
{
	encoder_free(t->encoder);
	digest_tree_free(t->tree);
}

static int
trial_init(struct trial *t, uint64_t n_pages)
{
	int r;

	if ((r = digest_tree_new(&t->tree, n_pages)) < 0)
		return r;
	return encoder_new(&t->encoder, t->tree, n_pages, SHADOW_BYTES);
}

static void
trial_take(struct trial *t, bool all)
{
	const uint8_t *payload;
	size_t len;

	while ((len = encoder_take(t->encoder, all, &payload)) > 0)
		t->bytes += len;
}

static int
trial_add(struct trial *t, struct space *space, uint64_t pfn)
{
	const uint8_t *page;
	int r;

	if (!space_has(space, pfn, 1))
		return 0;
	if ((r = space_page(space, pfn, &page)) < 0)
		return r;
	while ((r = encoder_add(t->encoder, pfn, page)) == -EAGAIN)
		trial_take(t, false);
	return r;
}

/* --- what changes --------------------------------------------------------------- */

/* Take all bits out of the bitmap; the number of them. */
static uint64_t
absorb(struct sample *s, bool note)
{
	uint64_t n = 0;

	for (uint64_t w = 0; w < s->dirty_words; w++) {
		uint64_t bits = s->dirty[w] == 0 ? 0 : le64toh(
		    __atomic_exchange_n(&s->dirty[w], 0, __ATOMIC_ACQ_REL));

		for (; bits != 0; bits &= bits - 1) {
			uint64_t pfn = w * 64 + (uint64_t)__builtin_ctzll(bits);

			if (!space_has(s->space, pfn, 1))
				continue;
			n++;
			if (note)
				pageset_set(&s->seen, pfn);
		}
	}
	return n;
}

static void
choose_changed(struct sample *s)
{
	uint64_t step = s->seen.count / CHANGED_PAGES + 1, pfn = 0;

	while (s->n_changed < CHANGED_PAGES &&
	    (pfn = pageset_skip(&s->seen, pfn, s->n_changed == 0 ? 0 :
	    step - 1)) < s->n_pages)
		s->changed[s->n_changed++] = pfn++;
}

/* The same pages again and again, as rounds would: each time tells more. */
static int
encode_changed(struct sample *s)
{
	uint64_t same = encoder_savings(s->again.encoder)->unchanged_pages;
	int r = 0;

	for (unsigned int i = 0; i < s->n_changed; i++)
		encoder_expect(s->again.encoder, s->changed[i]);
	s->again.bytes = 0;
	for (unsigned int i = 0; r == 0 && i < s->n_changed; i++)
		r = trial_add(&s->again, s->space, s->changed[i]);
	trial_take(&s->again, true);
	same = encoder_savings(s->again.encoder)->unchanged_pages - same;
	/* When none was written again meanwhile, the cost of before is as good. */
	if (same < s->n_changed)
		s->change_cost = s->again.bytes * 256 / (s->n_changed - same);
	return r;
}

int
sample_harvested(struct sample *s, uint64_t now_ns)
{
	space_changed(s->space);
	if (!s->watching) {
		(void)absorb(s, false);
		s->watching = true;
		s->begun_ns = s->ended_ns = now_ns;
		return 0;
	}
	s->sum_pages += absorb(s, true);
	s->windows++;
	s->ended_ns = now_ns;
	if (s->n_changed == 0)
		choose_changed(s);
	return encode_changed(s);
}

unsigned int
sample_windows(const struct sample *s)
{
	return s->windows;
}

void
sample_change(const struct sample *s, struct sample_change *c)
{
	unsigned int n = s->windows > 0 ? s->windows : 1;

	c->watched_ns = s->ended_ns - s->begun_ns;
	c->watched_pages = s->seen.count;
	c->window_ns = c->watched_ns / n;
	c->window_pages = (s->sum_pages + n - 1) / n;
	c->page_cost = s->change_cost;
}

/* --- what there is -------------------------------------------------------------- */

static void
survey(struct sample *s, struct pageset *full)
{
	uint64_t first, end = 0;

	while (space_data(s->space, end, &first, &end))
		for (uint64_t pfn = first; pfn < end; pfn++)
			pageset_set(full, pfn);
}

/* Runs of neighbours, spread evenly over all that hold something. */
static int
encode_runs(struct sample *s, struct trial *t, const struct pageset *full,
    uint64_t *n)
{
	uint64_t runs = full->count / RUN_PAGES < RUNS ?
	    full->count / RUN_PAGES + 1 : RUNS;
	uint64_t apart = full->count / runs, pfn = 0;
	int r = 0;

	*n = 0;
	for (uint64_t i = 0; i < runs && r == 0; i++) {
		uint64_t len = apart < RUN_PAGES ? apart : RUN_PAGES;
		uint64_t next = pageset_skip(full, pfn, apart);

		for (; len > 0 && r == 0; len--, (*n)++) {
			if ((pfn = pageset_next(full, pfn)) >= full->n_pages)
				return 0;
			r = trial_add(t, s->space, pfn++);
		}
		pfn = next;
	}
	return r;
}

int
sample_pages(struct sample *s, int effort, uint64_t (*now_ns)(void *arg),
    void *arg, uint64_t *pages, uint64_t *page_cost, uint64_t *page_ns)
{
	struct trial t = { 0 };
	struct pageset full = { 0 };
	uint64_t n = 0, begun;
	int r;

	*pages = *page_cost = *page_ns = 0;
	if ((r = pageset_init(&full, s->n_pages)) < 0 ||
	    (r = trial_init(&t, s->n_pages)) < 0)
		goto out;
	survey(s, &full);
	*pages = full.count;
	encoder_set_effort(t.encoder, effort);
	begun = now_ns(arg);
	r = encode_runs(s, &t, &full, &n);
	trial_take(&t, true);
	if (r == 0 && n > 0) {
		*page_cost = t.bytes * 256 / n;
		*page_ns = (now_ns(arg) - begun) / n;
	}
out:
	trial_fini(&t);
	pageset_fini(&full);
	return r;
}

/* --- life ----------------------------------------------------------------------- */

int
sample_new(struct sample **sp, struct space *space, uint64_t *dirty)
{
	const struct space_plan *plan = space_regions(space);
	struct sample *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->space = space;
	s->n_pages = plan->n_pages;
	s->dirty = dirty;
	s->dirty_words = (plan->n_dirty + 63) / 64;
	if ((r = pageset_init(&s->seen, s->n_pages)) < 0 ||
	    (r = trial_init(&s->again, s->n_pages)) < 0) {
		sample_free(s);
		return r;
	}
	*sp = s;
	return 0;
}

void
sample_free(struct sample *s)
{
	if (s == NULL)
		return;
	pageset_fini(&s->seen);
	trial_fini(&s->again);
	free(s);
}
