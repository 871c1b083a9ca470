/* SPDX-License-Identifier: ISC */
/*
 * Persona files that are not damaged but lie: their digests are right, and they name
 * pages that are not there, come in another order, or claim what cannot be. Each is
 * refused before it does harm. (persona-design(7), invariant 7.) Accidents and locks
 * are test_personafile.c's.
 */
#include <errno.h>
#include <string.h>

#include "fakes/file-bed.h"
#include "le.h"
#include "unit.h"

#define KIND(name) PERSONA__IMAGE__MANIFEST__KIND__##name

/* A plain file of one's own records, up to the end, which the reader must not reach. */
struct forged {
	struct bed_file	f;
};

static void
forge_begin(struct forged *g)
{
	static const uint8_t head[16] = { 0x89, 'P', 'R', 'S', 'N', '\r', '\n',
	    0x1a, FILE_VERSION };

	memset(g, 0, sizeof(*g));
	CU_ASSERT_EQUAL_FATAL(bed_file_out(&g->f, head, sizeof(head)), 0);
}

static void
forge_record(struct forged *g, uint8_t kind, uint8_t form, const void *body,
    size_t len)
{
	uint8_t head[8] = { kind, form };

	le_put32(head + 4, (uint32_t)len);
	CU_ASSERT_EQUAL_FATAL(bed_file_out(&g->f, head, sizeof(head)), 0);
	CU_ASSERT_EQUAL_FATAL(bed_file_out(&g->f, body, len), 0);
}

static void
forge_manifest(struct forged *g, const Persona__Image__Manifest *m)
{
	uint8_t packed[4096];
	size_t len = persona__image__manifest__get_packed_size(m);

	CU_ASSERT_FATAL(len <= sizeof(packed));
	persona__image__manifest__pack(m, packed);
	forge_record(g, 1, 0, packed, len);
}

/* The digest of a chunk of n pages full of 'x', and its raw record's body. */
static size_t
forge_chunk(uint8_t *body, uint64_t pfn, uint32_t n)
{
	struct digest pages[FILE_CHUNK_PAGES], chunk;

	memset(body + 44, 'x', n * (size_t)PAGE_BYTES);
	for (uint32_t i = 0; i < n; i++)
		digest_page(&pages[i], body + 44);
	digest_bytes(&chunk, pages, n * sizeof(pages[0]));
	le_put64(body, pfn);
	le_put32(body + 8, n);
	memcpy(body + 12, chunk.b, DIGEST_BYTES);
	return 44 + n * (size_t)PAGE_BYTES;
}

static int
forge_read(struct forged *g)
{
	const struct bed_key no_key = { .passphrase = NULL };
	struct bed_result r;
	int e = bed_read(g->f.data, g->f.len, 0, &no_key, &r);

	bed_result_fini(&r);
	bed_file_fini(&g->f);
	return e;
}

/* --- places and order ------------------------------------------------------------------ */

/* One chunk at `pfn` after a manifest. -ENODATA: taken, and the rest is missing. */
static int
try_chunk(Persona__Image__Manifest__Kind kind, uint64_t pfn, uint32_t n)
{
	static uint8_t body[44 + FILE_CHUNK_PAGES * PAGE_BYTES];
	struct bed_persona p;
	struct forged g;
	size_t len;

	bed_persona_init(&p, kind);
	forge_begin(&g);
	forge_manifest(&g, &p.manifest);
	bed_persona_fini(&p);
	len = forge_chunk(body, pfn, n);
	forge_record(&g, 2, 0, body, len);
	return forge_read(&g);
}

static void
test_places(void)
{
	const uint64_t ram = BED_RAM_BYTES / PAGE_BYTES, disk = ram;
	const uint64_t disk_pages = BED_DISK_BYTES / PAGE_BYTES;
	const uint64_t kernel = disk + 512;

	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), disk, 1), -ENODATA);
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), disk + disk_pages - 16, 16),
	    -ENODATA);
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), disk + disk_pages - 15, 16),
	    -EBADMSG);
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), disk + disk_pages, 1),
	    -EBADMSG);
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), 5, 1), -EBADMSG);
	CU_ASSERT_EQUAL(try_chunk(KIND(CHECKPOINT), 5, 1), -ENODATA);
	CU_ASSERT_EQUAL(try_chunk(KIND(CHECKPOINT), ram - 1, 2), -EBADMSG);
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), UINT64_MAX, 1), -EBADMSG);
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), UINT64_MAX - 7, 16),
	    -EBADMSG);
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), disk, 0), -EBADMSG);
	/* The kernel ends within its second page; what follows must be zero. */
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), kernel, 1), -ENODATA);
	CU_ASSERT_EQUAL(try_chunk(KIND(STOPPED), kernel + 1, 1), -EBADMSG);
}

