/* SPDX-License-Identifier: ISC */
/*
 * What is saved is one instant: changes during the rounds and up to the stop are in
 * it, those after it are not; holes stay holes, and the root is that of the copy.
 * (Invariants 3 and 8.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounds.h"
#include "space.h"
#include "sync-save.h"
#include "unit.h"

#define RAM		RAM_MIN_BYTES
#define DISK		(1u << 20)
#define DISK_PFN	(RAM / PAGE_BYTES)

struct world {
	struct sync_save	*save;
	struct space		*from, *to;
	struct space_plan	plan;
	int			ram_fd, disk_fd, to_ram_fd, to_disk_fd;
	/* With layers: maps of both, and what lies under both; else -1. */
	int			map_fd, to_map_fd, base_fd;
	uint64_t		*dirty;
	/* what the engine asked for */
	bool			again, harvest, start, want_stop, copied, done;
	int			failed;
	struct digest		root;
	uint64_t		now;
};

static void
on_again(void *arg)
{
	((struct world *)arg)->again = true;
}

static uint64_t
on_now(void *arg)
{
	/* Every look at the clock is a millisecond: slices end. */
	return ((struct world *)arg)->now += 1000000;
}

static void
on_harvest(void *arg, bool start)
{
	struct world *w = arg;

	w->harvest = true;
	w->start = start;
}

static void
on_want_stop(void *arg)
{
	((struct world *)arg)->want_stop = true;
}

static void
on_copied(void *arg)
{
	((struct world *)arg)->copied = true;
}

static void
on_done(void *arg, const struct digest *root)
{
	struct world *w = arg;

	w->done = true;
	if (root != NULL)
		w->root = *root;
}

static void
on_failed(void *arg, int r)
{
	((struct world *)arg)->failed = r;
}

static const struct sync_save_ops ops = {
	.again = on_again,
	.now_ns = on_now,
	.harvest = on_harvest,
	.want_stop = on_want_stop,
	.copied = on_copied,
	.done = on_done,
	.failed = on_failed,
};

