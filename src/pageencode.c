/* SPDX-License-Identifier: ISC */
/*
 * Chooses the cheapest form for each page and builds frame payloads. Knows no
 * guest, no rounds, no stream; LZ4, zstd and deltas are pagecodec.c's.
 *
 * A payload has two halves: large records (LZ4, ZSTD, RAW), then small ones (ZERO,
 * KNOWN, DELTA) in the order of their coming. Large ones never look at another
 * page, so only two things can go wrong, and both are watched for: a KNOWN whose
 * source still waits in the batch (then the batch goes first, `batch_wanted`),
 * and a large record that overwrites the source of a KNOWN of the same payload
 * (then the payload is closed before it).
 */
#include "pageencode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "digest.h"
#include "pagecodec.h"
#include "shadow.h"

/* A payload is full at these; the rest is room for one more of the largest. */
#define LARGE_FULL	((size_t)56 << 10)
#define SMALL_MAX	((size_t)32 << 10)
#define SMALL_FULL	(SMALL_MAX - PAGE_DELTA_MAX - 32)
#define BATCH_HEAD_MAX	((PAGE_BATCH_MAX + 3) * (size_t)VARINT32_MAX)
#define INDEX_PROBES	8u
/* Enough for RAM_MAX_BYTES of pages; a large disk has more and loses a few. */
#define INDEX_SLOTS_MAX	((uint64_t)2 * RAM_MAX_PAGES)

struct encoder {
	struct digest_tree	*tree;
	uint64_t		n_pages;
	struct shadow		*shadow;
	struct page_packer	*packer;
	int			effort;
	struct page_savings	savings;
	/* digest -> a page that had it: pfn + 1, 0 empty, checked when used */
	uint32_t		*index;
	uint64_t		index_mask;
	/* pages that wait to be packed together */
	uint8_t			*batch;		/* one more: the scratch page */
	uint32_t		batch_pfn[PAGE_BATCH_MAX];
	size_t			batch_n;
	bool			batch_wanted;
	/* the payload being built */
	uint8_t			*large;		/* FRAME_PAYLOAD_MAX */
	size_t			large_len;
	uint8_t			*small;		/* SMALL_MAX */
	size_t			small_len;
	uint32_t		known_in_payload;
	/* RAW and ZERO records that may still grow */
	size_t			raw_at;		/* of the count; 0: none */
	uint32_t		raw_next, raw_count;
	uint32_t		zero_first, zero_count;
};

int
encoder_new(struct encoder **ep, struct digest_tree *tree, uint64_t n_pages,
    uint64_t shadow_bytes)
{
	struct encoder *e = calloc(1, sizeof(*e));
	uint64_t slots = 1024;
	int r = -ENOMEM;

	if (e == NULL)
		return r;
	while (slots < 2 * n_pages && slots < INDEX_SLOTS_MAX)
		slots *= 2;
	e->tree = tree;
	e->n_pages = n_pages;
	e->index_mask = slots - 1;
	e->index = calloc(slots, sizeof(*e->index));
	e->batch = malloc((PAGE_BATCH_MAX + 1) * (size_t)PAGE_BYTES);
	e->large = malloc(FRAME_PAYLOAD_MAX);
	e->small = malloc(SMALL_MAX);
	if (e->index == NULL || e->batch == NULL || e->large == NULL ||
	    e->small == NULL)
		goto fail;
	if ((r = page_packer_new(&e->packer)) < 0 ||
	    (r = shadow_new(&e->shadow, n_pages, shadow_bytes)) < 0)
		goto fail;
	*ep = e;
	return 0;
fail:
	encoder_free(e);
	return r;
}

void
encoder_free(struct encoder *e)
{
	if (e == NULL)
		return;
	free(e->index);
	free(e->batch);
	free(e->large);
	free(e->small);
	page_packer_free(e->packer);
	shadow_free(e->shadow);
	free(e);
}

void
encoder_set_effort(struct encoder *e, int effort)
{
	e->effort = effort;
}

const struct page_savings *
encoder_savings(const struct encoder *e)
{
	return &e->savings;
}

/* --- what the target has, by digest ----------------------------------------- */

static uint64_t
index_home(const struct encoder *e, const struct digest *d)
{
	return le_get64(d->b) & e->index_mask;
}

/* A page that the target has with this content, or n_pages. */
static uint64_t
index_find(const struct encoder *e, const struct digest *d)
{
	uint64_t at = index_home(e, d);

	for (unsigned int i = 0; i < INDEX_PROBES; i++) {
		uint32_t v = e->index[(at + i) & e->index_mask];

		if (v == 0)
			break;
		if (digest_equal(digest_tree_get(e->tree, v - 1), d))
			return v - 1;
	}
	return e->n_pages;
}

