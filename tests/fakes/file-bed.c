/* SPDX-License-Identifier: ISC */
/* A persona and files in memory. Knows no test. */
#include "file-bed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../random.h"

/* What cannot fail but for a bug or a full machine. */
static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* --- the persona --------------------------------------------------------------------- */

static char bed_id[] = "0123456789abcdef0123456789abcdef";
static char bed_name[] = "work";
static char bed_baseline[] = "x86-64-v2";
static char bed_cmdline[] = "console=ttyS0";
static char bed_label[] = "before the journey";
static char bed_software[] = "persona test";

static void
describe(struct bed_persona *p, Persona__Image__Manifest__Kind kind)
{
	persona__image__manifest__init(&p->manifest);
	persona__transfer__persona__init(&p->persona);
	persona__spec__spec__init(&p->spec);
	persona__spec__disk__init(&p->disk);
	persona__spec__boot__init(&p->kernel);
	p->disk.bytes = BED_DISK_BYTES;
	p->disks[0] = &p->disk;
	p->spec.n_disks = 1;
	p->spec.disks = p->disks;
	p->kernel.bytes = BED_KERNEL_BYTES;
	p->spec.kernel = &p->kernel;
	p->persona.id = bed_id;
	p->persona.name = bed_name;
	p->persona.ram_bytes = BED_RAM_BYTES;
	p->persona.vcpus = 2;
	p->persona.cpu_baseline = bed_baseline;
	p->persona.tenure = 7;
	p->persona.cmdline = bed_cmdline;
	p->persona.spec = &p->spec;
	p->manifest.version = IMAGE_VERSION;
	p->manifest.kind = kind;
	p->manifest.persona = &p->persona;
	p->manifest.has_created_unix_s = true;
	p->manifest.created_unix_s = 1700000000;
	p->manifest.label = bed_label;
	p->manifest.software = bed_software;
	if (personafile_has_memory(kind)) {
		p->manifest.has_state_bytes = true;
		p->manifest.state_bytes = BED_STATE_BYTES;
	}
}

struct space *
bed_space(const Persona__Transfer__Persona *persona, bool memory)
{
	struct space_plan plan;
	struct space *s;

	if (space_plan(&plan, persona->ram_bytes, persona->spec) < 0 ||
	    space_new(&s, &plan) < 0)
		return NULL;
	for (size_t i = memory ? 0 : 1; i < plan.n_regions; i++) {
		int fd = memfd_create("bed", MFD_CLOEXEC);

		if (fd < 0 || ftruncate(fd, (off_t)plan.regions[i].bytes) < 0 ||
		    space_back(s, i, &fd, 1, true) < 0) {
			space_free(s);
			return NULL;
		}
	}
	return s;
}

/* Pages of each kind that matters to the format. */
static void
fill(struct space *s, uint64_t pfn, uint64_t n)
{
	uint64_t rnd = RANDOM_SEED + pfn;
	uint8_t page[PAGE_BYTES];

	for (uint64_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(page); k += 8) {
			uint64_t v = i % 3 == 0 ? random_next(&rnd) :
			    i % 3 == 1 ? pfn + i + k / 512 : 0;

			memcpy(page + k, &v, 8);
		}
		must(space_write(s, pfn + i, page, 1) == 0);
	}
}

static void
fill_kernel(struct space *s, uint64_t pfn)
{
	uint8_t pages[2 * PAGE_BYTES];

	memset(pages, 0, sizeof(pages));
	memset(pages, 'k', BED_KERNEL_BYTES);
	must(space_write(s, pfn, pages, 2) == 0);
}

void
bed_persona_init(struct bed_persona *p, Persona__Image__Manifest__Kind kind)
{
	const bool memory = personafile_has_memory(kind);
	const struct space_plan *plan;
	uint64_t disk;

	memset(p, 0, sizeof(*p));
	describe(p, kind);
	p->space = bed_space(&p->persona, memory);
	must(p->space != NULL);
	plan = space_regions(p->space);
	disk = plan->regions[1].first;
	if (memory) {
		fill(p->space, 3, 5);
		fill(p->space, 1000, 1);
	}
	fill(p->space, disk + 1, 3);
	/* The same chunk twice, for a reference. */
	for (uint64_t i = 0; i < 16; i++) {
		uint8_t page[PAGE_BYTES];

		memset(page, 'a' + (int)i, sizeof(page));
		must(space_write(p->space, disk + 16 + i, page,
		    1) == 0);
		must(space_write(p->space, disk + 48 + i, page,
		    1) == 0);
	}
	fill_kernel(p->space, plan->regions[2].first);
	for (size_t i = 0; i < sizeof(p->state); i++)
		p->state[i] = (uint8_t)(i * i >> 3);
}

void
bed_persona_fini(struct bed_persona *p)
{
	space_free(p->space);
}

/* --- files --------------------------------------------------------------------------- */

