/* SPDX-License-Identifier: ISC */
/*
 * The page space: where regions begin, that pages between them do not exist, which
 * file of a layered disk is read, and that what is empty is known without reading.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fakes/fake-space.h"
#include "unit.h"

#define MIB		((uint64_t)1 << 20)
#define RAM_PAGES	700u
#define DISK_PAGES	64u
#define BOOT_BYTES	5000u

static struct space_plan
three_regions(void)
{
	struct space_plan plan;

	memset(&plan, 0, sizeof(plan));
	CU_ASSERT_EQUAL_FATAL(space_plan_add(&plan, SPACE_RAM,
	    RAM_PAGES * (uint64_t)PAGE_BYTES), 0);
	CU_ASSERT_EQUAL_FATAL(space_plan_add(&plan, SPACE_DISK,
	    DISK_PAGES * (uint64_t)PAGE_BYTES), 0);
	CU_ASSERT_EQUAL_FATAL(space_plan_add(&plan, SPACE_KERNEL,
	    BOOT_BYTES), 0);
	return plan;
}

static void
regions_begin_at_multiples(void)
{
	struct space_plan plan = three_regions();

	CU_ASSERT_EQUAL(plan.regions[0].first, 0);
	CU_ASSERT_EQUAL(plan.regions[1].first, 1024);
	CU_ASSERT_EQUAL(plan.regions[2].first, 1536);
	CU_ASSERT_EQUAL(plan.regions[2].n_pages, 2);
	CU_ASSERT_EQUAL(plan.n_pages, 1538);
	CU_ASSERT_EQUAL(plan.n_dirty, 1024 + DISK_PAGES);
}

static void
sizes_out_of_bounds_are_refused(void)
{
	struct space_plan plan = { .n_regions = 0 };

	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_RAM, 0), -EINVAL);
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_RAM,
	    RAM_MAX_BYTES + PAGE_BYTES), -EINVAL);
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_RAM, 4097), -EINVAL);
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_DISK,
	    DISK_MAX_BYTES + PAGE_BYTES), -EINVAL);
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_DISK, 5000), -EINVAL);
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_INITRD,
	    BOOT_FILE_MAX_BYTES + 1), -EINVAL);
	CU_ASSERT_EQUAL(plan.n_regions, 0);
	/* The largest there can be is within what the sets can hold. */
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_RAM, RAM_MAX_BYTES), 0);
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_DISK,
		    DISK_MAX_BYTES), 0);
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_KERNEL,
	    BOOT_FILE_MAX_BYTES), 0);
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_INITRD,
	    BOOT_FILE_MAX_BYTES), 0);
	CU_ASSERT_EQUAL(space_plan_add(&plan, SPACE_INITRD, 1), -E2BIG);
	CU_ASSERT(plan.n_pages <= SPACE_MAX_PAGES);
}

static void
plan_of_a_description(void)
{
	Persona__Spec__Spec spec = PERSONA__SPEC__SPEC__INIT;
	Persona__Spec__Disk disk = PERSONA__SPEC__DISK__INIT, *disks = &disk;
	Persona__Spec__Boot kernel = PERSONA__SPEC__BOOT__INIT;
	Persona__Transfer__Region regions[3], *list[3];
	struct space_plan plan, expected = three_regions();
	const uint64_t ram = RAM_PAGES * (uint64_t)PAGE_BYTES;

	CU_ASSERT_EQUAL(space_plan(&plan, ram, NULL), 0);
	CU_ASSERT_EQUAL(plan.n_regions, 1);
	CU_ASSERT(!space_plan_equal(&plan, &expected));
	disk.bytes = DISK_PAGES * (uint64_t)PAGE_BYTES;
	kernel.bytes = BOOT_BYTES;
	spec.disks = &disks;
	spec.n_disks = 1;
	spec.kernel = &kernel;
	CU_ASSERT_EQUAL(space_plan(&plan, ram, &spec), 0);
	CU_ASSERT(space_plan_equal(&plan, &expected));
	for (size_t i = 0; i < 3; i++) {
		persona__transfer__region__init(&regions[i]);
		regions[i].kind = (Persona__Transfer__Region__Kind)
		    plan.regions[i].kind;
		regions[i].bytes = plan.regions[i].bytes;
		list[i] = &regions[i];
	}
	CU_ASSERT_EQUAL(space_plan_check(&plan, list, 3), 0);
	CU_ASSERT_EQUAL(space_plan_check(&plan, list, 2), -EINVAL);
	regions[1].bytes += PAGE_BYTES;
	CU_ASSERT_EQUAL(space_plan_check(&plan, list, 3), -EINVAL);
	regions[1].bytes -= PAGE_BYTES;
	regions[2].kind = PERSONA__TRANSFER__REGION__KIND__INITRD;
	CU_ASSERT_EQUAL(space_plan_check(&plan, list, 3), -EINVAL);
}

