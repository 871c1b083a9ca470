/* SPDX-License-Identifier: ISC */
/*
 * The source's passes: each page of a round once, what is hot last, and noise before
 * its turn while the link would run dry.
 */
#include <string.h>

#include "fakes/fake-space.h"
#include "pagedecode.h"
#include "random.h"
#include "rounds.h"
#include "unit.h"

#define PAGES		1024u
#define NOISE_EVERY	16u	/* pages: the others are text */
#define HOT_PAGE	(3 * NOISE_EVERY)

struct bed {
	struct space		*from, *to;
	uint64_t		dirty[PAGES / 64];
	struct rounds		*rounds;
	struct digest_tree	*tree;
	struct decoder		*decoder;
};

static void
fill_page(uint8_t *page, unsigned int pfn, uint64_t *random)
{
	for (size_t i = 0; i < PAGE_BYTES; i += 8) {
		uint64_t v = random_next(random);

		if (pfn % NOISE_EVERY != 0)	/* a few letters, no two alike */
			v = (v & 0x0303030303030303u) + 0x6161616161616161u;
		memcpy(page + i, &v, 8);
	}
}

/* Memory of text and noise, everything in the first round, one page of it hot. */
static void
bed_open(struct bed *b)
{
	uint64_t random = RANDOM_SEED;

	memset(b, 0, sizeof(*b));
	b->from = fake_ram(PAGES);
	b->to = fake_ram(PAGES);
	for (unsigned int pfn = 0; pfn < PAGES; pfn++)
		fill_page(fake_page(b->from, pfn), pfn, &random);
	CU_ASSERT_EQUAL_FATAL(rounds_new(&b->rounds, b->from, b->dirty), 0);
	CU_ASSERT_EQUAL_FATAL(digest_tree_new(&b->tree, PAGES), 0);
	CU_ASSERT_EQUAL_FATAL(decoder_new(&b->decoder, b->to, b->tree), 0);
	b->dirty[HOT_PAGE / 64] = (uint64_t)1 << HOT_PAGE % 64;
	CU_ASSERT_EQUAL(rounds_harvested(b->rounds), 1);
	rounds_survey(b->rounds);
	CU_ASSERT_EQUAL(rounds_pages_left(b->rounds), PAGES);
}

static void
bed_close(struct bed *b)
{
	decoder_free(b->decoder);
	digest_tree_free(b->tree);
	rounds_free(b->rounds);
	space_free(b->from);
	space_free(b->to);
}

/* One payload across; its length. */
static size_t
carry(struct bed *b)
{
	const uint8_t *payload;
	size_t len;

	CU_ASSERT_EQUAL_FATAL(rounds_payload(b->rounds, PAGES, &payload, &len),
	    0);
	if (len > 0)
		CU_ASSERT_EQUAL(decoder_apply(b->decoder, payload, len), 0);
	return len;
}

static void
carry_rest(struct bed *b)
{
	for (unsigned int i = 0; i < PAGES && !rounds_finished(b->rounds); i++)
		(void)carry(b);
	CU_ASSERT_TRUE(rounds_finished(b->rounds));
}

static bool
is_there(const struct bed *b, unsigned int pfn)
{
	return memcmp(fake_page(b->from, pfn), fake_page(b->to, pfn),
	    PAGE_BYTES) == 0;
}

static void
pages_go_in_their_order(void)
{
	struct bed b;

	bed_open(&b);
	(void)carry(&b);
	CU_ASSERT_TRUE(is_there(&b, 0));
	CU_ASSERT_TRUE(is_there(&b, NOISE_EVERY));
	CU_ASSERT_FALSE(is_there(&b, 32 * NOISE_EVERY));
	carry_rest(&b);
	CU_ASSERT(fake_same(b.from, b.to));
	bed_close(&b);
}

static void
noise_goes_first_in_a_hurry(void)
{
	struct bed b;

	bed_open(&b);
	rounds_hurry(b.rounds, true);
	CU_ASSERT(carry(&b) >= 12 * PAGE_BYTES);
	/* What needs packing waits, and so does what will change again. */
	CU_ASSERT_TRUE(is_there(&b, 0));
	CU_ASSERT_TRUE(is_there(&b, 12 * NOISE_EVERY));
	CU_ASSERT_FALSE(is_there(&b, 1));
	CU_ASSERT_FALSE(is_there(&b, HOT_PAGE));
	/* The hurry is over: on from where the others were left. */
	rounds_hurry(b.rounds, false);
	(void)carry(&b);
	CU_ASSERT_TRUE(is_there(&b, 1));
	CU_ASSERT_FALSE(is_there(&b, 40 * NOISE_EVERY));
	carry_rest(&b);
	CU_ASSERT(fake_same(b.from, b.to));
	bed_close(&b);
}

/* In a hurry from the first page to the last: each goes once, none is forgotten. */
static void
a_hurry_loses_nothing(void)
{
	struct bed b;

	bed_open(&b);
	rounds_hurry(b.rounds, true);
	carry_rest(&b);
	CU_ASSERT(fake_same(b.from, b.to));
	CU_ASSERT_EQUAL(decoder_pages(b.decoder), PAGES);
	bed_close(&b);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "pages go in their order", pages_go_in_their_order },
		{ "noise goes first in a hurry", noise_goes_first_in_a_hurry },
		{ "a hurry loses nothing", a_hurry_loses_nothing },
	};

	return unit_main("rounds", tests, sizeof(tests) / sizeof(tests[0]));
}