static void
index_put(struct encoder *e, const struct digest *d, uint64_t pfn)
{
	uint64_t home = index_home(e, d), at = home;

	for (unsigned int i = 0; i < INDEX_PROBES; i++) {
		uint64_t slot = (home + i) & e->index_mask;
		uint32_t v = e->index[slot];
		uint64_t lives;

		at = slot;
		if (v == 0)
			break;
		/* An entry whose page has changed since is free as well. */
		lives = index_home(e, digest_tree_get(e->tree, v - 1));
		if (((slot - lives) & e->index_mask) >= INDEX_PROBES)
			break;
		at = home;
	}
	e->index[at] = (uint32_t)pfn + 1;
}

/*
 * The target will have `page` with this digest. Its bytes are kept as the base of
 * a delta; those of a page that is new there only when they are `promising`. What
 * is not kept has no older copy either: that would be a base the target has lost.
 */
static void
remember(struct encoder *e, uint64_t pfn, const struct digest *d,
    const uint8_t *page, bool promising)
{
	if (promising || !digest_equal(digest_tree_get(e->tree, pfn),
	    digest_tree_zero(e->tree)))
		shadow_put(e->shadow, pfn, page);
	digest_tree_set(e->tree, pfn, d);
}

/* --- small records ---------------------------------------------------------- */

static void
small_u(struct encoder *e, uint64_t v)
{
	e->small_len += bytes_put_varint(e->small + e->small_len, (uint32_t)v);
}

/* Zero pages come in runs: the record is written when the run ends. */
static void
zero_close(struct encoder *e)
{
	if (e->zero_count == 0)
		return;
	e->small[e->small_len++] = PAGE_ZERO;
	small_u(e, e->zero_first);
	small_u(e, e->zero_count);
	e->zero_count = 0;
}

static void
add_zero(struct encoder *e, uint64_t pfn)
{
	const struct digest *zero = digest_tree_zero(e->tree);

	e->savings.zero_pages++;
	if (digest_equal(digest_tree_get(e->tree, pfn), zero))
		return;		/* fresh memory is zero already */
	if (e->zero_count > 0 && e->zero_first + e->zero_count != pfn)
		zero_close(e);
	if (e->zero_count++ == 0)
		e->zero_first = (uint32_t)pfn;
	digest_tree_set(e->tree, pfn, zero);
	shadow_drop(e->shadow, pfn);
}

static bool
source_waits(const struct encoder *e, uint64_t source)
{
	for (size_t i = 0; i < e->batch_n; i++)
		if (e->batch_pfn[i] == source)
			return true;
	return false;
}

static bool
add_known(struct encoder *e, uint64_t pfn, const struct digest *d,
    const uint8_t *page)
{
	uint64_t source = index_find(e, d);

	if (source == e->n_pages)
		return false;
	zero_close(e);
	e->small[e->small_len++] = PAGE_KNOWN;
	small_u(e, pfn);
	small_u(e, source);
	e->known_in_payload++;
	if (!e->batch_wanted)
		e->batch_wanted = source_waits(e, source);
	remember(e, pfn, d, page, false);
	e->savings.known_pages++;
	return true;
}

static bool
add_delta(struct encoder *e, uint64_t pfn, const struct digest *d,
    const uint8_t *page)
{
	const uint8_t *base = shadow_get(e->shadow, pfn);
	uint8_t body[PAGE_DELTA_MAX];
	size_t n;

	if (base == NULL ||
	    (n = page_delta_encode(base, page, body, sizeof(body))) == 0)
		return false;
	zero_close(e);
	e->small[e->small_len++] = PAGE_DELTA;
	small_u(e, pfn);
	memcpy(e->small + e->small_len, digest_tree_get(e->tree, pfn)->b,
	    PAGE_BASE_BYTES);
	e->small_len += PAGE_BASE_BYTES;
	small_u(e, n);
	memcpy(e->small + e->small_len, body, n);
	e->small_len += n;
	remember(e, pfn, d, page, true);
	index_put(e, d, pfn);
	e->savings.delta_pages++;
	e->savings.delta_bytes += n;
	return true;
}

/* --- large records ---------------------------------------------------------- */

static void
large_u(struct encoder *e, uint64_t v)
{
	e->large_len += bytes_put_varint(e->large + e->large_len, (uint32_t)v);
}

/* Append one page to the RAW record that grows, or begin one. */
static void
put_raw(struct encoder *e, uint32_t pfn, const uint8_t *page)
{
	if (e->raw_at == 0 || e->raw_next != pfn || e->raw_count == 127) {
		e->large[e->large_len++] = PAGE_RAW;
		large_u(e, pfn);
		e->raw_at = e->large_len++;	/* a count of one byte */
		e->raw_count = 0;
	}
	memcpy(e->large + e->large_len, page, PAGE_BYTES);
	e->large_len += PAGE_BYTES;
	e->large[e->raw_at] = (uint8_t)++e->raw_count;
	e->raw_next = pfn + 1;
	e->savings.raw_pages++;
}

