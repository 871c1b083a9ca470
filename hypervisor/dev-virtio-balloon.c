/* SPDX-License-Identifier: ISC */
/*
 * The virtio balloon: the guest gives memory back, and says which of its memory
 * it does not use. Deliberately knows no transfer: what is not used becomes holes
 * of guest memory, which whoever copies it passes over anyway.
 * Source: VIRTIO 1.2, section 5.5.
 *
 * A page that the guest hints or reports is in a device-writable buffer, so it is
 * ours until the buffer is answered; it is discarded before that, at the kick, and
 * what the guest writes there afterwards is dirty like any other write. Nothing
 * has to be remembered of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices.h"
#include "gmem.h"
#include "le.h"
#include "virtio-mmio.h"

#define BALLOON_DEVICE_ID	5u
enum { Q_INFLATE, Q_DEFLATE, Q_STATS, Q_HINT, Q_REPORT, N_QUEUES };

/* Feature bits, 5.5.3. All queues are offered, so that their numbers are the same
 * to drivers that count only the negotiated ones. */
#define F_STATS_VQ		(1ULL << 1)
#define F_DEFLATE_ON_OOM	(1ULL << 2)
#define F_FREE_PAGE_HINT	(1ULL << 3)
#define F_PAGE_POISON		(1ULL << 4)
#define F_PAGE_REPORTING	(1ULL << 5)

/* Configuration space, 5.5.4: four le32 */
enum { C_NUM_PAGES, C_ACTUAL, C_HINT_ID, C_POISON, N_CONFIG };

/* free_page_hint_cmd_id, 5.5.6.5: below HINT_ID_FIRST it has a meaning */
#define HINT_STOP		0u
#define HINT_DONE		1u	/* the guest may have its pages back */
#define HINT_ID_FIRST		2u

/* A report is a list of blocks of up to some MB each; page numbers and statistics
 * are short. */
#define CHAIN_MAX		(1u << 30)
#define NUMBERS_MAX_BYTES	(64u << 10)
#define STATS_EVERY_S		1u
#define PFN_BYTES		4u	/* le32, always of 4096 bytes */
#define PFN_SHIFT		12
#define STAT_BYTES		10u	/* tag le16, value le64 */

struct dev {
	struct virtio_mmio *transport;
	struct gmem	*gmem;
	uint32_t	config[N_CONFIG];
	uint32_t	last_hint_id;
	bool		hinting;	/* the guest answers our present id */
	bool		started;
	bool		tell;		/* configuration news wait for the start */
	uint64_t	asked_s;	/* when we last wanted news */
	bool		stats_held;	/* a buffer waits until we want news */
	struct virtq_chain stats_chain;
	uint64_t	stats[DEV_GUEST_STATS];
};

static struct virtio *
core(struct dev *d)
{
	return virtio_mmio_core(d->transport);
}

static void
config_news(struct dev *d)
{
	if (d->started)
		virtio_config_changed(core(d));
	else
		d->tell = true;
}

static bool
has(struct dev *d, uint64_t feature)
{
	return (core(d)->driver_features & feature) != 0;
}

/* --- what the guest gives back ------------------------------------------- */

/* Give back a run of pages named by number. */
static void
discard_run(struct dev *d, uint32_t first_pfn, uint64_t n)
{
	if (n > 0)
		(void)gmem_discard(d->gmem, (uint64_t)first_pfn << PFN_SHIFT,
		    n << PFN_SHIFT);
}

/* A page number that is no RAM breaks nothing: it has nothing to give back. */
static void
inflate_chain(struct dev *d, const struct virtq_chain *c)
{
	uint8_t raw[PFN_BYTES];
	uint32_t first = 0;
	uint64_t n = 0;

	for (uint32_t at = 0; virtq_gather(c, at, raw, PFN_BYTES) == PFN_BYTES;
	    at += PFN_BYTES) {
		uint32_t pfn = le_get32(raw);

		if (n > 0 && pfn == first + n) {
			n++;
		} else {
			discard_run(d, first, n);
			first = pfn;
			n = 1;
		}
	}
	discard_run(d, first, n);
}

/* Pages of a guest that fills its free memory with a pattern stay as they are:
 * it will look whether the pattern is still there. */
static void
discard_buffers(struct dev *d, const struct virtq_chain *c)
{
	if (has(d, F_PAGE_POISON) && d->config[C_POISON] != 0)
		return;
	for (unsigned int i = 0; i < c->n_write; i++) {
		const struct virtq_buf *b = &c->bufs[c->n_read + i];

		(void)gmem_discard(d->gmem, b->gpa, b->len);
	}
}

/* --- hints: asked for when a transfer begins ------------------------------ */

static void
hint_over(struct dev *d)
{
	d->hinting = false;
	if (d->config[C_HINT_ID] < HINT_ID_FIRST)
		return;
	d->config[C_HINT_ID] = HINT_DONE;
	config_news(d);
}