static int
file_of(uint64_t bytes)
{
	int fd = memfd_create("save", MFD_CLOEXEC);

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static void
back(struct space *s, size_t i, int fd, bool writable)
{
	int own = dup(fd);

	CU_ASSERT_EQUAL_FATAL(space_back(s, i, &own, 1, writable), 0);
}

static void
back_layers(struct space *s, const int layers[SPACE_REGION_FDS], bool writable)
{
	int fds[SPACE_REGION_FDS];

	for (size_t i = 0; i < SPACE_REGION_FDS; i++)
		fds[i] = dup(layers[i]);
	CU_ASSERT_EQUAL_FATAL(space_back(s, 1, fds, SPACE_REGION_FDS,
	    writable), 0);
}

static void
back_disks(struct world *w, bool layered)
{
	if (!layered) {
		back(w->from, 1, w->disk_fd, false);
		back(w->to, 1, w->to_disk_fd, true);
		return;
	}
	w->map_fd = file_of(2);
	w->to_map_fd = file_of(2);
	w->base_fd = file_of(DISK);
	back_layers(w->from, (int[]){ w->disk_fd, w->map_fd, w->base_fd },
	    false);
	back_layers(w->to, (int[]){ w->to_disk_fd, w->to_map_fd,
	    w->base_fd }, true);
}

static void
world_open_over(struct world *w, bool stop_first, bool layered)
{
	struct sync_save_config c;

	memset(w, 0, sizeof(*w));
	w->map_fd = w->to_map_fd = w->base_fd = -1;
	CU_ASSERT_EQUAL_FATAL(space_plan_add(&w->plan, SPACE_RAM, RAM), 0);
	CU_ASSERT_EQUAL_FATAL(space_plan_add(&w->plan, SPACE_DISK, DISK), 0);
	CU_ASSERT_EQUAL_FATAL(space_new(&w->from, &w->plan), 0);
	CU_ASSERT_EQUAL_FATAL(space_new(&w->to, &w->plan), 0);
	w->ram_fd = file_of(RAM);
	w->disk_fd = file_of(DISK);
	w->to_ram_fd = file_of(RAM);
	w->to_disk_fd = file_of(DISK);
	back(w->from, 0, w->ram_fd, false);
	back(w->to, 0, w->to_ram_fd, true);
	back_disks(w, layered);
	w->dirty = calloc((w->plan.n_dirty + 63) / 64, sizeof(uint64_t));
	CU_ASSERT_PTR_NOT_NULL_FATAL(w->dirty);
	c = (struct sync_save_config){ .from = w->from, .to = w->to,
	    .dirty = w->dirty, .stop_first = stop_first, .rooted = true };
	CU_ASSERT_EQUAL_FATAL(sync_save_new(&w->save, &c, &ops, w), 0);
}

static void
world_open(struct world *w, bool stop_first)
{
	world_open_over(w, stop_first, false);
}

static void
world_close(struct world *w)
{
	const int layers[] = { w->map_fd, w->to_map_fd, w->base_fd };

	for (size_t i = 0; i < 3; i++)
		if (layers[i] >= 0)
			close(layers[i]);
	sync_save_free(w->save);
	space_free(w->from);
	space_free(w->to);
	free(w->dirty);
	close(w->ram_fd);
	close(w->disk_fd);
	close(w->to_ram_fd);
	close(w->to_disk_fd);
}

/* The guest, or its disk, writes a page; the log hears of it. */
static void
write_page(struct world *w, uint64_t pfn, const char *text)
{
	bool disk = pfn >= DISK_PFN;
	off_t at = (off_t)((disk ? pfn - DISK_PFN : pfn) * PAGE_BYTES);
	char page[PAGE_BYTES] = "";

	snprintf(page, sizeof(page), "%s", text);
	CU_ASSERT_EQUAL(pwrite(disk ? w->disk_fd : w->ram_fd, page,
	    sizeof(page), at), (ssize_t)sizeof(page));
	w->dirty[pfn / 64] |= 1ULL << pfn % 64;
}

static bool
saved(const struct world *w, uint64_t pfn, const char *text)
{
	bool disk = pfn >= DISK_PFN;
	off_t at = (off_t)((disk ? pfn - DISK_PFN : pfn) * PAGE_BYTES);
	char page[PAGE_BYTES], want[PAGE_BYTES] = "";

	snprintf(want, sizeof(want), "%s", text);
	return pread(disk ? w->to_disk_fd : w->to_ram_fd, page, sizeof(page),
	    at) == (ssize_t)sizeof(page) &&
	    memcmp(page, want, sizeof(page)) == 0;
}

/* Work until the engine waits for an answer or has ended. */
static void
settle(struct world *w)
{
	while (w->again) {
		w->again = false;
		sync_save_step(w->save);
	}
}

static void
answer_harvest(struct world *w)
{
	CU_ASSERT_TRUE_FATAL(w->harvest);
	w->harvest = false;
	sync_save_harvested(w->save);
	settle(w);
}

static void
what_is_saved_is_one_instant(void)
{
	struct world w;

	world_open(&w, false);
	write_page(&w, 7, "old");
	write_page(&w, 8, "stays");
	write_page(&w, DISK_PFN + 3, "old block");
	write_page(&w, DISK_PFN + 4, "will be discarded");
	memset(w.dirty, 0, 8 * ((w.plan.n_dirty + 63) / 64));
	sync_save_begin(w.save);
	CU_ASSERT_TRUE(w.start);
	answer_harvest(&w);		/* and the first round */
	CU_ASSERT_TRUE(saved(&w, 7, "old"));

	/* Between the first round and the stop. */
	write_page(&w, 7, "new");
	write_page(&w, DISK_PFN + 3, "new block");
	answer_harvest(&w);
	CU_ASSERT_TRUE(w.want_stop);
	CU_ASSERT_FALSE(w.copied);

	/* Asked to stop, and not yet stopped. */
	write_page(&w, 9, "last words");
	write_page(&w, DISK_PFN + 4, "");
	sync_save_stopped(w.save, "state", 5);
	answer_harvest(&w);
	CU_ASSERT_TRUE(w.copied);
	CU_ASSERT_TRUE(w.done);
	CU_ASSERT_EQUAL(w.failed, 0);

	/* It runs on; that is another time. */
	write_page(&w, 7, "later");
	CU_ASSERT_TRUE(saved(&w, 7, "new"));
	CU_ASSERT_TRUE(saved(&w, 8, "stays"));
	CU_ASSERT_TRUE(saved(&w, 9, "last words"));
	CU_ASSERT_TRUE(saved(&w, DISK_PFN + 3, "new block"));
	CU_ASSERT_TRUE(saved(&w, DISK_PFN + 4, ""));
	world_close(&w);
}

static void
root_is_that_of_the_copy(void)
{
	struct digest_tree *tree;
	struct digest d, state;
	char page[PAGE_BYTES] = "seven";
	struct world w;

	world_open(&w, true);
	write_page(&w, 7, "seven");
	sync_save_begin(w.save);
	CU_ASSERT_TRUE(w.want_stop);
	CU_ASSERT_FALSE(w.harvest);
	sync_save_stopped(w.save, "state", 5);
	settle(&w);
	CU_ASSERT_TRUE_FATAL(w.done);
	CU_ASSERT_TRUE(saved(&w, 7, "seven"));

	CU_ASSERT_EQUAL_FATAL(digest_tree_new(&tree, w.plan.n_pages), 0);
	digest_page(&d, page);
	digest_tree_set(tree, 7, &d);
	digest_bytes(&state, "state", 5);
	digest_tree_root(tree, &state, &d);
	CU_ASSERT_TRUE(digest_equal(&d, &w.root));
	digest_tree_free(tree);
	world_close(&w);
}

/* The disk takes blocks over from its base, as hypervisor/disk.c does. */
static void
own_blocks_are(struct world *w, const char *map)
{
	CU_ASSERT_EQUAL(pwrite(w->map_fd, map, 2, 0), 2);
}

static void
over_a_base_only_own_blocks_are_saved(void)
{
	char base[PAGE_BYTES] = "base", map[2] = "";
	const uint8_t *page;
	struct world w;
	struct stat st;

	world_open_over(&w, false, true);
	for (uint64_t pfn = 0; pfn < DISK / PAGE_BYTES; pfn++)
		CU_ASSERT(pwrite(w.base_fd, base, sizeof(base),
		    (off_t)(pfn * PAGE_BYTES)) > 0);
	/* Block 1 is own: a page of data, holes beside it. */
	write_page(&w, DISK_PFN + 17, "own");
	own_blocks_are(&w, "\x02\0");
	memset(w.dirty, 0, 8 * ((w.plan.n_dirty + 63) / 64));
	sync_save_begin(w.save);
	answer_harvest(&w);

	/* Block 4 is taken over whole while it runs: one page of it is new. */
	write_page(&w, DISK_PFN + 64, "taken over");
	write_page(&w, DISK_PFN + 65, "and changed");
	memset(w.dirty, 0, 8 * ((w.plan.n_dirty + 63) / 64));
	w.dirty[(DISK_PFN + 65) / 64] |= 1ULL << (DISK_PFN + 65) % 64;
	own_blocks_are(&w, "\x12\0");
	answer_harvest(&w);
	CU_ASSERT_TRUE(w.want_stop);
	/* Block 8 in the last moment. */
	write_page(&w, DISK_PFN + 128, "last");
	own_blocks_are(&w, "\x12\x01");
	sync_save_stopped(w.save, "state", 5);
	answer_harvest(&w);
	CU_ASSERT_TRUE_FATAL(w.done);

	CU_ASSERT_TRUE(saved(&w, DISK_PFN + 17, "own"));
	CU_ASSERT_TRUE(saved(&w, DISK_PFN + 16, ""));
	CU_ASSERT_TRUE(saved(&w, DISK_PFN + 64, "taken over"));
	CU_ASSERT_TRUE(saved(&w, DISK_PFN + 65, "and changed"));
	CU_ASSERT_TRUE(saved(&w, DISK_PFN + 128, "last"));
	CU_ASSERT_EQUAL(pread(w.to_map_fd, map, 2, 0), 2);
	CU_ASSERT_EQUAL(memcmp(map, "\x12\x01", 2), 0);
	CU_ASSERT_EQUAL(fstat(w.to_disk_fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_blocks * 512, 4 * (long)PAGE_BYTES);
	CU_ASSERT_EQUAL(space_page(w.to, DISK_PFN, &page), 0);
	CU_ASSERT_EQUAL(memcmp(page, base, sizeof(base)), 0);
	world_close(&w);
}

/* Whether blocks are shared or not, what is saved is the same. */
static void
root_is_that_of_the_whole_disk(void)
{
	struct digest roots[2];
	char page[PAGE_BYTES] = "base";

	for (int layered = 0; layered < 2; layered++) {
		struct world w;

		world_open_over(&w, true, layered);
		CU_ASSERT(pwrite(layered ? w.base_fd : w.disk_fd, page,
		    sizeof(page), 0) > 0);
		write_page(&w, DISK_PFN + 17, "own");
		if (layered)
			own_blocks_are(&w, "\x02\0");
		sync_save_begin(w.save);
		sync_save_stopped(w.save, "state", 5);
		settle(&w);
		CU_ASSERT_TRUE_FATAL(w.done);
		roots[layered] = w.root;
		world_close(&w);
	}
	CU_ASSERT_TRUE(digest_equal(&roots[0], &roots[1]));
}

static void
holes_cost_nothing(void)
{
	struct world w;
	struct stat st;

	world_open(&w, true);
	write_page(&w, 1, "one");
	sync_save_begin(w.save);
	sync_save_stopped(w.save, "", 0);
	settle(&w);
	CU_ASSERT_TRUE_FATAL(w.done);
	CU_ASSERT_EQUAL(fstat(w.to_ram_fd, &st), 0);
	CU_ASSERT_TRUE(st.st_blocks * 512 <= 2 * (long)PAGE_BYTES);
	CU_ASSERT_EQUAL(fstat(w.to_disk_fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_blocks, 0);
	world_close(&w);
}

/* A guest that dirties ever more does not keep the rounds going for ever. */
static void
restless_guest_is_stopped(void)
{
	struct world w;
	unsigned int rounds = 0;

	world_open(&w, false);
	sync_save_begin(w.save);
	answer_harvest(&w);
	while (!w.want_stop && rounds < 100) {
		for (uint64_t pfn = 0; pfn < 4096; pfn++)
			w.dirty[pfn / 64] |= 1ULL << pfn % 64;
		answer_harvest(&w);
		rounds++;
	}
	CU_ASSERT_TRUE(w.want_stop);
	CU_ASSERT_TRUE(rounds <= 8);
	world_close(&w);
}

static void
full_disk_ends_it(void)
{
	struct world w;

	world_open(&w, true);
	/* A sealed file refuses the page as a full file system would. */
	write_page(&w, 3, "three");
	space_free(w.to);
	CU_ASSERT_EQUAL_FATAL(space_new(&w.to, &w.plan), 0);
	sync_save_free(w.save);
	CU_ASSERT_EQUAL_FATAL(sync_save_new(&w.save,
	    &(struct sync_save_config){ .from = w.from, .to = w.to,
	    .stop_first = true }, &ops, &w), 0);
	sync_save_begin(w.save);
	sync_save_stopped(w.save, "", 0);
	settle(&w);
	CU_ASSERT_TRUE(w.failed < 0);
	CU_ASSERT_FALSE(w.copied);
	CU_ASSERT_FALSE(w.done);
	world_close(&w);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "what is saved is one instant",
		    what_is_saved_is_one_instant },
		{ "the root is that of the copy", root_is_that_of_the_copy },
		{ "over a base only own blocks are saved",
		    over_a_base_only_own_blocks_are_saved },
		{ "the root is that of the whole disk",
		    root_is_that_of_the_whole_disk },
		{ "holes cost nothing", holes_cost_nothing },
		{ "a restless guest is stopped", restless_guest_is_stopped },
		{ "what cannot be written ends it", full_disk_ends_it },
	};

	return unit_main("save", tests, sizeof(tests) / sizeof(tests[0]));
}