int
bed_file_out(void *arg, const void *data, size_t len)
{
	struct bed_file *f = arg;

	if (f->limit > 0 && f->len + len > f->limit)
		return -ENOSPC;
	if (f->len + len > f->room) {
		size_t room = 2 * (f->len + len);
		uint8_t *p = realloc(f->data, room);

		if (p == NULL)
			return -ENOMEM;
		f->data = p;
		f->room = room;
	}
	memcpy(f->data + f->len, data, len);
	f->len += len;
	return 0;
}

void
bed_file_fini(struct bed_file *f)
{
	free(f->data);
	memset(f, 0, sizeof(*f));
}

int
bed_write(struct bed_file *f, struct bed_persona *p,
    const struct envelope_lock *lock, struct digest *root)
{
	struct personafile_writer *w = NULL;
	struct envelope_writer *e = NULL;
	int r;

	if ((r = envelope_writer_new(&e, lock, bed_file_out, f)) < 0 ||
	    (r = personafile_writer_new(&w, e, p->space, &p->manifest,
	    p->state)) < 0)
		goto out;
	while ((r = personafile_write(w, 4)) == 0)
		;
	if (r == 1 && (r = envelope_finish(e)) == 0 && root != NULL)
		*root = *personafile_written_root(w);
out:
	personafile_writer_free(w);
	envelope_writer_free(e);
	return r;
}

static int
unlock(struct envelope_reader *e, const struct bed_key *key)
{
	uint8_t file_key[CRYPT_KEY_BYTES];
	const uint8_t *sealed;

	if (key->passphrase != NULL && envelope_wants_passphrase(e))
		return envelope_unlock_passphrase(e, key->passphrase,
		    strlen(key->passphrase));
	for (size_t i = 0; key->secret != NULL &&
	    (sealed = envelope_sealed(e, i)) != NULL; i++)
		if (crypt_unseal(file_key, sealed, key->secret) == 0) {
			envelope_unlock_key(e, file_key);
			return 0;
		}
	return -ENOKEY;
}

static int
begin_space(struct personafile_reader *f, struct bed_result *out)
{
	const Persona__Image__Manifest *m = personafile_manifest(f);

	out->space = bed_space(m->persona, personafile_has_memory(m->kind));
	if (out->space == NULL)
		return -ENOMEM;
	return personafile_read_into(f, out->space);
}

static int
feed_payload(struct personafile_reader *f, const uint8_t *piece, size_t len,
    struct bed_result *out)
{
	size_t used;
	int r;

	while (len > 0) {
		r = personafile_read(f, piece, len, &used);
		if (r == 1)
			r = begin_space(f, out);
		if (r < 0)
			return r;
		piece += used;
		len -= used;
	}
	return 0;
}

static int
feed(struct envelope_reader *e, struct personafile_reader *f,
    const uint8_t *data, size_t len, const struct bed_key *key,
    struct bed_result *out)
{
	const uint8_t *piece;
	size_t used, piece_len;
	int r;

	for (;;) {
		r = envelope_read(e, data, len, &used, &piece, &piece_len);
		data += used;
		len -= used;
		if (r == -ENOKEY) {
			if ((r = unlock(e, key)) < 0)
				return r;
			continue;
		}
		if (r < 0 || piece_len == 0)
			return r;
		if ((r = feed_payload(f, piece, piece_len, out)) < 0)
			return r;
	}
}

static int
take_result(struct personafile_reader *f, struct bed_result *out)
{
	const void *state = personafile_state(f, &out->state_len);

	out->root = *personafile_read_root(f);
	if (out->state_len == 0)
		return 0;
	if ((out->state = malloc(out->state_len)) == NULL)
		return -ENOMEM;
	memcpy(out->state, state, out->state_len);
	return 0;
}

int
bed_read(const uint8_t *data, size_t len, size_t step,
    const struct bed_key *key, struct bed_result *out)
{
	struct personafile_reader *f = NULL;
	struct envelope_reader *e = NULL;
	int r = 0;

	memset(out, 0, sizeof(*out));
	if (envelope_reader_new(&e) < 0 || personafile_reader_new(&f) < 0) {
		r = -ENOMEM;
		goto out;
	}
	for (size_t at = 0; at < len && r == 0; ) {
		size_t n = step > 0 && step < len - at ? step : len - at;

		r = feed(e, f, data + at, n, key, out);
		at += n;
	}
	if (r == 0 && (r = envelope_end(e)) == 0 &&
	    (r = personafile_read_end(f)) == 0)
		r = take_result(f, out);
	personafile_read_figures(f, &out->figures);
out:
	envelope_reader_free(e);
	personafile_reader_free(f);
	return r;
}

void
bed_result_fini(struct bed_result *r)
{
	space_free(r->space);
	free(r->state);
	memset(r, 0, sizeof(*r));
}