static void
pages_between_regions_do_not_exist(void)
{
	struct space_plan plan = three_regions();
	struct space *s = fake_space(&plan);
	uint8_t page[2 * PAGE_BYTES];
	const uint8_t *p;

	CU_ASSERT(space_has(s, 0, RAM_PAGES));
	CU_ASSERT(!space_has(s, 0, RAM_PAGES + 1));
	CU_ASSERT(!space_has(s, RAM_PAGES, 1));
	CU_ASSERT(!space_has(s, 1023, 2));
	CU_ASSERT(space_has(s, 1024, DISK_PAGES));
	CU_ASSERT(!space_has(s, 1024, UINT64_MAX));
	CU_ASSERT(!space_has(s, 1538, 1));
	CU_ASSERT(!space_has(s, UINT64_MAX, 1));
	memset(page, 1, sizeof(page));
	CU_ASSERT_EQUAL(space_write(s, RAM_PAGES, page, 1), -EINVAL);
	CU_ASSERT_EQUAL(space_write(s, 1024 + DISK_PAGES - 1, page, 2),
	    -EINVAL);
	CU_ASSERT_EQUAL(space_zero(s, RAM_PAGES - 1, 2), -EINVAL);
	CU_ASSERT_EQUAL(space_page(s, RAM_PAGES, &p), -EINVAL);
	CU_ASSERT_EQUAL(space_page(s, 1538, &p), -EINVAL);
	space_free(s);
}

static void
last_page_is_filled_up_with_zeros(void)
{
	struct space_plan plan = three_regions();
	struct space *s = fake_space(&plan);
	uint8_t page[PAGE_BYTES];
	const uint8_t *p;

	memset(page, 7, sizeof(page));
	CU_ASSERT_EQUAL(space_write(s, 1537, page, 1), -EPROTO);
	memset(page + BOOT_BYTES % PAGE_BYTES, 0,
	    PAGE_BYTES - BOOT_BYTES % PAGE_BYTES);
	CU_ASSERT_EQUAL(space_write(s, 1537, page, 1), 0);
	CU_ASSERT_EQUAL_FATAL(space_page(s, 1537, &p), 0);
	CU_ASSERT_EQUAL(memcmp(p, page, PAGE_BYTES), 0);
	/* The first page is a hole, and still one block with the second. */
	CU_ASSERT_EQUAL_FATAL(space_page(s, 1536, &p), 0);
	CU_ASSERT_EQUAL(p[0], 0);
	CU_ASSERT_EQUAL(space_zero(s, 1536, 2), 0);
	CU_ASSERT_EQUAL_FATAL(space_page(s, 1537, &p), 0);
	CU_ASSERT_EQUAL(p[0], 0);
	CU_ASSERT_EQUAL(space_sync(s), 0);
	space_free(s);
}

