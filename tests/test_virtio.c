/* SPDX-License-Identifier: ISC */
/*
 * Virtqueues and the MMIO transport: an honest driver is served, a lying one
 * gets a broken device and nothing worse.
 */
#include <errno.h>

#include "fakes/fake-driver.h"
#include "unit.h"
#include "virtio-mmio.h"

#define RAM		(1u << 20)
#define NEEDS_RESET	0x40u
#define INDIRECT	(1ULL << 28)

/* A device kind that notes what each chain was like and
 * writes 0xaa over what it may. */
struct probe {
	struct virtio_mmio *t;
	unsigned int	chains;
	uint32_t	read_bytes, write_bytes;
	unsigned int	n_read, n_write;
	unsigned int	resets;
};

static struct fake_env f;
static struct fake_driver drv;
static struct probe probe;

static void
probe_notify(void *arg, unsigned int q)
{
	static uint8_t fill[4096];
	struct probe *p = arg;
	struct virtio *v = virtio_mmio_core(p->t);
	struct virtq_chain c;

	memset(fill, 0xaa, sizeof(fill));
	while (virtq_pop(v, q, &c) == 1) {
		p->chains++;
		p->read_bytes = c.read_bytes;
		p->write_bytes = c.write_bytes;
		p->n_read = c.n_read;
		p->n_write = c.n_write;
		virtq_push(v, q, &c, virtq_fill(v, &c, fill, sizeof(fill)));
		virtq_signal(v, q);
	}
}

static void
probe_reset(void *arg)
{
	struct probe *p = arg;

	p->resets++;
}

static const struct virtio_ops probe_ops = {
	.device_id = 42,
	.features = 1u << 3,
	.n_queues = 2,
	.chain_max_bytes = 1 << 16,
	.notify = probe_notify,
	.reset = probe_reset,
};

static void
setup(void)
{
	const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };

	memset(&probe, 0, sizeof(probe));
	fake_env_init(&f, RAM);
	CU_ASSERT_FATAL(virtio_mmio_new(&probe.t, &f.env, &place, &probe_ops,
	    &probe) == 0);
	drv_start(&drv, &f, 2, INDIRECT);
}

static void
teardown(void)
{
	virtio_mmio_free(probe.t);
	fake_env_fini(&f);
}

static void
negotiation(void)
{
	setup();
	CU_ASSERT(drv_read(&drv, 0x0) == 0x74726976);
	CU_ASSERT(drv_read(&drv, 0x4) == 2 && drv_read(&drv, 0x8) == 42);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);
	drv_write(&drv, 0x14, 0);
	CU_ASSERT(drv_read(&drv, 0x10) == ((1u << 28) | (1u << 3)));
	drv_write(&drv, 0x14, 1);
	CU_ASSERT(drv_read(&drv, 0x10) == 1);
	drv_write(&drv, 0x14, 2);
	CU_ASSERT(drv_read(&drv, 0x10) == 0);
	drv_write(&drv, 0x30, 1);
	CU_ASSERT(drv_read(&drv, 0x34) == 256 && drv_read(&drv, 0x44) == 1);
	drv_write(&drv, 0x30, 2);
	CU_ASSERT(drv_read(&drv, 0x34) == 0 && drv_read(&drv, 0x44) == 0);
	drv_write(&drv, 0x70, 0);
	CU_ASSERT(drv_read(&drv, 0x70) == 0 && probe.resets == 2);
	drv_write(&drv, 0x30, 1);
	CU_ASSERT(drv_read(&drv, 0x44) == 0);

	/* Without VERSION_1, or with what was not offered: no FEATURES_OK. */
	drv_write(&drv, 0x70, 11);
	CU_ASSERT(drv_read(&drv, 0x70) == 3);
	drv_write(&drv, 0x24, 1);
	drv_write(&drv, 0x20, 3);
	drv_write(&drv, 0x70, 11);
	CU_ASSERT(drv_read(&drv, 0x70) == 3);
	drv_write(&drv, 0x70, 15);
	CU_ASSERT(drv_read(&drv, 0x70) == 3);
	drv_write(&drv, 0x20, 1);
	drv_write(&drv, 0x70, 15);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);
	/* Odd widths and places are nobody's business. */
	CU_ASSERT(bus_read(f.env.bus, BUS_MMIO, DRV_SLOT, 1) == 0);
	CU_ASSERT(bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + 2, 4) == 0);
	CU_ASSERT(bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + 0x100, 8) == 0);
	bus_write(f.env.bus, BUS_MMIO, DRV_SLOT + 0x70, 1, 0);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);
	teardown();
}

