/* SPDX-License-Identifier: ISC */
/*
 * How fast one core writes a persona file and reads it back, a class of content at
 * a time, plain and encrypted: MB/s of the persona's pages and bytes out for bytes
 * in; and what a passphrase costs. The file is in memory. Not a test.
 *
 *	bench-file [--quick]	quick: too small a disk for figures to keep
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../fakes/file-bed.h"
#include "../random.h"

#define DISK_BYTES	((uint64_t)128 << 20)
#define QUICK_BYTES	((uint64_t)8 << 20)
#define PASSPHRASE	"bench"

static uint64_t disk_bytes = DISK_BYTES;

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
make_random(uint8_t *page, uint64_t i, uint64_t *rnd)
{
	(void)i;
	for (size_t k = 0; k < PAGE_BYTES; k += 8) {
		uint64_t v = random_next(rnd);

		memcpy(page + k, &v, 8);
	}
}

/* Words of a small vocabulary with numbers between them. */
static void
make_text(uint8_t *page, uint64_t i, uint64_t *rnd)
{
	static const char *const words[] = { "persona ", "carries ", "the ",
	    "handset ", "while ", "disk ", "is ", "written, " };
	size_t at = 0;

	while (at + 24 < PAGE_BYTES) {
		uint64_t v = random_next(rnd);

		at += (size_t)snprintf((char *)page + at, 24, "%s%u ",
		    words[v % 8], (unsigned int)(v >> 40) % 1000);
	}
	memset(page + at, (int)('a' + i % 26), PAGE_BYTES - at);
}

/* A disk that holds the same 64 KiB again and again. */
static void
make_repeated(uint8_t *page, uint64_t i, uint64_t *rnd)
{
	uint64_t own = RANDOM_SEED + i % FILE_CHUNK_PAGES;

	(void)rnd;
	make_random(page, i, &own);
}

static const struct content {
	const char	*name;
	void		(*make)(uint8_t *page, uint64_t i, uint64_t *rnd);
} contents[] = {
	{ "random", make_random },
	{ "text", make_text },
	{ "repeated", make_repeated },
	{ "empty", NULL },
};

static void
must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench-file: %s: %s\n", what, strerror(-r));
	exit(EXIT_FAILURE);
}

static void
fill(struct space *s, const struct content *c)
{
	uint64_t rnd = RANDOM_SEED, first = space_regions(s)->regions[1].first;
	uint8_t page[PAGE_BYTES];

	for (uint64_t i = 0; i < disk_bytes / PAGE_BYTES && c->make != NULL; i++) {
		c->make(page, i, &rnd);
		must(space_write(s, first + i, page, 1), "filling");
	}
}

static void
measure(struct bed_persona *p, const struct content *c, const char *lock_name,
    const struct envelope_lock *lock, const struct bed_key *key)
{
	struct bed_file f = { .data = NULL };
	struct bed_result r;
	double began, wrote, mb = (double)disk_bytes / 1e6;
	double read_s;

	began = now_s();
	must(bed_write(&f, p, lock, NULL), "writing");
	wrote = now_s() - began;
	began = now_s();
	must(bed_read(f.data, f.len, 256u << 10, key, &r), "reading");
	read_s = now_s() - began;
	printf("%-9s %-10s %8.0f %8.0f %10.4f\n", c->name, lock_name,
	    mb / wrote, mb / read_s, (double)f.len / (double)disk_bytes);
	bed_result_fini(&r);
	bed_file_fini(&f);
}

static void
one_content(const struct content *c)
{
	static const struct envelope_lock plain;
	const struct envelope_lock locked = { .passphrase = PASSPHRASE,
	    .passphrase_len = sizeof(PASSPHRASE) - 1,
	    .cost = { .passes = 1, .memory_kib = 8 } };
	const struct bed_key key = { .passphrase = PASSPHRASE };
	struct bed_persona p;

	bed_persona_init(&p, PERSONA__IMAGE__MANIFEST__KIND__STOPPED);
	space_free(p.space);
	p.disk.bytes = disk_bytes;
	p.space = bed_space(&p.persona, false);
	if (p.space == NULL)
		must(-ENOMEM, "a disk");
	fill(p.space, c);
	measure(&p, c, "plain", &plain, &key);
	measure(&p, c, "encrypted", &locked, &key);
	bed_persona_fini(&p);
}

static void
passphrase(void)
{
	const struct crypt_cost cost = { .passes = CRYPT_COST_PASSES,
	    .memory_kib = CRYPT_COST_MEMORY_KIB };
	uint8_t key[CRYPT_KEY_BYTES];
	static const uint8_t salt[CRYPT_SALT_BYTES];
	double began = now_s();

	must(crypt_passphrase_key(key, PASSPHRASE, sizeof(PASSPHRASE) - 1,
	    salt, &cost), "Argon2id");
	printf("\na passphrase: %.2f s, %u MiB\n", now_s() - began,
	    CRYPT_COST_MEMORY_KIB >> 10);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--quick") == 0)
		disk_bytes = QUICK_BYTES;
	else if (argc > 1)
		return 2;
	printf("MB/s of one core, by its own time; %u MB\n\n%-9s %-10s %8s %8s "
	    "%10s\n", (unsigned int)(disk_bytes / 1000000), "content", "file",
	    "write", "read", "out/in");
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
		one_content(&contents[i]);
	passphrase();
	return EXIT_SUCCESS;
}