/* The driver says which of our requests it answers from here, or that it is
 * through. */
static void
hint_command(struct dev *d, const struct virtq_chain *c)
{
	uint8_t raw[4];
	uint32_t id;

	if (virtq_gather(c, 0, raw, sizeof(raw)) != sizeof(raw))
		return;
	id = le_get32(raw);
	if (id == HINT_STOP && d->hinting)
		hint_over(d);
	else
		d->hinting = id >= HINT_ID_FIRST && id == d->config[C_HINT_ID];
}

static void
hint_chain(struct dev *d, const struct virtq_chain *c)
{
	if (c->n_read > 0)
		hint_command(d, c);
	/* A late answer to an earlier request says nothing of now. */
	if (c->n_write > 0 && d->hinting)
		discard_buffers(d, c);
}

/* --- statistics: the driver's buffer stays with us until we want news ------ */

static void
stats_read(struct dev *d, const struct virtq_chain *c)
{
	/* VIRTIO_BALLOON_S_MEMFREE, _MEMTOT, _AVAIL, 5.5.6.4.1 */
	static const uint16_t tags[DEV_GUEST_STATS] = {
		[DEV_GUEST_FREE] = 4, [DEV_GUEST_TOTAL] = 5,
		[DEV_GUEST_AVAILABLE] = 6,
	};
	uint8_t raw[STAT_BYTES];

	for (uint32_t at = 0; virtq_gather(c, at, raw, STAT_BYTES) ==
	    STAT_BYTES; at += STAT_BYTES)
		for (size_t i = 0; i < DEV_GUEST_STATS; i++)
			if (le_get16(raw) == tags[i])
				d->stats[i] = le_get64(raw + 2);
}

static void
stats_take(struct dev *d)
{
	struct virtio *v = core(d);

	if (d->stats_held || virtq_pop(v, Q_STATS, &d->stats_chain) <= 0)
		return;
	if (d->stats_chain.read_bytes > NUMBERS_MAX_BYTES) {
		virtio_break(v);
		return;
	}
	stats_read(d, &d->stats_chain);
	d->stats_held = true;
}

/* --- the queues ----------------------------------------------------------- */

static bool
chain_ok(unsigned int q, const struct virtq_chain *c)
{
	return q == Q_REPORT || q == Q_HINT ||
	    c->read_bytes <= NUMBERS_MAX_BYTES;
}

static void
do_chain(struct dev *d, unsigned int q, const struct virtq_chain *c)
{
	switch (q) {
	case Q_INFLATE:
		inflate_chain(d, c);
		break;
	case Q_HINT:
		hint_chain(d, c);
		break;
	case Q_REPORT:
		discard_buffers(d, c);
		break;
	default:		/* deflated pages come back by being touched */
		break;
	}
}

static void
balloon_notify(void *arg, unsigned int q)
{
	struct dev *d = arg;
	struct virtio *v = core(d);
	struct virtq_chain c;
	bool any = false;

	if (q == Q_STATS) {
		stats_take(d);
		return;
	}
	for (uint32_t i = 0; i < v->queues[q].num; i++) {
		if (virtq_pop(v, q, &c) <= 0)
			break;
		if (!chain_ok(q, &c)) {
			virtio_break(v);
			return;
		}
		do_chain(d, q, &c);
		virtq_push(v, q, &c, 0);
		any = true;
	}
	if (any)
		virtq_signal(v, q);
}

static uint32_t
balloon_config_read(void *arg, uint64_t offset, unsigned int len)
{
	struct dev *d = arg;
	uint8_t raw[4 * N_CONFIG + 4] = { 0 };

	for (size_t i = 0; i < N_CONFIG; i++)
		le_put32(raw + 4 * i, d->config[i]);
	if (offset >= 4 * N_CONFIG || len > 4)
		return 0;
	return (uint32_t)(le_get32(raw + offset) &
	    (0xffffffffULL >> (8 * (4 - len))));
}

/* The driver writes how much it has given and what it fills free pages with. */
static void
balloon_config_write(void *arg, uint64_t offset, unsigned int len,
    uint32_t value)
{
	struct dev *d = arg;

	if (len == 4 && (offset == 4 * C_ACTUAL || offset == 4 * C_POISON))
		d->config[offset / 4] = value;
}

/* What is wanted of the guest outlives a driver; what it had given does not. */
static void
balloon_reset(void *arg)
{
	struct dev *d = arg;

	d->config[C_ACTUAL] = d->config[C_POISON] = 0;
	d->config[C_HINT_ID] = HINT_STOP;
	d->hinting = d->stats_held = false;
	memset(d->stats, 0, sizeof(d->stats));
}