static void
chains(void)
{
	uint8_t got[16];

	setup();
	drv_desc(&drv, 0, 0, DRV_DATA, 10, DESC_NEXT, 5);
	drv_desc(&drv, 0, 5, DRV_DATA + 64, 6, DESC_NEXT | DESC_WRITE, 2);
	drv_desc(&drv, 0, 2, DRV_DATA + 128, 8, DESC_WRITE, 0);
	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
	CU_ASSERT(probe.chains == 1 && probe.n_read == 1 &&
	    probe.n_write == 2);
	CU_ASSERT(probe.read_bytes == 10 && probe.write_bytes == 14);
	CU_ASSERT(drv_used(&drv, 0) == 1 && drv_used_id(&drv, 0, 0) == 0 &&
	    drv_used_len(&drv, 0, 0) == 14);
	gmem_read(f.env.gmem, DRV_DATA + 128, got, 9);
	CU_ASSERT(got[0] == 0xaa && got[7] == 0xaa && got[8] == 0);
	CU_ASSERT(f.line[DRV_GSI] && drv_read(&drv, 0x60) == 1);
	drv_write(&drv, 0x64, 1);
	CU_ASSERT(!f.line[DRV_GSI] && drv_read(&drv, 0x60) == 0);
	/* Many times round the ring, without interrupts. */
	gmem_write(f.env.gmem, drv_avail_gpa(0), "\1\0", 2);
	for (unsigned int i = 0; i < 70000; i++) {
		drv_offer(&drv, 0, 5);
		drv_kick(&drv, 0);
	}
	CU_ASSERT(probe.chains == 70001 && !f.line[DRV_GSI]);
	CU_ASSERT(drv_used(&drv, 0) == (uint16_t)70001);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);
	teardown();
}

static void
indirect(void)
{
	setup();
	for (unsigned int i = 0; i < 20; i++)	/* longer than the queue */
		drv_desc_at(&drv, DRV_DATA, i, DRV_DATA + 0x1000 + i, 1,
		    i < 19 ? DESC_NEXT | DESC_WRITE : DESC_WRITE,
		    (uint16_t)(i + 1));
	drv_desc(&drv, 1, 3, DRV_DATA, 20 * 16, DESC_INDIRECT, 0);
	drv_offer(&drv, 1, 3);
	drv_kick(&drv, 1);
	CU_ASSERT(probe.chains == 1 && probe.n_write == 20);
	CU_ASSERT(drv_used_id(&drv, 1, 0) == 3 &&
	    drv_used_len(&drv, 1, 0) == 20);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);
	teardown();
}

/* Whatever was put into descriptor 0 must break the device, and only it. */
static void
expect_broken(void)
{
	unsigned int before = probe.chains;

	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
	CU_ASSERT(probe.chains == before);
	CU_ASSERT(drv_read(&drv, 0x70) == (15 | NEEDS_RESET));
	CU_ASSERT(f.line[DRV_GSI] && (drv_read(&drv, 0x60) & 2));
	/* Deaf until reset, then as new. */
	drv_desc(&drv, 1, 0, DRV_DATA, 1, 0, 0);
	drv_offer(&drv, 1, 0);
	drv_kick(&drv, 1);
	CU_ASSERT(probe.chains == before);
	drv_start(&drv, &f, 2, INDIRECT);
	CU_ASSERT(drv_read(&drv, 0x70) == 15 && !f.line[DRV_GSI]);
	drv_desc(&drv, 0, 0, DRV_DATA, 1, 0, 0);
	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
	CU_ASSERT(probe.chains == before + 1);
	drv_start(&drv, &f, 2, INDIRECT);
}

