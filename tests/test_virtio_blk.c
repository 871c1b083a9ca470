/* SPDX-License-Identifier: ISC */
/*
 * The block device does what drivers ask, off the asker's thread; what it is
 * given is checked; stopped, it is still; saved, it goes on elsewhere.
 */
#include <sched.h>
#include <time.h>

#include "devices.h"
#include "fakes/fake-blk.h"
#include "unit.h"

#define LAST_SECTOR	(FBLK_BYTES / FBLK_SECTOR - 1)

static struct fake_blk b;

static void
reading_and_writing(void)
{
	fblk_init(&b, false, FBLK_F_ALL);
	CU_ASSERT(drv_read(&b.drv, 0x8) == 2);
	fblk_fill(&b, 'x', 4096);
	CU_ASSERT(fblk_ask(&b, OUT, 8, 4096) == OK);
	CU_ASSERT(b.f.line[DRV_GSI]);
	CU_ASSERT(fblk_stored_at(&b, 4096) == 'x' && fblk_stored_at(&b, 8191) == 'x');
	CU_ASSERT(fblk_stored_at(&b, 4095) == 0 && fblk_stored_at(&b, 8192) == 0);
	fblk_fill(&b, 0, 8192);
	CU_ASSERT(fblk_ask(&b, IN, 7, 1024) == OK);
	CU_ASSERT(drv_used_len(&b.drv, 0, 1) == 1025);
	CU_ASSERT(fblk_data_at(&b, 511) == 0 && fblk_data_at(&b, 512) == 'x' &&
	    fblk_data_at(&b, 1023) == 'x' && fblk_data_at(&b, 1024) == 0);
	CU_ASSERT(b.syncs == 0);
	fblk_fini(&b);
}

static void
any_layout(void)
{
	uint8_t none = NONE;

	/* Header in two pieces, data that begins behind it, status behind data. */
	fblk_init(&b, false, FBLK_F_ALL);
	fblk_put_header(&b, OUT, 3);
	fblk_fill(&b, 'y', 4096);
	gmem_write(b.f.env.gmem, FBLK_STATUS, &none, 1);
	drv_desc(&b.drv, 0, 0, FBLK_HEADER, 5, DESC_NEXT, 1);
	drv_desc(&b.drv, 0, 1, FBLK_HEADER + 5, 11, DESC_NEXT, 2);
	drv_desc(&b.drv, 0, 2, FBLK_DATA, 100, DESC_NEXT, 3);
	drv_desc(&b.drv, 0, 3, FBLK_DATA, 412, DESC_NEXT, 4);
	drv_desc(&b.drv, 0, 4, FBLK_STATUS, 1, DESC_WRITE, 0);
	drv_offer(&b.drv, 0, 0);
	drv_kick(&b.drv, 0);
	CU_ASSERT(fblk_answered(&b, 1) && fblk_status(&b) == OK);
	CU_ASSERT(fblk_stored_at(&b, 3 * 512) == 'y');
	CU_ASSERT(fblk_stored_at(&b, 4 * 512 - 1) == 'y');
	CU_ASSERT(fblk_stored_at(&b, 4 * 512) == 0);
	fblk_put_header(&b, IN, 3);
	drv_desc(&b.drv, 0, 0, FBLK_HEADER, 16, DESC_NEXT, 1);
	drv_desc(&b.drv, 0, 1, FBLK_DATA + 4096, 513, DESC_WRITE, 0);
	drv_offer(&b.drv, 0, 0);
	drv_kick(&b.drv, 0);
	CU_ASSERT(fblk_answered(&b, 2) && fblk_data_at(&b, 4096 + 511) == 'y');
	CU_ASSERT(fblk_data_at(&b, 4096 + 512) == OK);
	fblk_fini(&b);
}

