/* SPDX-License-Identifier: ISC */
/*
 * Reads the payload of a persona file into an empty page space. The bytes may be
 * anybody's: each length is checked before it is waited for, each chunk against
 * its digest before it is kept, everything against the root hash at the end. Knows
 * no file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "crypt.h"
#include "pagecodec.h"
#include "personafile-format.h"
#include "space.h"

/* Who comes next; a record that comes before its time is damage. */
enum state {
	WANT_MANIFEST,
	WANT_SPACE,	/* the manifest is out, nobody has said where to */
	WANT_PAGES,	/* chunks, in order of their pages */
	WANT_STATE,	/* machine state, or the end */
	ENDED,
};

struct personafile_reader {
	enum state		state;
	Persona__Image__Manifest *manifest;
	struct space		*space;
	struct digest_tree	*tree;
	struct page_packer	*packer;
	struct crypt_hash	*hash;		/* of the payload so far */
	uint64_t		next_page;	/* below it all is settled */
	uint8_t			*machine;	/* its saved state */
	size_t			machine_bytes, machine_got;
	struct digest		root;
	struct personafile_figures figures;
	/* The record that is being gathered */
	uint8_t			head[FILE_RECORD_HEAD_BYTES];
	size_t			head_got;
	size_t			body_bytes, body_got;
	uint8_t			body[FILE_BODY_MAX];
	uint8_t			pages[FILE_CHUNK_BYTES];
};

int
personafile_reader_new(struct personafile_reader **rp)
{
	struct personafile_reader *r = calloc(1, sizeof(*r));
	int e;

	if (r == NULL)
		return -ENOMEM;
	if ((e = crypt_init()) < 0 || (e = crypt_hash_new(&r->hash)) < 0 ||
	    (e = page_packer_new(&r->packer)) < 0) {
		personafile_reader_free(r);
		return e;
	}
	*rp = r;
	return 0;
}

void
personafile_reader_free(struct personafile_reader *r)
{
	if (r == NULL)
		return;
	if (r->manifest != NULL)
		persona__image__manifest__free_unpacked(r->manifest, NULL);
	digest_tree_free(r->tree);
	page_packer_free(r->packer);
	crypt_hash_free(r->hash);
	free(r->machine);
	free(r);
}

/* --- manifest ---------------------------------------------------------------------- */

static int
take_manifest(struct personafile_reader *r)
{
	const char *why;
	int e;

	r->manifest = persona__image__manifest__unpack(NULL, r->body_bytes,
	    r->body);
	if (r->manifest == NULL)
		return -EBADMSG;
	e = personafile_check_manifest(r->manifest, &why);
	if (e < 0)
		return e;
	if (r->manifest->has_state_bytes) {
		r->machine_bytes = r->manifest->state_bytes;
		if ((r->machine = malloc(r->machine_bytes)) == NULL)
			return -ENOMEM;
	}
	r->figures.pages_total = r->manifest->has_data_pages ?
	    r->manifest->data_pages : 0;
	r->state = WANT_SPACE;
	return 1;
}

const Persona__Image__Manifest *
personafile_manifest(const struct personafile_reader *r)
{
	return r->manifest;
}

int
personafile_read_into(struct personafile_reader *r, struct space *space)
{
	if (r->state != WANT_SPACE)
		return -EINVAL;
	r->space = space;
	r->state = WANT_PAGES;
	return digest_tree_new(&r->tree, space_regions(space)->n_pages);
}

/* --- pages ------------------------------------------------------------------------- */

struct place {
	uint64_t	pfn;
	uint32_t	n;
	struct digest	digest;
};

/* Where a chunk says it goes: after the one before, within a region that is ours. */
static int
take_place(struct personafile_reader *r, struct bytes_in *in, struct place *p)
{
	const struct space_plan *plan = space_regions(r->space);
	const uint8_t *head = bytes_take(in, FILE_PLACE_BYTES);

	if (head == NULL)
		return -EBADMSG;
	p->pfn = le_get64(head);
	p->n = le_get32(head + 8);
	memcpy(p->digest.b, head + 12, DIGEST_BYTES);
	if (p->n == 0 || p->n > FILE_CHUNK_PAGES || p->pfn < r->next_page ||
	    !space_has(r->space, p->pfn, p->n))
		return -EBADMSG;
	if (!personafile_has_memory(r->manifest->kind) &&
	    p->pfn < plan->regions[0].n_pages)
		return -EBADMSG;
	r->next_page = p->pfn + p->n;
	return 0;
}