static void
hostile_chains(void)
{
	setup();
	/* addresses and lengths */
	drv_desc(&drv, 0, 0, RAM, 1, 0, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, RAM - 8, 9, 0, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, UINT64_MAX - 3, 8, 0, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_SLOT, 4, DESC_WRITE, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, UINT32_MAX, 0, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, (1 << 16) + 1, 0, 0);
	expect_broken();
	/* order, loops, indices */
	drv_desc(&drv, 0, 0, DRV_DATA, 8, DESC_NEXT | DESC_WRITE, 1);
	drv_desc(&drv, 0, 1, DRV_DATA, 8, 0, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, 8, DESC_NEXT, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, 8, DESC_NEXT, 1);
	drv_desc(&drv, 0, 1, DRV_DATA, 8, DESC_NEXT, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, 8, DESC_NEXT, DRV_NUM);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, 8, DESC_NEXT, 0xffff);
	expect_broken();
	teardown();
}

static void
hostile_indirect(void)
{
	setup();
	drv_desc(&drv, 0, 0, DRV_DATA, 0, DESC_INDIRECT, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, 17, DESC_INDIRECT, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, 257 * 16, DESC_INDIRECT, 0);
	expect_broken();
	drv_desc(&drv, 0, 0, DRV_DATA, 16, DESC_INDIRECT | DESC_NEXT, 1);
	expect_broken();
	drv_desc(&drv, 0, 0, RAM - 8, 16, DESC_INDIRECT, 0);
	expect_broken();
	drv_desc_at(&drv, DRV_DATA, 0, DRV_DATA, 16, DESC_INDIRECT, 0);
	drv_desc(&drv, 0, 0, DRV_DATA, 16, DESC_INDIRECT, 0);
	expect_broken();	/* a table in a table, itself even */
	drv_desc_at(&drv, DRV_DATA, 0, DRV_DATA, 1, DESC_NEXT, 0);
	drv_desc(&drv, 0, 0, DRV_DATA, 16, DESC_INDIRECT, 0);
	expect_broken();
	drv_start(&drv, &f, 2, 0);	/* not negotiated */
	drv_desc_at(&drv, DRV_DATA, 0, DRV_DATA, 1, 0, 0);
	drv_desc(&drv, 0, 0, DRV_DATA, 16, DESC_INDIRECT, 0);
	expect_broken();
	teardown();
}

static void
hostile_rings(void)
{
	uint8_t raw[2] = { DRV_NUM + 1, 0 };

	setup();
	/* more offered than the queue holds */
	gmem_write(f.env.gmem, drv_avail_gpa(0) + 2, raw, 2);
	drv_kick(&drv, 0);
	CU_ASSERT(drv_read(&drv, 0x70) == (15 | NEEDS_RESET));
	drv_start(&drv, &f, 2, 0);
	drv_offer(&drv, 0, DRV_NUM);	/* a head that is no descriptor */
	drv_kick(&drv, 0);
	CU_ASSERT(drv_read(&drv, 0x70) == (15 | NEEDS_RESET));
	drv_start(&drv, &f, 2, 0);
	for (uint32_t q = 2; q != 0; q <<= 1)
		drv_kick(&drv, q);	/* queues there are not */
	drv_kick(&drv, UINT32_MAX);
	CU_ASSERT(drv_read(&drv, 0x70) == 15 && probe.chains == 0);
	teardown();
}

/* Try to enable queue 0 with one register set to `value`. */
static uint32_t
try_queue(unsigned int reg, uint32_t value)
{
	drv_start(&drv, &f, 1, 0);
	drv_write(&drv, 0x30, 0);
	drv_write(&drv, 0x44, 0);
	drv_write(&drv, reg, value);
	drv_write(&drv, 0x44, 1);
	return drv_read(&drv, 0x70);
}

