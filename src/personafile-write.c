/* SPDX-License-Identifier: ISC */
/*
 * Writes a page space as the payload of a persona file. What reads as zero is not
 * mentioned, a chunk that was seen before is a reference. Knows no file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chunks.h"
#include "crypt.h"
#include "envelope.h"
#include "pagecodec.h"
#include "personafile-format.h"
#include "space.h"

struct personafile_writer {
	struct envelope_writer	*out;
	struct space		*space;
	struct chunks		*chunks;
	struct digest_tree	*tree;
	struct page_packer	*packer;
	struct crypt_hash	*hash;		/* of the payload so far */
	const uint8_t		*state;
	size_t			state_bytes;
	uint64_t		at, end;	/* the stretch being written */
	struct personafile_figures figures;
	struct digest		root;
	uint8_t			*packed;
	size_t			packed_room;
	uint8_t			pages[FILE_CHUNK_BYTES];
};

/* --- records ----------------------------------------------------------------------- */

static int
put(struct personafile_writer *w, const void *data, size_t len)
{
	crypt_hash_add(w->hash, data, len);
	return envelope_write(w->out, data, len);
}

static int
put_head(struct personafile_writer *w, enum file_record kind,
    enum file_form form, size_t body)
{
	uint8_t head[FILE_RECORD_HEAD_BYTES] = { (uint8_t)kind, (uint8_t)form };

	le_put32(head + 4, (uint32_t)body);
	return put(w, head, sizeof(head));
}

static void
place(uint8_t out[FILE_PLACE_BYTES], uint64_t pfn, uint32_t n,
    const struct digest *d)
{
	le_put64(out, pfn);
	le_put32(out + 8, n);
	memcpy(out + 12, d->b, DIGEST_BYTES);
}

static int
put_manifest(struct personafile_writer *w, const Persona__Image__Manifest *m)
{
	size_t len = persona__image__manifest__get_packed_size(m);
	uint8_t *packed;
	int r;

	if (len > MANIFEST_MAX)
		return -EINVAL;
	if ((packed = malloc(len)) == NULL)
		return -ENOMEM;
	persona__image__manifest__pack(m, packed);
	if ((r = put_head(w, FILE_MANIFEST, FILE_RAW, len)) == 0)
		r = put(w, packed, len);
	free(packed);
	return r;
}

static int
put_same(struct personafile_writer *w, uint64_t pfn, uint32_t n,
    const struct digest *d, uint64_t source)
{
	uint8_t body[FILE_SAME_BYTES];
	int r;

	place(body, pfn, n, d);
	le_put64(body + FILE_PLACE_BYTES, source);
	w->figures.same++;
	if ((r = put_head(w, FILE_SAME, FILE_RAW, sizeof(body))) < 0)
		return r;
	return put(w, body, sizeof(body));
}

static int
put_chunk(struct personafile_writer *w, uint64_t pfn, uint32_t n,
    const struct digest *d)
{
	size_t raw = (size_t)n * PAGE_BYTES, len;
	const uint8_t *content = w->packed;
	enum file_form form = FILE_LZ4;
	uint8_t head[FILE_PLACE_BYTES];
	int r;

	len = page_pack(w->packer, PAGE_EFFORT_FAST, w->pages, n, w->packed,
	    w->packed_room);
	if (len == 0) {
		form = FILE_RAW;
		content = w->pages;
		len = raw;
	}
	place(head, pfn, n, d);
	w->figures.chunks++;
	if ((r = put_head(w, FILE_CHUNK, form, sizeof(head) + len)) < 0 ||
	    (r = put(w, head, sizeof(head))) < 0)
		return r;
	return put(w, content, len);
}

static int
put_state(struct personafile_writer *w)
{
	int r = 0;

	for (size_t at = 0; at < w->state_bytes && r == 0; ) {
		size_t n = w->state_bytes - at;

		if (n > FILE_STATE_PIECE_MAX)
			n = FILE_STATE_PIECE_MAX;
		if ((r = put_head(w, FILE_STATE, FILE_RAW, n)) == 0)
			r = put(w, w->state + at, n);
		at += n;
	}
	return r;
}

static int
put_end(struct personafile_writer *w)
{
	uint8_t body[FILE_END_BYTES];
	struct digest state;
	int r;

	digest_bytes(&state, w->state, w->state_bytes);
	digest_tree_root(w->tree, &state, &w->root);
	le_put64(body, w->figures.chunks);
	le_put64(body + 8, w->figures.same);
	memcpy(body + 16, w->root.b, DIGEST_BYTES);
	if ((r = put_head(w, FILE_END, FILE_RAW, sizeof(body))) < 0)
		return r;
	crypt_hash_add(w->hash, body, 16 + DIGEST_BYTES);
	crypt_hash_now(w->hash, body + 16 + DIGEST_BYTES);
	return envelope_write(w->out, body, sizeof(body));
}

