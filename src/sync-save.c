/* SPDX-License-Identifier: ISC */
/*
 * Saves in rounds. The first looks at every page that may hold something, the
 * others at what was dirtied meanwhile; copying within a handset is so much faster
 * than any link that few rounds are enough and no guest is held back for it.
 */
#include "sync-save.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "pagecodec.h"
#include "pageset.h"
#include "space.h"

#define SLICE_NS	4000000ULL	/* of work, before others run */
#define RUN_PAGES	64u		/* read and written at once */
/* Copied in some milliseconds: less than a person can notice. */
#define STOP_PAGES	2048u
/* Rounds that shrink by less than this are at their floor. */
#define SHRINKS_PERCENT	80u
#define ROUNDS_MAX	8u

struct sync_save {
	const struct sync_save_ops *ops;
	void			*arg;
	struct sync_save_config	c;
	enum save_state		state;
	const struct space_plan	*plan;
	struct pageset		todo;
	uint64_t		cursor;		/* page */
	bool			harvesting;
	uint32_t		round;
	uint64_t		last_count;	/* pages of the round before */
	uint64_t		pages_total, bytes;
	struct digest_tree	*tree;
	struct digest		machine;	/* of the machine state */
	uint64_t		hash_from, hash_end, hashed;
	uint8_t			run[RUN_PAGES * PAGE_BYTES];
};

/* --- life ------------------------------------------------------------------------ */

int
sync_save_new(struct sync_save **sp, const struct sync_save_config *c,
    const struct sync_save_ops *ops, void *arg)
{
	struct sync_save *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	*sp = NULL;
	if (s == NULL)
		return -ENOMEM;
	s->c = *c;
	s->ops = ops;
	s->arg = arg;
	s->plan = space_regions(c->from);
	if ((r = pageset_init(&s->todo, s->plan->n_pages)) < 0 ||
	    (c->rooted &&
	    (r = digest_tree_new(&s->tree, s->plan->n_pages)) < 0)) {
		sync_save_free(s);
		return r;
	}
	*sp = s;
	return 0;
}

void
sync_save_free(struct sync_save *s)
{
	if (s == NULL)
		return;
	digest_tree_free(s->tree);
	pageset_fini(&s->todo);
	free(s);
}

static void
fail(struct sync_save *s, int r)
{
	s->state = SAVE_ENDED;
	s->ops->failed(s->arg, r);
}

/* --- what there is to copy -------------------------------------------------------- */

/* Blocks that a disk took over from its base since we last looked: all of them. */
static void
take_claims(struct sync_save *s)
{
	uint64_t first, end = 0;

	while (space_claim(s->c.to, s->c.from, end, &first, &end))
		for (uint64_t pfn = first; pfn < end; pfn++)
			pageset_set(&s->todo, pfn);
}

/*
 * Every page that may hold something; the target's files are holes before. What
 * lies in a base is shared.
 */
static void
take_all(struct sync_save *s)
{
	uint64_t first, end = 0;

	take_claims(s);
	while (space_data(s->c.from, end, &first, &end))
		for (uint64_t pfn = first; pfn < end; pfn++)
			if (space_is_own(s->c.to, pfn))
				pageset_set(&s->todo, pfn);
	s->pages_total = s->todo.count;
	s->round = 1;
}

/*
 * What was dirtied since the last harvest. Others set bits at the same time. A page
 * whose block is not the disk's own yet is no loss: with the block all of it comes.
 */
static void
take_dirty(struct sync_save *s)
{
	uint64_t n_words = (s->plan->n_dirty + 63) / 64;

	take_claims(s);
	for (uint64_t w = 0; w < n_words; w++) {
		uint64_t bits = le64toh(__atomic_exchange_n(&s->c.dirty[w], 0,
		    __ATOMIC_ACQ_REL));

		for (; bits != 0; bits &= bits - 1) {
			uint64_t pfn = w * 64 +
			    (uint64_t)__builtin_ctzll(bits);

			if (space_has(s->c.from, pfn, 1) &&
			    space_is_own(s->c.to, pfn))
				pageset_set(&s->todo, pfn);
		}
	}
	space_changed(s->c.from);
	s->cursor = 0;
}

/* --- copying ------------------------------------------------------------------------ */

/* Read pages from pfn on that stand together in `todo`; how many, or -errno. */
static int
read_run(struct sync_save *s, uint64_t pfn)
{
	const uint8_t *page;
	unsigned int n = 0;
	int r;

	while (n < RUN_PAGES && pfn + n < s->plan->n_pages &&
	    pageset_test(&s->todo, pfn + n) &&
	    space_has(s->c.from, pfn, n + 1)) {
		if ((r = space_page(s->c.from, pfn + n, &page)) < 0)
			return r;
		memcpy(s->run + (size_t)n * PAGE_BYTES, page, PAGE_BYTES);
		pageset_clear(&s->todo, pfn + n);
		n++;
	}
	return (int)n;
}

/* Write `n` pages of the buffer, which are all zero or all not. */
static int
write_alike(struct sync_save *s, uint64_t pfn, const uint8_t *pages,
    uint64_t n, bool zero)
{
	int r;

	if (zero)
		return s->round == 1 ? 0 : space_zero(s->c.to, pfn, n);
	if ((r = space_write(s->c.to, pfn, pages, n)) == 0)
		s->bytes += n * PAGE_BYTES;
	return r;
}