static void
zeroing(void)
{
	fblk_init(&b, false, FBLK_F_ALL);
	fblk_fill(&b, 'z', 8192);
	CU_ASSERT(fblk_ask(&b, OUT, 0, 8192) == OK);
	fblk_put_range(&b, 0, 1, 2, 0);
	fblk_put_range(&b, 1, 5, 1, 0);
	CU_ASSERT(fblk_ask(&b, DISCARD, 0, 32) == OK);
	CU_ASSERT(fblk_stored_at(&b, 511) == 'z' && fblk_stored_at(&b, 512) == 0 &&
	    fblk_stored_at(&b, 1535) == 0 && fblk_stored_at(&b, 1536) == 'z' &&
	    fblk_stored_at(&b, 5 * 512) == 0 && fblk_stored_at(&b, 6 * 512) == 'z');
	fblk_put_range(&b, 0, 6, 1, 1);
	CU_ASSERT(fblk_ask(&b, ZEROES, 0, 16) == OK);
	CU_ASSERT(fblk_stored_at(&b, 6 * 512) == 0);
	fblk_put_range(&b, 0, 7, 1, 0);
	CU_ASSERT(fblk_ask(&b, ZEROES, 0, 16) == OK);
	CU_ASSERT(fblk_stored_at(&b, 7 * 512) == 0);
	/* Beyond the end, unknown flags, odd lengths, too many */
	fblk_put_range(&b, 0, LAST_SECTOR, 2, 0);
	CU_ASSERT(fblk_ask(&b, DISCARD, 0, 16) == IOERR);
	fblk_put_range(&b, 0, UINT64_MAX - 1, 2, 0);
	CU_ASSERT(fblk_ask(&b, DISCARD, 0, 16) == IOERR);
	fblk_put_range(&b, 0, 0, 1, 1);
	CU_ASSERT(fblk_ask(&b, DISCARD, 0, 16) == UNSUPP);
	fblk_put_range(&b, 0, 0, 1, 2);
	CU_ASSERT(fblk_ask(&b, ZEROES, 0, 16) == UNSUPP);
	fblk_put_range(&b, 0, 0, 1, 0);
	CU_ASSERT(fblk_ask(&b, DISCARD, 0, 17) == IOERR);
	CU_ASSERT(fblk_ask(&b, ZEROES, 0, 32) == IOERR);
	CU_ASSERT(fblk_ask(&b, DISCARD, 0, 16 * 17) == IOERR);
	CU_ASSERT(fblk_stored_at(&b, 0) == 'z');
	fblk_fini(&b);
}

static void
durability(void)
{
	fblk_init(&b, false, FBLK_F_ALL);
	CU_ASSERT(fblk_ask(&b, OUT, 0, 512) == OK && b.syncs == 0);
	CU_ASSERT(fblk_ask(&b, FLUSH, 0, 0) == OK && b.syncs == 1);
	fblk_fini(&b);
	/* A driver that knows no flush is promised more (5.2.6.2). */
	fblk_init(&b, false, 0);
	CU_ASSERT(fblk_ask(&b, OUT, 0, 512) == OK && b.syncs == 1);
	CU_ASSERT(fblk_ask(&b, IN, 0, 512) == OK && b.syncs == 1);
	fblk_fini(&b);
}

static void
refusals(void)
{
	fblk_init(&b, false, FBLK_F_ALL);
	CU_ASSERT(fblk_ask(&b, OUT, FBLK_BYTES / FBLK_SECTOR, 512) == IOERR);
	CU_ASSERT(fblk_ask(&b, OUT, LAST_SECTOR, 1024) == IOERR);
	CU_ASSERT(fblk_ask(&b, IN, UINT64_MAX, 512) == IOERR);
	CU_ASSERT(fblk_ask(&b, IN, 1ULL << 55, 512) == IOERR);
	CU_ASSERT(fblk_ask(&b, OUT, 0, 511) == IOERR);
	CU_ASSERT(fblk_ask(&b, 99, 0, 512) == UNSUPP);
	CU_ASSERT(fblk_ask(&b, GET_ID, 0, 19) == IOERR);
	CU_ASSERT(fblk_ask(&b, GET_ID, 0, 20) == OK);
	CU_ASSERT(memcmp(gmem_ptr(b.f.env.gmem, FBLK_DATA, 20), "disk0", 6) == 0);
	CU_ASSERT(drv_read(&b.drv, 0x70) == 15);	/* all that is no crime */
	/* No place for a status: nobody can be told. */
	drv_desc(&b.drv, 0, 0, FBLK_HEADER, 16, 0, 0);
	drv_offer(&b.drv, 0, 0);
	drv_kick(&b.drv, 0);
	fblk_stop(&b);		/* it has been looked at when this returns, or will be */
	fblk_start(&b);
	for (time_t until = time(NULL) + 10; time(NULL) < until &&
	    !(drv_read(&b.drv, 0x70) & 64);)
		sched_yield();
	CU_ASSERT(drv_read(&b.drv, 0x70) & 64);
	/* A reset makes it good again. */
	drv_start(&b.drv, &b.f, 1, FBLK_F_ALL);
	CU_ASSERT(fblk_ask(&b, OUT, 0, 512) == OK);
	fblk_fini(&b);
}

