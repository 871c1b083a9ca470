/* SPDX-License-Identifier: ISC */
/*
 * How fast one core turns guest pages into payloads and back, a class of content
 * at a time: MB/s of guest memory and bytes out for bytes in. Not a test.
 *
 *	bench-codec [--quick]	quick: too little memory for figures to keep
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../random.h"
#include "digest.h"
#include "fakes/fake-space.h"
#include "pagecodec.h"
#include "pagedecode.h"
#include "pageencode.h"

#define PAGES		16384u		/* 64 MiB */
#define QUICK_PAGES	2048u		/* still two turns of make_mixed */

static unsigned int pages = PAGES;

static uint64_t rnd = RANDOM_SEED;

static uint64_t
next_random(void)
{
	return random_next(&rnd);
}

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
make_zero(uint8_t *page, unsigned int i)
{
	(void)i;
	memset(page, 0, PAGE_BYTES);
}

/* Words of a small vocabulary with numbers between them. */
static void
make_text(uint8_t *page, unsigned int i)
{
	static const char *const words[] = { "persona ", "moves ", "the ",
	    "handset ", "while ", "memory ", "is ", "copied, ", "page ",
	    "after ", "round; ", "state = ", "{\n\t", "return ", "(void)",
	    "if (" };
	size_t at = 0;

	while (at + 24 < PAGE_BYTES) {
		uint64_t v = next_random();

		at += (size_t)snprintf((char *)page + at, 24, "%s",
		    words[v % 16]);
		if (v % 5 == 0)
			at += (size_t)snprintf((char *)page + at, 24, "%u ",
			    (unsigned int)(v >> 40) % 10000 + i);
	}
	memset(page + at, ' ', PAGE_BYTES - at);
}

static void
make_repeated(uint8_t *page, unsigned int i)
{
	for (size_t k = 0; k < PAGE_BYTES; k++)
		page[k] = (uint8_t)(k * 7 + k / 64 * (i % 8));
}

static void
make_random(uint8_t *page, unsigned int i)
{
	(void)i;
	for (size_t k = 0; k < PAGE_BYTES; k += 8) {
		uint64_t v = next_random();

		memcpy(page + k, &v, 8);
	}
}

static void
make_mixed(uint8_t *page, unsigned int i)
{
	static void (*const kinds[])(uint8_t *, unsigned int) = {
		make_zero, make_text, make_repeated, make_random };

	kinds[i / 256 % 4](page, i);
}

struct run {
	struct space		*ram, *copy;
	struct digest_tree	*tree, *tree2;
	struct encoder		*encoder;
	struct decoder		*decoder;
	double			encode_s, decode_s;
	uint64_t		bytes;
};

static void
pass_payload(struct run *r, bool all)
{
	const uint8_t *payload;
	size_t len = encoder_take(r->encoder, all, &payload);
	double t = now_s();

	if (decoder_apply(r->decoder, payload, len) < 0)
		exit(EXIT_FAILURE);
	t = now_s() - t;
	r->decode_s += t;
	r->encode_s -= t;
	r->bytes += len;
}

static void
pass(struct run *r)
{
	r->encode_s = r->decode_s = 0;
	r->bytes = 0;
	r->encode_s -= now_s();
	for (uint64_t pfn = 0; pfn < pages; pfn++)
		while (encoder_add(r->encoder, pfn,
		    fake_page(r->ram, pfn)) < 0)
			pass_payload(r, false);
	pass_payload(r, true);
	r->encode_s += now_s();
}

static void
report(const char *name, int effort, const struct run *r)
{
	double mb = pages * (double)PAGE_BYTES / 1e6;

	printf("%-22s %6d %10.0f %10.0f %8.3f\n", name, effort,
	    mb / r->encode_s, mb / r->decode_s, (double)r->bytes / 1e6 / mb);
}

static void
bench(const char *name, void (*make)(uint8_t *, unsigned int), int effort)
{
	struct run r = { .bytes = 0 };
	char again[64];

	r.ram = fake_ram(pages);
	r.copy = fake_ram(pages);
	for (unsigned int i = 0; i < pages; i++)
		make(fake_page(r.ram, i), i);
	if (digest_tree_new(&r.tree, pages) < 0 ||
	    digest_tree_new(&r.tree2, pages) < 0 ||
	    encoder_new(&r.encoder, r.tree, pages,
	    (uint64_t)pages * PAGE_BYTES) < 0 ||
	    decoder_new(&r.decoder, r.copy, r.tree2) < 0)
		exit(EXIT_FAILURE);
	encoder_set_effort(r.encoder, effort);
	pass(&r);
	report(name, effort, &r);
	for (unsigned int i = 0; i < pages; i++)
		for (unsigned int k = 0; k < 4; k++)
			fake_page(r.ram, i)[next_random() % PAGE_BYTES] ^= 1;
	pass(&r);
	snprintf(again, sizeof(again), "%s, 4 bytes new", name);
	report(again, effort, &r);
	if (!fake_same(r.ram, r.copy))
		exit(EXIT_FAILURE);
	encoder_free(r.encoder);
	decoder_free(r.decoder);
	digest_tree_free(r.tree);
	digest_tree_free(r.tree2);
	space_free(r.ram);
	space_free(r.copy);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--quick") == 0)
		pages = QUICK_PAGES;
	else if (argc > 1)
		return 2;
	printf("%-22s %6s %10s %10s %8s\n", "content", "effort", "encode MB/s",
	    "decode MB/s", "out/in");
	bench("zero", make_zero, PAGE_EFFORT_FAST);
	bench("text", make_text, PAGE_EFFORT_FAST);
	bench("text", make_text, PAGE_EFFORT_MORE);
	bench("text", make_text, PAGE_EFFORT_MOST);
	bench("repeated", make_repeated, PAGE_EFFORT_FAST);
	bench("random", make_random, PAGE_EFFORT_FAST);
	bench("mixed", make_mixed, PAGE_EFFORT_FAST);
	bench("mixed", make_mixed, PAGE_EFFORT_MOST);
	return EXIT_SUCCESS;
}
