/* SPDX-License-Identifier: ISC */
/*
 * A virtio-mmio block driver of one request, polled, and the log it keeps on the
 * disk: blocks 0, 1, 2 ... of 4 KiB, each with its number, its generation (one
 * more on every pass over the disk) and a text of both. Knows the slot by heart.
 * Source: VIRTIO 1.2, 4.2 and 5.2.
 */
#include <stddef.h>

#include "disk.h"

#define SLOT		0xd0003000ul	/* disk0; see hypervisor/machine.c */
#define BLOCK_BYTES	4096u
#define BLOCK_WORDS	(BLOCK_BYTES / 8)
#define BLOCKS_MAX	1024u		/* we use 4 MB at most */
#define FLUSH_EVERY	8u
#define MAGIC		0x6b636f6c42657950ull
#define QUEUE		8u

enum { R_MAGIC = 0, R_DEVICE = 2, R_FEATURES_SEL = 9, R_FEATURES = 8,
	R_QUEUE_SEL = 12, R_QUEUE_NUM = 14, R_READY = 17, R_NOTIFY = 20,
	R_STATUS = 28, R_DESC = 32, R_AVAIL = 36, R_USED = 40,
	R_CAPACITY = 64 };	/* offsets / 4 */
enum { T_READ = 0, T_WRITE = 1, T_FLUSH = 4 };

static volatile uint32_t *const reg = (volatile uint32_t *)SLOT;

static struct {
	struct { uint64_t addr; uint32_t len; uint16_t flags, next; } desc[QUEUE];
	struct { uint16_t flags, idx, ring[QUEUE]; } avail;
	struct { uint16_t flags, idx; struct { uint32_t id, len; } ring[QUEUE]; }
	    used __attribute__((aligned(4)));
	struct { uint32_t type, reserved; uint64_t sector; } header;
	uint8_t	status;
	uint64_t block[BLOCK_WORDS];
} q __attribute__((aligned(4096)));

static struct {
	int		busy;
	uint32_t	type;		/* of the request under way */
	uint64_t	index;		/* its block */
	int		scanning;
	uint64_t	scan_at, scan_bad, scan_prefix, scan_first;
	uint64_t	generation, at;	/* the next write: block `at` */
	uint64_t	turn;		/* reads after writes, flushes after eight */
	uint64_t	random;
	struct disk_totals t;
} d = { .random = 88172645463325252ull };

static void
submit(uint32_t type, uint64_t index)
{
	uint16_t n = q.avail.idx;

	d.type = type;
	d.index = index;
	q.header.type = type;
	q.header.sector = type == T_FLUSH ? 0 : index * (BLOCK_BYTES / 512);
	q.status = 0xff;
	q.desc[0].addr = (uint64_t)&q.header;
	q.desc[0].len = 16;
	q.desc[0].flags = 1;
	q.desc[0].next = type == T_FLUSH ? 2 : 1;
	q.desc[1].addr = (uint64_t)q.block;
	q.desc[1].len = BLOCK_BYTES;
	q.desc[1].flags = type == T_READ ? 3 : 1;
	q.desc[1].next = 2;
	q.desc[2].addr = (uint64_t)&q.status;
	q.desc[2].len = 1;
	q.desc[2].flags = 2;
	q.avail.ring[n % QUEUE] = 0;
	__atomic_store_n(&q.avail.idx, (uint16_t)(n + 1), __ATOMIC_SEQ_CST);
	d.busy = 1;
	reg[R_NOTIFY] = 0;
}

static uint64_t
word_of(uint64_t index, uint64_t generation, uint64_t i)
{
	uint64_t x = (index << 32 ^ generation) + i * 0x9e3779b97f4a7c15ull;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9ull;
}

static void
fill_block(uint64_t index, uint64_t generation)
{
	q.block[0] = MAGIC ^ index;
	q.block[1] = generation;
	for (uint64_t i = 2; i < BLOCK_WORDS; i++)
		q.block[i] = word_of(index, generation, i);
}

/* The generation of the block read; 0: never written; 1 in *bad: neither. */
static uint64_t
generation_of(uint64_t index, uint64_t *bad)
{
	uint64_t generation = q.block[1], wrong = 0, any = 0;

	for (uint64_t i = 0; i < BLOCK_WORDS; i++) {
		any |= q.block[i];
		if (i >= 2)
			wrong |= q.block[i] ^ word_of(index, generation, i);
	}
	if (any == 0)
		return 0;
	if (wrong != 0 || q.block[0] != (MAGIC ^ index))
		*bad += 1;
	return generation;
}