static void
hostile_layout(void)
{
	setup();
	CU_ASSERT(try_queue(0x38, 256) == 15);
	CU_ASSERT(try_queue(0x38, 0) & NEEDS_RESET);
	CU_ASSERT(try_queue(0x38, 7) & NEEDS_RESET);
	CU_ASSERT(try_queue(0x38, 512) & NEEDS_RESET);
	CU_ASSERT(try_queue(0x80, 8) & NEEDS_RESET);
	CU_ASSERT(try_queue(0x84, 1) & NEEDS_RESET);
	CU_ASSERT(try_queue(0x90, 1) & NEEDS_RESET);
	CU_ASSERT(try_queue(0x94, UINT32_MAX) & NEEDS_RESET);
	CU_ASSERT(try_queue(0xa0, 2) & NEEDS_RESET);
	CU_ASSERT(try_queue(0xa0, RAM - 8) & NEEDS_RESET);
	CU_ASSERT(try_queue(0xa0, DRV_SLOT) & NEEDS_RESET);
	/* A ready queue keeps its place whatever is written. */
	drv_start(&drv, &f, 1, 0);
	drv_write(&drv, 0x30, 0);
	drv_write(&drv, 0x80, 8);
	drv_write(&drv, 0x38, 7);
	drv_desc(&drv, 0, 0, DRV_DATA, 1, 0, 0);
	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
	CU_ASSERT(probe.chains == 1 && drv_read(&drv, 0x70) == 15);
	/* Kicks before DRIVER_OK are early. */
	drv_write(&drv, 0x70, 0);
	drv_kick(&drv, 0);
	CU_ASSERT(probe.chains == 1);
	teardown();
}

static void
liars(void)
{
	Persona__State__DeviceState s = PERSONA__STATE__DEVICE_STATE__INIT;
	Persona__State__VirtioMmio *m;

	setup();
	CU_ASSERT(virtio_mmio_check(probe.t, &s) == -EINVAL);
	CU_ASSERT_FATAL(virtio_mmio_save(probe.t, &s) == 0);
	m = s.virtio;
	CU_ASSERT(virtio_mmio_check(probe.t, &s) == 0);
#define LIE(field, value) do {						\
	__auto_type keep = m->field;					\
	m->field = value;						\
	CU_ASSERT(virtio_mmio_check(probe.t, &s) == -EINVAL);		\
	m->field = keep;						\
} while (0)
	LIE(device_id, 1);
	LIE(status, 0x100);
	LIE(status, 4);
	LIE(status, 0);		/* with ready queues */
	LIE(driver_features, 0);
	LIE(driver_features, 3ULL << 32);
	LIE(interrupt_status, 4);
	LIE(n_queues, 1);
	LIE(queues[0]->num, 7);
	LIE(queues[0]->num, 0x80000000);
	LIE(queues[0]->desc_gpa, UINT64_MAX - 15);
	LIE(queues[1]->used_gpa, RAM);
	LIE(queues[1]->avail_gpa, 1);
	LIE(queues[1]->next_avail, 0x10000);
	LIE(queues[1]->next_used, 0x10000);
#undef LIE
	CU_ASSERT(virtio_mmio_check(probe.t, &s) == 0);
	for (size_t i = 0; i < m->n_queues; i++)
		free(m->queues[i]);
	free(m->queues);
	free(m);
	teardown();
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "status and features follow the rules", negotiation },
		{ "chains are walked, answered, signalled", chains },
		{ "indirect tables work", indirect },
		{ "impossible descriptors break the device", hostile_chains },
		{ "impossible indirect tables break the device",
		    hostile_indirect },
		{ "impossible ring indices break the device", hostile_rings },
		{ "impossible queue layouts are not enabled",
		    hostile_layout },
		{ "an impossible state is refused", liars },
	};

	return unit_main("virtio", tests, sizeof(tests) / sizeof(tests[0]));
}