static void
read_only_cannot_be_written(void)
{
	struct space_plan plan = three_regions();
	uint8_t page[PAGE_BYTES] = { 1 };
	struct space *s;
	int fd = fake_file(plan.regions[1].bytes), other;

	CU_ASSERT_EQUAL_FATAL(space_new(&s, &plan), 0);
	CU_ASSERT_EQUAL(space_back(s, 1, &fd, 1, false), 0);
	CU_ASSERT_EQUAL(space_write(s, 1024, page, 1), -EINVAL);
	CU_ASSERT_EQUAL(space_zero(s, 1024, 1), -EINVAL);
	/* Twice, of the wrong size, none: refused, and never left open. */
	other = fake_file(plan.regions[1].bytes);
	CU_ASSERT_EQUAL(space_back(s, 1, &other, 1, false), -EINVAL);
	CU_ASSERT(fcntl(other, F_GETFD) < 0);
	other = fake_file(PAGE_BYTES);
	CU_ASSERT_EQUAL(space_back(s, 2, &other, 1, false), -EINVAL);
	other = -1;
	CU_ASSERT_EQUAL(space_back(s, 0, &other, 1, false), -EINVAL);
	space_free(s);
}

/* first..end, as numbers of pages, at or after `from`. */
static void
assert_data(struct space *s, uint64_t from, uint64_t first, uint64_t end)
{
	uint64_t f = 0, e = 0;

	CU_ASSERT(space_data(s, from, &f, &e));
	CU_ASSERT_EQUAL(f, first);
	CU_ASSERT_EQUAL(e, end);
}

static void
holes_are_known_without_reading(void)
{
	struct space_plan plan = three_regions();
	struct space *s = fake_space(&plan);
	uint8_t page[PAGE_BYTES] = { 1 };
	uint64_t first, end;

	CU_ASSERT(!space_data(s, 0, &first, &end));
	fake_page(s, 10)[5] = 1;
	fake_put(s, 1024 + 20, page);
	fake_put(s, 1024 + 21, page);
	fake_put(s, 1536, page);
	assert_data(s, 0, 10, 11);
	assert_data(s, 11, 1044, 1046);
	assert_data(s, 1045, 1045, 1046);
	assert_data(s, 1046, 1536, 1537);
	CU_ASSERT(!space_data(s, 1537, &first, &end));
	CU_ASSERT_EQUAL(space_zero(s, 1044, 2), 0);
	assert_data(s, 11, 1536, 1537);
	space_free(s);
}

static void
kept_block_is_forgotten(void)
{
	struct space_plan plan = three_regions();
	uint8_t page[PAGE_BYTES] = { 9 };
	const uint8_t *p;
	struct space *s;
	int fd = fake_file(plan.regions[1].bytes), guest = dup(fd);

	CU_ASSERT_EQUAL_FATAL(space_new(&s, &plan), 0);
	CU_ASSERT_EQUAL_FATAL(space_back(s, 1, &fd, 1, false), 0);
	CU_ASSERT_EQUAL_FATAL(space_page(s, 1025, &p), 0);
	CU_ASSERT_EQUAL(p[0], 0);
	CU_ASSERT_EQUAL(pwrite(guest, page, PAGE_BYTES, 2 * PAGE_BYTES),
	    (ssize_t)PAGE_BYTES);
	space_changed(s);
	CU_ASSERT_EQUAL_FATAL(space_page(s, 1026, &p), 0);
	CU_ASSERT_EQUAL(p[0], 9);
	close(guest);
	space_free(s);
}

