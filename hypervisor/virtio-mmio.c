/* SPDX-License-Identifier: ISC */
/*
 * The register page through which a guest drives a virtio device (version 2),
 * and that device's saved state. Deliberately knows no device kind.
 * Source: VIRTIO 1.2, sections 4.2.2 and 4.2.3.
 */
#include "virtio-mmio.h"

#include <errno.h>
#include <stdlib.h>

#include "bus.h"
#include "gmem.h"

#define MMIO_MAGIC	0x74726976u	/* "virt" */
#define MMIO_VERSION	2u
#define MMIO_VENDOR	0x4e535250u	/* "PRSN" */

/* Register offsets, 4.2.2 */
enum {
	R_MAGIC = 0x000, R_VERSION = 0x004, R_DEVICE_ID = 0x008,
	R_VENDOR = 0x00c, R_DEVICE_FEATURES = 0x010,
	R_DEVICE_FEATURES_SEL = 0x014, R_DRIVER_FEATURES = 0x020,
	R_DRIVER_FEATURES_SEL = 0x024, R_QUEUE_SEL = 0x030,
	R_QUEUE_NUM_MAX = 0x034, R_QUEUE_NUM = 0x038, R_QUEUE_READY = 0x044,
	R_QUEUE_NOTIFY = 0x050, R_INTERRUPT_STATUS = 0x060,
	R_INTERRUPT_ACK = 0x064, R_STATUS = 0x070,
	R_QUEUE_DESC_LOW = 0x080, R_QUEUE_DESC_HIGH = 0x084,
	R_QUEUE_AVAIL_LOW = 0x090, R_QUEUE_AVAIL_HIGH = 0x094,
	R_QUEUE_USED_LOW = 0x0a0, R_QUEUE_USED_HIGH = 0x0a4,
	R_CONFIG_GENERATION = 0x0fc, R_CONFIG = 0x100,
};

const struct virtio_ops virtio_absent_ops = { .device_id = 0 };

struct virtio_mmio {
	struct virtio	core;
	struct dev_env	env;
	unsigned int	gsi;
	uint32_t	device_features_sel;
	uint32_t	driver_features_sel;
	uint32_t	queue_sel;
};

static void
update_irq(void *arg)
{
	struct virtio_mmio *t = arg;

	t->env.irq_line(t->env.arg, t->gsi, t->core.interrupt_status != 0);
}

/* The queue that queue_sel names, or NULL. */
static struct virtq *
selected(struct virtio_mmio *t)
{
	return t->queue_sel < t->core.ops->n_queues ?
	    &t->core.queues[t->queue_sel] : NULL;
}

static uint32_t
half(uint64_t value, uint32_t sel)
{
	return sel == 0 ? (uint32_t)value :
	    sel == 1 ? (uint32_t)(value >> 32) : 0;
}

static uint32_t
read_reg(struct virtio_mmio *t, uint64_t offset)
{
	const struct virtq *q = selected(t);

	switch (offset) {
	case R_MAGIC:
		return MMIO_MAGIC;
	case R_VERSION:
		return MMIO_VERSION;
	case R_DEVICE_ID:
		return t->core.ops->device_id;
	case R_VENDOR:
		return MMIO_VENDOR;
	case R_DEVICE_FEATURES:
		return half(virtio_features(&t->core), t->device_features_sel);
	case R_QUEUE_NUM_MAX:
		return q != NULL ? VIRTQ_NUM_MAX : 0;
	case R_QUEUE_READY:
		return q != NULL && q->ready;
	case R_INTERRUPT_STATUS:
		return t->core.interrupt_status;
	case R_STATUS:
		return t->core.status;
	case R_CONFIG_GENERATION:
		return t->core.config_generation;
	default:
		return 0;	/* reserved and write-only ones */
	}
}

static uint64_t
mmio_read(void *arg, uint64_t offset, unsigned int len)
{
	struct virtio_mmio *t = arg;
	const struct virtio_ops *ops = t->core.ops;

	if (offset >= R_CONFIG)
		return ops->config_read != NULL ?
		    ops->config_read(t->core.arg, offset - R_CONFIG, len) : 0;
	/* 4.2.2.2: registers are accessed 32 bits wide and aligned. */
	if (len != 4 || offset % 4 != 0)
		return 0;
	return read_reg(t, offset);
}