static void
read_only(void)
{
	fblk_init(&b, true, FBLK_F_FLUSH);
	drv_write(&b.drv, 0x14, 0);
	CU_ASSERT(drv_read(&b.drv, 0x10) & 1u << 5);
	CU_ASSERT(!(drv_read(&b.drv, 0x10) & (1u << 13 | 1u << 14)));
	CU_ASSERT(fblk_ask(&b, IN, 0, 512) == OK);
	CU_ASSERT(fblk_ask(&b, OUT, 0, 512) == IOERR);
	fblk_put_range(&b, 0, 0, 1, 0);
	CU_ASSERT(fblk_ask(&b, DISCARD, 0, 16) == IOERR);
	fblk_fini(&b);
}

static void
configuration(void)
{
	fblk_init(&b, false, FBLK_F_ALL);
	CU_ASSERT(drv_read(&b.drv, 0x100) == FBLK_BYTES / FBLK_SECTOR);
	CU_ASSERT(drv_read(&b.drv, 0x104) == 0);
	CU_ASSERT(drv_read(&b.drv, 0x10c) == 126);
	CU_ASSERT(drv_read(&b.drv, 0x114) == 512);
	CU_ASSERT(bus_read(b.f.env.bus, BUS_MMIO, DRV_SLOT + 0x118, 1) == 3);
	CU_ASSERT(bus_read(b.f.env.bus, BUS_MMIO, DRV_SLOT + 0x11a, 2) == 8);
	CU_ASSERT(drv_read(&b.drv, 0x1000 - 4) == 0);
	fblk_fini(&b);
}

static void
stillness(void)
{
	fblk_init(&b, false, FBLK_F_ALL);
	CU_ASSERT(fblk_ask(&b, OUT, 0, 512) == OK);
	fblk_stop(&b);
	fblk_fill(&b, 's', 512);
	fblk_offer(&b, OUT, 1, 512);
	/* Offered to a stopped device: nothing moves ... */
	fblk_stop(&b);
	CU_ASSERT(drv_used(&b.drv, 0) == 1 && fblk_stored_at(&b, 512) == 0);
	/* ... until it starts, without another kick. */
	fblk_start(&b);
	CU_ASSERT(fblk_answered(&b, 2) && fblk_status(&b) == OK);
	CU_ASSERT(fblk_stored_at(&b, 512) == 's');
	fblk_fini(&b);
}

/*
 * No room is nobody's error: the guest hears nothing, and the request, still in the
 * ring, is done when there is room again.
 */
static void
no_room(void)
{
	fblk_init(&b, false, FBLK_F_ALL);
	b.full = true;
	fblk_fill(&b, 'r', 512);
	fblk_offer(&b, OUT, 3, 512);
	CU_ASSERT(fblk_asked_for_room(&b));
	fblk_stop(&b);
	CU_ASSERT(drv_used(&b.drv, 0) == 0 && fblk_status(&b) == NONE);
	/* As a person who resumes it too early finds. */
	b.f.n_requests = 0;
	fblk_start(&b);
	CU_ASSERT(fblk_asked_for_room(&b));
	fblk_stop(&b);
	CU_ASSERT(drv_used(&b.drv, 0) == 0 && fblk_status(&b) == NONE);
	__atomic_store_n(&b.full, false, __ATOMIC_RELEASE);
	fblk_start(&b);
	CU_ASSERT(fblk_answered(&b, 1) && fblk_status(&b) == OK);
	CU_ASSERT(fblk_stored_at(&b, 1536) == 'r');
	CU_ASSERT(fblk_ask(&b, OUT, 4, 512) == OK);
	fblk_fini(&b);
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
	e->source = b.dev;
	fblk_clear_bus(&b);
	e->other = fblk_new_disk(&b, false);
	b.dev = fblk_new_device(&b, e->other);
}

