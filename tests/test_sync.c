/* SPDX-License-Identifier: ISC */
/*
 * Both roles of the sync engine against each other: what arrives is what was
 * there, and whatever breaks before the handover, the guest runs at the source.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "fakes/sync-pair.h"
#include "log.h"
#include "reason.h"
#include "unit.h"

#define MS 1000000ULL

static const struct pair_config ordinary = {
	.filled_pages = 2048, .hot_first = 64, .hot_pages = 512,
	.dirty_per_step = 2, .step_bytes = 25000, .delay_steps = 1,
};

/* Nobody but the source may run it, and there it does. */
static void
assert_source_keeps_it(const struct pair *p)
{
	CU_ASSERT(p->guest_runs);
	CU_ASSERT(!p->released);
	CU_ASSERT(!p->owns);
}

static void
assert_moved(const struct pair *p)
{
	CU_ASSERT_EQUAL(p->send_reason, REASON_OK);
	CU_ASSERT_EQUAL(p->receive_reason, REASON_OK);
	CU_ASSERT(p->released && p->owns && p->told_running);
	CU_ASSERT(!p->guest_runs);
	CU_ASSERT(pair_same(p));
}

static void
running_guest_moves_whole(void)
{
	struct pair p;
	uint64_t blackout_ns;

	pair_open(&p, &ordinary);
	CU_ASSERT(pair_run(&p, 20000));
	assert_moved(&p);
	blackout_ns = p.resumed_ns - p.stopped_ns;
	printf("[%llu ms in all, stopped for %llu ms, %llu KiB, %u rounds] ",
	    (unsigned long long)(p.now_ns / MS - 1000),
	    (unsigned long long)(blackout_ns / MS),
	    (unsigned long long)(p.send_last.bytes >> 10), p.send_last.round);
	CU_ASSERT(blackout_ns < 40 * MS);
	/* Both owners took their time, which is what is learnt; pages did too. */
	CU_ASSERT(sync_send_overhead_ns(p.send) >= 4 * MS);
	CU_ASSERT(sync_send_overhead_ns(p.send) < blackout_ns);
	CU_ASSERT(p.throttle_max == 0);
	CU_ASSERT(p.send_last.savings.delta_pages > 0);
	CU_ASSERT(p.send_last.savings.known_pages > 0);
	CU_ASSERT(p.send_last.savings.lz4_pages +
	    p.send_last.savings.zstd_pages > 0);
	CU_ASSERT(p.send_last.savings.raw_pages > 0);
	/* A quarter noise, a quarter text, the rest for nothing. */
	CU_ASSERT(p.send_last.bytes < 2048 * PAGE_BYTES * 2 / 5);
	pair_close(&p);
}

static void
idle_and_empty_guests_move(void)
{
	static const struct pair_config shapes[] = {
		{ .filled_pages = 0 },
		{ .filled_pages = 1 },
		{ .filled_pages = PAIR_PAGES / 8, .delay_steps = 10 },
		{ .filled_pages = 100, .step_bytes = 400 },
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct pair p;

		pair_open(&p, &shapes[i]);
		CU_ASSERT(pair_run(&p, 20000));
		assert_moved(&p);
		pair_close(&p);
	}
}

static void
busy_guest_is_held_back_and_let_go(void)
{
	struct pair_config cfg = ordinary;
	struct pair p;

	cfg.whole_pages = true;
	cfg.dirty_per_step = 12;	/* 48 MB/s of noise over 25 MB/s */
	pair_open(&p, &cfg);
	CU_ASSERT(pair_run(&p, 60000));
	assert_moved(&p);
	CU_ASSERT(p.throttle_max > 0);
	CU_ASSERT_EQUAL(p.throttle, 0);
	pair_close(&p);
}

