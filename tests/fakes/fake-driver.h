/* SPDX-License-Identifier: ISC */
/*
 * A virtio driver for unit tests: negotiates over virtio-mmio and fills rings in
 * fake guest memory, honestly or not. Knows no device kind.
 */
#ifndef FAKE_DRIVER_H
#define FAKE_DRIVER_H

#include "fakes/fake-env.h"
#include "virtio.h"

#define DRV_SLOT	0xd0000000u
#define DRV_GSI		16u
#define DRV_NUM		8u		/* descriptors a queue */
#define DRV_DATA	0x40000u	/* guest memory free for buffers */

#define DESC_NEXT	1u
#define DESC_WRITE	2u
#define DESC_INDIRECT	4u

struct fake_driver {
	struct fake_env	*f;
	uint16_t	avail[VIRTIO_QUEUES_MAX];	/* our index of each queue */
};

uint32_t	drv_read(struct fake_driver *d, unsigned int reg);
void	drv_write(struct fake_driver *d, unsigned int reg, uint32_t value);

/* Where queue q's parts lie. */
uint64_t	drv_desc_gpa(unsigned int q);
uint64_t	drv_avail_gpa(unsigned int q);
uint64_t	drv_used_gpa(unsigned int q);

/* Reset, negotiate VERSION_1 and `features`, enable n queues, DRIVER_OK. */
void	drv_start(struct fake_driver *d, struct fake_env *f,
	    unsigned int n_queues, uint64_t features);

/* Write descriptor i of queue q (or of a table at `gpa`). */
void	drv_desc(struct fake_driver *d, unsigned int q, unsigned int i,
	    uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
void	drv_desc_at(struct fake_driver *d, uint64_t gpa, unsigned int i,
	    uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);

/* Offer the chain that begins at `head`; kick is separate. */
void	drv_offer(struct fake_driver *d, unsigned int q, uint16_t head);
void	drv_kick(struct fake_driver *d, unsigned int q);

/* The device's used index; entry i's id and length. */
uint16_t	drv_used(struct fake_driver *d, unsigned int q);
uint32_t	drv_used_id(struct fake_driver *d, unsigned int q,
		    unsigned int i);
uint32_t	drv_used_len(struct fake_driver *d, unsigned int q,
		    unsigned int i);

#endif