/* Blocks 0 and 2 are the disk's own, 1 and 3 the base's. */
static void
layered_disk_is_read_from_both(void)
{
	struct space_plan plan = three_regions();
	uint64_t bytes = plan.regions[1].bytes;
	int fds[3] = { fake_file(bytes), fake_file(1), fake_file(bytes) };
	uint8_t page[PAGE_BYTES];
	const uint8_t *p;
	struct space *s;

	for (unsigned int block = 0; block < 4; block++) {
		memset(page, 0x10 + (int)block, sizeof(page));
		CU_ASSERT(pwrite(fds[0], page, sizeof(page),
		    (off_t)block * 65536) > 0);
		memset(page, 0x20 + (int)block, sizeof(page));
		CU_ASSERT(pwrite(fds[2], page, sizeof(page),
		    (off_t)block * 65536 + 8192) > 0);
	}
	CU_ASSERT_EQUAL(pwrite(fds[1], "\x05", 1, 0), 1);
	CU_ASSERT_EQUAL_FATAL(space_new(&s, &plan), 0);
	CU_ASSERT_EQUAL_FATAL(space_back(s, 1, fds, 3, false), 0);
	for (unsigned int block = 0; block < 4; block++) {
		bool own = block % 2 == 0;

		CU_ASSERT_EQUAL_FATAL(space_page(s, 1024 + block * 16, &p), 0);
		CU_ASSERT_EQUAL(p[0], own ? 0x10 + block : 0);
		CU_ASSERT_EQUAL_FATAL(space_page(s, 1026 + block * 16, &p), 0);
		CU_ASSERT_EQUAL(p[0], own ? 0 : 0x20 + block);
	}
	assert_data(s, 1024, 1024, 1025);
	assert_data(s, 1025, 1042, 1043);
	assert_data(s, 1043, 1056, 1057);
	assert_data(s, 1057, 1074, 1075);
	space_free(s);
}

static void
layered_disk_of_wrong_parts_is_refused(void)
{
	struct space_plan plan = three_regions();
	uint64_t bytes = plan.regions[1].bytes;
	struct space *s;

	for (int wrong = 0; wrong < 4; wrong++) {
		int fds[3] = { fake_file(wrong == 0 ? 4096 : bytes),
		    fake_file(wrong == 1 ? 0 : 1),
		    fake_file(wrong == 2 ? bytes + 4096 : bytes) };

		CU_ASSERT_EQUAL_FATAL(space_new(&s, &plan), 0);
		/* RAM has no layers. */
		CU_ASSERT_EQUAL(space_back(s, wrong == 3 ? 0 : 1, fds, 3,
		    false), -EINVAL);
		space_free(s);
	}
}

static unsigned int
map_byte(int fd)
{
	uint8_t byte = 0xff;

	CU_ASSERT_EQUAL(pread(fd, &byte, 1, 0), 1);
	return byte;
}

/* Block 2 is own in the source, then block 0 as well; a copy takes over just those. */
static void
own_blocks_are_claimed_one_by_one(void)
{
	struct space_plan plan = three_regions();
	uint64_t bytes = plan.regions[1].bytes, first = 0, end = 0;
	int there[3] = { fake_file(bytes), fake_file(1), fake_file(bytes) };
	int here[3] = { fake_file(bytes), fake_file(1), dup(there[2]) };
	int there_map = dup(there[1]), here_map = dup(here[1]);
	uint8_t page[PAGE_BYTES];
	struct space *from, *to;
	const uint8_t *p;

	memset(page, 7, sizeof(page));
	CU_ASSERT_EQUAL(pwrite(there[2], page, sizeof(page), 65536), PAGE_BYTES);
	CU_ASSERT_EQUAL(pwrite(there_map, "\x04", 1, 0), 1);
	CU_ASSERT_EQUAL_FATAL(space_new(&from, &plan), 0);
	CU_ASSERT_EQUAL_FATAL(space_back(from, 1, there, 3, false), 0);
	CU_ASSERT_EQUAL_FATAL(space_new(&to, &plan), 0);
	CU_ASSERT_EQUAL_FATAL(space_back(to, 1, here, 3, true), 0);

	CU_ASSERT_FALSE(space_is_own(to, 1024 + 32));
	CU_ASSERT_EQUAL(space_write(to, 1024 + 32, page, 1), -EINVAL);
	CU_ASSERT_EQUAL(space_zero(to, 1024 + 32, 1), -EINVAL);
	CU_ASSERT_TRUE(space_claim(to, from, 0, &first, &end));
	CU_ASSERT_EQUAL(first, 1024 + 32);
	CU_ASSERT_EQUAL(end, 1024 + 48);
	CU_ASSERT_FALSE(space_claim(to, from, 0, &first, &end));
	CU_ASSERT_TRUE(space_is_own(to, 1024 + 47));
	CU_ASSERT_FALSE(space_is_own(to, 1024 + 48));
	CU_ASSERT_EQUAL(space_write(to, 1024 + 33, page, 1), 0);
	/* Half in a block of the base. */
	CU_ASSERT_EQUAL(space_zero(to, 1024 + 40, 16), -EINVAL);
	CU_ASSERT_EQUAL(space_page(to, 1024 + 16, &p), 0);
	CU_ASSERT_EQUAL(p[0], 7);

	/* What the map claims is on storage first. */
	CU_ASSERT_EQUAL(map_byte(here_map), 0);
	CU_ASSERT_EQUAL(space_sync(to), 0);
	CU_ASSERT_EQUAL(map_byte(here_map), 4);

	CU_ASSERT_EQUAL(pwrite(there_map, "\x05", 1, 0), 1);
	CU_ASSERT_FALSE(space_claim(to, from, 1024 + 16, &first, &end));
	CU_ASSERT_TRUE(space_claim(to, from, 1024, &first, &end));
	CU_ASSERT_EQUAL(first, 1024);
	CU_ASSERT_EQUAL(space_sync(to), 0);
	CU_ASSERT_EQUAL(map_byte(here_map), 5);
	close(there_map);
	close(here_map);
	space_free(from);
	space_free(to);
}