/* The pages gathered must be what their digest says. */
static int
keep_pages(struct personafile_reader *r, const struct place *p)
{
	struct digest digests[FILE_CHUNK_PAGES], chunk;
	int e;

	for (uint32_t i = 0; i < p->n; i++)
		digest_page(&digests[i], r->pages + (size_t)i * PAGE_BYTES);
	file_chunk_digest(&chunk, digests, p->n);
	if (!digest_equal(&chunk, &p->digest))
		return -EBADMSG;
	if ((e = space_write(r->space, p->pfn, r->pages, p->n)) < 0)
		return e == -EPROTO ? -EBADMSG : e;
	for (uint32_t i = 0; i < p->n; i++)
		digest_tree_set(r->tree, p->pfn + i, &digests[i]);
	r->figures.pages_done += p->n;
	return 0;
}

static int
take_chunk(struct personafile_reader *r)
{
	struct bytes_in in = { .at = r->body, .end = r->body + r->body_bytes };
	struct place p;
	size_t bytes;
	int e;

	if ((e = take_place(r, &in, &p)) < 0)
		return e;
	bytes = (size_t)p.n * PAGE_BYTES;
	if (r->head[1] == FILE_RAW && bytes_left(&in) == bytes)
		memcpy(r->pages, in.at, bytes);
	else if (r->head[1] != FILE_LZ4 || page_unpack(r->packer, PAGE_LZ4,
	    in.at, bytes_left(&in), r->pages, p.n) < 0)
		return -EBADMSG;
	r->figures.chunks++;
	return keep_pages(r, &p);
}

/* The same as pages that came before: they are read back. */
static int
take_same(struct personafile_reader *r)
{
	struct bytes_in in = { .at = r->body, .end = r->body + r->body_bytes };
	const uint8_t *body, *page;
	struct place p;
	uint64_t source;
	int e;

	if ((e = take_place(r, &in, &p)) < 0)
		return e;
	body = bytes_take(&in, sizeof(source));
	if (body == NULL || bytes_left(&in) != 0 || r->head[1] != 0)
		return -EBADMSG;
	source = le_get64(body);
	if (source >= p.pfn || p.pfn - source < p.n ||
	    !space_has(r->space, source, p.n))
		return -EBADMSG;
	if (!personafile_has_memory(r->manifest->kind) &&
	    source < space_regions(r->space)->regions[0].n_pages)
		return -EBADMSG;
	space_changed(r->space);
	for (uint32_t i = 0; i < p.n; i++) {
		if ((e = space_page(r->space, source + i, &page)) < 0)
			return e;
		memcpy(r->pages + (size_t)i * PAGE_BYTES, page, PAGE_BYTES);
	}
	r->figures.same++;
	return keep_pages(r, &p);
}

/* --- state and end ----------------------------------------------------------------- */

static int
take_state(struct personafile_reader *r)
{
	if (r->body_bytes == 0 || r->head[1] != 0 ||
	    r->body_bytes > r->machine_bytes - r->machine_got)
		return -EBADMSG;
	memcpy(r->machine + r->machine_got, r->body, r->body_bytes);
	r->machine_got += r->body_bytes;
	r->state = WANT_STATE;
	return 0;
}

