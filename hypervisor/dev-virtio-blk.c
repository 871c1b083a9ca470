/* SPDX-License-Identifier: ISC */
/*
 * The virtio block device: one queue, served by a thread of its own, so that no
 * vCPU ever waits for storage. A slot without a disk is a device of id 0, which
 * drivers pass by. Deliberately knows no request type (blk-request.c) and not
 * how a disk is stored (disk.c). Source: VIRTIO 1.2, section 5.2.
 *
 * Locks: the bus lock guards the queue, `lock` the words between the worker and
 * the rest; `lock` is taken inside the bus lock or alone. The worker does a
 * request without either. One request is under way at most: after a stop
 * everything taken from the ring has been answered, and what the driver has
 * offered since lies in the ring, which is saved with guest memory.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blk-request.h"
#include "bus.h"
#include "devices.h"
#include "disk.h"
#include "disk-map.h"
#include "le.h"
#include "virtio-mmio.h"

#define BLK_DEVICE_ID	2u

/* Feature bits, 5.2.3 */
#define F_SIZE_MAX	(1ULL << 1)
#define F_SEG_MAX	(1ULL << 2)
#define F_RO		(1ULL << 5)
#define F_BLK_SIZE	(1ULL << 6)
#define F_FLUSH		(1ULL << 9)
#define F_TOPOLOGY	(1ULL << 10)
#define F_DISCARD	(1ULL << 13)
#define F_WRITE_ZEROES	(1ULL << 14)

/* Configuration, 5.2.4: offsets of what is not 0 */
enum { C_CAPACITY = 0, C_SIZE_MAX = 8, C_SEG_MAX = 12, C_BLK_SIZE = 20,
	C_PHYSICAL_EXP = 24, C_MIN_IO = 26, C_OPT_IO = 28,
	C_DISCARD_SECTORS = 36, C_DISCARD_RANGES = 40, C_DISCARD_ALIGN = 44,
	C_ZEROES_SECTORS = 48, C_ZEROES_RANGES = 52, C_ZEROES_UNMAP = 56,
	CONFIG_BYTES = 60 };

/*
 * Sectors of 512 bytes, as any raw image has been partitioned with, and hints
 * that make drivers keep to our 4 KiB pages and 64 KiB blocks.
 */
#define PHYSICAL_EXP	3u
#define PAGE_SECTORS	(PAGE_BYTES / BLK_SECTOR_BYTES)
#define BLOCK_SECTORS	(DISK_BLOCK_BYTES / BLK_SECTOR_BYTES)

struct dev {
	struct virtio_ops vops;
	struct virtio_mmio *transport;
	struct bus	*bus;
	struct gmem	*gmem;
	void		(*stand_still)(void *arg, enum machine_request what);
	void		*machine;
	struct disk	*disk;		/* NULL: an empty slot */
	char		id[BLK_ID_BYTES];
	uint8_t		config[CONFIG_BYTES];
	bool		has_thread;
	pthread_t	thread;
	pthread_mutex_t	lock;
	pthread_cond_t	wake;		/* the worker: look again */
	pthread_cond_t	quiet;		/* everybody: it has moved on */
	bool		running;	/* between start and stop */
	bool		leaving;
	bool		kicked;
	bool		serving;	/* the worker may touch the ring */
	bool		under_way;	/* it is doing a request */
	bool		full;		/* it is not to try before the next start */
	uint64_t	driver;		/* counts resets: whose request it is */
	/* the worker's: what is under way */
	struct virtq_chain chain;
	struct blk_request request;
	uint64_t	asker;		/* `driver` when it was taken */
	bool		write_through;	/* that driver knows no flush */
};

/* --- the worker ---------------------------------------------------------- */

/* Take the next request, unless we are being stopped. */
static bool
take(struct dev *d)
{
	struct virtio *v = virtio_mmio_core(d->transport);
	bool taken = false;

	bus_lock(d->bus);
	pthread_mutex_lock(&d->lock);
	if (d->running && virtq_pop(v, 0, &d->chain) == 1) {
		taken = blk_request_parse(&d->request, &d->chain) == 0;
		if (!taken)
			virtio_break(v);
	}
	d->under_way = taken;
	d->asker = d->driver;
	d->write_through = !(v->driver_features & F_FLUSH);
	pthread_mutex_unlock(&d->lock);
	bus_unlock(d->bus);
	return taken;
}