int
disk_init(void)
{
	if (reg[R_MAGIC] != 0x74726976u || reg[R_DEVICE] != 2)
		return 0;
	reg[R_STATUS] = 0;
	reg[R_STATUS] = 3;
	reg[R_FEATURES_SEL] = 0;
	reg[R_FEATURES] = 1u << 9;		/* flush */
	reg[R_FEATURES_SEL] = 1;
	reg[R_FEATURES] = 1;			/* version 1 */
	reg[R_STATUS] = 11;
	reg[R_QUEUE_SEL] = 0;
	reg[R_QUEUE_NUM] = QUEUE;
	reg[R_DESC] = (uint32_t)(uint64_t)q.desc;
	reg[R_AVAIL] = (uint32_t)(uint64_t)&q.avail;
	reg[R_USED] = (uint32_t)(uint64_t)&q.used;
	reg[R_DESC + 1] = reg[R_AVAIL + 1] = reg[R_USED + 1] = 0;
	q.avail.flags = 1;			/* polled: no interrupts */
	reg[R_READY] = 1;
	reg[R_STATUS] = 15;
	d.t.blocks = reg[R_CAPACITY] / (BLOCK_BYTES / 512);
	if (d.t.blocks > BLOCKS_MAX || reg[R_CAPACITY + 1] != 0)
		d.t.blocks = BLOCKS_MAX;
	disk_scan();
	return 1;
}

void
disk_scan(void)
{
	d.scanning = 1;
	d.scan_at = d.scan_bad = d.scan_prefix = d.scan_first = 0;
}

/* One block of a scan has been read. */
static void
scanned_block(void)
{
	uint64_t g = generation_of(d.index, &d.scan_bad);

	if (d.index == 0)
		d.scan_first = g;
	if (g == d.scan_first && d.scan_prefix == d.index)
		d.scan_prefix++;
	/* The pass of now, or the one before. */
	if (g != d.scan_first && g + 1 != d.scan_first)
		d.scan_bad++;
	d.scan_at++;
}

/* All of it is read: what must have been written, and where to go on. */
static void
scan_end(void (*scanned)(const struct disk_totals *t))
{
	d.scanning = 0;
	d.generation = d.scan_first;
	d.at = d.scan_prefix;
	if (d.generation == 0 || d.at == d.t.blocks) {
		d.generation++;
		d.at = 0;
	}
	d.t.written = (d.generation - 1) * d.t.blocks + d.at;
	d.t.bad += d.scan_bad;
	scanned(&d.t);
}

/* What the answer to the request under way says. */
static void
take_answer(void)
{
	uint64_t bad = 0;

	if (q.status != 0) {
		d.t.bad++;
	} else if (d.type == T_FLUSH) {
		d.t.flushed = d.t.written;
	} else if (d.type == T_WRITE) {
		d.t.written++;
		if (++d.at == d.t.blocks) {
			d.at = 0;
			d.generation++;
		}
	} else if (d.scanning) {
		scanned_block();
	} else {
		if (generation_of(d.index, &bad) != d.generation || bad != 0)
			d.t.bad++;
		d.t.read++;
	}
}

/* Write, read something written in this pass, and now and then flush. */
static unsigned int
next_request(unsigned int may_write)
{
	if (d.turn % 2 == 1) {
		d.turn++;
		if (d.at > 0) {
			d.random ^= d.random << 13;
			d.random ^= d.random >> 7;
			d.random ^= d.random << 17;
			submit(T_READ, d.random % d.at);
			return 0;
		}
	}
	if (d.turn % (2 * FLUSH_EVERY) == 0 && d.t.flushed != d.t.written &&
	    d.type != T_FLUSH) {
		submit(T_FLUSH, 0);
		return 0;
	}
	if (!may_write)
		return 0;
	d.turn++;
	fill_block(d.at, d.generation);
	submit(T_WRITE, d.at);
	return 1;
}

unsigned int
disk_step(unsigned int may_write,
    void (*scanned)(const struct disk_totals *t))
{
	if (d.busy) {
		if (__atomic_load_n(&q.used.idx, __ATOMIC_ACQUIRE) !=
		    q.avail.idx)
			return 0;
		d.busy = 0;
		take_answer();
	}
	if (d.scanning && d.scan_at == d.t.blocks)
		scan_end(scanned);
	if (!d.scanning)
		return next_request(may_write);
	submit(T_READ, d.scan_at);
	return 0;
}

struct disk_totals
disk_totals(void)
{
	return d.t;
}