static const struct virtio_ops balloon_virtio_ops = {
	.device_id = BALLOON_DEVICE_ID,
	.features = F_STATS_VQ | F_DEFLATE_ON_OOM |
	    F_FREE_PAGE_HINT | F_PAGE_POISON | F_PAGE_REPORTING,
	.n_queues = N_QUEUES,
	.chain_max_bytes = CHAIN_MAX,
	.notify = balloon_notify,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.reset = balloon_reset,
};

/* --- what the host asks ---------------------------------------------------- */

static void
balloon_hint(struct dev *d, bool on)
{
	if (!on) {
		hint_over(d);
		return;
	}
	if (!has(d, F_FREE_PAGE_HINT))
		return;
	if (d->last_hint_id < HINT_ID_FIRST || d->last_hint_id == UINT32_MAX)
		d->last_hint_id = HINT_ID_FIRST - 1;
	d->config[C_HINT_ID] = ++d->last_hint_id;
	d->hinting = false;
	config_news(d);
}

static void
balloon_set(struct dev *d, uint64_t bytes)
{
	uint64_t max = gmem_size(d->gmem);

	d->config[C_NUM_PAGES] = (uint32_t)((bytes < max ? bytes : max) >>
	    PFN_SHIFT);
	config_news(d);
}

static void
balloon_look(struct dev *d, struct dev_guest_memory *m)
{
	struct virtio *v = core(d);
	struct timespec now;

	m->balloon_bytes = (uint64_t)d->config[C_ACTUAL] << PFN_SHIFT;
	m->target_bytes = (uint64_t)d->config[C_NUM_PAGES] << PFN_SHIFT;
	memcpy(m->stats, d->stats, sizeof(m->stats));
	if (!d->started)
		return;
	stats_take(d);
	if (!d->stats_held)
		return;
	/* The answer makes the driver send fresh ones, for the next look. That
	 * is work for the guest, so not however often somebody looks. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((uint64_t)now.tv_sec < d->asked_s + STATS_EVERY_S)
		return;
	d->asked_s = (uint64_t)now.tv_sec;
	virtq_push(v, Q_STATS, &d->stats_chain, 0);
	virtq_signal(v, Q_STATS);
	d->stats_held = false;
}

static const struct dev_memory_ops balloon_memory_ops = {
	.hint = balloon_hint,
	.balloon = balloon_set,
	.look = balloon_look,
};

/* --- a device like any other ----------------------------------------------- */

static void
balloon_start(struct dev *d)
{
	d->started = true;
	if (d->tell)
		virtio_config_changed(core(d));
	d->tell = false;
}

static void
balloon_stop(struct dev *d)
{
	d->started = false;
	/* The buffer we hold is in no saved ring: offer it to ourselves again. */
	if (d->stats_held)
		virtq_unpop(core(d), Q_STATS);
	d->stats_held = false;
}

static void
balloon_free(struct dev *d)
{
	if (d == NULL)
		return;
	virtio_mmio_free(d->transport);
	free(d);
}

static int
balloon_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;
	int r;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->gmem = env->gmem;
	if ((r = virtio_mmio_new(&d->transport, env, place,
	    &balloon_virtio_ops, d)) < 0) {
		balloon_free(d);
		return r;
	}
	*dp = d;
	return 0;
}

static int
balloon_save(struct dev *d, Persona__State__DeviceState *out)
{
	Persona__State__Balloon *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__balloon__init(s);
	out->balloon = s;
	s->num_pages = d->config[C_NUM_PAGES];
	s->actual = d->config[C_ACTUAL];
	s->hint_id = d->config[C_HINT_ID];
	s->poison = d->config[C_POISON];
	s->last_hint_id = d->last_hint_id;
	s->news = d->tell;
	return virtio_mmio_save(d->transport, out);
}

static int
balloon_check(struct dev *d, const Persona__State__DeviceState *in)
{
	if (in->balloon == NULL)
		return -EINVAL;
	return virtio_mmio_check(d->transport, in);
}

static void
balloon_load(struct dev *d, const Persona__State__DeviceState *in)
{
	const Persona__State__Balloon *s = in->balloon;

	virtio_mmio_load(d->transport, in);
	d->config[C_NUM_PAGES] = s->num_pages;
	d->config[C_ACTUAL] = s->actual;
	d->config[C_HINT_ID] = s->hint_id;
	d->config[C_POISON] = s->poison;
	d->last_hint_id = s->last_hint_id;
	d->tell = s->news;
	/* Hints were for a transfer that is over: its result is this machine. */
	hint_over(d);
}

const struct dev_ops dev_virtio_balloon_ops = {
	.kind = "virtio-balloon",
	.version = 1,
	.create = balloon_create,
	.save = balloon_save,
	.check = balloon_check,
	.load = balloon_load,
	.start = balloon_start,
	.stop = balloon_stop,
	.memory = &balloon_memory_ops,
	.free = balloon_free,
};
