/* SPDX-License-Identifier: ISC */
/*
 * A persona comes out of its file as it went in, plain and encrypted; a file that
 * was damaged is refused, by a name that fits, at every byte of it.
 * (persona-design(7), invariants 3, 4 and 7.) Files that were made to lie are in
 * test_personafile_lies.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakes/file-bed.h"
#include "le.h"
#include "reason.h"
#include "unit.h"

#define KIND(name) PERSONA__IMAGE__MANIFEST__KIND__##name
#define PASSPHRASE "correct horse"

static const struct envelope_lock plain;
static const struct bed_key no_key;

/* A key that costs nothing to try, for files that are opened thousands of times. */
static struct envelope_lock
cheap_lock(void)
{
	struct envelope_lock lock = { .passphrase = PASSPHRASE,
	    .passphrase_len = strlen(PASSPHRASE),
	    .cost = { .passes = 1, .memory_kib = 8 } };

	return lock;
}

static void
make(struct bed_file *f, Persona__Image__Manifest__Kind kind,
    const struct envelope_lock *lock)
{
	struct bed_persona p;

	memset(f, 0, sizeof(*f));
	bed_persona_init(&p, kind);
	CU_ASSERT_EQUAL_FATAL(bed_write(f, &p, lock, NULL), 0);
	bed_persona_fini(&p);
}

static bool
same_pages(struct space *a, struct space *b, uint64_t first, uint64_t n)
{
	uint8_t copy[PAGE_BYTES];
	const uint8_t *page;

	space_changed(b);
	for (uint64_t i = 0; i < n; i++) {
		if (space_page(a, first + i, &page) < 0)
			return false;
		memcpy(copy, page, PAGE_BYTES);
		if (space_page(b, first + i, &page) < 0 ||
		    memcmp(copy, page, PAGE_BYTES) != 0)
			return false;
	}
	return true;
}

static bool
same_spaces(struct space *a, struct space *b, bool memory)
{
	const struct space_plan *plan = space_regions(a);

	for (size_t i = memory ? 0 : 1; i < plan->n_regions; i++)
		if (!same_pages(a, b, plan->regions[i].first,
		    plan->regions[i].n_pages))
			return false;
	return true;
}

/* --- there and back ------------------------------------------------------------------ */

static void
there_and_back(Persona__Image__Manifest__Kind kind,
    const struct envelope_lock *lock, const struct bed_key *key, size_t step)
{
	const bool memory = personafile_has_memory(kind);
	struct bed_file f = { .data = NULL };
	struct bed_persona p;
	struct bed_result r;
	struct digest root;

	bed_persona_init(&p, kind);
	CU_ASSERT_EQUAL_FATAL(bed_write(&f, &p, lock, &root), 0);
	CU_ASSERT_EQUAL_FATAL(bed_read(f.data, f.len, step, key, &r), 0);
	CU_ASSERT_TRUE(digest_equal(&root, &r.root));
	CU_ASSERT_TRUE(same_spaces(p.space, r.space, memory));
	CU_ASSERT_EQUAL(r.state_len, memory ? BED_STATE_BYTES : 0);
	if (memory)
		CU_ASSERT_EQUAL(memcmp(r.state, p.state, r.state_len), 0);
	CU_ASSERT_EQUAL(r.figures.same, 1);
	CU_ASSERT_TRUE(r.figures.chunks >= 3);
	bed_result_fini(&r);
	bed_persona_fini(&p);
	bed_file_fini(&f);
}

static void
test_plain(void)
{
	there_and_back(KIND(STOPPED), &plain, &no_key, 0);
	there_and_back(KIND(CHECKPOINT), &plain, &no_key, 0);
	there_and_back(KIND(STOPPED), &plain, &no_key, 1);
	there_and_back(KIND(TEMPLATE), &plain, &no_key, 4097);
}

static void
test_passphrase(void)
{
	const struct bed_key key = { .passphrase = PASSPHRASE };
	const struct bed_key wrong = { .passphrase = "incorrect horse" };
	const struct envelope_lock lock = cheap_lock();
	struct bed_file f;
	struct bed_result r;

	there_and_back(KIND(SUSPENDED), &lock, &key, 0);
	there_and_back(KIND(STOPPED), &lock, &key, 1);
	make(&f, KIND(STOPPED), &lock);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 0, &wrong, &r), -EKEYREJECTED);
	CU_ASSERT_PTR_NULL(r.space);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 0, &no_key, &r), -ENOKEY);
	CU_ASSERT_PTR_NULL(r.space);
	bed_file_fini(&f);
}

/* RFC 8032, section 7.1, tests 1 and 2: seed, then public key */
static const uint8_t secrets[2][CRYPT_SECRET_BYTES] = {
	{ 0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
	0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69,
	0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60, 0xd7, 0x5a, 0x98,
	0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
	0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a,
	0x68, 0xf7, 0x07, 0x51, 0x1a },
	{ 0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3,
	0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6,
	0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb, 0x3d, 0x40, 0x17,
	0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e,
	0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55,
	0xf1, 0x2a, 0xf4, 0x66, 0x0c },
};

