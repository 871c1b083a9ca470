/* SPDX-License-Identifier: ISC */
/*
 * The virtio entropy device: hands the guest bytes of the host's random number
 * generator. Keeps nothing, so its saved state is the transport's alone.
 * Deliberately knows no transport. Source: VIRTIO 1.2, section 5.4.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices.h"
#include "virtio-mmio.h"

#define RNG_DEVICE_ID	4u
#define RNG_CHAIN_MAX	(1u << 20)	/* bytes */

struct dev {
	struct virtio_mmio *transport;
};

/* At most this much an answer; a driver that wants more asks again. */
#define RNG_ANSWER_MAX	256u

static void
rng_notify(void *arg, unsigned int q)
{
	struct dev *d = arg;
	struct virtio *v = virtio_mmio_core(d->transport);
	uint8_t bytes[RNG_ANSWER_MAX];
	struct virtq_chain c;
	bool any = false;

	for (uint32_t i = 0; i < v->queues[q].num; i++) {
		ssize_t n;

		if (virtq_pop(v, q, &c) <= 0)
			break;
		/* Up to 256 bytes come whole and at once: getrandom(2). */
		if ((n = getrandom(bytes, sizeof(bytes), 0)) < 0)
			n = 0;
		virtq_push(v, q, &c, virtq_fill(v, &c, bytes, (uint32_t)n));
		any = true;
	}
	explicit_bzero(bytes, sizeof(bytes));
	if (any)
		virtq_signal(v, q);
}

static const struct virtio_ops rng_virtio_ops = {
	.device_id = RNG_DEVICE_ID,
	.n_queues = 1,
	.chain_max_bytes = RNG_CHAIN_MAX,
	.notify = rng_notify,
};

static void
rng_free(struct dev *d)
{
	if (d == NULL)
		return;
	virtio_mmio_free(d->transport);
	free(d);
}

static int
rng_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;
	int r;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	if ((r = virtio_mmio_new(&d->transport, env, place, &rng_virtio_ops,
	    d)) < 0) {
		rng_free(d);
		return r;
	}
	*dp = d;
	return 0;
}

static int
rng_save(struct dev *d, Persona__State__DeviceState *out)
{
	return virtio_mmio_save(d->transport, out);
}

static int
rng_check(struct dev *d, const Persona__State__DeviceState *in)
{
	return virtio_mmio_check(d->transport, in);
}

static void
rng_load(struct dev *d, const Persona__State__DeviceState *in)
{
	virtio_mmio_load(d->transport, in);
}

const struct dev_ops dev_virtio_rng_ops = {
	.kind = "virtio-rng",
	.version = 1,
	.create = rng_create,
	.save = rng_save,
	.check = rng_check,
	.load = rng_load,
	.free = rng_free,
};