static void
write_driver_features(struct virtio_mmio *t, uint32_t value)
{
	uint64_t *f = &t->core.driver_features;

	/* Once agreed on, features stay (2.2). */
	if (t->core.status & VIRTIO_S_FEATURES_OK)
		return;
	if (t->driver_features_sel == 0)
		*f = (*f & ~0xffffffffULL) | value;
	else if (t->driver_features_sel == 1)
		*f = (*f & 0xffffffffULL) | (uint64_t)value << 32;
}

static void
set_low(uint64_t *gpa, uint32_t value)
{
	*gpa = (*gpa & ~0xffffffffULL) | value;
}

static void
set_high(uint64_t *gpa, uint32_t value)
{
	*gpa = (*gpa & 0xffffffffULL) | (uint64_t)value << 32;
}

/* The selected queue's layout, which only an idle queue may change. */
static void
write_queue_reg(struct virtio_mmio *t, uint64_t offset, uint32_t value)
{
	struct virtq *q = selected(t);

	if (q == NULL || q->ready)
		return;
	switch (offset) {
	case R_QUEUE_NUM:
		q->num = value;		/* looked at when it is enabled */
		break;
	case R_QUEUE_DESC_LOW:
		set_low(&q->desc_gpa, value);
		break;
	case R_QUEUE_DESC_HIGH:
		set_high(&q->desc_gpa, value);
		break;
	case R_QUEUE_AVAIL_LOW:
		set_low(&q->avail_gpa, value);
		break;
	case R_QUEUE_AVAIL_HIGH:
		set_high(&q->avail_gpa, value);
		break;
	case R_QUEUE_USED_LOW:
		set_low(&q->used_gpa, value);
		break;
	case R_QUEUE_USED_HIGH:
		set_high(&q->used_gpa, value);
		break;
	default:
		break;
	}
}

static void
write_reg(struct virtio_mmio *t, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case R_DEVICE_FEATURES_SEL:
		t->device_features_sel = value;
		break;
	case R_DRIVER_FEATURES:
		write_driver_features(t, value);
		break;
	case R_DRIVER_FEATURES_SEL:
		t->driver_features_sel = value;
		break;
	case R_QUEUE_SEL:
		t->queue_sel = value;
		break;
	case R_QUEUE_READY:
		if (selected(t) != NULL)
			virtio_queue_enable(&t->core, t->queue_sel, value & 1);
		break;
	case R_QUEUE_NOTIFY:
		virtio_kick(&t->core, value);
		break;
	case R_INTERRUPT_ACK:
		t->core.interrupt_status &= ~value;
		update_irq(t);
		break;
	case R_STATUS:
		virtio_set_status(&t->core, value);
		break;
	default:
		write_queue_reg(t, offset, value);
		break;
	}
}

static void
mmio_write(void *arg, uint64_t offset, unsigned int len, uint64_t value)
{
	struct virtio_mmio *t = arg;
	const struct virtio_ops *ops = t->core.ops;

	if (offset >= R_CONFIG) {
		if (ops->config_write != NULL)
			ops->config_write(t->core.arg, offset - R_CONFIG, len,
			    (uint32_t)value);
		return;
	}
	if (len != 4 || offset % 4 != 0)
		return;
	write_reg(t, offset, (uint32_t)value);
}

static const struct bus_region_ops mmio_region_ops = {
	.read = mmio_read,
	.write = mmio_write,
};

int
virtio_mmio_new(struct virtio_mmio **tp, const struct dev_env *env,
    const struct dev_place *place, const struct virtio_ops *ops, void *arg)
{
	struct virtio_mmio *t;
	int r;

	if (ops->n_queues > VIRTIO_QUEUES_MAX ||
	    ops->chain_max_bytes > UINT32_MAX)
		return -EINVAL;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return -ENOMEM;
	t->env = *env;
	t->gsi = place->gsi;
	virtio_init(&t->core, ops, arg, env->gmem, update_irq, t);
	if ((r = bus_add(env->bus, BUS_MMIO, place->addr, VIRTIO_MMIO_LEN,
	    &mmio_region_ops, t)) < 0) {
		virtio_mmio_free(t);
		return r;
	}
	*tp = t;
	return 0;
}