static void
test_order(void)
{
	static uint8_t body[44 + PAGE_BYTES];
	const uint64_t disk = BED_RAM_BYTES / PAGE_BYTES;
	struct bed_persona p;
	struct forged g;
	uint8_t same[52];
	size_t len;

	bed_persona_init(&p, KIND(STOPPED));
	/* Twice the same page */
	forge_begin(&g);
	forge_manifest(&g, &p.manifest);
	len = forge_chunk(body, disk + 3, 1);
	forge_record(&g, 2, 0, body, len);
	forge_record(&g, 2, 0, body, len);
	CU_ASSERT_EQUAL(forge_read(&g), -EBADMSG);
	/* A reference to what is not there yet, and one that fits */
	for (int good = 0; good < 2; good++) {
		forge_begin(&g);
		forge_manifest(&g, &p.manifest);
		len = forge_chunk(body, disk + 3, 1);
		forge_record(&g, 2, 0, body, len);
		memcpy(same, body, 44);
		le_put64(same, disk + 5);
		le_put64(same + 44, good ? disk + 3 : disk + 5);
		forge_record(&g, 3, 0, same, sizeof(same));
		CU_ASSERT_EQUAL(forge_read(&g), good ? -ENODATA : -EBADMSG);
	}
	/* No manifest, two of them, state where there is none */
	forge_begin(&g);
	forge_record(&g, 2, 0, body, len);
	CU_ASSERT_EQUAL(forge_read(&g), -EBADMSG);
	forge_begin(&g);
	forge_manifest(&g, &p.manifest);
	forge_manifest(&g, &p.manifest);
	CU_ASSERT_EQUAL(forge_read(&g), -EBADMSG);
	forge_begin(&g);
	forge_manifest(&g, &p.manifest);
	forge_record(&g, 4, 0, "state", 5);
	CU_ASSERT_EQUAL(forge_read(&g), -EBADMSG);
	bed_persona_fini(&p);
}

/* --- manifests ------------------------------------------------------------------------- */

static int
try_manifest(const struct bed_persona *p)
{
	struct forged g;

	forge_begin(&g);
	forge_manifest(&g, &p->manifest);
	return forge_read(&g);
}

static void
test_manifests(void)
{
	char label[LABEL_MAX + 2];
	struct bed_persona p;

	bed_persona_init(&p, KIND(CHECKPOINT));
	CU_ASSERT_EQUAL(try_manifest(&p), -ENODATA);
	p.manifest.version = IMAGE_VERSION + 1;
	CU_ASSERT_EQUAL(try_manifest(&p), -ENOTSUP);
	p.manifest.version = IMAGE_VERSION;
	p.manifest.state_bytes = STATE_BLOB_MAX + 1ULL;
	CU_ASSERT_EQUAL(try_manifest(&p), -EBADMSG);
	p.manifest.has_state_bytes = false;
	CU_ASSERT_EQUAL(try_manifest(&p), -EBADMSG);
	p.manifest.kind = KIND(STOPPED);
	CU_ASSERT_EQUAL(try_manifest(&p), -ENODATA);
	p.disk.bytes = DISK_MAX_BYTES + PAGE_BYTES;
	CU_ASSERT_EQUAL(try_manifest(&p), -EBADMSG);
	p.disk.bytes = BED_DISK_BYTES;
	p.persona.ram_bytes = UINT64_MAX;
	CU_ASSERT_EQUAL(try_manifest(&p), -EBADMSG);
	p.persona.ram_bytes = BED_RAM_BYTES;
	p.spec.arch = (char *)(uintptr_t)"arm64";	/* and x86-64-v2 */
	CU_ASSERT_EQUAL(try_manifest(&p), -EBADMSG);
	p.persona.cpu_baseline = (char *)(uintptr_t)"armv8-a";
	CU_ASSERT_EQUAL(try_manifest(&p), -ENODATA);
	p.spec.arch = NULL;
	memset(label, 'l', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	p.manifest.label = label;
	CU_ASSERT_EQUAL(try_manifest(&p), -EBADMSG);
	label[3] = '\033';
	label[4] = '\0';
	CU_ASSERT_EQUAL(try_manifest(&p), -EBADMSG);
	label[3] = '\0';
	CU_ASSERT_EQUAL(try_manifest(&p), -ENODATA);
	p.persona.name = label;
	label[0] = '/';
	CU_ASSERT_EQUAL(try_manifest(&p), -EBADMSG);
	bed_persona_fini(&p);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a chunk goes only where pages are", test_places },
		{ "records come in order", test_order },
		{ "a manifest keeps its bounds", test_manifests },
	};

	return unit_main("persona files that lie", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
