/* SPDX-License-Identifier: ISC */
/*
 * Applies page records to memory. Trusts no number in them: page numbers, counts
 * and lengths are checked before use, and what is unpacked goes to a scratch of ours.
 */
#include "pagedecode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "digest.h"
#include "pagecodec.h"
#include "space.h"

struct decoder {
	struct space		*space;
	uint64_t		n_pages;
	struct digest_tree	*tree;
	struct page_packer	*packer;
	uint64_t		pages;
	uint64_t		zeroes_left;	/* of this payload */
	uint8_t			scratch[PAGE_BATCH_MAX * PAGE_BYTES];
};

int
decoder_new(struct decoder **dp, struct space *space, struct digest_tree *tree)
{
	struct decoder *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	if (page_packer_new(&d->packer) < 0) {
		free(d);
		return -ENOMEM;
	}
	d->space = space;
	d->n_pages = space_regions(space)->n_pages;
	d->tree = tree;
	*dp = d;
	return 0;
}

void
decoder_free(struct decoder *d)
{
	if (d == NULL)
		return;
	page_packer_free(d->packer);
	free(d);
}

uint64_t
decoder_pages(const struct decoder *d)
{
	return d->pages;
}

static int
write_pages(struct decoder *d, uint64_t pfn, const uint8_t *pages,
    uint64_t count)
{
	struct digest digest;
	int r;

	if ((r = space_write(d->space, pfn, pages, count)) < 0)
		return r;
	for (uint64_t i = 0; i < count; i++) {
		digest_page(&digest, pages + i * PAGE_BYTES);
		digest_tree_set(d->tree, pfn + i, &digest);
	}
	d->pages += count;
	return 0;
}

/* How many pages from pfn on, of `max`, are something else than zero. */
static uint32_t
filled_run(const struct decoder *d, uint64_t pfn, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && !digest_equal(digest_tree_get(d->tree, pfn + n),
	    digest_tree_zero(d->tree)))
		n++;
	return n;
}

static int
clear_pages(struct decoder *d, uint64_t pfn, uint32_t count)
{
	int r = space_zero(d->space, pfn, count);

	for (uint32_t i = 0; i < count && r == 0; i++)
		digest_tree_set(d->tree, pfn + i, digest_tree_zero(d->tree));
	d->pages += count;
	return r;
}

static int
apply_zero(struct decoder *d, struct bytes_in *in)
{
	uint32_t pfn = bytes_take_varint(in), count = bytes_take_varint(in);
	int r = 0;

	/* A page is named once a payload; more is only there to keep us busy. */
	if (in->bad || !space_has(d->space, pfn, count) ||
	    count > d->zeroes_left)
		return -EPROTO;
	d->zeroes_left -= count;
	for (uint32_t i = 0; i < count && r == 0;) {
		uint32_t n = filled_run(d, pfn + i, count - i);

		/* What was never written is zero already, and stays a hole. */
		if (n > 0)
			r = clear_pages(d, pfn + i, n);
		i += n > 0 ? n : 1;
	}
	return r;
}

static int
apply_known(struct decoder *d, struct bytes_in *in)
{
	uint32_t pfn = bytes_take_varint(in), source = bytes_take_varint(in);
	const uint8_t *page;
	int r;

	if (in->bad || !space_has(d->space, pfn, 1) ||
	    !space_has(d->space, source, 1) || pfn == source)
		return -EPROTO;
	if ((r = space_page(d->space, source, &page)) < 0)
		return r;
	memcpy(d->scratch, page, PAGE_BYTES);
	if ((r = space_write(d->space, pfn, d->scratch, 1)) < 0)
		return r;
	digest_tree_set(d->tree, pfn, digest_tree_get(d->tree, source));
	d->pages++;
	return 0;
}

static int
apply_delta(struct decoder *d, struct bytes_in *in)
{
	uint32_t pfn = bytes_take_varint(in), len;
	const uint8_t *base = bytes_take(in, PAGE_BASE_BYTES), *body, *page;
	int r;

	len = bytes_take_varint(in);
	body = bytes_take(in, len);
	if (in->bad || !space_has(d->space, pfn, 1) || len > PAGE_BYTES)
		return -EPROTO;
	if (memcmp(digest_tree_get(d->tree, pfn)->b, base,
	    PAGE_BASE_BYTES) != 0)
		return -EBADMSG;
	if ((r = space_page(d->space, pfn, &page)) < 0)
		return r;
	memcpy(d->scratch, page, PAGE_BYTES);
	if ((r = page_delta_apply(d->scratch, body, len)) < 0)
		return r;
	return write_pages(d, pfn, d->scratch, 1);
}

/* Unpacked pages to their places, neighbours together. */
static int
write_batch(struct decoder *d, const uint32_t *pfns, uint32_t count)
{
	uint32_t n;
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i += n) {
		for (n = 1; i + n < count && pfns[i + n] == pfns[i] + n &&
		    space_has(d->space, pfns[i], n + 1); n++)
			;
		r = write_pages(d, pfns[i], d->scratch + i * (size_t)PAGE_BYTES,
		    n);
	}
	return r;
}

static int
apply_packed(struct decoder *d, enum page_form form, struct bytes_in *in)
{
	uint32_t count = bytes_take_varint(in), pfns[PAGE_BATCH_MAX], len;
	const uint8_t *packed;
	uint64_t next = 0;
	int r;

	if (in->bad || count == 0 || count > PAGE_BATCH_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t pfn = next + bytes_take_varint(in);

		if (in->bad || !space_has(d->space, pfn, 1))
			return -EPROTO;
		pfns[i] = (uint32_t)pfn;
		next = pfn + 1;
	}
	len = bytes_take_varint(in);
	if ((packed = bytes_take(in, len)) == NULL)
		return -EPROTO;
	r = page_unpack(d->packer, form, packed, len, d->scratch, count);
	return r < 0 ? r : write_batch(d, pfns, count);
}

static int
apply_lz4(struct decoder *d, struct bytes_in *in)
{
	return apply_packed(d, PAGE_LZ4, in);
}

static int
apply_zstd(struct decoder *d, struct bytes_in *in)
{
	return apply_packed(d, PAGE_ZSTD, in);
}

static int
apply_raw(struct decoder *d, struct bytes_in *in)
{
	uint32_t pfn = bytes_take_varint(in), count = bytes_take_varint(in);
	const uint8_t *pages;

	if (in->bad || !space_has(d->space, pfn, count) ||
	    (pages = bytes_take(in, (size_t)count * PAGE_BYTES)) == NULL)
		return -EPROTO;
	return write_pages(d, pfn, pages, count);
}

int
decoder_apply(struct decoder *d, const uint8_t *payload, size_t len)
{
	static int (*const forms[])(struct decoder *, struct bytes_in *) = {
		[PAGE_ZERO] = apply_zero,
		[PAGE_KNOWN] = apply_known,
		[PAGE_DELTA] = apply_delta,
		[PAGE_LZ4] = apply_lz4,
		[PAGE_RAW] = apply_raw,
		[PAGE_ZSTD] = apply_zstd,
	};
	struct bytes_in in = { .at = payload, .end = payload + len };
	int r = 0;

	d->zeroes_left = d->n_pages;
	while (r == 0 && bytes_left(&in) > 0) {
		uint8_t form = bytes_take8(&in);

		if (form == 0 || form >= sizeof(forms) / sizeof(forms[0]))
			return -EPROTO;
		r = forms[form](d, &in);
	}
	return r;
}
