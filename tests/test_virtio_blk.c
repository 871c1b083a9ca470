/* SPDX-License-Identifier: ISC */
/*
 * The block device does what drivers ask, off the asker's thread; what it is
 * given is checked; stopped, it is still; saved, it goes on elsewhere.
 */
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devices.h"
#include "disk.h"
#include "fakes/fake-driver.h"
#include "le.h"
#include "unit.h"

#define RAM		(4u << 20)
#define DISK_BYTES	(2u << 20)
#define SECTOR		512u
#define F_FLUSH		(1ULL << 9)
#define F_ALL		(F_FLUSH | 1ULL << 13 | 1ULL << 14 | 1ULL << 28)

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NONE = 0xff };

#define HEADER	DRV_DATA
#define STATUS	(DRV_DATA + 0x100u)
#define DATA	(DRV_DATA + 0x1000u)

static struct fake_env f;
static struct fake_driver drv;
static struct disk *disk;
static struct dev *d;
static unsigned int syncs;

static int
count_sync(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	syncs++;
	return 0;
}

/* A handset whose storage is full. */
static bool full;

static ssize_t
write_if_room(void *arg, int fd, const struct iovec *iov, int n, uint64_t at)
{
	return __atomic_load_n(&full, __ATOMIC_ACQUIRE) ? -ENOSPC :
	    disk_io_kernel.pwritev(arg, fd, iov, n, at);
}

static struct disk *
disk_of(bool read_only)
{
	static struct disk_io_ops io;
	struct disk_config c = { .name = "test", .bytes = DISK_BYTES,
	    .map_fd = -1, .base_fd = -1, .read_only = read_only, .io = &io };
	struct disk *made = NULL;

	io = disk_io_kernel;
	io.datasync = count_sync;
	io.pwritev = write_if_room;
	c.fd = memfd_create("disk", MFD_CLOEXEC);
	CU_ASSERT_FATAL(c.fd >= 0 && ftruncate(c.fd, DISK_BYTES) == 0);
	CU_ASSERT_FATAL(disk_new(&made, &c) == 0);
	return made;
}

static struct dev *
device_of(struct disk *on)
{
	const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };
	struct dev *made = NULL;

	f.env.disks[0] = on;
	CU_ASSERT_FATAL(dev_virtio_blk_ops.create(&made, &f.env, &place) == 0);
	return made;
}

static void
start(void)
{
	bus_lock(f.env.bus);
	dev_virtio_blk_ops.start(d);
	bus_unlock(f.env.bus);
}

static void
stop(void)
{
	bus_lock(f.env.bus);
	dev_virtio_blk_ops.stop(d);
	bus_unlock(f.env.bus);
}

static void
setup(uint64_t features)
{
	fake_env_init(&f, RAM);
	syncs = 0;
	disk = disk_of(false);
	d = device_of(disk);
	start();
	drv_start(&drv, &f, 1, features);
}

static void
teardown(void)
{
	dev_virtio_blk_ops.free(d);
	disk_free(disk);
	fake_env_fini(&f);
}

/* Until the device has answered so many, or ten seconds have passed. */
static bool
answered(unsigned int n)
{
	time_t until = time(NULL) + 10;

	while (time(NULL) < until) {
		uint16_t used;

		bus_lock(f.env.bus);
		used = drv_used(&drv, 0);
		bus_unlock(f.env.bus);
		if (used >= n)
			return used == n;
		sched_yield();
	}
	return false;
}

static void
put_header(uint64_t gpa, uint32_t type, uint64_t sector)
{
	uint8_t h[16] = { 0 };

	le_put32(h, type);
	le_put64(h + 8, sector);
	gmem_write(f.env.gmem, gpa, h, sizeof(h));
}

