/* SPDX-License-Identifier: ISC */
/*
 * The virtio network card: queues, link and announcements. How a frame comes and
 * goes is net-cable.c's; deliberately knows no transport and nothing of what is at
 * the cable's other end. Source: VIRTIO 1.2, section 5.1.
 *
 * Frames move on the main loop, not on a vCPU: the guest's kick is a write to an
 * eventfd. A thread of its own was considered; the other end of the socket is one
 * thread too and is the slower one, and the main loop needs no second way to stop.
 * At most BURST frames go before vCPUs and other events get their turn.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus.h"
#include "devices.h"
#include "le.h"
#include "net-cable.h"
#include "net-flows.h"
#include "virtio-mmio.h"

#define NET_DEVICE_ID	1u

/* Feature bits, 5.1.3 */
#define NET_F_MTU		(1ULL << 3)
#define NET_F_MAC		(1ULL << 5)
#define NET_F_STATUS		(1ULL << 16)
#define NET_F_CTRL_VQ		(1ULL << 17)
#define NET_F_GUEST_ANNOUNCE	(1ULL << 21)

/* struct virtio_net_config, 5.1.4: mac[6], status, max_virtqueue_pairs, mtu */
#define CONFIG_BYTES	12u
#define NET_S_LINK_UP	1u
#define NET_S_ANNOUNCE	2u

/* Control queue, 5.1.6.5 */
#define CTRL_ANNOUNCE		3u
#define CTRL_ANNOUNCE_ACK	0u
#define CTRL_OK			0u
#define CTRL_ERR		1u

#define MTU		1500u
#define BURST		32u		/* frames in one go, each way */
/* A driver hears of the link from a work queue; a shorter loss could be missed. */
#define REPLUG_MS	300u

enum { Q_RECEIVE, Q_TRANSMIT, Q_CONTROL, N_QUEUES };

struct dev {
	struct virtio_mmio *transport;
	struct bus	*bus;
	bool		present;	/* false: the slot is empty */
	uint8_t		mac[6];
	bool		started;
	bool		link_up;	/* as the guest is told */
	bool		announce;	/* the guest is asked to say it is here */

	/* vCPU threads say "look here" through kick_fd; only the main thread
	 * touches events. */
	int		kick_fd;
	struct event	*kick_ev;
	bool		kicked;

	struct net_cable cable;
	struct event	*plug_ev;
	bool		starved;	/* no receive buffer: wait for a kick */
	bool		blocked;	/* no room in the socket: wait for some */
	struct net_flows *flows;
};

/* --- the link ------------------------------------------------------------- */

static void
set_link(struct dev *d, bool up)
{
	if (d->link_up == up)
		return;
	d->link_up = d->announce = up;
	virtio_config_changed(virtio_mmio_core(d->transport));
}

/* The other end is gone; its owner will bring another. */
static void
lost(struct dev *d)
{
	net_cable_unplug(&d->cable);
	d->blocked = false;
	(void)event_del(d->plug_ev);
	set_link(d, false);
}

/*
 * Show the guest a pulled cable, and in a while a plugged one: it is somewhere
 * else now, and DHCP and roaming clients act on that. Wants a started device.
 */
static void
replug(struct dev *d)
{
	const struct timeval tv = { .tv_usec = REPLUG_MS * 1000 };

	set_link(d, false);
	/* Also when it was down already: the driver may not have looked yet. */
	virtio_config_changed(virtio_mmio_core(d->transport));
	(void)event_add(d->plug_ev, &tv);
}

/* --- frames --------------------------------------------------------------- */

/* 0 when a chain is done with, -EAGAIN to try it again. */
static int
send_frame(struct dev *d, const struct virtq_chain *c)
{
	int r = net_cable_send(&d->cable, c, d->flows);

	if (r != -EPIPE)
		return r;
	lost(d);
	return 0;
}

