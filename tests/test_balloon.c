/* SPDX-License-Identifier: ISC */
/* What the guest gives back or does not use is discarded, and nothing else is. */
#include <errno.h>

#include "devices.h"
#include "fakes/fake-driver.h"
#include "le.h"
#include "unit.h"

#define RAM	(4u << 20)
#define PAGE	4096u
#define F_HINT	(1u << 3)
#define F_ALL	(0x3eu)
enum { INFLATE, DEFLATE, STATS, HINT, REPORT };
/* Device-specific configuration begins at 0x100 */
enum { R_NUM_PAGES = 0x100, R_ACTUAL = 0x104, R_HINT_ID = 0x108,
	R_POISON = 0x10c };

static struct fake_env f;
static struct fake_driver drv;
static struct dev *d;
static const struct dev_ops *ops = &dev_virtio_balloon_ops;
static const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };

static void
setup(uint64_t features)
{
	fake_env_init(&f, RAM);
	CU_ASSERT_FATAL(ops->create(&d, &f.env, &place) == 0);
	drv_start(&drv, &f, 5, features);
	ops->start(d);
}

static void
teardown(void)
{
	ops->free(d);
	fake_env_fini(&f);
}

static void
put(uint64_t gpa, uint32_t value)
{
	uint8_t raw[4];

	le_put32(raw, value);
	CU_ASSERT(gmem_write(f.env.gmem, gpa, raw, 4) == 0);
}

static uint32_t
get(uint64_t gpa)
{
	uint8_t raw[4] = { 0 };

	CU_ASSERT(gmem_read(f.env.gmem, gpa, raw, 4) == 0);
	return le_get32(raw);
}

/* Offer one buffer and kick. */
static void
send(unsigned int q, uint64_t gpa, uint32_t len, uint16_t flags)
{
	drv_desc(&drv, q, 0, gpa, len, flags, 0);
	drv_offer(&drv, q, 0);
	drv_kick(&drv, q);
}

static void
command(uint32_t id)
{
	put(DRV_DATA, id);
	send(HINT, DRV_DATA, 4, 0);
}

static void
inflating(void)
{
	setup(F_ALL);
	CU_ASSERT(drv_read(&drv, 0x8) == 5);
	for (unsigned int page = 0x80; page < 0x86; page++)
		put(page * PAGE, page);
	/* Two runs, one of them backwards, and pages that are no memory. */
	put(DRV_DATA, 0x80);
	put(DRV_DATA + 4, 0x81);
	put(DRV_DATA + 8, 0x84);
	put(DRV_DATA + 12, 0x83);
	put(DRV_DATA + 16, RAM / PAGE);
	put(DRV_DATA + 20, UINT32_MAX);
	send(INFLATE, DRV_DATA, 24, 0);
	CU_ASSERT(drv_used(&drv, INFLATE) == 1 && f.line[DRV_GSI]);
	CU_ASSERT(gmem_discarded(f.env.gmem) == 4 * PAGE);
	CU_ASSERT(get(0x80 * PAGE) == 0 && get(0x81 * PAGE) == 0 &&
	    get(0x83 * PAGE) == 0 && get(0x84 * PAGE) == 0);
	CU_ASSERT(get(0x82 * PAGE) == 0x82 && get(0x85 * PAGE) == 0x85);
	/* Deflating takes nothing away. */
	put(0x80 * PAGE, 7);
	send(DEFLATE, DRV_DATA, 24, 0);
	CU_ASSERT(drv_used(&drv, DEFLATE) == 1 && get(0x80 * PAGE) == 7);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);
	/* An unreasonable list is no driver's. */
	send(INFLATE, 0, (64 << 10) + 1, 0);
	CU_ASSERT(drv_read(&drv, 0x70) & 0x40);
	teardown();
}

