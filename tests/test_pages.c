/* SPDX-License-Identifier: ISC */
/*
 * Pages in every form come out as they went in; the sets, digests and caches
 * below them keep their word; hostile payloads are refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "digest.h"
#include "fakes/fake-space.h"
#include "pagecodec.h"
#include "pagedecode.h"
#include "pageencode.h"
#include "pageset.h"
#include "random.h"
#include "shadow.h"
#include "unit.h"

#define PAGES 1500u

static uint64_t rnd;

static uint64_t
next_random(void)
{
	return random_next(&rnd);
}

/* --- both halves against each other ------------------------------------------ */

struct ends {
	struct space		*ram, *copy;
	struct digest_tree	*tree, *tree2;
	struct encoder		*encoder;
	struct decoder		*decoder;
};

static void
ends_open(struct ends *e, uint64_t shadow_pages)
{
	rnd = 88172645463325252ULL;
	e->ram = fake_ram(PAGES);
	e->copy = fake_ram(PAGES);
	CU_ASSERT_EQUAL_FATAL(digest_tree_new(&e->tree, PAGES), 0);
	CU_ASSERT_EQUAL_FATAL(digest_tree_new(&e->tree2, PAGES), 0);
	CU_ASSERT_EQUAL_FATAL(encoder_new(&e->encoder, e->tree, PAGES,
	    shadow_pages * PAGE_BYTES), 0);
	CU_ASSERT_EQUAL_FATAL(decoder_new(&e->decoder, e->copy, e->tree2), 0);
}

static void
ends_close(struct ends *e)
{
	encoder_free(e->encoder);
	decoder_free(e->decoder);
	digest_tree_free(e->tree);
	digest_tree_free(e->tree2);
	space_free(e->ram);
	space_free(e->copy);
}

static void
pass_payload(struct ends *e, bool all)
{
	const uint8_t *payload;
	size_t len = encoder_take(e->encoder, all, &payload);

	CU_ASSERT(len <= FRAME_PAYLOAD_MAX);
	CU_ASSERT_EQUAL_FATAL(decoder_apply(e->decoder, payload, len), 0);
}

/* Send pages for which `which` says yes, in one round. */
static void
pass_round(struct ends *e, bool (*which)(uint64_t))
{
	struct digest state = { { 1 } }, a, b;

	for (uint64_t pfn = 0; pfn < PAGES; pfn++) {
		int tries = 0;

		if (!which(pfn))
			continue;
		while (encoder_add(e->encoder, pfn,
		    fake_page(e->ram, pfn)) < 0) {
			CU_ASSERT_FATAL(tries++ < 3);
			pass_payload(e, false);
		}
	}
	pass_payload(e, true);
	digest_tree_root(e->tree, &state, &a);
	digest_tree_root(e->tree2, &state, &b);
	CU_ASSERT(digest_equal(&a, &b));
}

static bool
every(uint64_t pfn)
{
	(void)pfn;
	return true;
}

static void
random_page(uint8_t *page)
{
	for (size_t i = 0; i < PAGE_BYTES; i += 8) {
		uint64_t v = next_random();

		memcpy(page + i, &v, 8);
	}
}

/* One of several kinds of change, as guests make them. */
static void
change(struct ends *e, uint64_t pfn)
{
	uint8_t *page = fake_page(e->ram, pfn);
	uint64_t v = next_random();

	switch (v % 8) {
	case 0:
		memset(page, 0, PAGE_BYTES);
		break;
	case 1:
		random_page(page);
		break;
	case 2:
		memset(page, (int)(v >> 8 & 3), PAGE_BYTES);
		break;
	case 3:		/* the same as some other page */
		memmove(page, fake_page(e->ram, v >> 16 & 1023), PAGE_BYTES);
		break;
	case 4:
		for (size_t i = 0; i < PAGE_BYTES; i++)
			page[i] = (uint8_t)("text and more text "[i % 19] +
			    (v >> i % 32 & 1));
		break;
	default:
		for (int i = 0; i < 5; i++)
			page[next_random() % PAGE_BYTES] ^= 0x5a;
	}
}

