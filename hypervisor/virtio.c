/* SPDX-License-Identifier: ISC */
/*
 * Split virtqueues and device status, with everything the guest says checked.
 * Deliberately knows no transport and no device kind. Every loop here is bounded
 * by a queue's size, never by a number that the guest can grow meanwhile.
 * Source: VIRTIO 1.2, sections 2.1, 2.2, 2.6 and 2.7.
 */
#include "virtio.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "gmem.h"

/* Descriptor: addr le64, len le32, flags le16, next le16 (2.7.5) */
#define DESC_BYTES		16u
#define DESC_F_NEXT		1u
#define DESC_F_WRITE		2u
#define DESC_F_INDIRECT		4u

/* Available ring: flags le16, idx le16, ring[num] le16 (2.7.6) */
#define AVAIL_BYTES(num)	(4u + 2u * (num))
#define AVAIL_F_NO_INTERRUPT	1u
/* Used ring: flags le16, idx le16, ring[num] of id le32, len le32 (2.7.8) */
#define USED_BYTES(num)		(4u + 8u * (num))

struct desc {
	uint64_t	addr;
	uint32_t	len;
	uint16_t	flags;
	uint16_t	next;
};

/* A table of descriptors: the queue's own or an indirect one. */
struct desc_table {
	const uint8_t	*base;
	uint32_t	num;
};

void
virtio_init(struct virtio *v, const struct virtio_ops *ops, void *arg,
    struct gmem *gmem, void (*interrupt)(void *transport), void *transport)
{
	memset(v, 0, sizeof(*v));
	v->ops = ops;
	v->arg = arg;
	v->gmem = gmem;
	v->interrupt = interrupt;
	v->transport = transport;
	for (unsigned int i = 0; i < ops->n_queues; i++)
		v->queues[i].num = VIRTQ_NUM_MAX;
}

static void
reset(struct virtio *v)
{
	virtio_init(v, v->ops, v->arg, v->gmem, v->interrupt, v->transport);
	if (v->ops->reset != NULL)
		v->ops->reset(v->arg);
	v->interrupt(v->transport);
}

uint64_t
virtio_features(const struct virtio *v)
{
	return v->ops->features | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_VERSION_1;
}

static bool
features_acceptable(const struct virtio *v)
{
	return (v->driver_features & ~virtio_features(v)) == 0 &&
	    (v->driver_features & VIRTIO_F_VERSION_1) != 0;
}

void
virtio_set_status(struct virtio *v, uint32_t status)
{
	const uint32_t known = VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER |
	    VIRTIO_S_DRIVER_OK | VIRTIO_S_FEATURES_OK | VIRTIO_S_FAILED;

	if (status == 0) {
		reset(v);
		return;
	}
	status &= known;
	/* The driver may not take a bit back, except by a reset (2.1.1). */
	status |= v->status;
	if ((status & VIRTIO_S_FEATURES_OK) && !features_acceptable(v))
		status &= ~VIRTIO_S_FEATURES_OK;
	if (!(status & VIRTIO_S_FEATURES_OK))
		status &= ~VIRTIO_S_DRIVER_OK;
	v->status = status;
}

/* DRIVER_OK and not broken: rings may be looked at. */
static bool
is_live(const struct virtio *v)
{
	return (v->status & VIRTIO_S_DRIVER_OK) &&
	    !(v->status & (VIRTIO_S_NEEDS_RESET | VIRTIO_S_FAILED));
}

/* Stop looking at its rings until it resets us. */
void
virtio_break(struct virtio *v)
{
	bool tell = v->status & VIRTIO_S_DRIVER_OK;

	v->status |= VIRTIO_S_NEEDS_RESET;
	if (tell) {
		v->interrupt_status |= VIRTIO_INT_CONFIG;
		v->interrupt(v->transport);
	}
}

bool
virtq_valid(const struct virtq *q, struct gmem *g)
{
	if (q->num == 0 || q->num > VIRTQ_NUM_MAX ||
	    (q->num & (q->num - 1)) != 0)
		return false;
	/* Alignments: 2.7.1 */
	if (q->desc_gpa % 16 != 0 || q->avail_gpa % 2 != 0 ||
	    q->used_gpa % 4 != 0)
		return false;
	return gmem_ptr(g, q->desc_gpa, (uint64_t)DESC_BYTES * q->num) &&
	    gmem_ptr(g, q->avail_gpa, AVAIL_BYTES(q->num)) &&
	    gmem_ptr(g, q->used_gpa, USED_BYTES(q->num));
}