/* From here on the disk is the one there; fblk_fini() ends the device left. */
static void
forget_source(struct elsewhere *e)
{
	dev_virtio_blk_ops.free(b.dev);
	b.dev = e->source;
	disk_free(b.disk);
	b.disk = e->other;
}

/* Saved while it waits for room, it is done where the state is loaded. */
static void
no_room_but_elsewhere(void)
{
	Persona__State__DeviceState *s = new_state();
	struct elsewhere e;

	fblk_init(&b, false, FBLK_F_ALL);
	b.full = true;
	fblk_fill(&b, 'm', 512);
	fblk_offer(&b, OUT, 3, 512);
	CU_ASSERT(fblk_asked_for_room(&b));
	fblk_stop(&b);
	CU_ASSERT_FATAL(dev_virtio_blk_ops.save(b.dev, s) == 0);
	b.full = false;
	go_elsewhere(&e);
	CU_ASSERT(dev_virtio_blk_ops.check(b.dev, s) == 0);
	dev_virtio_blk_ops.load(b.dev, s);
	fblk_start(&b);
	CU_ASSERT(fblk_answered(&b, 1) && fblk_status(&b) == OK);
	forget_source(&e);
	CU_ASSERT(fblk_stored_at(&b, 1536) == 'm');
	persona__state__device_state__free_unpacked(s, NULL);
	fblk_fini(&b);
}

static void
going_on_elsewhere(void)
{
	Persona__State__DeviceState *s = new_state();
	struct elsewhere e;

	fblk_init(&b, false, FBLK_F_ALL);
	CU_ASSERT(fblk_ask(&b, OUT, 0, 512) == OK);
	fblk_stop(&b);
	fblk_fill(&b, 'e', 512);
	fblk_offer(&b, OUT, 2, 512);
	CU_ASSERT_FATAL(dev_virtio_blk_ops.save(b.dev, s) == 0);
	CU_ASSERT(s->blk != NULL &&
	    s->blk->bytes == FBLK_BYTES);

	go_elsewhere(&e);
	s->blk->bytes += 4096;
	CU_ASSERT(dev_virtio_blk_ops.check(b.dev, s) < 0);
	s->blk->bytes -= 4096;
	s->blk->read_only = true;
	CU_ASSERT(dev_virtio_blk_ops.check(b.dev, s) < 0);
	s->blk->read_only = false;
	CU_ASSERT(dev_virtio_blk_ops.check(b.dev, s) == 0);
	dev_virtio_blk_ops.load(b.dev, s);
	CU_ASSERT(fblk_stored_at(&b, 1024) == 0);
	fblk_start(&b);
	CU_ASSERT(fblk_answered(&b, 2) && fblk_status(&b) == OK);
	CU_ASSERT(fblk_stored_at(&b, 1024) == 0);	/* not on the one left behind */
	forget_source(&e);
	CU_ASSERT(fblk_stored_at(&b, 1024) == 'e');
	persona__state__device_state__free_unpacked(s, NULL);
	fblk_fini(&b);
}

static void
empty_slot(void)
{
	Persona__State__DeviceState *s = new_state();

	fblk_init_empty(&b);
	CU_ASSERT(drv_read(&b.drv, 0) == 0x74726976);
	CU_ASSERT(drv_read(&b.drv, 0x8) == 0);
	drv_start(&b.drv, &b.f, 1, 0);
	drv_kick(&b.drv, 0);
	CU_ASSERT(drv_read(&b.drv, 0x100) == 0 && drv_read(&b.drv, 0x34) == 0);
	fblk_stop(&b);
	CU_ASSERT(dev_virtio_blk_ops.save(b.dev, s) == 0);
	CU_ASSERT(dev_virtio_blk_ops.check(b.dev, s) == 0);
	dev_virtio_blk_ops.load(b.dev, s);
	dev_virtio_blk_ops.free(b.dev);
	/* A disk is not put where there was none. */
	fblk_clear_bus(&b);
	b.disk = fblk_new_disk(&b, false);
	b.dev = fblk_new_device(&b, b.disk);
	CU_ASSERT(dev_virtio_blk_ops.check(b.dev, s) < 0);
	persona__state__device_state__free_unpacked(s, NULL);
	fblk_fini(&b);
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