static void
every_form_comes_out_as_it_went_in(void)
{
	static const uint64_t shadows[] = { 1, 40, PAGES };

	for (size_t k = 0; k < 3; k++) {
		const struct page_savings *s;
		struct ends e;

		ends_open(&e, shadows[k]);
		for (int round = 0; round < 12; round++) {
			encoder_set_effort(e.encoder,
			    round % 3 ? PAGE_EFFORT_FAST : PAGE_EFFORT_MORE);
			for (int i = 0; i < 1000; i++)
				change(&e, next_random() % PAGES);
			pass_round(&e, every);
			CU_ASSERT(fake_same(e.ram, e.copy));
		}
		s = encoder_savings(e.encoder);
		CU_ASSERT(s->zero_pages > 0 && s->known_pages > 0);
		CU_ASSERT(s->lz4_pages > 0 && s->zstd_pages > 0);
		CU_ASSERT(s->delta_pages > 0 || shadows[k] < PAGES);
		CU_ASSERT(s->raw_pages > 0 && s->unchanged_pages > 0);
		ends_close(&e);
	}
}

static void
small_changes_cost_little(void)
{
	struct ends e;
	uint64_t before;

	ends_open(&e, PAGES);
	for (uint64_t i = 0; i < PAGES; i++)
		random_page(fake_page(e.ram, i));
	pass_round(&e, every);
	CU_ASSERT_EQUAL(encoder_savings(e.encoder)->raw_pages, PAGES);
	/* Of noise nobody remembers the first form; what changes, it does. */
	for (uint64_t i = 0; i < PAGES; i++)
		memset(fake_page(e.ram, i) + 1000, 6, 24);
	pass_round(&e, every);
	CU_ASSERT_EQUAL(encoder_savings(e.encoder)->raw_pages, 2 * PAGES);
	for (uint64_t i = 0; i < PAGES; i++)
		memset(fake_page(e.ram, i) + 1000, 7, 24);
	before = encoder_savings(e.encoder)->delta_bytes;
	pass_round(&e, every);
	CU_ASSERT_EQUAL(encoder_savings(e.encoder)->delta_pages, PAGES);
	CU_ASSERT((encoder_savings(e.encoder)->delta_bytes - before) / PAGES
	    < 40);
	ends_close(&e);
}

/* --- hostile payloads --------------------------------------------------------- */

static void
lies_are_refused(void)
{
	static const struct {
		uint8_t	bytes[24];
		size_t	len;
	} lies[] = {
		{ { 0 }, 1 },				/* no such form */
		{ { 7 }, 1 },
		{ { PAGE_ZERO }, 1 },			/* cut short */
		{ { PAGE_ZERO, 0, 0xff, 0xff, 0x7f }, 5 },	/* too many */
		{ { PAGE_ZERO, 0xff, 0xff, 0xff, 0xff, 0xff, 1 }, 7 },
		{ { PAGE_ZERO, 0xff, 0xff, 0xff, 0xff, 0x0f, 1 }, 7 },
		{ { PAGE_KNOWN, 1, 1 }, 3 },		/* itself */
		{ { PAGE_KNOWN, 1, 0xff, 0x7f }, 4 },	/* not there */
		{ { PAGE_KNOWN, 0xff, 0x7f, 1 }, 4 },
		{ { PAGE_DELTA, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0 }, 11 }, /* base */
		{ { PAGE_LZ4, 0 }, 2 },
		{ { PAGE_LZ4, 33 }, 2 },
		{ { PAGE_LZ4, 1, 0xff, 0x7f, 1, 0 }, 5 },
		{ { PAGE_LZ4, 1, 0, 100, 1 }, 5 },	/* beyond the payload */
		{ { PAGE_LZ4, 1, 0, 4, 0xf0, 0xff, 0xff, 0xff }, 8 },
		{ { PAGE_ZSTD, 1, 0, 4, 0x28, 0xb5, 0x2f, 0xfd }, 8 },
		{ { PAGE_ZSTD, 1, 0, 9, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 2, 0x11,
		    0, 0, }, 13 },	/* two bytes, not a page */
		{ { PAGE_RAW, 0, 1, 1, 2, 3 }, 6 },
		{ { PAGE_RAW, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1 }, 8 },
	};
	struct ends e;

	ends_open(&e, 1);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		CU_ASSERT(decoder_apply(e.decoder, lies[i].bytes,
		    lies[i].len) < 0);
	/* Many records that each name all of memory. */
	{
		uint8_t many[3 * 4] = { 0 };

		for (size_t i = 0; i < sizeof(many); i += 4)
			memcpy(many + i, (const uint8_t[]){ PAGE_ZERO, 0, 0xdc,
			    0x0b }, 4);
		CU_ASSERT_EQUAL(decoder_apply(e.decoder, many, 4), 0);
		CU_ASSERT_EQUAL(decoder_apply(e.decoder, many, 8), -EPROTO);
	}
	ends_close(&e);
}