/* A request in descriptors 0..2, offered and kicked. */
static void
offer(uint32_t type, uint64_t sector, uint32_t len)
{
	uint16_t way = type == IN || type == GET_ID ? DESC_WRITE : 0;
	uint8_t none = NONE;

	put_header(HEADER, type, sector);
	gmem_write(f.env.gmem, STATUS, &none, 1);
	drv_desc(&drv, 0, 0, HEADER, 16, DESC_NEXT, len > 0 ? 1 : 2);
	drv_desc(&drv, 0, 1, DATA, len, (uint16_t)(DESC_NEXT | way), 2);
	drv_desc(&drv, 0, 2, STATUS, 1, DESC_WRITE, 0);
	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
}

static int
status(void)
{
	uint8_t s = 0;

	gmem_read(f.env.gmem, STATUS, &s, 1);
	return s;
}

/* The status of one request, waited for. */
static int
ask(uint32_t type, uint64_t sector, uint32_t len)
{
	unsigned int n = drv.avail[0] + 1u;

	offer(type, sector, len);
	return answered(n) ? status() : -1;
}

static void
fill_data(int c, size_t len)
{
	memset(gmem_ptr(f.env.gmem, DATA, len), c, len);
}

static int
data_at(uint64_t offset)
{
	uint8_t c = 0;

	gmem_read(f.env.gmem, DATA + offset, &c, 1);
	return c;
}

static int
stored_at(uint64_t at)
{
	uint8_t c = 0;
	struct iovec v = { &c, 1 };

	CU_ASSERT(disk_read(disk, &v, 1, at) == 0);
	return c;
}

static void
reading_and_writing(void)
{
	setup(F_ALL);
	CU_ASSERT(drv_read(&drv, 0x8) == 2);
	fill_data('x', 4096);
	CU_ASSERT(ask(OUT, 8, 4096) == OK);
	CU_ASSERT(f.line[DRV_GSI]);
	CU_ASSERT(stored_at(4096) == 'x' && stored_at(8191) == 'x');
	CU_ASSERT(stored_at(4095) == 0 && stored_at(8192) == 0);
	fill_data(0, 8192);
	CU_ASSERT(ask(IN, 7, 1024) == OK);
	CU_ASSERT(drv_used_len(&drv, 0, 1) == 1025);
	CU_ASSERT(data_at(511) == 0 && data_at(512) == 'x' &&
	    data_at(1023) == 'x' && data_at(1024) == 0);
	CU_ASSERT(syncs == 0);
	teardown();
}

static void
any_layout(void)
{
	uint8_t none = NONE;

	/* Header in two pieces, data that begins behind it, status behind data. */
	setup(F_ALL);
	put_header(HEADER, OUT, 3);
	fill_data('y', 4096);
	gmem_write(f.env.gmem, STATUS, &none, 1);
	drv_desc(&drv, 0, 0, HEADER, 5, DESC_NEXT, 1);
	drv_desc(&drv, 0, 1, HEADER + 5, 11, DESC_NEXT, 2);
	drv_desc(&drv, 0, 2, DATA, 100, DESC_NEXT, 3);
	drv_desc(&drv, 0, 3, DATA, 412, DESC_NEXT, 4);
	drv_desc(&drv, 0, 4, STATUS, 1, DESC_WRITE, 0);
	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
	CU_ASSERT(answered(1) && status() == OK);
	CU_ASSERT(stored_at(3 * 512) == 'y' && stored_at(4 * 512 - 1) == 'y');
	CU_ASSERT(stored_at(4 * 512) == 0);
	put_header(HEADER, IN, 3);
	drv_desc(&drv, 0, 0, HEADER, 16, DESC_NEXT, 1);
	drv_desc(&drv, 0, 1, DATA + 4096, 513, DESC_WRITE, 0);
	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
	CU_ASSERT(answered(2) && data_at(4096 + 511) == 'y');
	CU_ASSERT(data_at(4096 + 512) == OK);
	teardown();
}

static void
put_range(unsigned int i, uint64_t sector, uint32_t n, uint32_t flags)
{
	uint8_t r[16];

	le_put64(r, sector);
	le_put32(r + 8, n);
	le_put32(r + 12, flags);
	gmem_write(f.env.gmem, DATA + 16 * i, r, sizeof(r));
}