static void
busy_guest_that_may_not_be_held_back_stays(void)
{
	struct pair_config cfg = ordinary;
	struct pair p;

	cfg.whole_pages = true;
	cfg.dirty_per_step = 12;
	cfg.no_throttle = true;
	cfg.budget_ms = 50;
	pair_open(&p, &cfg);
	CU_ASSERT(pair_run(&p, 60000));
	CU_ASSERT_EQUAL(p.send_reason, REASON_NOT_CONVERGING);
	CU_ASSERT_EQUAL(p.receive_reason, REASON_NOT_CONVERGING);
	assert_source_keeps_it(&p);
	pair_close(&p);
}

static void
refused_offer_says_why(void)
{
	struct pair_config cfg = ordinary;
	struct pair p;

	cfg.refuse = true;
	pair_open(&p, &cfg);
	CU_ASSERT(pair_run(&p, 2000));
	CU_ASSERT_EQUAL(p.send_reason, REASON_NAME_TAKEN);
	CU_ASSERT_STRING_EQUAL(p.send_text, "there is one here");
	assert_source_keeps_it(&p);
	pair_close(&p);
}

static const enum sync_state before_release[] = {
	SYNC_HELLO, SYNC_OFFER, SYNC_COPY, SYNC_DRAIN, SYNC_STOPPING,
	SYNC_STOPPED, SYNC_PREPARED,
};
#define N_BEFORE (sizeof(before_release) / sizeof(before_release[0]))

/* Stand still in this state, so that the test can do something in it. */
static void
hold(struct pair *p, enum sync_state state)
{
	p->hold_stop = state == SYNC_STOPPING;
	p->hold_prepared = state == SYNC_STOPPED;
	p->hold_release = state == SYNC_PREPARED;
	CU_ASSERT(pair_run_to(p, state, 20000));
}

static void
cancel_in_every_state_leaves_it_at_the_source(void)
{
	for (size_t i = 0; i < N_BEFORE; i++) {
		struct pair p;

		pair_open(&p, &ordinary);
		hold(&p, before_release[i]);
		sync_send_cancel(p.send, REASON_CANCELLED, NULL);
		CU_ASSERT(pair_run(&p, 2000));
		CU_ASSERT_EQUAL(p.send_reason, REASON_CANCELLED);
		CU_ASSERT_EQUAL(p.receive_reason, REASON_CANCELLED);
		assert_source_keeps_it(&p);
		pair_close(&p);
	}
}

static void
cancel_by_the_target_leaves_it_at_the_source(void)
{
	/* In SYNC_HELLO the target has not been heard of yet. */
	for (size_t i = 1; i < N_BEFORE; i++) {
		struct pair p;

		pair_open(&p, &ordinary);
		hold(&p, before_release[i]);
		sync_receive_cancel(p.receive, REASON_TARGET_FAILED, NULL);
		CU_ASSERT(pair_run(&p, 2000));
		CU_ASSERT_EQUAL(p.send_reason, REASON_TARGET_FAILED);
		assert_source_keeps_it(&p);
		pair_close(&p);
	}
}

static void
cut_link_in_every_state_leaves_it_at_the_source(void)
{
	for (size_t i = 0; i < N_BEFORE; i++) {
		struct pair p;

		pair_open(&p, &ordinary);
		hold(&p, before_release[i]);
		pair_cut(&p);
		CU_ASSERT(pair_run(&p, 2000));
		CU_ASSERT_EQUAL(p.send_reason, REASON_LINK_LOST);
		CU_ASSERT_EQUAL(p.receive_reason, REASON_LINK_LOST);
		assert_source_keeps_it(&p);
		pair_close(&p);
	}
}

static void
silent_link_is_noticed(void)
{
	struct pair p;

	pair_open(&p, &ordinary);
	CU_ASSERT(pair_run_to(&p, SYNC_COPY, 2000));
	for (unsigned int i = 0; i < PAIR_LINKS; i++)
		stream_mem_freeze(p.links[i], true);
	CU_ASSERT(!pair_run(&p, 9000));
	CU_ASSERT(pair_run(&p, 3000));
	CU_ASSERT_EQUAL(p.send_reason, REASON_LINK_LOST);
	CU_ASSERT_EQUAL(p.receive_reason, REASON_LINK_LOST);
	assert_source_keeps_it(&p);
	pair_close(&p);
}