/* Tell the driver, if it is still the one who asked. */
static void
answer(struct dev *d, uint32_t written)
{
	struct virtio *v = virtio_mmio_core(d->transport);

	/* First: a reset waits for this with the bus locked. */
	pthread_mutex_lock(&d->lock);
	d->under_way = false;
	pthread_cond_broadcast(&d->quiet);
	pthread_mutex_unlock(&d->lock);

	bus_lock(d->bus);
	if (d->asker == d->driver) {
		virtq_push(v, 0, &d->chain, written);
		virtq_signal(v, 0);
	}
	bus_unlock(d->bus);
}

/*
 * No room for it: back into the ring, where a state that is saved now has it, and
 * the machine is to stand still. After the next start it is done again.
 */
static void
hold_back(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->under_way = false;
	d->full = true;
	pthread_cond_broadcast(&d->quiet);
	pthread_mutex_unlock(&d->lock);

	bus_lock(d->bus);
	if (d->asker == d->driver)
		virtq_unpop(virtio_mmio_core(d->transport), 0);
	bus_unlock(d->bus);
	d->stand_still(d->machine, MACHINE_NO_ROOM);
}

static void
serve(struct dev *d)
{
	uint32_t written;

	while (take(d)) {
		if (blk_request_run(&d->request, d->disk, d->gmem, d->id,
		    d->write_through, &written) < 0) {
			hold_back(d);
			return;
		}
		answer(d, written);
	}
}

static void *
worker_main(void *arg)
{
	struct dev *d = arg;

	pthread_setname_np(pthread_self(), d->id);
	pthread_mutex_lock(&d->lock);
	while (!d->leaving) {
		if (!d->running || !d->kicked || d->full) {
			pthread_cond_wait(&d->wake, &d->lock);
			continue;
		}
		d->kicked = false;
		d->serving = true;
		pthread_mutex_unlock(&d->lock);
		serve(d);
		pthread_mutex_lock(&d->lock);
		d->serving = false;
		pthread_cond_broadcast(&d->quiet);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static int
worker_start(struct dev *d)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&d->thread, NULL, worker_main, d);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	d->has_thread = r == 0;
	return r;
}

/* --- the guest's side ---------------------------------------------------- */