static void
zeroing(void)
{
	setup(F_ALL);
	fill_data('z', 8192);
	CU_ASSERT(ask(OUT, 0, 8192) == OK);
	put_range(0, 1, 2, 0);
	put_range(1, 5, 1, 0);
	CU_ASSERT(ask(DISCARD, 0, 32) == OK);
	CU_ASSERT(stored_at(511) == 'z' && stored_at(512) == 0 &&
	    stored_at(1535) == 0 && stored_at(1536) == 'z' &&
	    stored_at(5 * 512) == 0 && stored_at(6 * 512) == 'z');
	put_range(0, 6, 1, 1);
	CU_ASSERT(ask(ZEROES, 0, 16) == OK && stored_at(6 * 512) == 0);
	put_range(0, 7, 1, 0);
	CU_ASSERT(ask(ZEROES, 0, 16) == OK && stored_at(7 * 512) == 0);
	/* Beyond the end, unknown flags, odd lengths, too many */
	put_range(0, DISK_BYTES / SECTOR - 1, 2, 0);
	CU_ASSERT(ask(DISCARD, 0, 16) == IOERR);
	put_range(0, UINT64_MAX - 1, 2, 0);
	CU_ASSERT(ask(DISCARD, 0, 16) == IOERR);
	put_range(0, 0, 1, 1);
	CU_ASSERT(ask(DISCARD, 0, 16) == UNSUPP);
	put_range(0, 0, 1, 2);
	CU_ASSERT(ask(ZEROES, 0, 16) == UNSUPP);
	put_range(0, 0, 1, 0);
	CU_ASSERT(ask(DISCARD, 0, 17) == IOERR);
	CU_ASSERT(ask(ZEROES, 0, 32) == IOERR);
	CU_ASSERT(ask(DISCARD, 0, 16 * 17) == IOERR);
	CU_ASSERT(stored_at(0) == 'z');
	teardown();
}

static void
durability(void)
{
	setup(F_ALL);
	CU_ASSERT(ask(OUT, 0, 512) == OK && syncs == 0);
	CU_ASSERT(ask(FLUSH, 0, 0) == OK && syncs == 1);
	teardown();
	/* A driver that knows no flush is promised more (5.2.6.2). */
	setup(0);
	CU_ASSERT(ask(OUT, 0, 512) == OK && syncs == 1);
	CU_ASSERT(ask(IN, 0, 512) == OK && syncs == 1);
	teardown();
}

static void
refusals(void)
{
	setup(F_ALL);
	CU_ASSERT(ask(OUT, DISK_BYTES / SECTOR, 512) == IOERR);
	CU_ASSERT(ask(OUT, DISK_BYTES / SECTOR - 1, 1024) == IOERR);
	CU_ASSERT(ask(IN, UINT64_MAX, 512) == IOERR);
	CU_ASSERT(ask(IN, 1ULL << 55, 512) == IOERR);
	CU_ASSERT(ask(OUT, 0, 511) == IOERR);
	CU_ASSERT(ask(99, 0, 512) == UNSUPP);
	CU_ASSERT(ask(GET_ID, 0, 19) == IOERR);
	CU_ASSERT(ask(GET_ID, 0, 20) == OK);
	CU_ASSERT(memcmp(gmem_ptr(f.env.gmem, DATA, 20), "disk0", 6) == 0);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);	/* all that is no crime */
	/* No place for a status: nobody can be told. */
	drv_desc(&drv, 0, 0, HEADER, 16, 0, 0);
	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
	stop();		/* it has been looked at when this returns, or will be */
	start();
	for (time_t until = time(NULL) + 10; time(NULL) < until &&
	    !(drv_read(&drv, 0x70) & 64);)
		sched_yield();
	CU_ASSERT(drv_read(&drv, 0x70) & 64);
	/* A reset makes it good again. */
	drv_start(&drv, &f, 1, F_ALL);
	CU_ASSERT(ask(OUT, 0, 512) == OK);
	teardown();
}