void
virtio_queue_enable(struct virtio *v, unsigned int q, bool ready)
{
	struct virtq *vq = &v->queues[q];

	if (!ready) {
		vq->ready = false;
		return;
	}
	if (vq->ready || !(v->status & VIRTIO_S_FEATURES_OK))
		return;
	if (!virtq_valid(vq, v->gmem)) {
		virtio_break(v);
		return;
	}
	vq->next_avail = vq->next_used = 0;
	vq->ready = true;
}

void
virtio_kick(struct virtio *v, unsigned int q)
{
	if (q < v->ops->n_queues && v->queues[q].ready && is_live(v))
		v->ops->notify(v->arg, q);
}

/*
 * A host pointer to a part of a queue. The queue was in RAM when it was enabled
 * and RAM does not move; a NULL is still checked for by every caller.
 */
static void *
ring_ptr(struct virtio *v, uint64_t gpa, uint64_t len)
{
	return gmem_ptr(v->gmem, gpa, len);
}

static uint16_t
load_le16(const void *p, int order)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, order));
}

/* Copy descriptor i out of guest memory, once: what is checked is what is used. */
static int
read_desc(const struct desc_table *t, uint32_t i, struct desc *d)
{
	uint8_t raw[DESC_BYTES];

	if (i >= t->num)
		return -EPROTO;
	memcpy(raw, t->base + (size_t)i * DESC_BYTES, sizeof(raw));
	memcpy(&d->addr, raw, 8);
	memcpy(&d->len, raw + 8, 4);
	memcpy(&d->flags, raw + 12, 2);
	memcpy(&d->next, raw + 14, 2);
	d->addr = le64toh(d->addr);
	d->len = le32toh(d->len);
	d->flags = le16toh(d->flags);
	d->next = le16toh(d->next);
	return 0;
}

/* Add one buffer to the chain. -EPROTO when that breaks a rule. */
static int
add_buf(struct virtio *v, struct virtq_chain *c, const struct desc *d)
{
	unsigned int n = c->n_read + c->n_write;
	bool write = d->flags & DESC_F_WRITE;
	uint8_t *p;

	if (n == VIRTQ_NUM_MAX)
		return -EPROTO;
	if (!write && c->n_write > 0)	/* 2.7.4.2: readable ones come first */
		return -EPROTO;
	if ((uint64_t)c->read_bytes + c->write_bytes + d->len >
	    v->ops->chain_max_bytes)
		return -EPROTO;
	if ((p = gmem_ptr(v->gmem, d->addr, d->len)) == NULL)
		return -EPROTO;
	c->bufs[n] = (struct virtq_buf){ p, d->addr, d->len };
	if (write) {
		c->n_write++;
		c->write_bytes += d->len;
	} else {
		c->n_read++;
		c->read_bytes += d->len;
	}
	return 0;
}

/* The table that an indirect descriptor names (2.7.5.3). */
static int
open_indirect(struct virtio *v, const struct desc *d, struct desc_table *t)
{
	if (!(v->driver_features & VIRTIO_F_INDIRECT_DESC))
		return -EPROTO;
	if (d->flags & DESC_F_NEXT)
		return -EPROTO;
	if (d->len == 0 || d->len % DESC_BYTES != 0 ||
	    d->len / DESC_BYTES > VIRTQ_NUM_MAX)
		return -EPROTO;
	t->num = d->len / DESC_BYTES;
	t->base = gmem_ptr(v->gmem, d->addr, d->len);
	return t->base != NULL ? 0 : -EPROTO;
}

/*
 * Walk one chain from `head`. A chain that visits more descriptors than its
 * table has is a loop.
 */
static int
walk_chain(struct virtio *v, const struct desc_table *queue, uint16_t head,
    struct virtq_chain *c)
{
	struct desc_table t = *queue;
	bool indirect = false;
	uint32_t i = head, seen = 0;
	struct desc d;
	int r;