static void
target(void)
{
	struct dev_guest_memory m;

	setup(F_ALL);
	CU_ASSERT(drv_read(&drv, R_NUM_PAGES) == 0);
	ops->memory->balloon(d, 1 << 20);
	CU_ASSERT(drv_read(&drv, 0x60) == 2);
	CU_ASSERT(drv_read(&drv, 0xfc) == 1);
	CU_ASSERT(drv_read(&drv, R_NUM_PAGES) == 256);
	drv_write(&drv, R_ACTUAL, 100);
	drv_write(&drv, R_NUM_PAGES, 5);	/* not the driver's to say */
	drv_write(&drv, R_HINT_ID, 5);
	CU_ASSERT(drv_read(&drv, R_NUM_PAGES) == 256);
	CU_ASSERT(drv_read(&drv, R_HINT_ID) == 0);
	CU_ASSERT(bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + R_NUM_PAGES + 1,
	    1) == 1);
	CU_ASSERT(drv_read(&drv, 0x110) == 0);
	ops->memory->look(d, &m);
	CU_ASSERT(m.target_bytes == 1 << 20 && m.balloon_bytes == 100 * PAGE);
	ops->memory->balloon(d, UINT64_MAX);	/* never more than there is */
	CU_ASSERT(drv_read(&drv, R_NUM_PAGES) == RAM / PAGE);
	drv_write(&drv, 0x70, 0);	/* a new driver has given nothing yet */
	CU_ASSERT(drv_read(&drv, R_ACTUAL) == 0);
	CU_ASSERT(drv_read(&drv, R_NUM_PAGES) == RAM / PAGE);
	teardown();
}

static void
reporting(void)
{
	setup(F_ALL);
	put(0x200000, 1);
	put(0x2ffffc, 2);
	put(0x300000, 3);
	drv_desc(&drv, REPORT, 0, 0x200000, 0x80000, DESC_NEXT | DESC_WRITE, 1);
	drv_desc(&drv, REPORT, 1, 0x280000, 0x80000, DESC_WRITE, 0);
	drv_offer(&drv, REPORT, 0);
	drv_kick(&drv, REPORT);
	CU_ASSERT(drv_used(&drv, REPORT) == 1);
	CU_ASSERT(gmem_discarded(f.env.gmem) == 0x100000);
	CU_ASSERT(get(0x200000) == 0 && get(0x2ffffc) == 0 &&
	    get(0x300000) == 3);
	/* A report that is no memory breaks the device, not us. */
	send(REPORT, RAM - PAGE, 2 * PAGE, DESC_WRITE);
	CU_ASSERT(drv_read(&drv, 0x70) & 0x40);
	teardown();
}

/* Some guests fill free pages with a pattern and look whether it is still there. */
static void
poison(void)
{
	setup(F_ALL);
	drv_write(&drv, R_POISON, 0xaa);
	put(0x200000, 1);
	send(REPORT, 0x200000, PAGE, DESC_WRITE);
	CU_ASSERT(drv_used(&drv, REPORT) == 1 && get(0x200000) == 1);
	drv_write(&drv, R_POISON, 0);		/* zero is what holes hold */
	send(REPORT, 0x200000, PAGE, DESC_WRITE);
	CU_ASSERT(drv_used(&drv, REPORT) == 2 && get(0x200000) == 0);
	teardown();
}

static void
hinting(void)
{
	uint32_t id;

	setup(F_ALL);
	put(0x200000, 1);
	send(HINT, 0x200000, PAGE, DESC_WRITE);	/* nobody asked */
	CU_ASSERT(drv_used(&drv, HINT) == 1 && get(0x200000) == 1);
	ops->memory->hint(d, true);
	id = drv_read(&drv, R_HINT_ID);
	CU_ASSERT(id >= 2 && drv_read(&drv, 0x60) & 2);
	command(id - 1);			/* an answer to something else */
	send(HINT, 0x200000, PAGE, DESC_WRITE);
	CU_ASSERT(get(0x200000) == 1);
	command(id);
	send(HINT, 0x200000, PAGE, DESC_WRITE);
	CU_ASSERT(get(0x200000) == 0);
	/* Discarded when it was hinted: what is written now stays. */
	put(0x200000, 2);
	command(0);				/* it is through */
	CU_ASSERT(drv_read(&drv, R_HINT_ID) == 1);	/* and gets them back */
	send(HINT, 0x200000, PAGE, DESC_WRITE);
	CU_ASSERT(get(0x200000) == 2);

	ops->memory->hint(d, true);
	CU_ASSERT(drv_read(&drv, R_HINT_ID) == id + 1);
	command(id);				/* the last time's */
	send(HINT, 0x200000, PAGE, DESC_WRITE);
	CU_ASSERT(get(0x200000) == 2);
	command(id + 1);
	ops->memory->hint(d, false);		/* the transfer is over */
	CU_ASSERT(drv_read(&drv, R_HINT_ID) == 1);
	send(HINT, 0x200000, PAGE, DESC_WRITE);
	CU_ASSERT(get(0x200000) == 2);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);
	teardown();

	setup(F_ALL & ~F_HINT);
	ops->memory->hint(d, true);
	CU_ASSERT(drv_read(&drv, R_HINT_ID) == 0 && drv_read(&drv, 0x60) == 0);
	teardown();
}

