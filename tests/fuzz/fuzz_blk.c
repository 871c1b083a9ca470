/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the input is a ring and the requests in it as a hostile driver may
 * lay them out, performed on a small disk over a base in memory. A request must
 * change nothing outside the disk and nothing of the guest's memory that it was
 * not given to write. Knows no thread: requests are done as they are popped.
 *
 * Input: 8 descriptors of 16 bytes, then the heads offered, one a byte.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk-request.h"
#include "bounds.h"
#include "disk.h"
#include "fakes/fake-driver.h"
#include "fuzz/fuzz.h"
#include "le.h"

#define RAM		(1u << 20)
#define DISK_PAGES	40u		/* its last block is a short one */
#define HEADERS		DRV_DATA	/* what the seeds point to */

static void
ignore(void *transport)
{
	(void)transport;
}

static void
no_notify(void *arg, unsigned int q)
{
	(void)arg;
	(void)q;
}

static const struct virtio_ops ops = {
	.device_id = 2,
	.n_queues = 1,
	.chain_max_bytes = BLK_CHAIN_MAX,
	.notify = no_notify,
};

static int
file_of(uint64_t bytes)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		abort();
	return fd;
}

static struct disk *
disk_of(bool layered, bool read_only)
{
	struct disk_config c = { .name = "fuzz",
	    .bytes = DISK_PAGES * PAGE_BYTES, .read_only = read_only,
	    .fd = file_of(DISK_PAGES * PAGE_BYTES), .map_fd = -1,
	    .base_fd = -1 };
	struct disk *d;

	if (layered) {
		c.map_fd = file_of(1);
		c.base_fd = file_of(100000);
	}
	if (disk_new(&d, &c) < 0)
		abort();
	return d;
}

/* A live device whose ring lies where the fake driver's would. */
static void
go_live(struct virtio *v, struct gmem *g)
{
	virtio_init(v, &ops, NULL, g, ignore, NULL);
	v->driver_features = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC;
	v->queues[0].num = DRV_NUM;
	v->queues[0].desc_gpa = drv_desc_gpa(0);
	v->queues[0].avail_gpa = drv_avail_gpa(0);
	v->queues[0].used_gpa = drv_used_gpa(0);
	virtio_set_status(v, 1);
	virtio_set_status(v, 3);
	virtio_set_status(v, 11);
	virtio_queue_enable(v, 0, true);
	virtio_set_status(v, 15);
}

/* A byte that no writable descriptor covers, to be found unchanged. */
static bool
may_write(const struct virtq_chain *c, uint64_t gpa)
{
	for (unsigned int i = c->n_read; i < c->n_read + c->n_write; i++)
		if (gpa >= c->bufs[i].gpa &&
		    gpa - c->bufs[i].gpa < c->bufs[i].len)
			return true;
	return false;
}

static void
check_page(const struct virtq_chain *c, const uint8_t *before,
    const uint8_t *now, uint64_t page)
{
	if (memcmp(before + page, now + page, PAGE_BYTES) == 0)
		return;
	for (uint64_t gpa = page; gpa < page + PAGE_BYTES; gpa++)
		if (now[gpa] != before[gpa] && !may_write(c, gpa))
			abort();
}

static void
perform(struct virtio *v, struct fake_env *f, struct disk *disk,
    const struct virtq_chain *c)
{
	static uint8_t before[RAM];
	const uint8_t *now = gmem_ptr(f->env.gmem, 0, RAM);
	struct blk_request q;
	uint32_t written;

	if (blk_request_parse(&q, c) < 0) {
		virtio_break(v);
		return;
	}
	memcpy(before, now, RAM);
	if (blk_request_run(&q, disk, f->env.gmem, "disk0", false,
	    &written) < 0)
		return;
	if (written > c->write_bytes)
		abort();
	for (uint64_t page = 0; page < RAM; page += PAGE_BYTES)
		check_page(c, before, now, page);
	virtq_push(v, 0, c, written);
}

void
fuzz_one(const uint8_t *data, size_t len)
{
	size_t n_desc = len < 16 * DRV_NUM ? len / 16 : DRV_NUM;
	struct virtq_chain c;
	struct fake_env f;
	struct virtio v;
	struct disk *disk;
	uint8_t raw[2];
	uint16_t offered = 0;

	if (len < 2)
		return;
	fake_env_init(&f, RAM);
	disk = disk_of(data[0] & 16, (data[0] & 96) == 96);
	gmem_write(f.env.gmem, drv_desc_gpa(0), data, 16 * n_desc);
	/* The rest twice: as requests, and as heads. */
	gmem_write(f.env.gmem, HEADERS, data + 16 * n_desc, len - 16 * n_desc);
	for (size_t at = 16 * n_desc; at < len && offered < DRV_NUM; at++) {
		le_put16(raw, data[at] % DRV_NUM);
		gmem_write(f.env.gmem, drv_avail_gpa(0) + 4u + 2u * offered++,
		    raw, 2);
	}
	le_put16(raw, offered);
	gmem_write(f.env.gmem, drv_avail_gpa(0) + 2, raw, 2);
	go_live(&v, f.env.gmem);
	while (virtq_pop(&v, 0, &c) == 1)
		perform(&v, &f, disk, &c);
	disk_free(disk);
	fake_env_fini(&f);
}

static void
put_desc(uint8_t *p, uint64_t addr, uint32_t len, uint16_t flags,
    uint16_t next)
{
	le_put64(p, addr);
	le_put32(p + 8, len);
	le_put16(p + 12, flags);
	le_put16(p + 14, next);
}

/* One honest request of each type; descriptor 3 is a table of all three. */
size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13 };
	uint32_t type;
	bool in;

	if (i >= 2 * sizeof(types) / sizeof(types[0]) || max < 1024)
		return 0;
	type = types[i / 2];
	in = type == 0 || type == 8;
	memset(buf, 0, 1024);
	put_desc(buf, HEADERS + 16, 16, DESC_NEXT, 1);
	put_desc(buf + 16, HEADERS + 64, type == 11 || type == 13 ? 16 : 512,
	    (uint16_t)(DESC_NEXT | (in ? DESC_WRITE : 0)), 2);
	put_desc(buf + 32, HEADERS + 700, 1, DESC_WRITE, 0);
	put_desc(buf + 48, drv_desc_gpa(0), 48, DESC_INDIRECT, 0);
	buf[128] = i % 2 != 0 ? 3 : 0;		/* the head */
	le_put32(buf + 128 + 16, type);
	le_put64(buf + 128 + 24, 130);		/* sector */
	le_put64(buf + 128 + 64, 100);		/* a range */
	le_put32(buf + 128 + 72, 60);
	return 128 + 128;
}