static int
take_end(struct personafile_reader *r)
{
	uint8_t all[CRYPT_HASH_BYTES];
	struct digest state;

	if (r->body_bytes != FILE_END_BYTES || r->head[1] != 0 ||
	    r->machine_got != r->machine_bytes ||
	    le_get64(r->body) != r->figures.chunks ||
	    le_get64(r->body + 8) != r->figures.same)
		return -EBADMSG;
	crypt_hash_add(r->hash, r->body, 16 + DIGEST_BYTES);
	crypt_hash_now(r->hash, all);
	if (memcmp(all, r->body + 16 + DIGEST_BYTES, sizeof(all)) != 0)
		return -EBADMSG;
	digest_bytes(&state, r->machine, r->machine_bytes);
	digest_tree_root(r->tree, &state, &r->root);
	if (memcmp(r->root.b, r->body + 16, DIGEST_BYTES) != 0)
		return -EBADMSG;
	r->state = ENDED;
	return 0;
}

/* --- records ----------------------------------------------------------------------- */

/* May such a record come now, and may it be so long? */
static bool
expected(const struct personafile_reader *r, uint8_t kind, size_t bytes)
{
	switch (kind) {
	case FILE_MANIFEST:
		return r->state == WANT_MANIFEST && bytes <= MANIFEST_MAX;
	case FILE_CHUNK:
		return r->state == WANT_PAGES && bytes > FILE_PLACE_BYTES &&
		    bytes <= FILE_BODY_MAX;
	case FILE_SAME:
		return r->state == WANT_PAGES && bytes == FILE_SAME_BYTES;
	case FILE_STATE:
		return (r->state == WANT_PAGES || r->state == WANT_STATE) &&
		    bytes <= FILE_STATE_PIECE_MAX;
	case FILE_END:
		return (r->state == WANT_PAGES || r->state == WANT_STATE) &&
		    bytes == FILE_END_BYTES;
	default:
		return false;
	}
}

static int
take_head(struct personafile_reader *r)
{
	r->body_bytes = le_get32(r->head + 4);
	r->body_got = 0;
	if (r->head[2] != 0 || r->head[3] != 0 ||
	    !expected(r, r->head[0], r->body_bytes))
		return -EBADMSG;
	crypt_hash_add(r->hash, r->head, sizeof(r->head));
	return 0;
}

static int
take_body(struct personafile_reader *r)
{
	r->head_got = 0;
	/* The end holds the digest of what came before: it adds that by itself. */
	if (r->head[0] != FILE_END)
		crypt_hash_add(r->hash, r->body, r->body_bytes);
	switch (r->head[0]) {
	case FILE_MANIFEST:
		return r->head[1] != 0 ? -EBADMSG : take_manifest(r);
	case FILE_CHUNK:
		return take_chunk(r);
	case FILE_SAME:
		return take_same(r);
	case FILE_STATE:
		return take_state(r);
	default:
		return take_end(r);
	}
}

/* Move bytes to where they are waited for; true when none are missing. */
static bool
gather(uint8_t *to, size_t want, size_t *got, const uint8_t *data, size_t len,
    size_t *used)
{
	size_t n = want - *got;

	if (n > len - *used)
		n = len - *used;
	memcpy(to + *got, data + *used, n);
	*got += n;
	*used += n;
	return *got == want;
}

int
personafile_read(struct personafile_reader *r, const uint8_t *data, size_t len,
    size_t *used)
{
	int e;

	*used = 0;
	while (r->state != WANT_SPACE) {
		if (*used < len && r->state == ENDED)
			return -E2BIG;
		if (r->head_got < sizeof(r->head)) {
			if (!gather(r->head, sizeof(r->head), &r->head_got,
			    data, len, used))
				return 0;
			if ((e = take_head(r)) < 0)
				return e;
		}
		if (!gather(r->body, r->body_bytes, &r->body_got, data, len,
		    used))
			return 0;
		if ((e = take_body(r)) != 0)
			return e;
	}
	return 0;
}

int
personafile_read_end(const struct personafile_reader *r)
{
	return r->state == ENDED ? 0 : -ENODATA;
}

const void *
personafile_state(const struct personafile_reader *r, size_t *len)
{
	*len = r->machine_bytes;
	return r->machine;
}

const struct digest *
personafile_read_root(const struct personafile_reader *r)
{
	return &r->root;
}

void
personafile_read_figures(const struct personafile_reader *r,
    struct personafile_figures *f)
{
	*f = r->figures;
}