	for (;;) {
		if (seen++ == t.num)
			return -EPROTO;
		if ((r = read_desc(&t, i, &d)) < 0)
			return r;
		if (d.flags & DESC_F_INDIRECT) {
			if (indirect)	/* no tables within tables */
				return -EPROTO;
			if ((r = open_indirect(v, &d, &t)) < 0)
				return r;
			indirect = true;
			seen = 0;
			i = 0;
			continue;
		}
		if ((r = add_buf(v, c, &d)) < 0)
			return r;
		if (!(d.flags & DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

int
virtq_pop(struct virtio *v, unsigned int q, struct virtq_chain *c)
{
	struct virtq *vq = &v->queues[q];
	struct desc_table t;
	const uint8_t *avail;
	uint16_t waiting;

	if (!vq->ready || !is_live(v))
		return 0;
	t.num = vq->num;
	t.base = ring_ptr(v, vq->desc_gpa, (uint64_t)DESC_BYTES * vq->num);
	avail = ring_ptr(v, vq->avail_gpa, AVAIL_BYTES(vq->num));
	if (t.base == NULL || avail == NULL)
		goto broken;
	/* Acquire: what the driver wrote before the index is there after it. */
	waiting = (uint16_t)(load_le16(avail + 2, __ATOMIC_ACQUIRE) -
	    vq->next_avail);
	if (waiting == 0)
		return 0;
	if (waiting > vq->num)
		goto broken;
	c->head = load_le16(avail + 4 + 2 * (vq->next_avail % vq->num),
	    __ATOMIC_RELAXED);
	c->n_read = c->n_write = 0;
	c->read_bytes = c->write_bytes = 0;
	if (walk_chain(v, &t, c->head, c) < 0)
		goto broken;
	vq->next_avail++;
	return 1;
broken:
	virtio_break(v);
	return -EPROTO;
}

void
virtq_unpop(struct virtio *v, unsigned int q)
{
	v->queues[q].next_avail--;
}

void
virtq_push(struct virtio *v, unsigned int q, const struct virtq_chain *c,
    uint32_t written)
{
	struct virtq *vq = &v->queues[q];
	uint8_t *used = ring_ptr(v, vq->used_gpa, USED_BYTES(vq->num));
	uint32_t elem[2] = { htole32(c->head), htole32(written) };

	if (!vq->ready || used == NULL)
		return;
	memcpy(used + 4 + 8 * (vq->next_used % vq->num), elem, sizeof(elem));
	vq->next_used++;
	/* Release: the driver sees the answer before it sees the index. */
	__atomic_store_n((uint16_t *)(void *)(used + 2),
	    htole16(vq->next_used), __ATOMIC_RELEASE);
	gmem_mark_dirty(v->gmem, vq->used_gpa, USED_BYTES(vq->num));
}

void
virtq_signal(struct virtio *v, unsigned int q)
{
	struct virtq *vq = &v->queues[q];
	const uint8_t *avail = ring_ptr(v, vq->avail_gpa, AVAIL_BYTES(vq->num));

	if (!vq->ready || avail == NULL)
		return;
	/* The index must be visible before we look at the driver's wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (load_le16(avail, __ATOMIC_RELAXED) & AVAIL_F_NO_INTERRUPT)
		return;
	v->interrupt_status |= VIRTIO_INT_USED;
	v->interrupt(v->transport);
}

void
virtio_config_changed(struct virtio *v)
{
	v->config_generation++;
	if (!is_live(v))
		return;
	v->interrupt_status |= VIRTIO_INT_CONFIG;
	v->interrupt(v->transport);
}

uint32_t
virtq_gather(const struct virtq_chain *c, uint32_t offset, void *buf,
    uint32_t len)
{
	uint8_t *p = buf;
	uint32_t done = 0;

	for (unsigned int i = 0; i < c->n_read && done < len; i++) {
		const struct virtq_buf *b = &c->bufs[i];
		uint32_t n;

		if (offset >= b->len) {
			offset -= b->len;
			continue;
		}
		n = b->len - offset < len - done ? b->len - offset : len - done;
		memcpy(p + done, b->ptr + offset, n);
		done += n;
		offset = 0;
	}
	return done;
}

uint32_t
virtq_fill(struct virtio *v, const struct virtq_chain *c, const void *buf,
    uint32_t len)
{
	const uint8_t *p = buf;
	uint32_t done = 0;

	for (unsigned int i = 0; i < c->n_write && done < len; i++) {
		const struct virtq_buf *b = &c->bufs[c->n_read + i];
		uint32_t n = b->len < len - done ? b->len : len - done;

		if (n == 0)
			continue;
		memcpy(b->ptr, p + done, n);
		gmem_mark_dirty(v->gmem, b->gpa, n);
		done += n;
	}
	return done;
}