void
virtio_mmio_free(struct virtio_mmio *t)
{
	free(t);
}

struct virtio *
virtio_mmio_core(struct virtio_mmio *t)
{
	return &t->core;
}

static Persona__State__Virtqueue *
save_queue(const struct virtq *q)
{
	Persona__State__Virtqueue *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return NULL;
	persona__state__virtqueue__init(s);
	s->num = q->num;
	s->ready = q->ready;
	s->desc_gpa = q->desc_gpa;
	s->avail_gpa = q->avail_gpa;
	s->used_gpa = q->used_gpa;
	s->next_avail = q->next_avail;
	s->next_used = q->next_used;
	return s;
}

int
virtio_mmio_save(struct virtio_mmio *t, Persona__State__DeviceState *out)
{
	const struct virtio *v = &t->core;
	Persona__State__VirtioMmio *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__virtio_mmio__init(s);
	out->virtio = s;
	out->kind_case = PERSONA__STATE__DEVICE_STATE__KIND_VIRTIO;
	s->device_id = v->ops->device_id;
	s->status = v->status;
	s->driver_features = v->driver_features;
	s->device_features_sel = t->device_features_sel;
	s->driver_features_sel = t->driver_features_sel;
	s->queue_sel = t->queue_sel;
	s->interrupt_status = v->interrupt_status;
	if (v->ops->n_queues == 0)	/* an empty slot */
		return 0;
	s->queues = calloc(v->ops->n_queues, sizeof(s->queues[0]));
	if (s->queues == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < v->ops->n_queues; i++) {
		s->queues[i] = save_queue(&v->queues[i]);
		if (s->queues[i] == NULL)
			return -ENOMEM;
		s->n_queues++;
	}
	return 0;
}

static struct virtq
queue_of(const Persona__State__Virtqueue *s)
{
	return (struct virtq){
		.num = s->num,
		.ready = s->ready,
		.desc_gpa = s->desc_gpa,
		.avail_gpa = s->avail_gpa,
		.used_gpa = s->used_gpa,
		.next_avail = (uint16_t)s->next_avail,
		.next_used = (uint16_t)s->next_used,
	};
}

int
virtio_mmio_check(struct virtio_mmio *t, const Persona__State__DeviceState *in)
{
	const Persona__State__VirtioMmio *s = in->virtio;
	const struct virtio *v = &t->core;

	if (in->kind_case != PERSONA__STATE__DEVICE_STATE__KIND_VIRTIO ||
	    s->device_id != v->ops->device_id || s->status > 0xff ||
	    (s->interrupt_status & ~(VIRTIO_INT_USED | VIRTIO_INT_CONFIG)) ||
	    s->n_queues != v->ops->n_queues)
		return -EINVAL;
	if ((s->status & VIRTIO_S_FEATURES_OK) &&
	    ((s->driver_features & ~virtio_features(v)) != 0 ||
	    !(s->driver_features & VIRTIO_F_VERSION_1)))
		return -EINVAL;
	if ((s->status & VIRTIO_S_DRIVER_OK) &&
	    !(s->status & VIRTIO_S_FEATURES_OK))
		return -EINVAL;
	for (size_t i = 0; i < s->n_queues; i++) {
		struct virtq q = queue_of(s->queues[i]);

		if (s->queues[i]->next_avail > UINT16_MAX ||
		    s->queues[i]->next_used > UINT16_MAX)
			return -EINVAL;
		/* An idle queue may hold anything; see R_QUEUE_NUM. */
		if (q.ready && (!(s->status & VIRTIO_S_FEATURES_OK) ||
		    !virtq_valid(&q, v->gmem)))
			return -EINVAL;
	}
	return 0;
}

void
virtio_mmio_load(struct virtio_mmio *t, const Persona__State__DeviceState *in)
{
	const Persona__State__VirtioMmio *s = in->virtio;
	struct virtio *v = &t->core;

	v->status = s->status;
	v->driver_features = s->driver_features;
	v->interrupt_status = s->interrupt_status;
	t->device_features_sel = s->device_features_sel;
	t->driver_features_sel = s->driver_features_sel;
	t->queue_sel = s->queue_sel;
	for (size_t i = 0; i < s->n_queues; i++)
		v->queues[i] = queue_of(s->queues[i]);
	update_irq(t);
}
