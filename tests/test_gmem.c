/* SPDX-License-Identifier: ISC */
/* Guest addresses reach the right bytes, and no written page is forgotten. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bounds.h"
#include "fakes/fake-kvm.h"
#include "gmem.h"
#include "unit.h"

#define GB	(1ULL << 30)

struct bench {
	struct fake_kvm	*fake;
	struct kvm	*kvm;
	struct gmem	*g;
	int		fd;
	uint64_t	*bitmap;
};

static void
setup_on(struct bench *b, int fd, uint64_t size, bool manual)
{
	memset(b, 0, sizeof(*b));
	b->fake = fake_kvm_new(manual);
	b->fd = fd;
	CU_ASSERT_EQUAL_FATAL(ftruncate(b->fd, (off_t)size), 0);
	CU_ASSERT_EQUAL_FATAL(kvm_open(&b->kvm, &fake_kvm_ops, b->fake), 0);
	CU_ASSERT_EQUAL_FATAL(kvm_create_vm(b->kvm), 0);
	CU_ASSERT_EQUAL_FATAL(gmem_new(&b->g, b->kvm, b->fd, size), 0);
	b->bitmap = calloc(size / PAGE_BYTES / 64, sizeof(uint64_t));
}

static void
setup(struct bench *b, uint64_t size, bool manual)
{
	setup_on(b, memfd_create("ram", MFD_CLOEXEC), size, manual);
}

static void
tear_down(struct bench *b)
{
	gmem_free(b->g);
	kvm_close(b->kvm);
	fake_kvm_free(b->fake);
	free(b->bitmap);
	close(b->fd);
}

static bool
bit(const struct bench *b, uint64_t page)
{
	return b->bitmap[page / 64] >> (page % 64) & 1;
}

static void
memory_above_3_gib_starts_at_4(void)
{
	struct bench b;
	uint64_t gpa, len, v = 0x1122334455667788u, got = 0;

	setup(&b, 5 * GB, true);
	fake_kvm_slot(b.fake, 0, &gpa, &len);
	CU_ASSERT_EQUAL(gpa, 0);
	CU_ASSERT_EQUAL(len, 3 * GB);
	fake_kvm_slot(b.fake, 1, &gpa, &len);
	CU_ASSERT_EQUAL(gpa, 4 * GB);
	CU_ASSERT_EQUAL(len, 2 * GB);
	CU_ASSERT_EQUAL(gmem_write(b.g, 4 * GB + 8, &v, sizeof(v)), 0);
	CU_ASSERT_EQUAL(pread(b.fd, &got, 8, (off_t)(3 * GB + 8)), 8);
	CU_ASSERT_EQUAL(got, v);
	tear_down(&b);
}

static void
addresses_outside_are_refused(void)
{
	struct bench b;
	char buf[16];

	setup(&b, 64 << 20, true);
	CU_ASSERT_PTR_NOT_NULL(gmem_ptr(b.g, (64 << 20) - 16, 16));
	CU_ASSERT_PTR_NULL(gmem_ptr(b.g, (64 << 20) - 15, 16));
	CU_ASSERT_PTR_NULL(gmem_ptr(b.g, UINT64_MAX, 16));
	CU_ASSERT_PTR_NULL(gmem_ptr(b.g, 16, UINT64_MAX));
	CU_ASSERT_EQUAL(gmem_read(b.g, 64 << 20, buf, 1), -EFAULT);
	CU_ASSERT_EQUAL(gmem_write(b.g, 4 * GB, buf, 16), -EFAULT);
	tear_down(&b);
	setup(&b, 5 * GB, true);
	CU_ASSERT_PTR_NULL(gmem_ptr(b.g, 3 * GB - 8, 16));
	CU_ASSERT_PTR_NULL(gmem_ptr(b.g, 3 * GB, 1));
	CU_ASSERT_PTR_NULL(gmem_ptr(b.g, 5 * GB, 2 * GB));
	tear_down(&b);
}

static void
odd_sizes_are_refused(void)
{
	struct bench b;
	struct gmem *g;

	setup(&b, 64 << 20, true);
	CU_ASSERT_EQUAL(gmem_new(&g, b.kvm, b.fd, (64 << 20) + 1), -EINVAL);
	CU_ASSERT_EQUAL(gmem_new(&g, b.kvm, b.fd, 32 << 20), -EINVAL);
	CU_ASSERT_EQUAL(gmem_new(&g, b.kvm, b.fd, 9 * GB), -EINVAL);
	fake_kvm_refuse(b.fake, KVM_SET_USER_MEMORY_REGION, ENOMEM);
	CU_ASSERT_EQUAL(gmem_new(&g, b.kvm, b.fd, 64 << 20), -ENOMEM);
	tear_down(&b);
}

static void
harvest_both(bool manual)
{
	struct bench b;
	uint64_t n = 99;

	setup(&b, 5 * GB, manual);
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), -EINVAL);
	gmem_mark_dirty(b.g, 0, 4096);		/* not logging: nothing */
	CU_ASSERT_EQUAL(gmem_dirty_start(b.g), 0);
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), 0);
	CU_ASSERT_EQUAL(n, 0);			/* all clean from the start */

	fake_kvm_dirty(b.fake, 0, 7);
	fake_kvm_dirty(b.fake, 1, 3);
	gmem_mark_dirty(b.g, 7 * 4096 + 1, 2);	/* the same page again */
	gmem_mark_dirty(b.g, 4 * GB + 9 * 4096 - 1, 2);
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), 0);
	CU_ASSERT_EQUAL(n, 4);
	CU_ASSERT_TRUE(bit(&b, 7));
	CU_ASSERT_TRUE(bit(&b, 3 * GB / 4096 + 3));
	CU_ASSERT_TRUE(bit(&b, 3 * GB / 4096 + 8));
	CU_ASSERT_TRUE(bit(&b, 3 * GB / 4096 + 9));

	/* Bits stay until their reader clears them; only new ones count. */
	fake_kvm_dirty(b.fake, 0, 7);
	fake_kvm_dirty(b.fake, 0, 8);
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), 0);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), 0);
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT_EQUAL(gmem_dirty_stop(b.g), 0);
	CU_ASSERT_FALSE(fake_kvm_is_logged(b.fake, 0));
	CU_ASSERT_FALSE(fake_kvm_is_logged(b.fake, 1));
	tear_down(&b);
}