static void
deltas_stay_within_their_page(void)
{
	uint8_t page[PAGE_BYTES], base[PAGE_BYTES], body[PAGE_BYTES * 3];

	memset(page, 0, sizeof(page));
	CU_ASSERT_EQUAL(page_delta_apply(page, (const uint8_t[]){ 0x80, 0x20,
	    1, 9 }, 4), -EPROTO);		/* skip 4096, then a byte */
	CU_ASSERT_EQUAL(page_delta_apply(page, (const uint8_t[]){ 0, 2, 9 },
	    3), -EPROTO);
	CU_ASSERT_EQUAL(page_delta_apply(page, (const uint8_t[]){ 0xff, 0x1f,
	    1, 9 }, 4), 0);			/* the very last byte */
	CU_ASSERT_EQUAL(page[4095], 9);
	rnd = 5;
	for (int i = 0; i < 300; i++) {
		size_t n;

		random_page(base);
		memcpy(page, base, sizeof(page));
		for (uint64_t k = 0; k <= next_random() % 300; k++)
			page[next_random() % PAGE_BYTES] ^= 1;
		n = page_delta_encode(base, page, body, sizeof(body));
		CU_ASSERT(n > 0 || memcmp(base, page, sizeof(page)) == 0);
		CU_ASSERT_EQUAL(page_delta_apply(base, body, n), 0);
		CU_ASSERT_EQUAL(memcmp(base, page, sizeof(page)), 0);
	}
	random_page(base);
	random_page(page);
	CU_ASSERT_EQUAL(page_delta_encode(base, page, body, 1024), 0);
}

/* --- digests, sets, cache ------------------------------------------------------ */

static void
root_follows_every_page_and_the_state(void)
{
	struct digest state = { { 0 } }, first, d, page = { { 7 } };
	struct digest_tree *t;

	CU_ASSERT_EQUAL_FATAL(digest_tree_new(&t, 1025), 0);
	digest_tree_root(t, &state, &first);
	for (uint64_t pfn = 0; pfn < 1025; pfn += 256) {
		digest_tree_set(t, pfn, &page);
		digest_tree_root(t, &state, &d);
		CU_ASSERT(!digest_equal(&first, &d));
		digest_tree_set(t, pfn, digest_tree_zero(t));
		(void)digest_tree_settle(t, 1);
		digest_tree_root(t, &state, &d);
		CU_ASSERT(digest_equal(&first, &d));
	}
	state.b[31] = 1;
	digest_tree_root(t, &state, &d);
	CU_ASSERT(!digest_equal(&first, &d));
	digest_tree_free(t);
	CU_ASSERT_EQUAL(digest_tree_new(&t, 0), -EINVAL);
	CU_ASSERT_EQUAL(digest_tree_new(&t, SPACE_MAX_PAGES + 1), -EINVAL);
}

/* Resident bytes of this process. */
static uint64_t
resident_bytes(void)
{
	unsigned long long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(fscanf(f, "%llu %llu", &size, &resident), 2);
	fclose(f);
	return resident * 4096;
}

