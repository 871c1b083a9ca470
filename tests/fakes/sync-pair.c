/* SPDX-License-Identifier: ISC */
/* Both roles, a guest and two owners in one process (see sync-pair.h). */
#include "fakes/sync-pair.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STEP_NS		1000000ULL
#define TENURE		3u

static uint64_t
next_random(struct pair *p)
{
	return random_next(&p->random);
}

/* --- the guest -------------------------------------------------------------- */

static uint64_t
dirty_words(const struct pair *p)
{
	return (p->plan.n_dirty + 63) / 64;
}

static void
mark(struct pair *p, uint64_t pfn)
{
	p->log[pfn / 64] |= (uint64_t)1 << pfn % 64;
}

/* The guest's page to change; given back by put_page(). */
static uint8_t *
get_page(struct pair *p, uint64_t pfn, uint8_t copy[PAGE_BYTES])
{
	const uint8_t *page;

	if (pfn < PAIR_PAGES)
		return fake_page(p->guest, pfn);
	fake_need(space_page(p->guest, pfn, &page) == 0, "space_page");
	memcpy(copy, page, PAGE_BYTES);
	return copy;
}

static void
put_page(struct pair *p, uint64_t pfn, const uint8_t *page)
{
	if (pfn >= PAIR_PAGES)
		fake_put(p->guest, pfn, page);
	mark(p, pfn);
}

void
pair_write(struct pair *p, uint64_t pfn, uint64_t value)
{
	uint8_t copy[PAGE_BYTES], *page = get_page(p, pfn, copy);

	memcpy(page + value % 500 * 8, &value, sizeof(value));
	put_page(p, pfn, page);
}

void
pair_discard(struct pair *p, uint64_t pfn)
{
	fake_need(space_zero(p->guest, pfn, 1) == 0, "space_zero");
	mark(p, pfn);
}

static void
fill_noise(struct pair *p, uint64_t pfn)
{
	uint8_t copy[PAGE_BYTES], *page = get_page(p, pfn, copy);

	for (size_t i = 0; i < PAGE_BYTES; i += 8) {
		uint64_t v = next_random(p);

		memcpy(page + i, &v, sizeof(v));
	}
	put_page(p, pfn, page);
}

static void
fill_mixed(struct pair *p, uint64_t pfn)
{
	uint8_t copy[PAGE_BYTES], *page = get_page(p, pfn, copy);

	switch (pfn / 16 % 4) {
	case 0:
		break;
	case 1:
		for (size_t i = 0; i + 32 <= PAGE_BYTES; i += 32)
			snprintf((char *)page + i, 32, "line %06u of page %u",
			    (unsigned int)i, (unsigned int)pfn);
		break;
	case 2:
		memset(page, 0x5a + (int)(pfn % 3), PAGE_BYTES);
		break;
	default:
		fill_noise(p, pfn);
		return;
	}
	put_page(p, pfn, page);
}

static void
disk_step(struct pair *p)
{
	uint64_t n = p->cfg.disk_bytes / PAGE_BYTES, pfn;

	for (unsigned int i = 0; i < p->cfg.disk_per_step; i++) {
		pfn = p->disk_first + next_random(p) % n;
		pair_write(p, pfn, next_random(p));
	}
	for (unsigned int i = 0; i < p->cfg.discard_per_step; i++) {
		pfn = p->disk_first + next_random(p) % n;
		pair_discard(p, pfn);
	}
}

static void
guest_step(struct pair *p)
{
	unsigned int n = p->cfg.dirty_per_step * (100 - p->throttle) / 100;

	if (!p->guest_runs)
		return;
	disk_step(p);
	if (p->cfg.hot_pages == 0)
		return;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t pfn = p->cfg.hot_first +
		    next_random(p) % p->cfg.hot_pages;

		if (p->cfg.whole_pages) {
			fill_noise(p, pfn);
		} else {
			pair_write(p, pfn, next_random(p));
		}
	}
}