static void
harvests_join_vcpus_and_devices(void)
{
	harvest_both(true);
}

static void
harvests_work_without_manual_protection(void)
{
	harvest_both(false);
}

static void
clearing_goes_in_chunks(void)
{
	struct bench b;

	setup(&b, 1 * GB, true);
	CU_ASSERT_EQUAL(gmem_dirty_start(b.g), 0);
	CU_ASSERT_TRUE(fake_kvm_largest_clear(b.fake) > 0);
	CU_ASSERT_TRUE(fake_kvm_largest_clear(b.fake) <= 16384);
	tear_down(&b);
}

static void
a_failed_start_logs_nothing(void)
{
	struct bench b;
	uint64_t n;

	setup(&b, 64 << 20, true);
	fake_kvm_refuse(b.fake, KVM_CLEAR_DIRTY_LOG, EIO);
	CU_ASSERT_EQUAL(gmem_dirty_start(b.g), -EIO);
	CU_ASSERT_FALSE(fake_kvm_is_logged(b.fake, 0));
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), -EINVAL);
	tear_down(&b);
}

static void
discarded_pages_are_holes(void)
{
	struct bench b;
	uint64_t n = 0, v = 1;

	setup(&b, 5 * GB, true);
	for (unsigned int page = 8; page < 12; page++)
		gmem_write(b.g, page * 4096 + 8, &v, sizeof(v));
	gmem_write(b.g, 4 * GB + 4096, &v, sizeof(v));
	CU_ASSERT_EQUAL(gmem_dirty_start(b.g), 0);
	/* Whole pages only: 9 and 10 of [8.5, 11.5). */
	CU_ASSERT_EQUAL(gmem_discard(b.g, 8 * 4096 + 2048, 3 * 4096), 0);
	CU_ASSERT_EQUAL(gmem_discarded(b.g), 2 * 4096);
	CU_ASSERT_EQUAL(lseek(b.fd, 9 * 4096, SEEK_DATA), 11 * 4096);
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), 0);
	CU_ASSERT_EQUAL(n, 2);
	CU_ASSERT_TRUE(bit(&b, 9) && bit(&b, 10));
	CU_ASSERT_EQUAL(gmem_read(b.g, 9 * 4096 + 8, &v, sizeof(v)), 0);
	CU_ASSERT_EQUAL(v, 0);
	CU_ASSERT_EQUAL(gmem_read(b.g, 8 * 4096 + 8, &v, sizeof(v)), 0);
	CU_ASSERT_EQUAL(v, 1);

	/* What is a hole already costs nothing; above the gap it works too. */
	CU_ASSERT_EQUAL(gmem_discard(b.g, 16 * 4096, 1 * GB), 0);
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), 0);
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT_EQUAL(gmem_discard(b.g, 4 * GB, 2 * GB), 0);
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), 0);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_TRUE(bit(&b, 3 * GB / 4096 + 1));
	/* Written after that: dirty, as ever. */
	fake_kvm_dirty(b.fake, 0, 10);
	b.bitmap[0] = 0;
	CU_ASSERT_EQUAL(gmem_dirty_harvest(b.g, b.bitmap, &n), 0);
	CU_ASSERT_TRUE(n == 1 && bit(&b, 10));

	CU_ASSERT_EQUAL(gmem_discard(b.g, 3 * GB - 4096, 8192), -EFAULT);
	CU_ASSERT_EQUAL(gmem_discard(b.g, 0, UINT64_MAX), -EFAULT);
	CU_ASSERT_EQUAL(gmem_discard(b.g, 8 * 4096 + 1, 4096), 0);
	CU_ASSERT_EQUAL(gmem_discard(b.g, 8 * 4096, 0), 0);
	CU_ASSERT_EQUAL(gmem_read(b.g, 8 * 4096 + 8, &v, sizeof(v)), 0);
	CU_ASSERT_EQUAL(v, 1);
	tear_down(&b);
}