static void
wake(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->kicked = true;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

static void
blk_notify(void *arg, unsigned int q)
{
	(void)q;
	wake(arg);
}

/*
 * After a reset the driver may use its memory for something else: the request
 * under way is waited for. (It is not long, and no driver resets a busy disk.)
 */
static void
blk_reset(void *arg)
{
	struct dev *d = arg;

	pthread_mutex_lock(&d->lock);
	d->driver++;
	while (d->under_way)
		pthread_cond_wait(&d->quiet, &d->lock);
	pthread_mutex_unlock(&d->lock);
}

static uint32_t
blk_config_read(void *arg, uint64_t offset, unsigned int len)
{
	const struct dev *d = arg;
	uint8_t bytes[4] = { 0 };

	if (len > sizeof(bytes))
		return 0;
	for (unsigned int i = 0; i < len; i++)
		if (offset + i < CONFIG_BYTES)
			bytes[i] = d->config[offset + i];
	return le_get32(bytes);
}

static void
fill_config(struct dev *d)
{
	uint8_t *c = d->config;

	le_put64(c + C_CAPACITY, disk_bytes(d->disk) / BLK_SECTOR_BYTES);
	le_put32(c + C_SIZE_MAX, BLK_SEGMENT_BYTES);
	le_put32(c + C_SEG_MAX, BLK_SEGMENTS_MAX);
	le_put32(c + C_BLK_SIZE, BLK_SECTOR_BYTES);
	c[C_PHYSICAL_EXP] = PHYSICAL_EXP;
	le_put16(c + C_MIN_IO, PAGE_SECTORS);
	le_put32(c + C_OPT_IO, BLOCK_SECTORS);
	le_put32(c + C_DISCARD_SECTORS, BLK_DISCARD_SECTORS);
	le_put32(c + C_DISCARD_RANGES, BLK_DISCARD_RANGES);
	le_put32(c + C_DISCARD_ALIGN, PAGE_SECTORS);
	le_put32(c + C_ZEROES_SECTORS, BLK_ZEROES_SECTORS);
	le_put32(c + C_ZEROES_RANGES, 1);
	c[C_ZEROES_UNMAP] = 1;
}

static const struct virtio_ops disk_ops = {
	.device_id = BLK_DEVICE_ID,
	.features = F_SIZE_MAX | F_SEG_MAX | F_BLK_SIZE | F_FLUSH |
	    F_TOPOLOGY | F_DISCARD | F_WRITE_ZEROES,
	.n_queues = 1,
	.chain_max_bytes = BLK_CHAIN_MAX,
	.notify = blk_notify,
	.config_read = blk_config_read,
	.reset = blk_reset,
};

/* --- the machine's side -------------------------------------------------- */

static void
blk_free(struct dev *d)
{
	if (d == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	d->running = false;
	d->leaving = true;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
	if (d->has_thread)
		pthread_join(d->thread, NULL);
	virtio_mmio_free(d->transport);
	pthread_cond_destroy(&d->wake);
	pthread_cond_destroy(&d->quiet);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static int
blk_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;
	int r;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->wake, NULL);
	pthread_cond_init(&d->quiet, NULL);
	d->bus = env->bus;
	d->gmem = env->gmem;
	d->stand_still = env->request;
	d->machine = env->arg;
	d->disk = env->disks[place->unit];
	snprintf(d->id, sizeof(d->id), "disk%u", place->unit);
	d->vops = d->disk != NULL ? disk_ops : virtio_absent_ops;
	if (d->disk != NULL) {
		fill_config(d);
		if (disk_is_read_only(d->disk))
			d->vops.features = (d->vops.features | F_RO) &
			    ~(F_DISCARD | F_WRITE_ZEROES);
	}
	if ((r = virtio_mmio_new(&d->transport, env, place, &d->vops,
	    d)) < 0 || (d->disk != NULL && (r = worker_start(d)) < 0)) {
		blk_free(d);
		return r;
	}
	*dp = d;
	return 0;
}

static int
blk_save(struct dev *d, Persona__State__DeviceState *out)
{
	Persona__State__VirtioBlk *s;
	int r;

	if ((r = virtio_mmio_save(d->transport, out)) < 0 || d->disk == NULL)
		return r;
	if ((s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__virtio_blk__init(s);
	out->blk = s;
	s->bytes = disk_bytes(d->disk);
	s->has_read_only = true;
	s->read_only = disk_is_read_only(d->disk);
	return 0;
}

static int
blk_check(struct dev *d, const Persona__State__DeviceState *in)
{
	const Persona__State__VirtioBlk *s;
	int r;

	if ((r = virtio_mmio_check(d->transport, in)) < 0)
		return r;
	s = in->blk;
	if ((s != NULL) != (d->disk != NULL))
		return -EINVAL;
	if (s != NULL && (s->bytes != disk_bytes(d->disk) ||
	    s->read_only != disk_is_read_only(d->disk)))
		return -EINVAL;
	return 0;
}

static void
blk_load(struct dev *d, const Persona__State__DeviceState *in)
{
	virtio_mmio_load(d->transport, in);
}

static void
blk_start(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->running = true;
	d->full = false;
	pthread_mutex_unlock(&d->lock);
	/* Requests may wait in the ring whose kick came to nobody. */
	wake(d);
}

static void
blk_stop(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->running = false;
	pthread_mutex_unlock(&d->lock);
	/* The worker wants the bus to answer with. */
	bus_unlock(d->bus);
	pthread_mutex_lock(&d->lock);
	while (d->serving)
		pthread_cond_wait(&d->quiet, &d->lock);
	pthread_mutex_unlock(&d->lock);
	bus_lock(d->bus);
}

const struct dev_ops dev_virtio_blk_ops = {
	.kind = "virtio-blk",
	.version = 1,
	.create = blk_create,
	.save = blk_save,
	.check = blk_check,
	.load = blk_load,
	.start = blk_start,
	.stop = blk_stop,
	.free = blk_free,
};
