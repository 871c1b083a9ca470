/* SPDX-License-Identifier: ISC */
/*
 * Zero pages, deltas, LZ4 and zstd: the codecs below the page records. The one
 * place that knows those two; knows no guest, no digest, no record.
 */
#include "pagecodec.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "bytes.h"

/* Equal bytes between two changes that are cheaper sent than skipped. */
#define DELTA_MERGE	4u
#define SAMPLES		256u
#define SAMPLE_STEP	2531u	/* odd; the first few are all over the page, too */
/*
 * So many different values among the samples are likely to be noise, which has 162
 * of them and 57 among the first 64.
 */
#define SAMPLES_DENSE	135u
#define SAMPLES_FEW	64u
#define FEW_DENSE	40u

struct page_packer {
	void		*lz4;
	ZSTD_CCtx	*zstd;
	ZSTD_DCtx	*unzstd;
};

bool
page_is_zero(const uint8_t *page)
{
	uint64_t w[8];

	for (size_t i = 0; i < PAGE_BYTES; i += sizeof(w)) {
		memcpy(w, page + i, sizeof(w));
		if ((w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] |
		    w[7]) != 0)
			return false;
	}
	return true;
}

static unsigned int
count_values(const uint64_t seen[4])
{
	unsigned int n = 0;

	for (int i = 0; i < 4; i++)
		n += (unsigned int)__builtin_popcountll(seen[i]);
	return n;
}

bool
page_is_dense(const uint8_t *page)
{
	uint64_t seen[4] = { 0, 0, 0, 0 };
	char trial[LZ4_COMPRESSBOUND(PAGE_BYTES)];

	for (size_t i = 0, at = 0; i < SAMPLES; i++, at += SAMPLE_STEP) {
		const uint8_t v = page[at % PAGE_BYTES];

		if (i == SAMPLES_FEW && count_values(seen) < FEW_DENSE)
			return false;
		seen[v >> 6] |= (uint64_t)1 << (v & 63);
	}
	if (count_values(seen) < SAMPLES_DENSE)
		return false;
	/* Many values, but perhaps in a pattern; on noise this is quick. */
	return LZ4_compress_default((const char *)page, trial,
	    (int)PAGE_BYTES, (int)(PAGE_BYTES - PAGE_BYTES / 16)) == 0;
}

/* --- deltas ----------------------------------------------------------------- */

/* The first byte at or after `at` that differs (or is equal, if !differs). */
static size_t
run_end(const uint8_t *a, const uint8_t *b, size_t at, bool differs)
{
	if (differs)
		for (; at + 8 <= PAGE_BYTES; at += 8)
			if (le_get64(a + at) != le_get64(b + at))
				break;
	while (at < PAGE_BYTES && (a[at] != b[at]) != differs)
		at++;
	return at;
}

/* The end of a change that begins at `at`, small equal runs included. */
static size_t
change_end(const uint8_t *base, const uint8_t *page, size_t at)
{
	for (;;) {
		size_t end = run_end(base, page, at, false);
		size_t next = run_end(base, page, end, true);

		if (next == PAGE_BYTES || next - end > DELTA_MERGE)
			return end;
		at = next;
	}
}

size_t
page_delta_encode(const uint8_t *base, const uint8_t *page, uint8_t *out,
    size_t max)
{
	size_t done = 0, n = 0, from;

	while ((from = run_end(base, page, done, true)) < PAGE_BYTES) {
		size_t end = change_end(base, page, from);

		if (n + 2 * (size_t)VARINT32_MAX + (end - from) > max)
			return 0;
		n += bytes_put_varint(out + n, (uint32_t)(from - done));
		n += bytes_put_varint(out + n, (uint32_t)(end - from));
		memcpy(out + n, page + from, end - from);
		n += end - from;
		done = end;
	}
	return n;
}

int
page_delta_apply(uint8_t *page, const uint8_t *body, size_t len)
{
	struct bytes_in in = { .at = body, .end = body + len };
	size_t at = 0;

	while (bytes_left(&in) > 0) {
		uint32_t skip = bytes_take_varint(&in);
		uint32_t n = bytes_take_varint(&in);
		const uint8_t *p;

		if (in.bad || skip > PAGE_BYTES - at ||
		    n > PAGE_BYTES - at - skip)
			return -EPROTO;
		if ((p = bytes_take(&in, n)) == NULL)
			return -EPROTO;
		memcpy(page + at + skip, p, n);
		at += skip + n;
	}
	return 0;
}

/* --- batches ---------------------------------------------------------------- */

int
page_packer_new(struct page_packer **pp)
{
	struct page_packer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->lz4 = malloc((size_t)LZ4_sizeofState());
	p->zstd = ZSTD_createCCtx();
	p->unzstd = ZSTD_createDCtx();
	if (p->lz4 == NULL || p->zstd == NULL || p->unzstd == NULL) {
		page_packer_free(p);
		return -ENOMEM;
	}
	*pp = p;
	return 0;
}

void
page_packer_free(struct page_packer *p)
{
	if (p == NULL)
		return;
	free(p->lz4);
	ZSTD_freeCCtx(p->zstd);
	ZSTD_freeDCtx(p->unzstd);
	free(p);
}

enum page_form
page_pack_form(int effort)
{
	return effort == PAGE_EFFORT_FAST ? PAGE_LZ4 : PAGE_ZSTD;
}

size_t
page_pack_bound(size_t n_pages)
{
	size_t lz4 = (size_t)LZ4_compressBound((int)(n_pages * PAGE_BYTES));
	size_t zstd = ZSTD_compressBound(n_pages * PAGE_BYTES);

	return lz4 > zstd ? lz4 : zstd;
}

size_t
page_pack(struct page_packer *p, int effort, const uint8_t *pages,
    size_t n_pages, uint8_t *out, size_t room)
{
	size_t len = n_pages * PAGE_BYTES, n;

	if (effort == PAGE_EFFORT_FAST) {
		n = (size_t)LZ4_compress_fast_extState(p->lz4,
		    (const char *)pages, (char *)out, (int)len, (int)room, 1);
	} else {
		n = ZSTD_compressCCtx(p->zstd, out, room, pages, len, effort);
		if (ZSTD_isError(n))
			return 0;
	}
	/* Less than a thirty-second saved is not worth unpacking. */
	return n > len - len / 32 ? 0 : n;
}

int
page_unpack(struct page_packer *p, enum page_form form, const uint8_t *packed,
    size_t len, uint8_t *pages, size_t n_pages)
{
	size_t want = n_pages * PAGE_BYTES, n;
	int lz4;

	if (len > FRAME_PAYLOAD_MAX || n_pages > PAGE_BATCH_MAX)
		return -EPROTO;
	if (form == PAGE_ZSTD) {
		/* Writes within `want` and allocates nothing, whatever it reads. */
		n = ZSTD_decompressDCtx(p->unzstd, pages, want, packed, len);
		return n == want ? 0 : -EPROTO;
	}
	lz4 = LZ4_decompress_safe((const char *)packed, (char *)pages,
	    (int)len, (int)want);
	return lz4 >= 0 && (size_t)lz4 == want ? 0 : -EPROTO;
}