/* Memory that is a file on a disk keeps its blocks: they may not be had again. */
static void
a_file_keeps_its_room(void)
{
	char name[] = "gmem.XXXXXX";
	int fd = mkstemp(name);
	uint64_t v = 1;
	struct bench b;

	CU_ASSERT_FATAL(fd >= 0);
	(void)unlink(name);
	if (fcntl(fd, F_GET_SEALS) >= 0) {
		puts("\n  files of this directory are memory: not tried");
		close(fd);
		return;
	}
	setup_on(&b, fd, 64 << 20, true);
	gmem_write(b.g, 8 * 4096, &v, sizeof(v));
	CU_ASSERT_EQUAL(gmem_discard(b.g, 8 * 4096, 4096), 0);
	CU_ASSERT_EQUAL(gmem_discarded(b.g), 0);
	CU_ASSERT_EQUAL(gmem_read(b.g, 8 * 4096, &v, sizeof(v)), 0);
	CU_ASSERT_EQUAL(v, 1);
	tear_down(&b);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "memory above 3 GiB starts at 4 GiB",
		    memory_above_3_gib_starts_at_4 },
		{ "addresses outside are refused",
		    addresses_outside_are_refused },
		{ "odd sizes are refused", odd_sizes_are_refused },
		{ "harvests join vCPUs and devices",
		    harvests_join_vcpus_and_devices },
		{ "harvests work without manual protection",
		    harvests_work_without_manual_protection },
		{ "clearing goes in chunks", clearing_goes_in_chunks },
		{ "discarded pages are holes, and dirty if they were none",
		    discarded_pages_are_holes },
		{ "a file keeps its room", a_file_keeps_its_room },
		{ "a failed start logs nothing", a_failed_start_logs_nothing },
	};

	return unit_main("gmem", tests, sizeof(tests) / sizeof(tests[0]));
}
