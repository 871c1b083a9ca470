/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the input is what a hostile guest's network driver and a hostile
 * persona-net do to the card, fourteen bytes an action, and, as a whole, a frame
 * that the connection table and the filter before libslirp look at. After each
 * input the card must still save a state that it would itself accept.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices.h"
#include "fakes/fake-driver.h"
#include "fuzz/fuzz.h"
#include "le.h"
#include "net-filter.h"
#include "net-flows.h"

#define RAM		(1u << 20)
#define ACTION_BYTES	14u
#define N_QUEUES	3u
#define FEATURES	(1ULL << 3 | 1ULL << 5 | 1ULL << 16 | 1ULL << 17 | \
			    1ULL << 21 | 1ULL << 28)

enum action { DESC, OFFER, KICK, REGISTER, CONFIG, FRAME, MEMORY, PAUSE, CABLE,
	N_ACTIONS };

struct scene {
	struct fake_env	f;
	struct fake_driver drv;
	struct dev	*d;
	int		fd;
};

static void
cable(struct scene *s)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv) < 0)
		abort();
	if (s->fd >= 0)
		close(s->fd);
	s->fd = sv[1];
	if (dev_virtio_net_ops.attach(s->d, sv[0]) < 0)
		abort();
}

static void
act(struct scene *s, const uint8_t *p)
{
	unsigned int q = p[1] % N_QUEUES;
	uint32_t a = le_get32(p + 2), b = le_get32(p + 6);

	switch ((enum action)(p[0] % N_ACTIONS)) {
	case DESC:
		drv_desc(&s->drv, q, p[12] % DRV_NUM, a & 0x1fffff,
		    b & 0x1ffff, p[10] & 7, p[11] % (DRV_NUM + 1));
		break;
	case OFFER:
		drv_offer(&s->drv, q, p[2] % (DRV_NUM + 1));
		break;
	case KICK:
		drv_kick(&s->drv, q);
		break;
	case REGISTER:
		bus_write(s->f.env.bus, BUS_MMIO, DRV_SLOT + a % 0x104, 4, b);
		break;
	case CONFIG:
		bus_read(s->f.env.bus, BUS_MMIO, DRV_SLOT + 0x100 + a % 0x40,
		    1u << (p[1] & 3));
		break;
	case FRAME:
		if (write(s->fd, p, p[1] % ACTION_BYTES + 1u) < 0)
			break;
		break;
	case MEMORY:
		gmem_write(s->f.env.gmem, a % (RAM - 8), p + 6, 8);
		break;
	case PAUSE:
		dev_virtio_net_ops.stop(s->d);
		dev_virtio_net_ops.start(s->d);
		break;
	case CABLE:
		cable(s);
		break;
	default:
		break;
	}
	fake_env_run(&s->f);
}

static void
check_saved(struct scene *s)
{
	Persona__State__DeviceState *state = malloc(sizeof(*state));

	if (state == NULL)
		abort();
	persona__state__device_state__init(state);
	state->name = strdup("net0");
	dev_virtio_net_ops.stop(s->d);
	if (dev_virtio_net_ops.save(s->d, state) < 0 ||
	    dev_virtio_net_ops.check(s->d, state) < 0)
		abort();
	persona__state__device_state__free_unpacked(state, NULL);
}

static void
look_at(const uint8_t *data, size_t len)
{
	uint8_t *frame = malloc(len > 0 ? len : 1);
	struct iovec iov[2];
	struct net_flows *flows;

	if (frame == NULL || net_flows_new(&flows) < 0)
		abort();
	memcpy(frame, data, len);
	iov[0] = (struct iovec){ frame, len / 2 };
	iov[1] = (struct iovec){ frame + len / 2, len - len / 2 };
	net_flows_see(flows, iov, 2);
	(void)net_filter_passes(frame, len);
	net_flows_free(flows);
	free(frame);
}

void
fuzz_one(const uint8_t *data, size_t len)
{
	const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };
	const struct dev_net net = { { 2, 0, 0, 0, 0, 1 } };
	struct scene s = { .fd = -1 };

	look_at(data, len);
	fake_env_init(&s.f, RAM);
	s.f.env.net = &net;
	if (dev_virtio_net_ops.create(&s.d, &s.f.env, &place) < 0)
		abort();
	cable(&s);
	drv_start(&s.drv, &s.f, N_QUEUES, FEATURES);
	dev_virtio_net_ops.start(s.d);
	for (size_t at = 0; at + ACTION_BYTES <= len; at += ACTION_BYTES)
		act(&s, data + at);
	check_saved(&s);
	dev_virtio_net_ops.free(s.d);
	fake_env_fini(&s.f);
	close(s.fd);
}

static size_t
action(uint8_t *p, enum action a, unsigned int q, uint32_t x, uint32_t y,
    uint8_t flags, uint8_t next, uint8_t i)
{
	memset(p, 0, ACTION_BYTES);
	p[0] = (uint8_t)a;
	p[1] = (uint8_t)q;
	le_put32(p + 2, x);
	le_put32(p + 6, y);
	p[10] = flags;
	p[11] = next;
	p[12] = i;
	return ACTION_BYTES;
}

/* A driver at work: a chain of two, offered and kicked; a frame; a new cable. */
size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	unsigned int q = i % N_QUEUES;
	size_t n = 0;

	if (i >= 6 || max < 1024)
		return 0;
	n += action(buf + n, DESC, q, DRV_DATA, 40, q == 0 ? 3 : 1, 1, 0);
	n += action(buf + n, DESC, q, DRV_DATA + 64, 200, q == 1 ? 0 : 2, 0, 1);
	n += action(buf + n, OFFER, q, 0, 0, 0, 0, 0);
	n += action(buf + n, KICK, q, 0, 0, 0, 0, 0);
	n += action(buf + n, FRAME, ACTION_BYTES - 1, 0, 0, 0, 0, 0);
	n += action(buf + n, CONFIG, 1, 6, 0, 0, 0, 0);
	n += action(buf + n, i & 1 ? CABLE : PAUSE, 0, 0, 0, 0, 0, 0);
	n += action(buf + n, REGISTER, 0, 0x70, i < 3 ? 15 : 0, 0, 0, 0);
	return n;
}
