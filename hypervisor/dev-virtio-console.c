/* SPDX-License-Identifier: ISC */
/*
 * The virtio console, one port (Linux: hvc0). Bytes the guest writes go to a
 * console, bytes typed there go into buffers that the guest offers.
 * Deliberately knows no transport and no stream. Source: VIRTIO 1.2, section 5.3.
 */
#include <errno.h>
#include <stdlib.h>

#include "console.h"
#include "devices.h"
#include "virtio-mmio.h"

#define CONSOLE_DEVICE_ID	3u
#define CONSOLE_CHAIN_MAX	(1u << 20)	/* bytes; drivers use a page */

enum { Q_RECEIVE, Q_TRANSMIT, N_QUEUES };

struct dev {
	struct virtio_mmio *transport;
	struct console	*console;
};

/* Put waiting input into the guest's buffers, as far as there are any. */
static void
fill_receive(void *arg)
{
	struct dev *d = arg;
	struct virtio *v = virtio_mmio_core(d->transport);
	struct virtq_chain c;
	uint8_t bytes[256];
	bool any = false;

	for (uint32_t i = 0; i < v->queues[Q_RECEIVE].num; i++) {
		uint32_t room;
		size_t n;

		if (virtq_pop(v, Q_RECEIVE, &c) <= 0)
			break;
		room = c.write_bytes < sizeof(bytes) ? c.write_bytes :
		    (uint32_t)sizeof(bytes);
		n = console_read(d->console, bytes, room);
		if (n == 0 && room > 0) {	/* nothing (more) typed */
			virtq_unpop(v, Q_RECEIVE);
			break;
		}
		virtq_push(v, Q_RECEIVE, &c,
		    virtq_fill(v, &c, bytes, (uint32_t)n));
		any = true;
	}
	if (any)
		virtq_signal(v, Q_RECEIVE);
}

static void
drain_transmit(struct dev *d)
{
	struct virtio *v = virtio_mmio_core(d->transport);
	struct virtq_chain c;
	bool any = false;

	for (uint32_t i = 0; i < v->queues[Q_TRANSMIT].num; i++) {
		if (virtq_pop(v, Q_TRANSMIT, &c) <= 0)
			break;
		for (unsigned int b = 0; b < c.n_read; b++)
			console_write(d->console, c.bufs[b].ptr,
			    c.bufs[b].len);
		virtq_push(v, Q_TRANSMIT, &c, 0);
		any = true;
	}
	if (any)
		virtq_signal(v, Q_TRANSMIT);
}

static void
console_notify(void *arg, unsigned int q)
{
	struct dev *d = arg;

	if (q == Q_RECEIVE)
		fill_receive(d);
	else
		drain_transmit(d);
}

static const struct virtio_ops console_virtio_ops = {
	.device_id = CONSOLE_DEVICE_ID,
	.n_queues = N_QUEUES,
	.chain_max_bytes = CONSOLE_CHAIN_MAX,
	.notify = console_notify,
};

static void
vcon_free(struct dev *d)
{
	if (d == NULL)
		return;
	console_free(d->console);
	virtio_mmio_free(d->transport);
	free(d);
}

static int
vcon_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;
	int r = -ENOMEM;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	if ((r = console_new(&d->console, env, fill_receive, d)) < 0)
		goto out;
	if ((r = virtio_mmio_new(&d->transport, env, place,
	    &console_virtio_ops, d)) < 0)
		goto out;
	*dp = d;
	d = NULL;
out:
	vcon_free(d);
	return r;
}

static int
vcon_save(struct dev *d, Persona__State__DeviceState *out)
{
	return virtio_mmio_save(d->transport, out);
}

static int
vcon_check(struct dev *d, const Persona__State__DeviceState *in)
{
	return virtio_mmio_check(d->transport, in);
}

static void
vcon_load(struct dev *d, const Persona__State__DeviceState *in)
{
	virtio_mmio_load(d->transport, in);
}

static int
vcon_attach(struct dev *d, int stream_fd)
{
	return console_attach(d->console, stream_fd);
}

static void
vcon_start(struct dev *d)
{
	console_start(d->console);
}

static void
vcon_stop(struct dev *d)
{
	console_stop(d->console);
}

const struct dev_ops dev_virtio_console_ops = {
	.kind = "virtio-console",
	.version = 1,
	.create = vcon_create,
	.save = vcon_save,
	.check = vcon_check,
	.load = vcon_load,
	.attach = vcon_attach,
	.start = vcon_start,
	.stop = vcon_stop,
	.free = vcon_free,
};
