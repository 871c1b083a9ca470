/* SPDX-License-Identifier: ISC */
/* The bus finds the right region, refuses overlaps, and answers for nobody. */
#include <errno.h>

#include "bus.h"
#include "unit.h"

struct probe {
	unsigned int	reads, writes;
	uint64_t	offset, value;
	unsigned int	len;
};

static uint64_t
probe_read(void *arg, uint64_t offset, unsigned int len)
{
	struct probe *p = arg;

	p->reads++;
	p->offset = offset;
	p->len = len;
	return 0x1122334455667788;
}

static void
probe_write(void *arg, uint64_t offset, unsigned int len, uint64_t value)
{
	struct probe *p = arg;

	p->writes++;
	p->offset = offset;
	p->len = len;
	p->value = value;
}

static const struct bus_region_ops ops = {
	.read = probe_read,
	.write = probe_write,
};

static void
routes(void)
{
	struct probe a = { 0 }, b = { 0 };
	struct bus *bus;

	CU_ASSERT_FATAL(bus_new(&bus) == 0);
	CU_ASSERT(bus_add(bus, BUS_PIO, 0x3f8, 8, &ops, &a) == 0);
	CU_ASSERT(bus_add(bus, BUS_MMIO, 0x3f8, 8, &ops, &b) == 0);

	CU_ASSERT(bus_read(bus, BUS_PIO, 0x3fa, 1) == 0x88);
	CU_ASSERT(a.reads == 1 && a.offset == 2 && a.len == 1);
	CU_ASSERT(bus_read(bus, BUS_MMIO, 0x3f8, 8) == 0x1122334455667788);
	CU_ASSERT(b.reads == 1 && b.offset == 0 && b.len == 8);
	bus_write(bus, BUS_PIO, 0x3ff, 1, 0xfff);
	CU_ASSERT(a.writes == 1 && a.offset == 7 && a.value == 0xff);
	bus_free(bus);
}

static void
nobody(void)
{
	struct probe a = { 0 };
	struct bus *bus;

	CU_ASSERT_FATAL(bus_new(&bus) == 0);
	CU_ASSERT(bus_add(bus, BUS_PIO, 0x3f8, 8, &ops, &a) == 0);
	CU_ASSERT(bus_read(bus, BUS_PIO, 0x3f7, 1) == 0xff);
	CU_ASSERT(bus_read(bus, BUS_PIO, 0x400, 4) == 0xffffffff);
	CU_ASSERT(bus_read(bus, BUS_MMIO, UINT64_MAX, 8) == UINT64_MAX);
	/* Half inside is outside. */
	CU_ASSERT(bus_read(bus, BUS_PIO, 0x3ff, 2) == 0xffff);
	CU_ASSERT(bus_read(bus, BUS_PIO, 0x3f7, 2) == 0xffff);
	bus_write(bus, BUS_PIO, 0x3fe, 4, 1);
	bus_write(bus, BUS_MMIO, 0, 1, 1);
	CU_ASSERT(a.reads == 0 && a.writes == 0);
	bus_free(bus);
}

static void
refuses(void)
{
	struct bus *bus;
	int r = 0;

	CU_ASSERT_FATAL(bus_new(&bus) == 0);
	CU_ASSERT(bus_add(bus, BUS_MMIO, 0x1000, 0x1000, &ops, NULL) == 0);
	CU_ASSERT(bus_add(bus, BUS_MMIO, 0x1fff, 1, &ops, NULL) == -EEXIST);
	CU_ASSERT(bus_add(bus, BUS_MMIO, 0, 0x1001, &ops, NULL) == -EEXIST);
	CU_ASSERT(bus_add(bus, BUS_MMIO, 0x800, 0x4000, &ops, NULL) == -EEXIST);
	CU_ASSERT(bus_add(bus, BUS_MMIO, 0x2000, 1, &ops, NULL) == 0);
	CU_ASSERT(bus_add(bus, BUS_MMIO, 0, 0, &ops, NULL) == -EINVAL);
	CU_ASSERT(bus_add(bus, BUS_MMIO, UINT64_MAX, 2, &ops, NULL) == -EINVAL);
	for (uint64_t i = 0; r == 0 && i < 1000; i++)
		r = bus_add(bus, BUS_PIO, i, 1, &ops, NULL);
	CU_ASSERT(r == -ENOSPC);
	bus_free(bus);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "an access reaches its region and no other", routes },
		{ "unclaimed and straddling accesses read as ones", nobody },
		{ "overlaps, nonsense and too many are refused", refuses },
	};

	return unit_main("bus", tests, sizeof(tests) / sizeof(tests[0]));
}