static void
put_stat(unsigned int i, uint16_t tag, uint64_t value)
{
	uint8_t raw[10];

	le_put16(raw, tag);
	le_put64(raw + 2, value);
	gmem_write(f.env.gmem, DRV_DATA + 10 * i, raw, sizeof(raw));
}

static void
statistics(void)
{
	struct dev_guest_memory m;

	setup(F_ALL);
	ops->memory->look(d, &m);
	CU_ASSERT(m.stats[DEV_GUEST_TOTAL] == 0);
	put_stat(0, 5, 3 << 20);
	put_stat(1, 77, 9);
	put_stat(2, 6, 1 << 20);
	send(STATS, DRV_DATA, 35, 0);	/* and half a statistic */
	CU_ASSERT(drv_used(&drv, STATS) == 0);	/* kept */
	ops->memory->look(d, &m);
	CU_ASSERT(m.stats[DEV_GUEST_TOTAL] == 3 << 20 &&
	    m.stats[DEV_GUEST_AVAILABLE] == 1 << 20 &&
	    m.stats[DEV_GUEST_FREE] == 0);
	CU_ASSERT(drv_used(&drv, STATS) == 1);	/* answered: fresh ones, please */
	put_stat(2, 6, 2 << 20);
	send(STATS, DRV_DATA, 30, 0);
	/* Looked at often, the guest is not kept busy with it. */
	ops->memory->look(d, &m);
	CU_ASSERT(m.stats[DEV_GUEST_AVAILABLE] == 2 << 20);
	CU_ASSERT(drv_used(&drv, STATS) == 1);
	teardown();
}

/* Invariant 8: a buffer we hold and a transfer under way are not lost. */
static void
moving(void)
{
	Persona__State__DeviceState *s = malloc(sizeof(*s));
	struct dev_guest_memory m;
	struct dev *second;

	CU_ASSERT_FATAL(s != NULL);
	persona__state__device_state__init(s);
	s->name = strdup("balloon0");
	setup(F_ALL);
	put_stat(0, 6, 5 << 20);
	send(STATS, DRV_DATA, 10, 0);
	ops->memory->balloon(d, 1 << 20);
	ops->memory->hint(d, true);
	drv_write(&drv, R_ACTUAL, 33);
	ops->stop(d);
	ops->memory->balloon(d, 2 << 20);	/* while it stands still */
	CU_ASSERT(drv_read(&drv, 0xfc) == 2);	/* its interrupt waits */
	CU_ASSERT(ops->save(d, s) == 0);

	/* The same memory, another machine. */
	bus_free(f.env.bus);
	CU_ASSERT_FATAL(bus_new(&f.env.bus) == 0);
	CU_ASSERT_FATAL(ops->create(&second, &f.env, &place) == 0);
	CU_ASSERT(ops->check(second, s) == 0);
	ops->load(second, s);
	drv_write(&drv, 0x64, 3);
	ops->start(second);
	CU_ASSERT(drv_read(&drv, 0x60) == 2);
	CU_ASSERT(drv_read(&drv, R_NUM_PAGES) == 512);
	CU_ASSERT(drv_read(&drv, R_ACTUAL) == 33);
	CU_ASSERT(drv_read(&drv, R_HINT_ID) == 1);
	CU_ASSERT(drv_used(&drv, STATS) == 0);
	ops->memory->look(second, &m);
	CU_ASSERT(drv_used(&drv, STATS) == 1 && m.balloon_bytes == 33 * PAGE);

	persona__state__balloon__free_unpacked(s->balloon, NULL);
	s->balloon = NULL;
	CU_ASSERT(ops->check(second, s) == -EINVAL);
	ops->free(second);
	persona__state__device_state__free_unpacked(s, NULL);
	teardown();
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "pages in the balloon are given back", inflating },
		{ "the target is told, the driver's share is heard", target },
		{ "reported pages are given back", reporting },
		{ "a pattern in free pages is left alone", poison },
		{ "hints count only while they are asked for", hinting },
		{ "statistics are kept until somebody looks", statistics },
		{ "what is under way survives a move", moving },
	};

	return unit_main("balloon", tests, sizeof(tests) / sizeof(tests[0]));
}