static void
empty_space_costs_next_to_nothing(void)
{
	const uint64_t n = DISK_MAX_BYTES / PAGE_BYTES, before = resident_bytes();
	struct digest state = { { 0 } }, empty, d, page = { { 7 } };
	struct pageheat heat;
	struct pageset set;
	struct digest_tree *t;

	CU_ASSERT_EQUAL_FATAL(digest_tree_new(&t, n), 0);
	CU_ASSERT_EQUAL_FATAL(pageset_init(&set, n), 0);
	CU_ASSERT_EQUAL_FATAL(pageheat_init(&heat, n), 0);
	digest_tree_root(t, &state, &empty);
	for (uint64_t pfn = 5; pfn < n; pfn += n / 64) {
		digest_tree_set(t, pfn, &page);
		pageset_set(&set, pfn);
		heat.heat[pfn] = 9;
	}
	pageheat_age(&heat);
	CU_ASSERT_EQUAL(heat.heat[5], 4);
	CU_ASSERT_EQUAL(pageset_next(&set, 6), 5 + n / 64);
	CU_ASSERT(digest_equal(digest_tree_get(t, 5), &page));
	CU_ASSERT(digest_equal(digest_tree_get(t, 6), digest_tree_zero(t)));
	digest_tree_root(t, &state, &d);
	CU_ASSERT(!digest_equal(&d, &empty));
	CU_ASSERT(resident_bytes() - before < (32u << 20));
	/* All zero again is the same as never touched. */
	for (uint64_t pfn = 5; pfn < n; pfn += n / 64)
		digest_tree_set(t, pfn, digest_tree_zero(t));
	digest_tree_root(t, &state, &d);
	CU_ASSERT(digest_equal(&d, &empty));
	digest_tree_free(t);
	pageset_fini(&set);
	pageheat_fini(&heat);
}

static void
sets_count_and_find(void)
{
	struct pageset s;

	CU_ASSERT_EQUAL_FATAL(pageset_init(&s, 130), 0);
	CU_ASSERT_EQUAL(pageset_next(&s, 0), 130);
	pageset_set(&s, 0);
	pageset_set(&s, 64);
	pageset_set(&s, 64);
	pageset_set(&s, 129);
	CU_ASSERT_EQUAL(s.count, 3);
	CU_ASSERT_EQUAL(pageset_next(&s, 1), 64);
	CU_ASSERT_EQUAL(pageset_next(&s, 65), 129);
	CU_ASSERT_EQUAL(pageset_next(&s, 130), 130);
	pageset_clear(&s, 64);
	pageset_clear(&s, 64);
	CU_ASSERT_EQUAL(s.count, 2);
	for (uint64_t pfn = 0; pfn < 130; pfn++)
		pageset_set(&s, pfn);
	CU_ASSERT_EQUAL(s.count, 130);
	CU_ASSERT_EQUAL(s.words[2], 3);
	pageset_fini(&s);
}

static void
dirty_pages_wait_where_they_should(void)
{
	uint64_t dirty[2] = { 0, 0 };
	struct pageset todo, next;
	struct pageheat heat;

	CU_ASSERT_EQUAL_FATAL(pageset_init(&todo, 100), 0);
	CU_ASSERT_EQUAL_FATAL(pageset_init(&next, 100), 0);
	CU_ASSERT_EQUAL_FATAL(pageheat_init(&heat, 100), 0);
	heat.hot = PAGEHEAT_HOT;
	pageset_set(&todo, 5);
	pageset_set(&todo, 6);
	dirty[0] = 1 << 5 | 1 << 9;
	dirty[1] = UINT64_MAX;		/* bits beyond the last page mean nothing */
	CU_ASSERT_EQUAL(pageset_absorb(dirty, todo.n_words, &heat, &todo, &next), 2 + 36);
	CU_ASSERT(pageset_test(&todo, 5) && !pageset_test(&next, 5));
	CU_ASSERT(pageset_test(&next, 9) && dirty[0] == 0 && dirty[1] == 0);
	dirty[0] = 1 << 5;		/* again: hot, so it goes last */
	CU_ASSERT_EQUAL(pageset_absorb(dirty, todo.n_words, &heat, &todo, &next), 1);
	CU_ASSERT(!pageset_test(&todo, 5) && pageset_test(&next, 5));
	CU_ASSERT(pageheat_is_hot(&heat, 5) && !pageheat_is_hot(&heat, 9));
	pageheat_age(&heat);
	CU_ASSERT(!pageheat_is_hot(&heat, 5));
	/* While all of memory is on its way, once is enough. */
	heat.hot = PAGEHEAT_HOT_FIRST;
	dirty[0] = 1 << 6;
	CU_ASSERT_EQUAL(pageset_absorb(dirty, 2, &heat, &todo, &next), 1);
	CU_ASSERT(!pageset_test(&todo, 6) && pageset_test(&next, 6));
	pageset_fini(&todo);
	pageset_fini(&next);
	pageheat_fini(&heat);
}

