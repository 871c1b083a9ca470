/* SPDX-License-Identifier: ISC */
/*
 * Keep, change and compare all of memory. Pages are numbered through all RAM
 * ranges: first a table of how often each hot page was dirtied, then the hot pages,
 * then the static ones. Knows no clock and no serial line.
 */
#include <stddef.h>

#include "witness.h"

#define ALIVE_PAGES	16u
#define PAGE		FILL_PAGE_BYTES

extern const char image_start[], image_const_end[];

static struct {
	struct fill	fill;
	struct {
		uint64_t	first, gpa;	/* page number, address */
	} range[BOOT_RANGES_MAX];
	unsigned int	n_ranges;
	uint64_t	pages, hot_first, static_first;
	int		whole;
	uint64_t	static_sum, hot_sum, image_sum;
	uint64_t	cursor;		/* of witness_check */
	uint64_t	pass_hot_sum;	/* table walked alongside the cursor */
	uint64_t	random;
	struct witness_totals total;
	witness_alive_fn alive;
	witness_fault_fn fault;
} wit;

static uint64_t scratch[PAGE / 8];

static uint64_t
page_gpa(uint64_t page)
{
	unsigned int i = wit.n_ranges - 1;

	while (wit.range[i].first > page)
		i--;
	return wit.range[i].gpa + (page - wit.range[i].first) * PAGE;
}

static uint64_t *
page_at(uint64_t page)
{
	return (uint64_t *)(uintptr_t)page_gpa(page);
}

static int
is_hot(uint64_t page)
{
	return page < wit.static_first;
}

static uint32_t *
count_of(uint64_t page)
{
	/* The table may cross from one range of RAM into the next. */
	uint64_t entry = page - wit.hot_first;

	return (uint32_t *)page_at(entry * 4 / PAGE) + entry % (PAGE / 4);
}

/* The code and constants we run on are memory like any other. */
static uint64_t
image_sum(void)
{
	const uint64_t *w = (const uint64_t *)image_start;
	size_t n = (size_t)(image_const_end - image_start) / 8;
	uint64_t sum = n;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ w[i]) * 0x9e3779b97f4a7c15u + (sum >> 23);
	return sum;
}

static void
report(struct fault *f)
{
	wit.total.faults++;
	wit.fault(f);
}

/* Where two pages differ; the bad one is put right. */
static void
page_wrong(uint64_t page, const char *what, uint64_t *have)
{
	struct fault f = { .what = what, .page = page, .gpa = page_gpa(page) };
	const uint8_t *want_bytes = (const uint8_t *)scratch;
	uint8_t *have_bytes = (uint8_t *)have;

	if (is_hot(page)) {
		f.count_want = *count_of(page);
		f.count_have = have[0];
	}
	for (uint64_t i = 0; i < PAGE; i++) {
		if (have_bytes[i] == want_bytes[i])
			continue;
		if (f.wrong_bytes++ == 0) {
			f.offset = i;
			f.want = want_bytes[i];
			f.have = have_bytes[i];
		}
		have_bytes[i] = want_bytes[i];
	}
	report(&f);
}

static void
check_page(uint64_t page)
{
	uint64_t *have = page_at(page);

	if (is_hot(page))
		fill_hot(&wit.fill, page, *count_of(page), wit.whole, scratch);
	else
		fill_static(&wit.fill, page, scratch);
	for (unsigned int i = 0; i < PAGE / 8; i++) {
		if (have[i] != scratch[i]) {
			page_wrong(page, is_hot(page) ? "hot" : "static", have);
			return;
		}
	}
}

/* At the end of a pass: what no page comparison covers. */
static void
check_rest(void)
{
	struct fault f = { .what = "image", .gpa = (uintptr_t)image_start };

	if (image_sum() != wit.image_sum) {
		report(&f);
		wit.image_sum = image_sum();
	}
	if (wit.pass_hot_sum != wit.hot_sum) {
		f.what = "table";
		f.gpa = page_gpa(0);
		report(&f);
		wit.hot_sum = wit.pass_hot_sum;
	}
}

void
witness_check(unsigned int n)
{
	while (n-- > 0) {
		check_page(wit.cursor);
		if (is_hot(wit.cursor))
			wit.pass_hot_sum += fill_hot_sum(wit.cursor,
			    *count_of(wit.cursor));
		if (++wit.cursor < wit.pages)
			continue;
		check_rest();
		wit.total.passes++;
		wit.cursor = wit.hot_first;
		wit.pass_hot_sum = 0;
	}
}