static void
test_handset(void)
{
	const struct bed_key first = { .secret = secrets[0] };
	const struct bed_key second = { .secret = secrets[1] };
	const struct bed_key word = { .passphrase = PASSPHRASE };
	struct envelope_lock lock = { .n_points = 1 };
	struct bed_file f;
	struct bed_result r;

	memcpy(lock.points[0], secrets[0] + 32, CRYPT_POINT_BYTES);
	there_and_back(KIND(STOPPED), &lock, &first, 0);
	make(&f, KIND(STOPPED), &lock);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 0, &second, &r), -ENOKEY);
	CU_ASSERT_PTR_NULL(r.space);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 0, &word, &r), -ENOKEY);
	bed_file_fini(&f);
	/* Both handsets and a passphrase: each of the three opens it. */
	lock = cheap_lock();
	lock.n_points = 2;
	memcpy(lock.points[0], secrets[0] + 32, CRYPT_POINT_BYTES);
	memcpy(lock.points[1], secrets[1] + 32, CRYPT_POINT_BYTES);
	there_and_back(KIND(STOPPED), &lock, &first, 0);
	there_and_back(KIND(STOPPED), &lock, &second, 0);
	there_and_back(KIND(STOPPED), &lock, &word, 0);
}

static void
test_lock_bounds(void)
{
	struct envelope_lock lock = cheap_lock();
	struct bed_file f = { .data = NULL };
	struct envelope_writer *w;

	lock.passphrase_len = 0;
	CU_ASSERT_EQUAL(envelope_writer_new(&w, &lock, bed_file_out, &f),
	    -EINVAL);
	lock.passphrase_len = PASSPHRASE_MAX + 1;
	CU_ASSERT_EQUAL(envelope_writer_new(&w, &lock, bed_file_out, &f),
	    -EINVAL);
	lock = cheap_lock();
	lock.n_points = FILE_SLOTS_MAX;
	CU_ASSERT_EQUAL(envelope_writer_new(&w, &lock, bed_file_out, &f),
	    -EINVAL);
	CU_ASSERT_EQUAL(f.len, 0);
}

/* A kilobyte that repeats costs room once, zeros cost none. */
static void
test_size(void)
{
	struct bed_file f;

	make(&f, KIND(STOPPED), &plain);
	/* One page of noise, the rest packs well. */
	CU_ASSERT_TRUE(f.len < 3 * PAGE_BYTES);
	bed_file_fini(&f);
}

static void
test_no_room(void)
{
	struct bed_file f;
	struct bed_persona p;
	size_t len;

	make(&f, KIND(STOPPED), &plain);
	len = f.len;
	bed_file_fini(&f);
	bed_persona_init(&p, KIND(STOPPED));
	for (f.limit = 1; f.limit < len; f.limit += 37) {
		CU_ASSERT_EQUAL(bed_write(&f, &p, &plain, NULL), -ENOSPC);
		f.len = 0;
	}
	f.limit = len;
	CU_ASSERT_EQUAL(bed_write(&f, &p, &plain, NULL), 0);
	bed_persona_fini(&p);
	bed_file_fini(&f);
}

/* --- what is refused ----------------------------------------------------------------- */

/* Each refusal has a sentence of its own for a person. */
static bool
named(int r)
{
	uint32_t reason = personafile_reason(r);

	return r < 0 && reason >= REASON_FILE_FOREIGN &&
	    reason <= REASON_FILE_TRAILING;
}

/* Every byte of the file, with one of its bits flipped, another each time. */
static void
flip_all(const struct envelope_lock *lock, const struct bed_key *key)
{
	struct bed_file f;
	struct bed_result r;
	unsigned int passed = 0, unnamed = 0;

	make(&f, KIND(STOPPED), lock);
	for (size_t i = 0; i < f.len; i++) {
		uint8_t bit = (uint8_t)(1u << i % 8);
		int e;

		f.data[i] ^= bit;
		e = bed_read(f.data, f.len, 0, key, &r);
		bed_result_fini(&r);
		f.data[i] ^= bit;
		/* A cost beyond what this machine has is no damage to it. */
		if (e == 0)
			passed++;
		else if (!named(e) && e != -ENOMEM)
			unnamed++;
	}
	CU_ASSERT_EQUAL(passed, 0);
	CU_ASSERT_EQUAL(unnamed, 0);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 0, key, &r), 0);
	bed_result_fini(&r);
	bed_file_fini(&f);
}

static void
test_flips(void)
{
	const struct envelope_lock lock = cheap_lock();
	const struct bed_key key = { .passphrase = PASSPHRASE };

	flip_all(&plain, &no_key);
	flip_all(&lock, &key);
}