static void
read_only(void)
{
	fake_env_init(&f, RAM);
	disk = disk_of(true);
	d = device_of(disk);
	start();
	drv_start(&drv, &f, 1, F_FLUSH);
	drv_write(&drv, 0x14, 0);
	CU_ASSERT(drv_read(&drv, 0x10) & 1u << 5);
	CU_ASSERT(!(drv_read(&drv, 0x10) & (1u << 13 | 1u << 14)));
	CU_ASSERT(ask(IN, 0, 512) == OK && ask(OUT, 0, 512) == IOERR);
	put_range(0, 0, 1, 0);
	CU_ASSERT(ask(DISCARD, 0, 16) == IOERR);
	teardown();
}

static void
configuration(void)
{
	setup(F_ALL);
	CU_ASSERT(drv_read(&drv, 0x100) == DISK_BYTES / SECTOR);
	CU_ASSERT(drv_read(&drv, 0x104) == 0);
	CU_ASSERT(drv_read(&drv, 0x10c) == 126);
	CU_ASSERT(drv_read(&drv, 0x114) == 512);
	CU_ASSERT(bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + 0x118, 1) == 3);
	CU_ASSERT(bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + 0x11a, 2) == 8);
	CU_ASSERT(drv_read(&drv, 0x1000 - 4) == 0);
	teardown();
}

static void
stillness(void)
{
	setup(F_ALL);
	CU_ASSERT(ask(OUT, 0, 512) == OK);
	stop();
	fill_data('s', 512);
	offer(OUT, 1, 512);
	/* Offered to a stopped device: nothing moves ... */
	stop();
	CU_ASSERT(drv_used(&drv, 0) == 1 && stored_at(512) == 0);
	/* ... until it starts, without another kick. */
	start();
	CU_ASSERT(answered(2) && status() == OK && stored_at(512) == 's');
	teardown();
}

/* Until the device has asked that the machine stands still. */
static bool
asked_for_room(void)
{
	time_t until = time(NULL) + 10;

	while (__atomic_load_n(&f.n_requests, __ATOMIC_ACQUIRE) == 0 &&
	    time(NULL) < until)
		sched_yield();
	return f.n_requests == 1 && f.request == MACHINE_NO_ROOM;
}

/*
 * No room is nobody's error: the guest hears nothing, and the request, still in the
 * ring, is done when there is room again.
 */
static void
no_room(void)
{
	setup(F_ALL);
	full = true;
	fill_data('r', 512);
	offer(OUT, 3, 512);
	CU_ASSERT(asked_for_room());
	stop();
	CU_ASSERT(drv_used(&drv, 0) == 0 && status() == NONE);
	/* As a person who resumes it too early finds. */
	f.n_requests = 0;
	start();
	CU_ASSERT(asked_for_room());
	stop();
	CU_ASSERT(drv_used(&drv, 0) == 0 && status() == NONE);
	__atomic_store_n(&full, false, __ATOMIC_RELEASE);
	start();
	CU_ASSERT(answered(1) && status() == OK && stored_at(1536) == 'r');
	CU_ASSERT(ask(OUT, 4, 512) == OK);
	teardown();
}

static Persona__State__DeviceState *
new_state(void)
{
	Persona__State__DeviceState *s = malloc(sizeof(*s));

	CU_ASSERT_FATAL(s != NULL);
	persona__state__device_state__init(s);
	s->name = strdup("disk0");
	return s;
}

/* The same memory, another device, another disk. */
struct elsewhere {
	struct dev	*source;
	struct disk	*other;
};

static void
go_elsewhere(struct elsewhere *e)
{
	e->source = d;
	bus_free(f.env.bus);
	CU_ASSERT_FATAL(bus_new(&f.env.bus) == 0);
	e->other = disk_of(false);
	d = device_of(e->other);
}

/* From here on the disk is the one there; teardown() ends the device it left. */
static void
forget_source(struct elsewhere *e)
{
	dev_virtio_blk_ops.free(d);
	d = e->source;
	disk_free(disk);
	disk = e->other;
}