void
witness_check_all(uint64_t *sum)
{
	uint64_t s = 0;

	/* Begin a pass of its own, so that check_rest judges this walk. */
	wit.cursor = wit.hot_first;
	wit.pass_hot_sum = 0;
	for (uint64_t page = wit.hot_first; page < wit.pages; page++) {
		if (page % ALIVE_PAGES == 0)
			wit.alive();
		check_page(page);
		if (is_hot(page)) {
			s += fill_hot_sum(page, page_at(page)[0]);
			wit.pass_hot_sum += fill_hot_sum(page, *count_of(page));
		} else {
			s += fill_page_sum(page, page_at(page));
		}
	}
	check_rest();
	wit.pass_hot_sum = 0;
	*sum = s;
}

void
witness_dirty(void)
{
	uint64_t n = wit.static_first - wit.hot_first;
	uint64_t page, sum;
	uint32_t *count;

	if (n == 0)
		return;
	wit.random = fill_mix(wit.random, n);
	page = wit.hot_first + ((wit.random >> 32) * n >> 32);
	count = count_of(page);
	sum = fill_hot_sum(page, *count);
	++*count;
	sum = fill_hot_sum(page, *count) - sum;
	fill_hot_step(&wit.fill, page, *count, wit.whole, page_at(page));
	wit.hot_sum += sum;
	/* A page behind the cursor was counted with its old count. */
	if (page < wit.cursor)
		wit.pass_hot_sum += sum;
	wit.total.dirtied++;
}

void
witness_corrupt(uint64_t page)
{
	uint8_t *p;

	page = wit.hot_first + page % (wit.pages - wit.hot_first);
	p = (uint8_t *)page_at(page);
	p[fill_mix(page, 0) % PAGE] ^= 0x10;
}

static int
add_ranges(const struct bootinfo *b, uint64_t limit_pages)
{
	for (unsigned int i = 0; i < b->n_ram && wit.pages < limit_pages; i++) {
		uint64_t n = (b->ram[i].end - b->ram[i].start) / PAGE;

		if (n > limit_pages - wit.pages)
			n = limit_pages - wit.pages;
		wit.range[wit.n_ranges].first = wit.pages;
		wit.range[wit.n_ranges++].gpa = b->ram[i].start;
		wit.pages += n;
	}
	return wit.pages > 64 ? 0 : -1;
}

/* A table entry is 4 bytes a hot page; hot pages take at most half of all. */
static void
lay_out(uint64_t hot_bytes)
{
	uint64_t hot = hot_bytes / PAGE;

	if (hot > wit.pages / 2)
		hot = wit.pages / 2;
	wit.hot_first = (hot * 4 + PAGE - 1) / PAGE;
	wit.static_first = wit.hot_first + hot;
}

static void
fill_all(void)
{
	for (uint64_t page = 0; page < wit.pages; page++) {
		uint64_t *p = page_at(page);

		if (page % ALIVE_PAGES == 0)
			wit.alive();
		if (page < wit.hot_first) {
			for (unsigned int i = 0; i < PAGE / 8; i++)
				p[i] = 0;
		} else if (is_hot(page)) {
			fill_hot(&wit.fill, page, 0, wit.whole, p);
			wit.hot_sum += fill_hot_sum(page, 0);
		} else {
			fill_static(&wit.fill, page, p);
			wit.static_sum += fill_page_sum(page, p);
		}
	}
}

int
witness_init(const struct bootinfo *b, const struct options *o,
    witness_alive_fn alive, witness_fault_fn fault)
{
	uint64_t limit = o->mem_bytes != 0 ? o->mem_bytes / PAGE : UINT64_MAX;

	wit.alive = alive;
	wit.fault = fault;
	wit.whole = o->rewrite_whole;
	wit.random = o->seed;
	fill_init(&wit.fill, o->seed, o->mix);
	if (add_ranges(b, limit) < 0)
		return -1;
	lay_out(o->hot_bytes);
	fill_all();
	wit.image_sum = image_sum();
	wit.cursor = wit.hot_first;
	return 0;
}

struct witness_totals
witness_totals(void)
{
	struct witness_totals t = wit.total;

	t.pages = wit.pages;
	t.hot_pages = wit.static_first - wit.hot_first;
	t.bytes = wit.pages * PAGE;
	t.sum = wit.static_sum + wit.hot_sum;
	return t;
}