static void
cut_all(const struct envelope_lock *lock, const struct bed_key *key)
{
	struct bed_file f;
	struct bed_result r;
	unsigned int wrong = 0;

	make(&f, KIND(STOPPED), lock);
	for (size_t len = 0; len < f.len; len++) {
		int e = bed_read(f.data, len, 0, key, &r);

		bed_result_fini(&r);
		if (e != (len < 8 ? -EMEDIUMTYPE : -ENODATA))
			wrong++;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	bed_file_fini(&f);
}

static void
test_cuts(void)
{
	const struct envelope_lock lock = cheap_lock();
	const struct bed_key key = { .passphrase = PASSPHRASE };

	cut_all(&plain, &no_key);
	cut_all(&lock, &key);
}

static void
test_trailing(void)
{
	const struct envelope_lock lock = cheap_lock();
	const struct bed_key key = { .passphrase = PASSPHRASE };
	struct bed_file f;
	struct bed_result r;

	make(&f, KIND(STOPPED), &plain);
	CU_ASSERT_EQUAL(bed_file_out(&f, "", 1), 0);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 0, &no_key, &r), -E2BIG);
	bed_result_fini(&r);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 1, &no_key, &r), -E2BIG);
	bed_result_fini(&r);
	bed_file_fini(&f);
	make(&f, KIND(STOPPED), &lock);
	CU_ASSERT_EQUAL(bed_file_out(&f, "", 1), 0);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 0, &key, &r), -E2BIG);
	bed_result_fini(&r);
	bed_file_fini(&f);
}

static void
test_foreign(void)
{
	struct bed_file f;
	struct bed_result r;

	CU_ASSERT_EQUAL(bed_read((const uint8_t *)"PK\3\4 and so on, and on",
	    22, 0, &no_key, &r), -EMEDIUMTYPE);
	CU_ASSERT_EQUAL(bed_read((const uint8_t *)"", 0, 0, &no_key, &r),
	    -EMEDIUMTYPE);
	make(&f, KIND(STOPPED), &plain);
	le_put16(f.data + 8, FILE_VERSION + 1);
	CU_ASSERT_EQUAL(bed_read(f.data, f.len, 0, &no_key, &r), -ENOTSUP);
	bed_file_fini(&f);
}

/* --- golden files -------------------------------------------------------------------- */

static size_t
load(const char *name, uint8_t *buf, size_t max)
{
	const char *src = getenv("srcdir");
	char path[512];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/data/%s",
	    src != NULL ? src : ".", name);
	if ((f = fopen(path, "rb")) == NULL)
		return 0;
	len = fread(buf, 1, max, f);
	fclose(f);
	return len;
}

/* Files of every released version must load for ever, and mean the same. */
static void
golden(const char *name, const struct bed_key *key)
{
	static uint8_t buf[65536];
	size_t len = load(name, buf, sizeof(buf));
	struct bed_persona p;
	struct bed_result r;

	CU_ASSERT_FATAL(len > 0 && len < sizeof(buf));
	CU_ASSERT_EQUAL_FATAL(bed_read(buf, len, 0, key, &r), 0);
	bed_persona_init(&p, KIND(STOPPED));
	CU_ASSERT_TRUE(same_spaces(p.space, r.space, false));
	bed_persona_fini(&p);
	bed_result_fini(&r);
}

static void
test_golden(void)
{
	const struct bed_key word = { .passphrase = PASSPHRASE };
	const struct bed_key handset = { .secret = secrets[0] };

	golden("plain-1.persona", &no_key);
	golden("encrypted-1.persona", &word);
	golden("encrypted-1.persona", &handset);
}

/* How the golden files were made: test_personafile --make DIRECTORY. */
static int
make_golden(const char *dir)
{
	struct envelope_lock lock = cheap_lock();
	const char *const names[] = { "plain-1.persona",
	    "encrypted-1.persona" };

	lock.n_points = 1;
	memcpy(lock.points[0], secrets[0] + 32, CRYPT_POINT_BYTES);
	for (int i = 0; i < 2; i++) {
		char path[512];
		struct bed_file f = { .data = NULL };
		struct bed_persona p;
		FILE *out;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		bed_persona_init(&p, KIND(STOPPED));
		if (bed_write(&f, &p, i == 0 ? &plain : &lock, NULL) < 0 ||
		    (out = fopen(path, "wbx")) == NULL)
			return EXIT_FAILURE;
		fwrite(f.data, 1, f.len, out);
		fclose(out);
		bed_persona_fini(&p);
		bed_file_fini(&f);
	}
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "a plain file gives back what went in", test_plain },
		{ "a passphrase opens its file, another does not",
		    test_passphrase },
		{ "a handset opens what is sealed to it", test_handset },
		{ "a lock that cannot be is refused", test_lock_bounds },
		{ "zeros and repeats cost no room", test_size },
		{ "a full disk is an error at every length", test_no_room },
		{ "a flipped bit is noticed in every byte", test_flips },
		{ "a file cut at any length is called cut", test_cuts },
		{ "what follows the end is refused", test_trailing },
		{ "other files and newer versions are named", test_foreign },
		{ "files of version 1 load", test_golden },
	};

	if (argc == 3 && strcmp(argv[1], "--make") == 0)
		return make_golden(argv[2]);
	return unit_main("persona file", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