/* Saved while it waits for room, it is done where the state is loaded. */
static void
no_room_but_elsewhere(void)
{
	Persona__State__DeviceState *s = new_state();
	struct elsewhere e;

	setup(F_ALL);
	full = true;
	fill_data('m', 512);
	offer(OUT, 3, 512);
	CU_ASSERT(asked_for_room());
	stop();
	CU_ASSERT_FATAL(dev_virtio_blk_ops.save(d, s) == 0);
	full = false;
	go_elsewhere(&e);
	CU_ASSERT(dev_virtio_blk_ops.check(d, s) == 0);
	dev_virtio_blk_ops.load(d, s);
	start();
	CU_ASSERT(answered(1) && status() == OK);
	forget_source(&e);
	CU_ASSERT(stored_at(1536) == 'm');
	persona__state__device_state__free_unpacked(s, NULL);
	teardown();
}

static void
going_on_elsewhere(void)
{
	Persona__State__DeviceState *s = new_state();
	struct elsewhere e;

	setup(F_ALL);
	CU_ASSERT(ask(OUT, 0, 512) == OK);
	stop();
	fill_data('e', 512);
	offer(OUT, 2, 512);
	CU_ASSERT_FATAL(dev_virtio_blk_ops.save(d, s) == 0);
	CU_ASSERT(s->blk != NULL &&
	    s->blk->bytes == DISK_BYTES);

	go_elsewhere(&e);
	s->blk->bytes += 4096;
	CU_ASSERT(dev_virtio_blk_ops.check(d, s) < 0);
	s->blk->bytes -= 4096;
	s->blk->read_only = true;
	CU_ASSERT(dev_virtio_blk_ops.check(d, s) < 0);
	s->blk->read_only = false;
	CU_ASSERT(dev_virtio_blk_ops.check(d, s) == 0);
	dev_virtio_blk_ops.load(d, s);
	CU_ASSERT(stored_at(1024) == 0);
	start();
	CU_ASSERT(answered(2) && status() == OK);
	CU_ASSERT(stored_at(1024) == 0);	/* not on the one left behind */
	forget_source(&e);
	CU_ASSERT(stored_at(1024) == 'e');
	persona__state__device_state__free_unpacked(s, NULL);
	teardown();
}

static void
empty_slot(void)
{
	Persona__State__DeviceState *s = new_state();

	fake_env_init(&f, RAM);
	d = device_of(NULL);
	start();
	drv.f = &f;
	CU_ASSERT(drv_read(&drv, 0) == 0x74726976);
	CU_ASSERT(drv_read(&drv, 0x8) == 0);
	drv_start(&drv, &f, 1, 0);
	drv_kick(&drv, 0);
	CU_ASSERT(drv_read(&drv, 0x100) == 0 && drv_read(&drv, 0x34) == 0);
	stop();
	CU_ASSERT(dev_virtio_blk_ops.save(d, s) == 0);
	CU_ASSERT(dev_virtio_blk_ops.check(d, s) == 0);
	dev_virtio_blk_ops.load(d, s);
	dev_virtio_blk_ops.free(d);
	/* A disk is not put where there was none. */
	bus_free(f.env.bus);
	CU_ASSERT_FATAL(bus_new(&f.env.bus) == 0);
	disk = disk_of(false);
	d = device_of(disk);
	CU_ASSERT(dev_virtio_blk_ops.check(d, s) < 0);
	persona__state__device_state__free_unpacked(s, NULL);
	teardown();
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "sectors are read and written", reading_and_writing },
		{ "a chain may be cut anywhere", any_layout },
		{ "discard and write zeroes make zeroes", zeroing },
		{ "a flush is durable, and so is who knows none", durability },
		{ "what cannot be is refused", refusals },
		{ "a read-only disk says so and is", read_only },
		{ "the driver is told the bounds", configuration },
		{ "stopped, it does nothing; started, it catches up",
		    stillness },
		{ "without room it waits", no_room },
		{ "or goes on elsewhere", no_room_but_elsewhere },
		{ "what was offered before a save is done after a load",
		    going_on_elsewhere },
		{ "an empty slot is passed by", empty_slot },
	};

	return unit_main("virtio-blk", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