/* --- the source's owner ----------------------------------------------------- */

static uint64_t
pair_now(void *arg)
{
	return ((struct pair *)arg)->now_ns;
}

static void
pair_again(void *arg)
{
	(void)arg;	/* every step steps both */
}

static void
on_harvest(void *arg, bool start)
{
	struct pair *p = arg;

	if (start)
		memset(p->log, 0, dirty_words(p) * 8);
	p->harvest_in = 2;
}

static void
on_throttle(void *arg, unsigned int percent)
{
	struct pair *p = arg;

	p->throttle = percent;
	if (percent > p->throttle_max)
		p->throttle_max = percent;
}

static void
on_want_stop(void *arg)
{
	((struct pair *)arg)->stop_in = 4;
}

static void
on_prepared(void *arg, uint64_t tenure)
{
	struct pair *p = arg;

	if (tenure == TENURE + 1)
		p->release_in = 3;
}

static void
on_running(void *arg, uint64_t tenure, const struct blackout *b)
{
	struct pair *p = arg;

	p->told_running = tenure == TENURE + 1;
	p->blackout_ns = b->by_guest ? b->ns : 0;
}

static void
on_send_progress(void *arg, const struct sync_progress *progress)
{
	((struct pair *)arg)->send_last = *progress;
}

static void
on_send_ended(void *arg, uint32_t reason, const char *text)
{
	struct pair *p = arg;

	p->send_ended = true;
	p->send_reason = reason;
	snprintf(p->send_text, sizeof(p->send_text), "%s", text);
	sync_send_progress(p->send, &p->send_last);
	/* As personad does: what was not released runs on. */
	if (!p->released)
		p->guest_runs = true;
}

static bool
due(unsigned int *in)
{
	return *in > 0 && --*in == 0;
}

static void
source_step(struct pair *p)
{
	uint8_t state[PAIR_STATE];

	if (due(&p->harvest_in)) {
		for (uint64_t i = 0; i < dirty_words(p); i++) {
			p->dirty[i] |= p->log[i];
			p->log[i] = 0;
		}
		sync_send_harvested(p->send);
	}
	if (!p->hold_stop && due(&p->stop_in)) {
		memset(state, 0xa5, sizeof(state));
		p->guest_runs = false;
		p->stopped_ns = p->now_ns;
		sync_send_stopped(p->send, state, sizeof(state), p->now_ns);
	}
	if (!p->hold_release && due(&p->release_in)) {
		p->released = true;
		sync_send_release(p->send, TENURE + 1);
	}
}

/* --- the target's owner ----------------------------------------------------- */

static void
on_offered(void *arg, uint64_t attempt,
    const Persona__Transfer__Persona *persona)
{
	struct pair *p = arg;

	if (attempt == 7 && persona->ram_bytes == PAIR_RAM_BYTES)
		p->accept_in = 5;
}

static void
on_verified(void *arg, const void *state, size_t len)
{
	struct pair *p = arg;

	p->verified = len == sizeof(p->state);
	if (p->verified)
		memcpy(p->state, state, len);
	p->prepared_in = 5;
}

static void
on_released(void *arg, uint64_t tenure, uint64_t stopped_for_ns)
{
	struct pair *p = arg;

	p->blackout_ns = stopped_for_ns;
	if (tenure == TENURE + 1)
		p->running_in = 3;
}

static void
on_receive_progress(void *arg, const struct sync_progress *progress)
{
	(void)arg;
	(void)progress;
}

static void
on_receive_ended(void *arg, uint32_t reason, const char *text)
{
	struct pair *p = arg;

	p->receive_ended = true;
	p->receive_reason = reason;
	snprintf(p->receive_text, sizeof(p->receive_text), "%s", text);
}