/* --- pages ------------------------------------------------------------------------- */

/* Pages from `at` on that may hold something. */
static uint64_t
count_pages(struct space *s, uint64_t at)
{
	uint64_t first, end, n = 0;

	for (; space_data(s, at, &first, &end); at = end)
		n += end - first;
	return n;
}

/* Copy n pages into w->pages and tell the tree. False when all are zero. */
static int
gather(struct personafile_writer *w, uint64_t pfn, uint32_t n,
    struct digest *digests, bool *zero)
{
	const uint8_t *page;
	int r;

	*zero = true;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *to = w->pages + (size_t)i * PAGE_BYTES;

		if ((r = space_page(w->space, pfn + i, &page)) < 0)
			return r;
		memcpy(to, page, PAGE_BYTES);
		if (page_is_zero(to)) {
			digests[i] = *digest_tree_zero(w->tree);
			continue;
		}
		*zero = false;
		digest_page(&digests[i], to);
		digest_tree_set(w->tree, pfn + i, &digests[i]);
	}
	return 0;
}

static int
write_pages(struct personafile_writer *w, uint64_t pfn, uint32_t n)
{
	struct digest digests[FILE_CHUNK_PAGES], chunk;
	uint64_t source;
	bool zero;
	int r;

	if ((r = gather(w, pfn, n, digests, &zero)) < 0)
		return r;
	w->figures.pages_done += n;
	if (zero)
		return 0;
	file_chunk_digest(&chunk, digests, n);
	if (chunks_find(w->chunks, &chunk, &source))
		return put_same(w, pfn, n, &chunk, source);
	chunks_put(w->chunks, &chunk, pfn);
	return put_chunk(w, pfn, n, &chunk);
}

int
personafile_write(struct personafile_writer *w, uint64_t pages)
{
	uint64_t until = w->figures.pages_done + pages, end;
	int r;

	while (w->figures.pages_done < until) {
		if (w->at >= w->end &&
		    !space_data(w->space, w->at, &w->at, &w->end)) {
			if ((r = put_state(w)) < 0 || (r = put_end(w)) < 0)
				return r;
			return 1;
		}
		/* Chunks begin at the same places in every file. */
		end = w->at - w->at % FILE_CHUNK_PAGES + FILE_CHUNK_PAGES;
		if (end > w->end)
			end = w->end;
		r = write_pages(w, w->at, (uint32_t)(end - w->at));
		if (r < 0)
			return r;
		w->at = end;
	}
	return 0;
}

/* --- life -------------------------------------------------------------------------- */

static int
prepare(struct personafile_writer *w)
{
	int r;

	if ((r = crypt_init()) < 0 || (r = crypt_hash_new(&w->hash)) < 0 ||
	    (r = chunks_new(&w->chunks)) < 0 ||
	    (r = page_packer_new(&w->packer)) < 0 ||
	    (r = digest_tree_new(&w->tree,
	    space_regions(w->space)->n_pages)) < 0)
		return r;
	w->packed_room = page_pack_bound(FILE_CHUNK_PAGES);
	if ((w->packed = malloc(w->packed_room)) == NULL)
		return -ENOMEM;
	w->figures.pages_total = count_pages(w->space, w->at);
	return 0;
}

int
personafile_writer_new(struct personafile_writer **wp,
    struct envelope_writer *out, struct space *space,
    Persona__Image__Manifest *manifest, const void *state)
{
	struct personafile_writer *w;
	const char *why;
	int r;

	if (personafile_check_manifest(manifest, &why) < 0)
		return -EINVAL;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return -ENOMEM;
	w->out = out;
	w->space = space;
	w->state = state;
	w->state_bytes = manifest->has_state_bytes ?
	    manifest->state_bytes : 0;
	/* Without memory there is nothing behind the first region. */
	if (!personafile_has_memory(manifest->kind))
		w->at = w->end = space_regions(space)->regions[0].n_pages;
	if ((r = prepare(w)) < 0)
		goto fail;
	manifest->has_data_pages = true;
	manifest->data_pages = w->figures.pages_total;
	if ((r = put_manifest(w, manifest)) < 0)
		goto fail;
	*wp = w;
	return 0;
fail:
	personafile_writer_free(w);
	return r;
}

void
personafile_writer_free(struct personafile_writer *w)
{
	if (w == NULL)
		return;
	chunks_free(w->chunks);
	digest_tree_free(w->tree);
	page_packer_free(w->packer);
	crypt_hash_free(w->hash);
	free(w->packed);
	free(w);
}

const struct digest *
personafile_written_root(const struct personafile_writer *w)
{
	return &w->root;
}

void
personafile_write_figures(const struct personafile_writer *w,
    struct personafile_figures *f)
{
	*f = w->figures;
}