/* Whether the queue may hold more than was looked at. */
static bool
transmit(struct dev *d)
{
	struct virtio *v = virtio_mmio_core(d->transport);
	struct virtq_chain c;
	unsigned int n;

	for (n = 0; n < BURST; n++) {
		if (virtq_pop(v, Q_TRANSMIT, &c) <= 0)
			break;
		if (send_frame(d, &c) < 0) {
			virtq_unpop(v, Q_TRANSMIT);
			d->blocked = true;
			break;
		}
		virtq_push(v, Q_TRANSMIT, &c, 0);
	}
	if (n > 0)
		virtq_signal(v, Q_TRANSMIT);
	return n == BURST;
}

/* Give one frame to the guest. False: nothing more can be given now. */
static bool
receive_one(struct dev *d, bool *any)
{
	struct virtio *v = virtio_mmio_core(d->transport);
	struct virtq_chain c;
	int r;

	if (virtq_pop(v, Q_RECEIVE, &c) <= 0) {
		d->starved = true;
		return false;
	}
	r = net_cable_receive(&d->cable, v, &c);
	if (r >= 0) {		/* 0: too small a buffer to be one, handed back */
		virtq_push(v, Q_RECEIVE, &c, (uint32_t)r);
		*any = true;
		return true;
	}
	virtq_unpop(v, Q_RECEIVE);
	if (r == -EPIPE)
		lost(d);
	return r == -EMSGSIZE;
}

static void
receive(struct dev *d)
{
	bool any = false;

	for (unsigned int i = 0; i < BURST && d->cable.fd >= 0; i++)
		if (!receive_one(d, &any))
			break;
	if (any)
		virtq_signal(virtio_mmio_core(d->transport), Q_RECEIVE);
}

/* --- events --------------------------------------------------------------- */

/* From a vCPU thread or the main one, with the bus locked. */
static void
kick(struct dev *d)
{
	uint64_t one = 1;

	if (d->kicked)
		return;
	d->kicked = true;
	/* Cannot fail: the counter is cleared long before it is full. */
	if (write(d->kick_fd, &one, sizeof(one)) < 0)
		d->kicked = false;
}

/* The one place that decides what we wait for at the socket. */
static void
update(struct dev *d)
{
	net_cable_wait(&d->cable, d->started && !d->starved,
	    d->started && d->blocked);
}

static void
move_frames(struct dev *d)
{
	if (d->started && !d->blocked && transmit(d))
		kick(d);	/* after the others' turn */
	update(d);
}

static void
kick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dev *d = arg;
	uint64_t n;

	(void)what;
	bus_lock(d->bus);
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		event_del(d->kick_ev);	/* cannot happen; never spin */
	d->kicked = false;
	move_frames(d);
	bus_unlock(d->bus);
}

static void
write_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dev *d = arg;

	(void)fd;
	(void)what;
	bus_lock(d->bus);
	d->blocked = false;
	move_frames(d);
	bus_unlock(d->bus);
}

static void
read_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dev *d = arg;

	(void)fd;
	(void)what;
	bus_lock(d->bus);
	if (d->started)
		receive(d);
	update(d);
	bus_unlock(d->bus);
}

/* Hand the guest one frame of ours (a probe). False: it has no buffer for it. */
static bool
inject(void *arg, const uint8_t *frame, size_t len)
{
	uint8_t bytes[NET_HEADER_BYTES + NET_PROBE_MAX] = NET_HEADER_ONE_CHAIN;
	struct dev *d = arg;
	struct virtio *v = virtio_mmio_core(d->transport);
	struct virtq_chain c;

	if (len > NET_PROBE_MAX || virtq_pop(v, Q_RECEIVE, &c) <= 0)
		return false;
	memcpy(bytes + NET_HEADER_BYTES, frame, len);
	virtq_push(v, Q_RECEIVE, &c, virtq_fill(v, &c, bytes,
	    (uint32_t)(NET_HEADER_BYTES + len)));
	return true;
}