/* By a few samples, which must not be fooled by where in the page something lies. */
static void
noise_is_told_from_the_rest(void)
{
	uint8_t page[PAGE_BYTES], half[PAGE_BYTES] = { 0 };

	for (unsigned int round = 0; round < 200; round++) {
		for (size_t i = 0; i < PAGE_BYTES; i++)
			page[i] = (uint8_t)(next_random() >> 32);
		CU_ASSERT_TRUE(page_is_dense(page));
		/* Noise for one half packs to one half, whichever it is. */
		memcpy(half + round % 2 * PAGE_BYTES / 2, page, PAGE_BYTES / 2);
		CU_ASSERT_FALSE(page_is_dense(half));
		memset(half, 0, sizeof(half));
		/* Letters of base64 say little each. */
		for (size_t i = 0; i < PAGE_BYTES; i++)
			page[i] &= 63;
		CU_ASSERT_FALSE(page_is_dense(page));
	}
	/* Every value there is, and a pattern all the same. */
	for (size_t i = 0; i < PAGE_BYTES; i++)
		page[i] = (uint8_t)i;
	CU_ASSERT_FALSE(page_is_dense(page));
}

static void
cache_keeps_what_is_asked_for(void)
{
	uint8_t page[PAGE_BYTES];
	struct shadow *s;

	CU_ASSERT_EQUAL_FATAL(shadow_new(&s, 1000, 8 * PAGE_BYTES), 0);
	for (unsigned int i = 0; i < 100; i++) {
		memset(page, (int)i, sizeof(page));
		shadow_put(s, i, page);
		/* Page 0 is sent again and again; the others never. */
		CU_ASSERT_PTR_NOT_NULL_FATAL(shadow_get(s, 0));
		CU_ASSERT_EQUAL(shadow_get(s, 0)[17], 0);
	}
	CU_ASSERT_PTR_NULL(shadow_get(s, 1));
	/* Nor is one forgotten that has changed and waits to be sent. */
	shadow_expect(s, 99);
	shadow_expect(s, 1);	/* not here: nothing to keep */
	for (unsigned int i = 100; i < 110; i++)
		shadow_put(s, i, page);
	CU_ASSERT_PTR_NOT_NULL(shadow_get(s, 99));
	CU_ASSERT_PTR_NULL(shadow_get(s, 98));
	shadow_drop(s, 0);
	shadow_drop(s, 0);
	CU_ASSERT_PTR_NULL(shadow_get(s, 0));
	shadow_free(s);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "every form comes out as it went in (3)",
		    every_form_comes_out_as_it_went_in },
		{ "small changes cost little", small_changes_cost_little },
		{ "lies are refused (7)", lies_are_refused },
		{ "deltas stay within their page (7)",
		    deltas_stay_within_their_page },
		{ "the root follows every page and the state (3)",
		    root_follows_every_page_and_the_state },
		{ "empty space costs next to nothing",
		    empty_space_costs_next_to_nothing },
		{ "sets count and find", sets_count_and_find },
		{ "dirty pages wait where they should",
		    dirty_pages_wait_where_they_should },
		{ "noise is told from the rest", noise_is_told_from_the_rest },
		{ "the cache keeps what is asked for",
		    cache_keeps_what_is_asked_for },
	};

	return unit_main("pages", tests, sizeof(tests) / sizeof(tests[0]));
}