/* The link is silent for so long in COPY: has the source given up? */
static bool
gives_up_within(uint64_t unanswered_ns, bool doubt, unsigned int ms)
{
	struct pair p;
	bool ended;

	pair_open(&p, &ordinary);
	CU_ASSERT(pair_run_to(&p, SYNC_COPY, 2000));
	for (unsigned int i = 0; i < PAIR_LINKS; i++) {
		stream_mem_freeze(p.links[i], true);
		stream_mem_set_unanswered(p.links[i], unanswered_ns);
	}
	if (doubt)
		sync_send_doubt_link(p.send);
	(void)pair_run(&p, ms);
	ended = p.send_ended;
	if (ended) {
		CU_ASSERT_EQUAL(p.send_reason, REASON_LINK_LOST);
		assert_source_keeps_it(&p);
	}
	pair_close(&p);
	return ended;
}

/* A kernel that acknowledges nothing is gone; a silent peer may only be busy. */
static void
unanswered_link_is_noticed_sooner(void)
{
	const uint64_t s = 1000000000ULL;

	CU_ASSERT_TRUE(gives_up_within(5 * s, false, 2000));
	CU_ASSERT_FALSE(gives_up_within(3 * s, false, 9000));
}

static void
doubted_link_must_be_heard_soon(void)
{
	struct pair p;

	CU_ASSERT_FALSE(gives_up_within(0, true, 1900));
	CU_ASSERT_TRUE(gives_up_within(0, true, 3000));
	/* And a false hint costs nothing. */
	pair_open(&p, &ordinary);
	CU_ASSERT(pair_run_to(&p, SYNC_COPY, 2000));
	p.hold_stop = true;
	sync_send_doubt_link(p.send);
	CU_ASSERT_FALSE(pair_run(&p, 5000));
	CU_ASSERT_FALSE(p.send_ended);
	pair_close(&p);
}

static void
flipped_bit_on_the_way_ends_it(void)
{
	struct pair p;

	for (uint64_t at = 10; at < 200000; at += 61111) {
		pair_open(&p, &ordinary);
		stream_mem_flip(p.links[1], 0, at);
		CU_ASSERT(pair_run(&p, 20000));
		CU_ASSERT_NOT_EQUAL(p.send_reason, REASON_OK);
		CU_ASSERT_EQUAL(p.receive_reason, REASON_CORRUPT);
		assert_source_keeps_it(&p);
		pair_close(&p);
	}
}

/* One byte of the target's memory is not what was sent there. */
static void
page_that_is_wrong_is_found_before_release(void)
{
	struct pair p;

	pair_open(&p, &ordinary);
	p.hold_stop = true;
	CU_ASSERT(pair_run_to(&p, SYNC_STOPPING, 20000));
	/* The last delta of this page is then applied to another base. */
	fake_page(p.copy, 120)[4095] ^= 1;
	pair_write(&p, 120, 12345);
	p.hold_stop = false;
	CU_ASSERT(pair_run(&p, 2000));
	CU_ASSERT_EQUAL(p.send_reason, REASON_CORRUPT);
	CU_ASSERT_EQUAL(p.receive_reason, REASON_CORRUPT);
	CU_ASSERT(!p.verified);
	assert_source_keeps_it(&p);
	pair_close(&p);
}

static void
bandwidth_limit_is_kept(void)
{
	struct pair_config cfg = ordinary;
	struct pair p;
	uint64_t ms;

	cfg.bandwidth_limit = 2000000;
	cfg.dirty_per_step = 0;
	pair_open(&p, &cfg);
	CU_ASSERT(pair_run(&p, 60000));
	assert_moved(&p);
	ms = p.now_ns / MS - 1000;
	CU_ASSERT(p.send_last.bytes * 1000 / ms < 2100000);
	CU_ASSERT(p.send_last.bytes * 1000 / ms > 1500000);
	pair_close(&p);
}