static int
write_run(struct sync_save *s, uint64_t pfn, unsigned int n)
{
	int r = 0;

	for (unsigned int i = 0, end; i < n && r == 0; i = end) {
		const uint8_t *first = s->run + (size_t)i * PAGE_BYTES;
		bool zero = page_is_zero(first);

		for (end = i + 1; end < n &&
		    page_is_zero(s->run + (size_t)end * PAGE_BYTES) == zero; end++)
			;
		r = write_alike(s, pfn + i, first, end - i, zero);
	}
	return r;
}

/* True when nothing is left to copy; also after a failure, which was told. */
static bool
copy_slice(struct sync_save *s)
{
	uint64_t until = s->ops->now_ns(s->arg) + SLICE_NS;

	while (s->todo.count > 0) {
		int n, r;

		s->cursor = pageset_next(&s->todo, s->cursor);
		if (s->cursor >= s->plan->n_pages)
			s->cursor = pageset_next(&s->todo, 0);
		n = read_run(s, s->cursor);
		r = n < 0 ? n : write_run(s, s->cursor, (unsigned int)n);
		if (r < 0) {
			fail(s, r);
			return false;
		}
		s->cursor += (unsigned int)n;
		if (s->ops->now_ns(s->arg) >= until) {
			s->ops->again(s->arg);
			return false;
		}
	}
	space_settle(s->c.to);
	return true;
}

/* --- rounds --------------------------------------------------------------------------- */

static void
ask_harvest(struct sync_save *s, bool start)
{
	s->harvesting = true;
	s->ops->harvest(s->arg, start);
}

static void
ask_stop(struct sync_save *s)
{
	s->state = SAVE_STOPPING;
	s->ops->want_stop(s->arg);
}

void
sync_save_begin(struct sync_save *s)
{
	if (s->c.stop_first)
		ask_stop(s);
	else
		ask_harvest(s, true);
}

/* A round is copied and what changed meanwhile is known: once more, or stop? */
static void
next_round(struct sync_save *s)
{
	uint64_t n = s->todo.count;

	if (n <= STOP_PAGES || s->round >= ROUNDS_MAX ||
	    n * 100 > s->last_count * SHRINKS_PERCENT) {
		ask_stop(s);
		return;
	}
	s->last_count = n;
	s->round++;
	s->ops->again(s->arg);
}

void
sync_save_harvested(struct sync_save *s)
{
	if (!s->harvesting)
		return;
	s->harvesting = false;
	if (s->state == SAVE_COPY && s->round == 0) {
		/* Logging is on: whatever is read from here is seen changing. */
		take_all(s);
		s->last_count = UINT64_MAX / 100;
		s->ops->again(s->arg);
	} else if (s->state == SAVE_COPY) {
		take_dirty(s);
		next_round(s);
	} else if (s->state == SAVE_STOPPED) {
		take_dirty(s);
		s->round++;
		s->ops->again(s->arg);
	}
}

void
sync_save_stopped(struct sync_save *s, const void *machine_state, size_t len)
{
	if (s->state != SAVE_STOPPING)
		return;
	s->state = SAVE_STOPPED;
	digest_bytes(&s->machine, machine_state, len);
	if (!s->c.stop_first) {
		ask_harvest(s, false);
		return;
	}
	take_all(s);
	s->ops->again(s->arg);
}

/* --- the end ---------------------------------------------------------------------------- */

static void
begin_finish(struct sync_save *s)
{
	s->state = SAVE_FINISH;
	s->ops->copied(s->arg);
	s->ops->again(s->arg);
}

/* Hash some of what was written; true when all is, or none is wanted. */
static bool
hash_slice(struct sync_save *s)
{
	uint64_t until = s->ops->now_ns(s->arg) + SLICE_NS;
	const uint8_t *page;
	struct digest d;
	int r;

	if (!s->c.rooted)
		return true;
	do {
		if (s->hash_from >= s->hash_end &&
		    !space_data(s->c.to, s->hash_end, &s->hash_from,
		    &s->hash_end))
			return true;
		for (unsigned int i = 0; i < RUN_PAGES &&
		    s->hash_from < s->hash_end; i++, s->hash_from++) {
			r = space_page(s->c.to, s->hash_from, &page);
			if (r < 0) {
				fail(s, r);
				return false;
			}
			digest_page(&d, page);
			digest_tree_set(s->tree, s->hash_from, &d);
			s->hashed++;
		}
	} while (s->ops->now_ns(s->arg) < until);
	s->ops->again(s->arg);
	return false;
}

static void
finish(struct sync_save *s)
{
	struct digest root;
	int r;

	if ((r = space_sync(s->c.to)) < 0) {
		fail(s, r);
		return;
	}
	s->state = SAVE_ENDED;
	if (s->c.rooted)
		digest_tree_root(s->tree, &s->machine, &root);
	s->ops->done(s->arg, s->c.rooted ? &root : NULL);
}

void
sync_save_step(struct sync_save *s)
{
	if (s->harvesting)
		return;
	switch (s->state) {
	case SAVE_COPY:
		if (s->round > 0 && copy_slice(s))
			ask_harvest(s, false);
		break;
	case SAVE_STOPPED:
		if (copy_slice(s))
			begin_finish(s);
		break;
	case SAVE_FINISH:
		if (hash_slice(s))
			finish(s);
		break;
	case SAVE_STOPPING:
	case SAVE_ENDED:
		break;
	}
}

void
sync_save_progress(const struct sync_save *s, struct sync_save_progress *p)
{
	*p = (struct sync_save_progress){
		.state = s->state,
		.round = s->round,
		.pages_total = s->pages_total,
		.pages_left = s->todo.count,
		.bytes = s->bytes,
	};
	if (s->state == SAVE_FINISH)
		p->pages_left = s->pages_total > s->hashed ?
		    s->pages_total - s->hashed : 0;
}
