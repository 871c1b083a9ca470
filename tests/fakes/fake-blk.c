/* SPDX-License-Identifier: ISC */
/*
 * The driver's side of virtio-blk (5.2), with time to wait for a device that works
 * on a thread of its own. Knows no test.
 */
#include "fakes/fake-blk.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devices.h"
#include "le.h"

#define RAM_BYTES	(4u << 20)
#define WAIT_S		10

static void
insist(bool is_so)
{
	if (!is_so)
		abort();
}

/* --- the disk --------------------------------------------------------------- */

static int
count_sync(void *arg, int fd)
{
	(void)fd;
	((struct fake_blk *)arg)->syncs++;
	return 0;
}

/* A handset whose storage is full. */
static ssize_t
write_if_room(void *arg, int fd, const struct iovec *iov, int n, uint64_t at)
{
	return __atomic_load_n(&((struct fake_blk *)arg)->full,
	    __ATOMIC_ACQUIRE) ? -ENOSPC :
	    disk_io_kernel.pwritev(arg, fd, iov, n, at);
}

struct disk *
fblk_new_disk(struct fake_blk *b, bool read_only)
{
	struct disk_config c = { .name = "test", .bytes = FBLK_BYTES,
	    .map_fd = -1, .base_fd = -1, .read_only = read_only,
	    .io = &b->io, .io_arg = b };
	struct disk *made = NULL;

	c.fd = memfd_create("disk", MFD_CLOEXEC);
	insist(c.fd >= 0 && ftruncate(c.fd, FBLK_BYTES) == 0);
	insist(disk_new(&made, &c) == 0);
	return made;
}

int
fblk_stored_at(struct fake_blk *b, uint64_t at)
{
	uint8_t c = 0;
	struct iovec v = { &c, 1 };

	insist(disk_read(b->disk, &v, 1, at) == 0);
	return c;
}

/* --- the device ------------------------------------------------------------- */

struct dev *
fblk_new_device(struct fake_blk *b, struct disk *on)
{
	const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };
	struct dev *made = NULL;

	b->f.env.disks[0] = on;
	insist(dev_virtio_blk_ops.create(&made, &b->f.env, &place) == 0);
	return made;
}

void
fblk_clear_bus(struct fake_blk *b)
{
	bus_free(b->f.env.bus);
	insist(bus_new(&b->f.env.bus) == 0);
}

void
fblk_start(struct fake_blk *b)
{
	bus_lock(b->f.env.bus);
	dev_virtio_blk_ops.start(b->dev);
	bus_unlock(b->f.env.bus);
}

void
fblk_stop(struct fake_blk *b)
{
	bus_lock(b->f.env.bus);
	dev_virtio_blk_ops.stop(b->dev);
	bus_unlock(b->f.env.bus);
}

static void
init(struct fake_blk *b)
{
	memset(b, 0, sizeof(*b));
	fake_env_init(&b->f, RAM_BYTES);
	b->io = disk_io_kernel;
	b->io.datasync = count_sync;
	b->io.pwritev = write_if_room;
	b->drv.f = &b->f;
}

void
fblk_init(struct fake_blk *b, bool read_only, uint64_t features)
{
	init(b);
	b->disk = fblk_new_disk(b, read_only);
	b->dev = fblk_new_device(b, b->disk);
	fblk_start(b);
	drv_start(&b->drv, &b->f, 1, features);
}

void
fblk_init_empty(struct fake_blk *b)
{
	init(b);
	b->dev = fblk_new_device(b, NULL);
	fblk_start(b);
}

void
fblk_fini(struct fake_blk *b)
{
	dev_virtio_blk_ops.free(b->dev);
	disk_free(b->disk);
	fake_env_fini(&b->f);
}

/* --- the driver ------------------------------------------------------------- */

void
fblk_put_header(struct fake_blk *b, uint32_t type, uint64_t sector)
{
	uint8_t h[16] = { 0 };

	le_put32(h, type);
	le_put64(h + 8, sector);
	insist(gmem_write(b->f.env.gmem, FBLK_HEADER, h, sizeof(h)) == 0);
}

void
fblk_put_range(struct fake_blk *b, unsigned int i, uint64_t sector, uint32_t n,
    uint32_t flags)
{
	uint8_t r[16];

	le_put64(r, sector);
	le_put32(r + 8, n);
	le_put32(r + 12, flags);
	insist(gmem_write(b->f.env.gmem, FBLK_DATA + 16 * i, r,
	    sizeof(r)) == 0);
}

void
fblk_fill(struct fake_blk *b, int c, size_t len)
{
	memset(gmem_ptr(b->f.env.gmem, FBLK_DATA, len), c, len);
}

int
fblk_data_at(struct fake_blk *b, uint64_t offset)
{
	uint8_t c = 0;

	insist(gmem_read(b->f.env.gmem, FBLK_DATA + offset, &c, 1) == 0);
	return c;
}

int
fblk_status(struct fake_blk *b)
{
	uint8_t s = 0;

	insist(gmem_read(b->f.env.gmem, FBLK_STATUS, &s, 1) == 0);
	return s;
}

void
fblk_offer(struct fake_blk *b, uint32_t type, uint64_t sector, uint32_t len)
{
	uint16_t way = type == IN || type == GET_ID ? DESC_WRITE : 0;
	uint8_t none = NONE;

	fblk_put_header(b, type, sector);
	insist(gmem_write(b->f.env.gmem, FBLK_STATUS, &none, 1) == 0);
	drv_desc(&b->drv, 0, 0, FBLK_HEADER, 16, DESC_NEXT, len > 0 ? 1 : 2);
	drv_desc(&b->drv, 0, 1, FBLK_DATA, len, (uint16_t)(DESC_NEXT | way), 2);
	drv_desc(&b->drv, 0, 2, FBLK_STATUS, 1, DESC_WRITE, 0);
	drv_offer(&b->drv, 0, 0);
	drv_kick(&b->drv, 0);
}

int
fblk_ask(struct fake_blk *b, uint32_t type, uint64_t sector, uint32_t len)
{
	unsigned int n = b->drv.avail[0] + 1u;

	fblk_offer(b, type, sector, len);
	return fblk_answered(b, n) ? fblk_status(b) : -1;
}

/* --- waiting ---------------------------------------------------------------- */

bool
fblk_answered(struct fake_blk *b, unsigned int n)
{
	time_t until = time(NULL) + WAIT_S;

	while (time(NULL) < until) {
		uint16_t used;

		bus_lock(b->f.env.bus);
		used = drv_used(&b->drv, 0);
		bus_unlock(b->f.env.bus);
		if (used >= n)
			return used == n;
		sched_yield();
	}
	return false;
}

bool
fblk_asked_for_room(struct fake_blk *b)
{
	time_t until = time(NULL) + WAIT_S;

	while (__atomic_load_n(&b->f.n_requests, __ATOMIC_ACQUIRE) == 0 &&
	    time(NULL) < until)
		sched_yield();
	return b->f.n_requests == 1 && b->f.request == MACHINE_NO_ROOM;
}