static void
target_step(struct pair *p)
{
	if (due(&p->accept_in)) {
		if (p->cfg.refuse)
			sync_receive_refuse(p->receive, 9, "there is one here");
		else
			sync_receive_accept(p->receive, p->copy);
	}
	if (!p->hold_prepared && due(&p->prepared_in))
		sync_receive_prepared(p->receive, TENURE + 1);
	if (due(&p->running_in)) {
		p->owns = true;
		p->resumed_ns = p->now_ns;
		sync_receive_running(p->receive, TENURE + 1,
		    &(struct blackout){ .ns = p->blackout_ns,
		    .by_guest = true });
	}
}

/* --- life ------------------------------------------------------------------- */

static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "sync-pair: %s failed\n", what);
	exit(EXIT_FAILURE);
}

/* The guest writes what the source's engine may only read. */
static void
open_source(struct pair *p)
{
	check(space_new(&p->guest, &p->plan) == 0 &&
	    space_new(&p->source, &p->plan) == 0, "space");
	for (size_t i = 0; i < p->plan.n_regions; i++) {
		int fd = fake_file(p->plan.regions[i].bytes), view = dup(fd);

		check(space_back(p->guest, i, &fd, 1, true) == 0 &&
		    space_back(p->source, i, &view, 1, false) == 0, "back");
	}
}

static void
open_target(struct pair *p)
{
	check(space_new(&p->copy, &p->plan) == 0, "space");
	for (size_t i = 0; i < p->plan.n_regions; i++) {
		int fd = p->plan.regions[i].kind == SPACE_DISK &&
		    p->cfg.full_disk_fd > 0 ? dup(p->cfg.full_disk_fd) :
		    fake_file(p->plan.regions[i].bytes);

		check(space_back(p->copy, i, &fd, 1, true) == 0, "back");
	}
}

static void
fill_disk(struct pair *p)
{
	uint8_t page[PAGE_BYTES];

	for (uint64_t i = 0; i < p->cfg.disk_filled; i++)
		fill_mixed(p, p->disk_first + i * 7 %
		    (p->cfg.disk_bytes / PAGE_BYTES));
	for (size_t i = 1; i < p->plan.n_regions; i++) {
		const struct space_region *r = &p->plan.regions[i];

		if (r->kind != SPACE_KERNEL)
			continue;
		for (uint64_t k = 0; k < r->n_pages; k++) {
			memset(page, (int)k + 1, sizeof(page));
			if (k + 1 == r->n_pages && r->bytes % PAGE_BYTES)
				memset(page + r->bytes % PAGE_BYTES, 0,
				    PAGE_BYTES - r->bytes % PAGE_BYTES);
			fake_put(p->guest, r->first + k, page);
		}
	}
}

static void
open_links(struct pair *p)
{
	struct stream_mem_config cfg = {
		.capacity = 64 << 10,
		.delay_steps = p->cfg.delay_steps,
		.step_bytes = p->cfg.step_bytes / PAIR_LINKS,
	};
	struct stream *ends[2];

	for (unsigned int i = 0; i < PAIR_LINKS; i++) {
		cfg.seed = i + 1;
		check(stream_mem_open(&p->links[i], ends, &cfg) == 0, "link");
		check(sync_send_add_stream(p->send, ends[0]) == 0, "stream");
		check(sync_receive_add_stream(p->receive, ends[1]) == 0,
		    "stream");
	}
}

