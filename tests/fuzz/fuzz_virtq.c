/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the walk of a virtqueue by itself. The input is guest memory, rings
 * and descriptors among it, and what a saved state says of the queue. Whatever it
 * is, each chain must lie in memory and within its limits, and the walk must end.
 */
#include <stdlib.h>
#include <string.h>

#include "fakes/fake-env.h"
#include "fuzz/fuzz.h"
#include "le.h"
#include "virtio.h"

#define RAM		(1u << 16)
#define CHAIN_MAX	(1u << 20)
#define HEAD_BYTES	16u
/* What a driver can offer at most: a full ring of full chains. */
#define POPS_MAX	65536u

static void
interrupt(void *arg)
{
	(void)arg;
}

static void
notify(void *arg, unsigned int q)
{
	(void)arg;
	(void)q;
}

static const struct virtio_ops kind = {
	.device_id = 42,
	.n_queues = 1,
	.chain_max_bytes = CHAIN_MAX,
	.notify = notify,
};

static void
check_chain(struct gmem *g, const struct virtq_chain *c)
{
	uint64_t sum = 0;
	uint8_t some[64];

	if (c->n_read + c->n_write > VIRTQ_NUM_MAX)
		abort();
	for (unsigned int i = 0; i < c->n_read + c->n_write; i++) {
		if (c->bufs[i].ptr != gmem_ptr(g, c->bufs[i].gpa,
		    c->bufs[i].len))
			abort();
		sum += c->bufs[i].len;
	}
	if (sum != (uint64_t)c->read_bytes + c->write_bytes ||
	    sum > CHAIN_MAX)
		abort();
	(void)virtq_gather(c, 1, some, sizeof(some));
	(void)virtq_gather(c, UINT32_MAX, some, sizeof(some));
}

void
fuzz_one(const uint8_t *data, size_t len)
{
	static const uint8_t answer[512];
	struct virtq_chain c;
	struct fake_env f;
	struct virtio v;
	unsigned int pops = 0;

	if (len < HEAD_BYTES)
		return;
	fake_env_init(&f, RAM);
	virtio_init(&v, &kind, NULL, f.env.gmem, interrupt, NULL);
	gmem_write(f.env.gmem, 0, data + HEAD_BYTES, len - HEAD_BYTES < RAM ?
	    len - HEAD_BYTES : RAM);
	v.driver_features = VIRTIO_F_VERSION_1 |
	    (data[0] & 1 ? VIRTIO_F_INDIRECT_DESC : 0);
	virtio_set_status(&v, 3);
	virtio_set_status(&v, 11);
	v.queues[0].num = data[1] & 8 ? data[1] : 1u << (data[1] & 7);
	v.queues[0].desc_gpa = le_get16(data + 2) * 16u;
	v.queues[0].avail_gpa = le_get16(data + 4) * 2u;
	v.queues[0].used_gpa = le_get16(data + 6) * 4u;
	virtio_queue_enable(&v, 0, true);
	virtio_set_status(&v, 15);
	v.queues[0].next_avail = le_get16(data + 8);
	v.queues[0].next_used = le_get16(data + 10);
	/* Answers may land in the ring itself, so it may never run dry. */
	while (pops++ < POPS_MAX / 64 && virtq_pop(&v, 0, &c) > 0) {
		check_chain(f.env.gmem, &c);
		virtq_push(&v, 0, &c, virtq_fill(&v, &c, answer,
		    data[12] * 2u));
		virtq_signal(&v, 0);
	}
	fake_env_fini(&f);
}

/* Eight descriptors in a row, or in a ring, or behind an indirect one. */
size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	uint8_t *ram = buf + HEAD_BYTES, *desc = ram + 0x100;

	if (i >= 4 || max < HEAD_BYTES + 0x1000)
		return 0;
	memset(buf, 0, HEAD_BYTES + 0x1000);
	buf[0] = 1;
	buf[1] = 3;				/* eight entries */
	le_put16(buf + 2, 0x100 / 16);
	le_put16(buf + 4, 0x300 / 2);
	le_put16(buf + 6, 0x400 / 4);
	buf[12] = 32;
	for (unsigned int n = 0; n < 8; n++, desc += 16) {
		le_put64(desc, 0x800 + n * 64);
		le_put32(desc + 8, 64);
		le_put16(desc + 12, (uint16_t)((n < 7 || i == 1) | (n > 3) << 1));
		le_put16(desc + 14, (uint16_t)((n + 1) % 8));
	}
	if (i >= 2) {				/* a table of the other seven */
		le_put64(ram + 0x100, i == 2 ? 0x110 : 0x100);
		le_put32(ram + 0x108, 7 * 16);
		le_put16(ram + 0x10c, 4);
	}
	le_put16(ram + 0x302, 1);
	return HEAD_BYTES + 0x1000;
}