/* The cable is in again: tell the connections that went with the old one. */
static void
plug_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dev *d = arg;

	(void)fd;
	(void)what;
	bus_lock(d->bus);
	if (d->started && d->cable.fd >= 0) {
		set_link(d, true);
		if (net_flows_probe(d->flows, d->mac, inject, d) > 0)
			virtq_signal(virtio_mmio_core(d->transport),
			    Q_RECEIVE);
	}
	bus_unlock(d->bus);
}

/* --- what the driver says ------------------------------------------------- */

static uint8_t
control_ack(struct dev *d, const struct virtq_chain *c)
{
	uint8_t head[2] = { 0xff, 0xff };	/* class, command */
	size_t n = 0;

	for (unsigned int i = 0; i < c->n_read && n < 2; i++)
		for (uint32_t at = 0; at < c->bufs[i].len && n < 2; at++)
			head[n++] = c->bufs[i].ptr[at];
	if (head[0] != CTRL_ANNOUNCE || head[1] != CTRL_ANNOUNCE_ACK)
		return CTRL_ERR;
	d->announce = false;
	return CTRL_OK;
}

static void
control(struct dev *d)
{
	struct virtio *v = virtio_mmio_core(d->transport);
	struct virtq_chain c;
	bool any = false;

	for (uint32_t i = 0; i < v->queues[Q_CONTROL].num; i++) {
		uint8_t ack;

		if (virtq_pop(v, Q_CONTROL, &c) <= 0)
			break;
		ack = control_ack(d, &c);
		virtq_push(v, Q_CONTROL, &c, virtq_fill(v, &c, &ack, 1));
		any = true;
	}
	if (any)
		virtq_signal(v, Q_CONTROL);
}

static void
net_notify(void *arg, unsigned int q)
{
	struct dev *d = arg;

	if (q == Q_CONTROL) {
		control(d);
		return;
	}
	if (q == Q_RECEIVE)
		d->starved = false;
	kick(d);
}

static uint32_t
net_config_read(void *arg, uint64_t offset, unsigned int len)
{
	const struct dev *d = arg;
	uint8_t config[CONFIG_BYTES] = { 0 };
	uint32_t value = 0;

	memcpy(config, d->mac, sizeof(d->mac));
	le_put16(config + 6, (uint16_t)((d->link_up ? NET_S_LINK_UP : 0) |
	    (d->announce ? NET_S_ANNOUNCE : 0)));
	le_put16(config + 10, MTU);
	for (unsigned int i = 0; i < len && i < 4; i++)
		if (offset + i < CONFIG_BYTES)
			value |= (uint32_t)config[offset + i] << (8 * i);
	return value;
}

static void
net_reset(void *arg)
{
	struct dev *d = arg;

	d->starved = false;	/* the next driver has buffers of its own */
	d->announce = false;
	net_flows_clear(d->flows);
}

static const struct virtio_ops net_virtio_ops = {
	.device_id = NET_DEVICE_ID,
	.features = NET_F_MTU | NET_F_MAC | NET_F_STATUS | NET_F_CTRL_VQ |
	    NET_F_GUEST_ANNOUNCE,
	.n_queues = N_QUEUES,
	.chain_max_bytes = NET_HEADER_BYTES + NET_FRAME_MAX,
	.notify = net_notify,
	.config_read = net_config_read,
	.reset = net_reset,
};

/* --- life ----------------------------------------------------------------- */

static void
net_free(struct dev *d)
{
	if (d == NULL)
		return;
	net_cable_unplug(&d->cable);
	if (d->plug_ev != NULL)
		event_free(d->plug_ev);
	if (d->kick_ev != NULL)
		event_free(d->kick_ev);
	if (d->kick_fd >= 0)
		close(d->kick_fd);
	net_flows_free(d->flows);
	virtio_mmio_free(d->transport);
	free(d);
}