static void
put_packed(struct encoder *e, enum page_form form, const uint8_t *packed,
    size_t len)
{
	uint32_t next = 0;

	e->large[e->large_len++] = (uint8_t)form;
	large_u(e, e->batch_n);
	for (size_t i = 0; i < e->batch_n; i++) {
		large_u(e, e->batch_pfn[i] - next);
		next = e->batch_pfn[i] + 1;
	}
	large_u(e, len);
	memmove(e->large + e->large_len, packed, len);
	e->large_len += len;
	if (form == PAGE_LZ4) {
		e->savings.lz4_pages += e->batch_n;
		e->savings.lz4_bytes += len;
	} else {
		e->savings.zstd_pages += e->batch_n;
		e->savings.zstd_bytes += len;
	}
}

static int
by_pfn(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Pages come in ascending order except where hot ones follow cold ones; gaps
 * need ascending order, so a batch never spans such a step.
 */
static bool
batch_takes(const struct encoder *e, uint64_t pfn)
{
	return e->batch_n == 0 ||
	    by_pfn(&e->batch_pfn[e->batch_n - 1], &(uint32_t){ (uint32_t)pfn }) < 0;
}

static void
batch_close(struct encoder *e)
{
	/* Pack behind the longest head, then move it down to the real one. */
	uint8_t *packed = e->large + e->large_len + 1 + BATCH_HEAD_MAX;
	size_t n;

	if (e->batch_n == 0)
		return;
	n = page_pack(e->packer, e->effort, e->batch, e->batch_n, packed,
	    page_pack_bound(e->batch_n));
	e->raw_at = 0;
	if (n > 0)
		put_packed(e, page_pack_form(e->effort), packed, n);
	else
		for (size_t i = 0; i < e->batch_n; i++)
			put_raw(e, e->batch_pfn[i], e->batch + i * PAGE_BYTES);
	e->raw_at = 0;
	e->batch_n = 0;
	e->batch_wanted = false;
}

/* The page lies in the scratch place behind the batch. */
static void
add_large(struct encoder *e, uint64_t pfn, const struct digest *d,
    const uint8_t *page)
{
	bool dense = page_is_dense(page);

	/* Noise is written whole or never: it would push out what is not. */
	remember(e, pfn, d, page, !dense);
	index_put(e, d, pfn);
	if (dense) {
		put_raw(e, (uint32_t)pfn, page);
		return;
	}
	e->batch_pfn[e->batch_n++] = (uint32_t)pfn;
	if (e->batch_n == PAGE_BATCH_MAX)
		batch_close(e);
}

/* --- pages in, payloads out ------------------------------------------------- */

static bool
payload_full(const struct encoder *e)
{
	return e->large_len >= LARGE_FULL || e->small_len >= SMALL_FULL;
}

bool
encoder_ready(const struct encoder *e)
{
	return payload_full(e);
}

void
encoder_expect(struct encoder *e, uint64_t pfn)
{
	shadow_expect(e->shadow, pfn);
}

void
encoder_empty(struct encoder *e, uint64_t n_pages)
{
	e->savings.zero_pages += n_pages;
}

int
encoder_add(struct encoder *e, uint64_t pfn, const uint8_t *guest_page)
{
	uint8_t *page;
	struct digest d;

	if (payload_full(e))
		return -EAGAIN;
	/* Zero is told where it lies: most of a memory is, and need not be copied. */
	if (page_is_zero(guest_page)) {
		add_zero(e, pfn);
		return 0;
	}
	if (!batch_takes(e, pfn))
		batch_close(e);
	if (payload_full(e))
		return -EAGAIN;
	page = e->batch + e->batch_n * PAGE_BYTES;
	memcpy(page, guest_page, PAGE_BYTES);
	digest_page(&d, page);
	if (digest_equal(&d, digest_tree_get(e->tree, pfn))) {
		e->savings.unchanged_pages++;
		return 0;
	}
	if (add_known(e, pfn, &d, page) || add_delta(e, pfn, &d, page))
		return 0;
	/* It may be the source of a KNOWN that stands behind it (see above). */
	if (e->known_in_payload > 0 &&
	    !digest_equal(digest_tree_get(e->tree, pfn),
	    digest_tree_zero(e->tree)))
		return -EAGAIN;
	add_large(e, pfn, &d, page);
	return 0;
}

size_t
encoder_take(struct encoder *e, bool all, const uint8_t **payload)
{
	size_t len;

	if (all || e->batch_wanted)
		batch_close(e);
	zero_close(e);
	memcpy(e->large + e->large_len, e->small, e->small_len);
	len = e->large_len + e->small_len;
	e->large_len = 0;
	e->small_len = 0;
	e->known_in_payload = 0;
	e->raw_at = 0;
	*payload = e->large;
	return len;
}