static void
stale_answers_change_nothing(void)
{
	struct pair p;

	pair_open(&p, &ordinary);
	CU_ASSERT(pair_run_to(&p, SYNC_COPY, 2000));
	sync_send_release(p.send, 4);
	sync_send_stopped(p.send, "x", 1, 0);
	sync_receive_prepared(p.receive, 4);
	sync_receive_running(p.receive, 4,
	    &(struct blackout){ .ns = 1 });
	CU_ASSERT_EQUAL(sync_send_state(p.send), SYNC_COPY);
	p.hold_release = true;
	CU_ASSERT(pair_run_to(&p, SYNC_PREPARED, 20000));
	sync_send_release(p.send, 5);	/* not the tenure it is about */
	CU_ASSERT_EQUAL(sync_send_state(p.send), SYNC_PREPARED);
	p.hold_release = false;
	CU_ASSERT(pair_run(&p, 2000));
	assert_moved(&p);
	pair_close(&p);
}

/* --- disks and boot files ------------------------------------------------------ */

static const struct pair_config with_disk = {
	.filled_pages = 1024, .hot_first = 64, .hot_pages = 256,
	.dirty_per_step = 1, .step_bytes = 25000, .delay_steps = 1,
	.disk_bytes = (uint64_t)32 << 20, .disk_filled = 900,
	.disk_per_step = 1, .kernel_bytes = 123456,
};

/* Written and discarded all the while, over a disk of which little was full. */
static void
disk_moves_with_memory(void)
{
	struct pair_config cfg = with_disk;
	struct pair p;

	cfg.discard_per_step = 1;
	pair_open(&p, &cfg);
	CU_ASSERT(pair_run(&p, 20000));
	assert_moved(&p);
	CU_ASSERT(p.send_last.round > 1);
	CU_ASSERT(p.resumed_ns - p.stopped_ns < 60 * MS);
	pair_close(&p);
}

static void
empty_disk_costs_nothing(void)
{
	struct pair_config cfg = with_disk;
	struct pair p;
	uint64_t bytes;

	cfg.dirty_per_step = cfg.disk_per_step = 0;
	cfg.disk_filled = 0;
	cfg.kernel_bytes = 0;
	cfg.disk_bytes = 0;
	pair_open(&p, &cfg);
	CU_ASSERT(pair_run(&p, 20000));
	bytes = p.send_last.bytes;
	pair_close(&p);

	cfg.disk_bytes = (uint64_t)8 << 30;
	pair_open(&p, &cfg);
	CU_ASSERT(pair_run(&p, 20000));
	CU_ASSERT_EQUAL(p.send_reason, REASON_OK);
	CU_ASSERT(p.owns);
	CU_ASSERT(p.send_last.bytes < bytes + bytes / 20 + 4096);
	/* It begins where there is something, not at nine tenths. */
	CU_ASSERT(p.send_last.pages_total <= cfg.filled_pages);
	pair_close(&p);
}

/* What is discarded at the source is a hole at the target, not zeros on its disk. */
static void
discarded_blocks_are_given_back_at_the_target(void)
{
	struct pair_config cfg = with_disk;
	uint64_t first, end;
	struct pair p;

	cfg.disk_per_step = 0;
	pair_open(&p, &cfg);
	p.hold_stop = true;
	CU_ASSERT(pair_run_to(&p, SYNC_STOPPING, 20000));
	for (uint64_t i = 0; i < cfg.disk_bytes / PAGE_BYTES; i++)
		pair_discard(&p, p.disk_first + i);
	p.hold_stop = false;
	CU_ASSERT(pair_run(&p, 20000));
	assert_moved(&p);
	CU_ASSERT(space_data(p.copy, p.disk_first, &first, &end));
	CU_ASSERT_EQUAL(first, p.plan.regions[2].first);
	pair_close(&p);
}