static void
zeroed_blocks_are_given_back(void)
{
	struct space_plan plan = { .n_regions = 0 };
	struct space *s;
	struct stat st;
	uint8_t *some = malloc(MIB);
	int fd = fake_file(16 * MIB), mine = dup(fd);

	CU_ASSERT_PTR_NOT_NULL_FATAL(some);
	memset(some, 3, MIB);
	CU_ASSERT_EQUAL_FATAL(space_plan_add(&plan, SPACE_DISK, 16 * MIB), 0);
	CU_ASSERT_EQUAL_FATAL(space_new(&s, &plan), 0);
	CU_ASSERT_EQUAL_FATAL(space_back(s, 0, &fd, 1, true), 0);
	for (uint64_t at = 0; at < 16 * MIB / PAGE_BYTES;
	    at += MIB / PAGE_BYTES) {
		CU_ASSERT_EQUAL(space_write(s, at, some, MIB / PAGE_BYTES), 0);
		space_settle(s);
	}
	CU_ASSERT_EQUAL(fstat(mine, &st), 0);
	CU_ASSERT(st.st_blocks * 512 >= (blkcnt_t)(16 * MIB));
	CU_ASSERT_EQUAL(space_zero(s, 0, 15 * MIB / PAGE_BYTES), 0);
	CU_ASSERT_EQUAL(fstat(mine, &st), 0);
	CU_ASSERT(st.st_blocks * 512 <= (blkcnt_t)(2 * MIB));
	CU_ASSERT_EQUAL(st.st_size, (off_t)(16 * MIB));
	free(some);
	close(mine);
	space_free(s);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "regions begin at multiples", regions_begin_at_multiples },
		{ "sizes out of bounds are refused (7)",
		    sizes_out_of_bounds_are_refused },
		{ "a description gives the plan", plan_of_a_description },
		{ "pages between regions do not exist (7)",
		    pages_between_regions_do_not_exist },
		{ "the last page is filled up with zeros (7)",
		    last_page_is_filled_up_with_zeros },
		{ "what is read-only cannot be written",
		    read_only_cannot_be_written },
		{ "holes are known without reading",
		    holes_are_known_without_reading },
		{ "a block that was read is forgotten (8)",
		    kept_block_is_forgotten },
		{ "a layered disk is read from both of its files",
		    layered_disk_is_read_from_both },
		{ "own blocks are claimed one by one",
		    own_blocks_are_claimed_one_by_one },
		{ "a layered disk of wrong parts is refused",
		    layered_disk_of_wrong_parts_is_refused },
		{ "zeroed blocks are given back", zeroed_blocks_are_given_back },
	};

	return unit_main("space", tests, sizeof(tests) / sizeof(tests[0]));
}
