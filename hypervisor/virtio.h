/* SPDX-License-Identifier: ISC */
/*
 * The core of every virtio device: split virtqueues and the device status, apart
 * from any transport. Whatever the guest puts into a ring is checked here; a lie
 * breaks the device (DEVICE_NEEDS_RESET), never us. Knows no transport register
 * and no device kind. All calls want the bus lock.
 * Source: Virtual I/O Device (VIRTIO) 1.2, sections 2.1, 2.2, 2.6 and 2.7.
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

struct gmem;
struct virtio;

#define VIRTIO_QUEUES_MAX	5u

/* Device status bits, 2.1 */
#define VIRTIO_S_ACKNOWLEDGE	1u
#define VIRTIO_S_DRIVER		2u
#define VIRTIO_S_DRIVER_OK	4u
#define VIRTIO_S_FEATURES_OK	8u
#define VIRTIO_S_NEEDS_RESET	64u
#define VIRTIO_S_FAILED		128u

/* Feature bits that the core itself takes care of, 6 */
#define VIRTIO_F_INDIRECT_DESC	(1ULL << 28)
#define VIRTIO_F_VERSION_1	(1ULL << 32)

/* Interrupt reasons, 4.2.2 */
#define VIRTIO_INT_USED		1u
#define VIRTIO_INT_CONFIG	2u

/* What a device kind is to the core. */
struct virtio_ops {
	uint32_t	device_id;	/* section 5 */
	uint64_t	features;	/* the kind's own, below bit 24 */
	unsigned int	n_queues;
	/* Longest chain the kind can want, both directions summed: a bound on
	 * the work that one kick can cause. */
	uint64_t	chain_max_bytes;
	/* The driver has kicked queue q of a live device. */
	void	(*notify)(void *arg, unsigned int q);
	/* Device-specific configuration; NULL: all zero, writes ignored. */
	uint32_t (*config_read)(void *arg, uint64_t offset, unsigned int len);
	void	(*config_write)(void *arg, uint64_t offset, unsigned int len,
		    uint32_t value);
	/* Forget what belongs to the old driver; NULL: nothing. */
	void	(*reset)(void *arg);
};

struct virtq {
	uint32_t	num;		/* power of two, <= VIRTQ_NUM_MAX */
	bool		ready;
	uint64_t	desc_gpa;
	uint64_t	avail_gpa;
	uint64_t	used_gpa;
	uint16_t	next_avail;	/* first entry we have not taken */
	uint16_t	next_used;	/* where the next answer goes */
};

/* A device as the core sees it; embedded in its transport. */
struct virtio {
	const struct virtio_ops *ops;
	void		*arg;		/* the kind's */
	struct gmem	*gmem;
	/* The transport's: interrupt status has changed. */
	void		(*interrupt)(void *transport);
	void		*transport;
	uint32_t	status;
	uint32_t	interrupt_status;
	uint32_t	config_generation;	/* 2.5.1; starts anew when loaded */
	uint64_t	driver_features;
	struct virtq	queues[VIRTIO_QUEUES_MAX];
};

/* A piece of a chain, in host memory. Guest bytes may change at any time. */
struct virtq_buf {
	uint8_t		*ptr;
	uint64_t	gpa;
	uint32_t	len;
};

/* One descriptor chain: first what the device reads, then what it writes. */
struct virtq_chain {
	uint16_t	head;
	unsigned int	n_read;
	unsigned int	n_write;
	uint32_t	read_bytes;	/* both within ops->chain_max_bytes */
	uint32_t	write_bytes;
	struct virtq_buf bufs[VIRTQ_NUM_MAX];
};

/* Power-on state. */
void	virtio_init(struct virtio *v, const struct virtio_ops *ops, void *arg,
	    struct gmem *gmem, void (*interrupt)(void *transport),
	    void *transport);

uint64_t	virtio_features(const struct virtio *v);

/*
 * The driver writes the status field. Bits that the rules do not allow yet are
 * not taken (FEATURES_OK without VERSION_1 stays off, as the driver will see);
 * 0 resets. Setting DRIVER_OK makes the device live.
 */
void	virtio_set_status(struct virtio *v, uint32_t status);

/* The driver turns a queue on or off. A queue that cannot work breaks us. */
void	virtio_queue_enable(struct virtio *v, unsigned int q, bool ready);

/* The driver kicks a queue; anything unexpected is ignored. */
void	virtio_kick(struct virtio *v, unsigned int q);

/* Could this queue be in a live device with this memory? */
bool	virtq_valid(const struct virtq *q, struct gmem *g);

/*
 * The next chain of a ready queue of a live device: 1 with *c filled, 0 when the
 * driver has offered nothing more (or the device is not live), -EPROTO when the
 * ring is nonsense: then the device has been broken already.
 */
int	virtq_pop(struct virtio *v, unsigned int q, struct virtq_chain *c);

/* Put a chain back unused, to be popped again. Only the latest one popped. */
void	virtq_unpop(struct virtio *v, unsigned int q);

/*
 * Answer a chain of which `written` bytes were written; marks the ring dirty. Of
 * a queue that was turned off meanwhile: nothing.
 */
void	virtq_push(struct virtio *v, unsigned int q,
	    const struct virtq_chain *c, uint32_t written);

/* After pushes: interrupt the driver unless it asked us not to. */
void	virtq_signal(struct virtio *v, unsigned int q);

/* The configuration space has changed by itself: tell a live driver (2.4). */
void	virtio_config_changed(struct virtio *v);

/* The guest broke a rule of the device's kind: as if its rings were nonsense. */
void	virtio_break(struct virtio *v);

/*
 * Copy `len` bytes at `offset` of what the driver has written in a chain. The
 * bytes copied: fewer where the chain ends.
 */
uint32_t	virtq_gather(const struct virtq_chain *c, uint32_t offset,
		    void *buf, uint32_t len);

/* Copy to the writable part of a chain from its start; marks it dirty. */
uint32_t	virtq_fill(struct virtio *v, const struct virtq_chain *c,
		    const void *buf, uint32_t len);

#endif