void
pair_open(struct pair *p, const struct pair_config *cfg)
{
	static const struct sync_send_ops send_ops = {
		.now_ns = pair_now, .again = pair_again,
		.harvest = on_harvest, .throttle = on_throttle,
		.want_stop = on_want_stop, .prepared = on_prepared,
		.running = on_running, .progress = on_send_progress,
		.ended = on_send_ended,
	};
	static const struct sync_receive_ops receive_ops = {
		.now_ns = pair_now, .again = pair_again,
		.offered = on_offered, .verified = on_verified,
		.released = on_released, .progress = on_receive_progress,
		.ended = on_receive_ended,
	};
	Persona__Transfer__Persona persona =
	    PERSONA__TRANSFER__PERSONA__INIT;
	Persona__Spec__Spec spec = PERSONA__SPEC__SPEC__INIT;
	Persona__Spec__Disk disk = PERSONA__SPEC__DISK__INIT, *disks = &disk;
	Persona__Spec__Boot kernel = PERSONA__SPEC__BOOT__INIT;
	struct sync_send_config send = { .persona = &persona, .attempt = 7,
	    .blackout_budget_ms = cfg->budget_ms ? cfg->budget_ms : 100,
	    .bandwidth_limit = cfg->bandwidth_limit,
	    .allow_throttle = !cfg->no_throttle };

	memset(p, 0, sizeof(*p));
	p->cfg = *cfg;
	p->random = 88172645463325252ULL;
	p->now_ns = 1000 * STEP_NS;
	p->guest_runs = true;
	disk.bytes = cfg->disk_bytes;
	spec.disks = &disks;
	spec.n_disks = cfg->disk_bytes > 0;
	kernel.bytes = cfg->kernel_bytes;
	spec.kernel = cfg->kernel_bytes > 0 ? &kernel : NULL;
	persona.spec = &spec;
	persona.id = (char *)(uintptr_t)"0123456789abcdef0123456789abcdef";
	persona.name = (char *)(uintptr_t)"work";
	persona.ram_bytes = PAIR_RAM_BYTES;
	persona.vcpus = 1;
	persona.cpu_baseline = (char *)(uintptr_t)"x86-64-v2";
	persona.tenure = TENURE;
	check(space_plan(&p->plan, PAIR_RAM_BYTES, &spec) == 0, "space_plan");
	p->disk_first = p->plan.n_regions > 1 ? p->plan.regions[1].first : 0;
	p->log = calloc(dirty_words(p), 8);
	p->dirty = calloc(dirty_words(p), 8);
	open_source(p);
	open_target(p);
	for (uint64_t i = 0; i < cfg->filled_pages; i++)
		fill_mixed(p, i);
	fill_disk(p);
	check(sync_send_new(&p->send, &send, &send_ops, p) == 0, "send_new");
	check(sync_receive_new(&p->receive, &receive_ops, p) == 0,
	    "receive_new");
	open_links(p);
	check(sync_send_start(p->send, p->source, p->dirty) == 0, "start");
}

void
pair_close(struct pair *p)
{
	sync_send_free(p->send);
	sync_receive_free(p->receive);
	for (unsigned int i = 0; i < PAIR_LINKS; i++)
		stream_mem_free(p->links[i]);
	space_free(p->guest);
	space_free(p->source);
	space_free(p->copy);
	free(p->log);
	free(p->dirty);
}

void
pair_step(struct pair *p)
{
	p->now_ns += STEP_NS;
	guest_step(p);
	source_step(p);
	target_step(p);
	for (unsigned int i = 0; i < PAIR_LINKS; i++)
		(void)stream_mem_step(p->links[i]);
	if (p->now_ns / STEP_NS % 10 == 0) {
		sync_send_tick(p->send);
		sync_receive_tick(p->receive);
	}
	sync_send_step(p->send);
	sync_receive_step(p->receive);
}

bool
pair_run(struct pair *p, unsigned int max_steps)
{
	while (max_steps-- > 0 && !(p->send_ended && p->receive_ended))
		pair_step(p);
	return p->send_ended && p->receive_ended;
}

bool
pair_run_to(struct pair *p, enum sync_state state, unsigned int max_steps)
{
	while (max_steps-- > 0 && sync_send_state(p->send) != state)
		pair_step(p);
	return sync_send_state(p->send) == state;
}

void
pair_cut(struct pair *p)
{
	for (unsigned int i = 0; i < PAIR_LINKS; i++)
		stream_mem_cut(p->links[i]);
}

bool
pair_same(const struct pair *p)
{
	for (size_t i = 0; i < sizeof(p->state); i++)
		if (p->state[i] != 0xa5)
			return false;
	return fake_same(p->guest, p->copy);
}
