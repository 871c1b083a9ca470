/* SPDX-License-Identifier: ISC */
/* See fake-driver.h. Source: VIRTIO 1.2, 2.7 and 4.2. */
#include "fakes/fake-driver.h"

#include <stdlib.h>
#include <string.h>

#include "le.h"

uint32_t
drv_read(struct fake_driver *d, unsigned int reg)
{
	return (uint32_t)bus_read(d->f->env.bus, BUS_MMIO, DRV_SLOT + reg, 4);
}

void
drv_write(struct fake_driver *d, unsigned int reg, uint32_t value)
{
	bus_write(d->f->env.bus, BUS_MMIO, DRV_SLOT + reg, 4, value);
}

uint64_t
drv_desc_gpa(unsigned int q)
{
	return 0x10000 + q * 0x3000;
}

uint64_t
drv_avail_gpa(unsigned int q)
{
	return drv_desc_gpa(q) + 0x1000;
}

uint64_t
drv_used_gpa(unsigned int q)
{
	return drv_desc_gpa(q) + 0x2000;
}

void
drv_start(struct fake_driver *d, struct fake_env *f, unsigned int n_queues,
    uint64_t features)
{
	memset(d, 0, sizeof(*d));
	d->f = f;
	features |= 1ULL << 32;
	drv_write(d, 0x70, 0);
	drv_write(d, 0x70, 1);
	drv_write(d, 0x70, 3);
	drv_write(d, 0x24, 0);
	drv_write(d, 0x20, (uint32_t)features);
	drv_write(d, 0x24, 1);
	drv_write(d, 0x20, (uint32_t)(features >> 32));
	drv_write(d, 0x70, 11);
	for (unsigned int q = 0; q < n_queues; q++) {
		uint8_t *p = gmem_ptr(f->env.gmem, drv_desc_gpa(q), 0x3000);

		if (p == NULL)
			abort();
		memset(p, 0, 0x3000);
		drv_write(d, 0x30, q);
		drv_write(d, 0x38, DRV_NUM);
		drv_write(d, 0x80, (uint32_t)drv_desc_gpa(q));
		drv_write(d, 0x84, 0);
		drv_write(d, 0x90, (uint32_t)drv_avail_gpa(q));
		drv_write(d, 0x94, 0);
		drv_write(d, 0xa0, (uint32_t)drv_used_gpa(q));
		drv_write(d, 0xa4, 0);
		drv_write(d, 0x44, 1);
	}
	drv_write(d, 0x70, 15);
}

void
drv_desc_at(struct fake_driver *d, uint64_t gpa, unsigned int i,
    uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	uint8_t raw[16];

	le_put64(raw, addr);
	le_put32(raw + 8, len);
	le_put16(raw + 12, flags);
	le_put16(raw + 14, next);
	if (gmem_write(d->f->env.gmem, gpa + 16 * i, raw, sizeof(raw)) < 0)
		abort();
}

void
drv_desc(struct fake_driver *d, unsigned int q, unsigned int i,
    uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	drv_desc_at(d, drv_desc_gpa(q), i, addr, len, flags, next);
}

void
drv_offer(struct fake_driver *d, unsigned int q, uint16_t head)
{
	uint8_t raw[2];

	le_put16(raw, head);
	gmem_write(d->f->env.gmem, drv_avail_gpa(q) + 4 +
	    2 * (d->avail[q] % DRV_NUM), raw, 2);
	le_put16(raw, ++d->avail[q]);
	gmem_write(d->f->env.gmem, drv_avail_gpa(q) + 2, raw, 2);
}

void
drv_kick(struct fake_driver *d, unsigned int q)
{
	drv_write(d, 0x50, q);
}

static uint32_t
get(struct fake_driver *d, uint64_t gpa, unsigned int len)
{
	uint8_t raw[4] = { 0 };

	if (gmem_read(d->f->env.gmem, gpa, raw, len) < 0)
		abort();
	return le_get32(raw);
}

uint16_t
drv_used(struct fake_driver *d, unsigned int q)
{
	return (uint16_t)get(d, drv_used_gpa(q) + 2, 2);
}

uint32_t
drv_used_id(struct fake_driver *d, unsigned int q, unsigned int i)
{
	return get(d, drv_used_gpa(q) + 4 + 8 * (i % DRV_NUM), 4);
}

uint32_t
drv_used_len(struct fake_driver *d, unsigned int q, unsigned int i)
{
	return get(d, drv_used_gpa(q) + 8 + 8 * (i % DRV_NUM), 4);
}
