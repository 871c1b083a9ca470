/* SPDX-License-Identifier: ISC */
/*
 * What the small guest fills its memory with: any page can be made again, kinds come
 * in the asked shares, text compresses as text does. Needs no guest.
 */
#include <lz4.h>
#include <string.h>

#include "guest/fill.h"
#include "unit.h"

static struct fill f;
static uint64_t a[FILL_PAGE_BYTES / 8], b[FILL_PAGE_BYTES / 8];

static void
mixed(void)
{
	static const uint8_t mix[FILL_KINDS] = { 25, 25, 25, 25 };

	fill_init(&f, 1, mix);
}

static void
pages_repeat_themselves(void)
{
	mixed();
	for (uint64_t page = 0; page < 64; page++) {
		memset(a, 0x55, sizeof(a));
		memset(b, 0xaa, sizeof(b));
		fill_static(&f, page, a);
		fill_static(&f, page, b);
		CU_ASSERT(memcmp(a, b, sizeof(a)) == 0);
		CU_ASSERT(fill_page_sum(page, a) == fill_page_sum(page, b));
	}
}

static void
a_changed_byte_changes_the_sum(void)
{
	uint64_t sum;

	mixed();
	fill_static(&f, 7, a);
	sum = fill_page_sum(7, a);
	for (size_t i = 0; i < sizeof(a); i++) {
		((char *)a)[i] ^= 1;
		CU_ASSERT(fill_page_sum(7, a) != sum);
		((char *)a)[i] ^= 1;
	}
	CU_ASSERT(fill_page_sum(8, a) != sum);
}

static void
kinds_come_in_their_shares(void)
{
	static const uint8_t mix[FILL_KINDS] = { 10, 20, 30, 40 };
	unsigned int n[FILL_KINDS] = { 0 };

	fill_init(&f, 3, mix);
	for (uint64_t page = 0; page < 20000; page++)
		n[fill_kind_of(&f, page)]++;
	for (unsigned int k = 0; k < FILL_KINDS; k++) {
		CU_ASSERT(n[k] > mix[k] * 200u - 400);
		CU_ASSERT(n[k] < mix[k] * 200u + 400);
	}
}

static unsigned int
lz4_bytes(const void *page)
{
	char out[LZ4_COMPRESSBOUND(FILL_PAGE_BYTES)];

	return (unsigned int)LZ4_compress_default(page, out, FILL_PAGE_BYTES,
	    sizeof(out));
}

static void
text_shrinks_as_text_does(void)
{
	static const uint8_t text[FILL_KINDS] = { [FILL_TEXT] = 100 };
	static const uint8_t noise[FILL_KINDS] = { [FILL_RANDOM] = 100 };
	unsigned int packed = 0;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		fill_init(&f, seed, text);
		for (uint64_t page = 0; page < 64; page++) {
			fill_static(&f, page, a);
			packed += lz4_bytes(a);
		}
	}
	CU_ASSERT(packed * 22 < 256 * FILL_PAGE_BYTES * 10);	/* over 2.2 */
	CU_ASSERT(packed * 27 > 256 * FILL_PAGE_BYTES * 10);	/* under 2.7 */
	fill_init(&f, 1, noise);
	fill_static(&f, 5, a);
	CU_ASSERT(lz4_bytes(a) >= FILL_PAGE_BYTES);
}

static void
repeated_pages_are_few(void)
{
	static const uint8_t repeat[FILL_KINDS] = { [FILL_REPEAT] = 100 };
	uint64_t seen[FILL_DICTIONARY + 1];
	unsigned int n = 0;

	fill_init(&f, 9, repeat);
	for (uint64_t page = 0; page < 2000; page++) {
		unsigned int i;

		fill_static(&f, page, a);
		for (i = 0; i < n && seen[i] != a[0]; i++)
			;
		if (i == n && n <= FILL_DICTIONARY)
			seen[n++] = a[0];
	}
	CU_ASSERT_EQUAL(n, FILL_DICTIONARY);
}

/* Step by step and all at once must meet, at every count. */
static void
hot_pages_follow_from_their_count(void)
{
	mixed();
	for (int whole = 0; whole <= 1; whole++) {
		for (uint64_t page = 0; page < 32; page++) {
			fill_hot(&f, page, 0, whole, a);
			for (uint64_t count = 1; count < 40; count++) {
				fill_hot_step(&f, page, count, whole, a);
				fill_hot(&f, page, count, whole, b);
				CU_ASSERT(memcmp(a, b, sizeof(a)) == 0);
				CU_ASSERT(a[0] == count);
			}
		}
	}
}

static void
a_dirtying_changes_little(void)
{
	unsigned int changed = 0;

	mixed();
	fill_hot(&f, 1, 100, 0, a);
	fill_hot(&f, 1, 101, 0, b);
	for (unsigned int i = 0; i < FILL_PAGE_BYTES / 8; i++)
		changed += a[i] != b[i];
	CU_ASSERT_EQUAL(changed, 5);
	fill_hot(&f, 1, 101, 1, b);
	CU_ASSERT(lz4_bytes(b) < FILL_PAGE_BYTES * 3 / 5);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a page is a function of its number", pages_repeat_themselves },
		{ "any wrong byte shows", a_changed_byte_changes_the_sum },
		{ "kinds come in their shares", kinds_come_in_their_shares },
		{ "text shrinks as text does", text_shrinks_as_text_does },
		{ "repeated pages are few", repeated_pages_are_few },
		{ "hot pages follow from their count",
		    hot_pages_follow_from_their_count },
		{ "a dirtying changes little", a_dirtying_changes_little },
	};

	return unit_main("guest fill", tests, sizeof(tests) / sizeof(*tests));
}
