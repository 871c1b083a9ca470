/* SPDX-License-Identifier: ISC */
/*
 * Drives a fuzz target: from files, or by a small deterministic mutator for a second
 * (FUZZ_SECONDS in the environment: longer; the same inputs and then further ones).
 * Knows no target. An input that does not end within HANG_S kills the program.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

#define RUN_S		1	/* unless FUZZ_SECONDS says other */
#define RUNS_MIN	200u	/* even on a slow machine */
#define HANG_S		20

static uint64_t rng_state = 0x9e3779b97f4a7c15;

/* xorshift64*: fast, good enough, the same everywhere. */
static uint32_t
rnd(uint32_t below)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return (uint32_t)((rng_state * 0x2545f4914f6cdd1d) >> 32) % below;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Values at which lengths and offsets tend to go wrong. */
static void
put_edge(uint8_t *p, size_t room)
{
	static const uint64_t edges[] = { 0, 1, 0x7f, 0x80, 0xff, 0x100,
		0xfff, 0x1000, 0x7fff, 0xffff, 0x10000, 0x100000, 0x7fffffff,
		0x80000000, 0xfffffff0, 0xffffffff, 0x100000000,
		0x7fffffffffffffff, 0xfffffffffffff000, UINT64_MAX };
	uint64_t v = edges[rnd(sizeof(edges) / sizeof(edges[0]))];
	size_t n = (size_t)1 << rnd(4);

	memcpy(p, &v, n < room ? n : room);
}

/* Change a few places of buf; its new length. */
static size_t
mutate(uint8_t *buf, size_t len)
{
	for (uint32_t n = 1 + rnd(6); n > 0 && len > 0; n--) {
		size_t at = rnd((uint32_t)len);

		switch (rnd(6)) {
		case 0:
			buf[at] ^= (uint8_t)(1u << rnd(8));
			break;
		case 1:
			buf[at] = (uint8_t)rnd(256);
			break;
		case 2:
			put_edge(buf + at, len - at);
			break;
		case 3:	/* copy a piece elsewhere */
			memmove(buf + rnd((uint32_t)(len - at)), buf + at,
			    rnd((uint32_t)(len - at)) / 2);
			break;
		case 4:	/* cut */
			if (rnd(8) == 0)
				len = at;
			break;
		default:	/* grow by noise */
			for (uint32_t k = rnd(64); k > 0 &&
			    len < FUZZ_MAX_BYTES; k--)
				buf[len++] = (uint8_t)rnd(256);
			break;
		}
	}
	return len;
}

static uint64_t
run_ms(void)
{
	const char *s = getenv("FUZZ_SECONDS");

	return (s != NULL ? strtoull(s, NULL, 10) : RUN_S) * 1000;
}

static void
try_mutations(void)
{
	static uint8_t buf[FUZZ_MAX_BYTES];
	uint64_t end_ms = now_ms() + run_ms();
	unsigned int runs = 0, i = 0;

	while (runs < RUNS_MIN || now_ms() < end_ms) {
		size_t len = fuzz_seed(i++, buf, sizeof(buf));

		if (len == 0) {
			i = 0;
			/* Once round the seeds: noise in between. */
			for (len = 0; len < 512; len++)
				buf[len] = (uint8_t)rnd(256);
		} else if (runs >= 8) {	/* the seeds themselves come first */
			len = mutate(buf, len);
		}
		alarm(HANG_S);
		fuzz_one(buf, len);
		runs++;
	}
	printf("%u inputs\n", runs);
}

static bool
try_file(const char *path)
{
	static uint8_t buf[FUZZ_MAX_BYTES];
	FILE *f = fopen(path, "rb");
	size_t len;

	if (f == NULL) {
		perror(path);
		return false;
	}
	len = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	alarm(HANG_S);
	fuzz_one(buf, len);
	return true;
}

int
main(int argc, char **argv)
{
	if (argc == 1)
		try_mutations();
	for (int i = 1; i < argc; i++)
		if (!try_file(argv[i]))
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