/* As a file system that is full: beyond this, files take nothing (EFBIG). */
static void
limit_file_size(uint64_t bytes)
{
	struct rlimit l;

	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = bytes == UINT64_MAX ? l.rlim_max : bytes;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &l), 0);
}

/* The target's disk takes no more: the source hears it in words, and runs on. */
static void
full_disk_at_the_target_ends_it(void)
{
	struct pair_config cfg = with_disk;
	struct pair p;

	cfg.disk_per_step = 0;	/* the limit is the whole process's */
	cfg.full_disk_fd = fake_file(cfg.disk_bytes);
	signal(SIGXFSZ, SIG_IGN);
	pair_open(&p, &cfg);
	limit_file_size(cfg.disk_bytes / 4);
	CU_ASSERT(pair_run(&p, 20000));
	limit_file_size(UINT64_MAX);
	CU_ASSERT_EQUAL(p.send_reason, REASON_DISK_FULL);
	CU_ASSERT_EQUAL(p.receive_reason, REASON_DISK_FULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.send_text, "no room"));
	assert_source_keeps_it(&p);
	pair_close(&p);
	close(cfg.full_disk_fd);
}

/* The vmm's bitmap names pages that nobody has: they are not sent. */
static void
bits_between_regions_mean_nothing(void)
{
	struct pair_config cfg = with_disk;
	struct pair p;

	cfg.disk_bytes = 5 * PAGE_BYTES;
	cfg.disk_filled = 5;
	pair_open(&p, &cfg);
	CU_ASSERT(pair_run_to(&p, SYNC_COPY, 2000));
	for (uint64_t pfn = p.disk_first + 5; pfn < p.plan.n_dirty + 59; pfn++)
		p.log[pfn / 64] |= (uint64_t)1 << pfn % 64;
	CU_ASSERT(pair_run(&p, 20000));
	assert_moved(&p);
	pair_close(&p);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a running guest moves whole", running_guest_moves_whole },
		{ "idle and empty guests move", idle_and_empty_guests_move },
		{ "a busy guest is held back, then let go",
		    busy_guest_is_held_back_and_let_go },
		{ "a busy guest that may not be held back stays (2)",
		    busy_guest_that_may_not_be_held_back_stays },
		{ "a refused offer says why", refused_offer_says_why },
		{ "cancel in every state leaves it at the source (1, 2)",
		    cancel_in_every_state_leaves_it_at_the_source },
		{ "cancel by the target leaves it at the source (1, 2)",
		    cancel_by_the_target_leaves_it_at_the_source },
		{ "a cut link in every state leaves it at the source (1, 2)",
		    cut_link_in_every_state_leaves_it_at_the_source },
		{ "a silent link is noticed (2)", silent_link_is_noticed },
		{ "an unanswered link is noticed sooner (2)",
		    unanswered_link_is_noticed_sooner },
		{ "a doubted link must be heard within two seconds (2)",
		    doubted_link_must_be_heard_soon },
		{ "a bit flipped on the way ends it (2, 3)",
		    flipped_bit_on_the_way_ends_it },
		{ "a page that is wrong is found before release (3)",
		    page_that_is_wrong_is_found_before_release },
		{ "the bandwidth limit is kept", bandwidth_limit_is_kept },
		{ "stale answers change nothing (1)",
		    stale_answers_change_nothing },
		{ "a disk moves with memory (3, 8)", disk_moves_with_memory },
		{ "an empty disk costs nothing", empty_disk_costs_nothing },
		{ "discarded blocks are given back at the target",
		    discarded_blocks_are_given_back_at_the_target },
		{ "a full disk at the target ends it (2)",
		    full_disk_at_the_target_ends_it },
		{ "bits between regions mean nothing",
		    bits_between_regions_mean_nothing },
	};

	log_init("test_sync", LOG_ERR);
	return unit_main("sync", tests, sizeof(tests) / sizeof(tests[0]));
}