static int
create_card(struct dev *d, const struct dev_env *env)
{
	int r;

	d->present = true;
	memcpy(d->mac, env->net->mac, sizeof(d->mac));
	if ((r = net_flows_new(&d->flows)) < 0)
		return r;
	if ((d->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		return -errno;
	d->kick_ev = event_new(env->base, d->kick_fd, EV_READ | EV_PERSIST,
	    kick_cb, d);
	d->plug_ev = event_new(env->base, -1, EV_TIMEOUT, plug_cb, d);
	if (d->kick_ev == NULL || d->plug_ev == NULL ||
	    event_add(d->kick_ev, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int
net_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;
	int r = 0;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->bus = env->bus;
	d->cable.fd = d->kick_fd = -1;
	if ((r = virtio_mmio_new(&d->transport, env, place,
	    env->net != NULL ? &net_virtio_ops : &virtio_absent_ops, d)) < 0)
		goto out;
	if (env->net != NULL && (r = create_card(d, env)) < 0)
		goto out;
	*dp = d;
	return 0;
out:
	net_free(d);
	return r;
}

static int
net_save(struct dev *d, Persona__State__DeviceState *out)
{
	int r;

	if ((r = virtio_mmio_save(d->transport, out)) < 0 || !d->present)
		return r;
	if ((out->net = malloc(sizeof(*out->net))) == NULL)
		return -ENOMEM;
	persona__state__virtio_net__init(out->net);
	if ((out->net->mac.data = malloc(sizeof(d->mac))) == NULL)
		return -ENOMEM;
	memcpy(out->net->mac.data, d->mac, sizeof(d->mac));
	out->net->mac.len = sizeof(d->mac);
	return net_flows_save(d->flows, out->net);
}

static int
net_check(struct dev *d, const Persona__State__DeviceState *in)
{
	const Persona__State__VirtioNet *s = in->net;

	if ((s != NULL) != d->present)
		return -EINVAL;
	if (s != NULL && (s->mac.len != sizeof(d->mac) ||
	    memcmp(s->mac.data, d->mac, sizeof(d->mac)) != 0 ||
	    net_flows_check(s) < 0))
		return -EINVAL;
	return virtio_mmio_check(d->transport, in);
}

static void
net_load(struct dev *d, const Persona__State__DeviceState *in)
{
	virtio_mmio_load(d->transport, in);
	if (!d->present)
		return;
	net_flows_load(d->flows, in->net);
	d->link_up = d->announce = false;	/* net_start plugs it in */
}

static int
net_attach(struct dev *d, int stream_fd)
{
	int r;

	if (!d->present) {
		if (stream_fd >= 0)
			close(stream_fd);
		return -ENODEV;
	}
	if (stream_fd < 0) {
		lost(d);
		return 0;
	}
	r = net_cable_plug(&d->cable, event_get_base(d->kick_ev), stream_fd,
	    read_cb, write_cb, d);
	d->blocked = false;
	if (r < 0)
		lost(d);
	else if (!(virtio_mmio_core(d->transport)->status &
	    VIRTIO_S_DRIVER_OK))
		set_link(d, true);	/* no driver yet that could tell */
	else if (d->started)
		replug(d);
	else
		set_link(d, false);	/* net_start plugs it in */
	update(d);
	return r;
}

static void
net_start(struct dev *d)
{
	if (!d->present)
		return;
	d->started = true;
	d->starved = d->blocked = false;
	if (!d->link_up && d->cable.fd >= 0)
		replug(d);
	kick(d);
	update(d);
}

static void
net_stop(struct dev *d)
{
	if (!d->present)
		return;
	d->started = false;
	(void)event_del(d->plug_ev);
	update(d);
}

const struct dev_ops dev_virtio_net_ops = {
	.kind = "virtio-net",
	.version = 1,
	.create = net_create,
	.save = net_save,
	.check = net_check,
	.load = net_load,
	.attach = net_attach,
	.start = net_start,
	.stop = net_stop,
	.free = net_free,
};
