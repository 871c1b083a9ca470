/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: what a hostile driver does with the balloon: descriptors, lists of
 * page numbers, commands, configuration writes, between requests of the host.
 * Twelve bytes an action. The device must then still save what it would load.
 */
#include <stdlib.h>
#include <string.h>

#include "devices.h"
#include "fakes/fake-driver.h"
#include "fuzz/fuzz.h"
#include "le.h"

#define RAM		(4u << 20)
#define ACTION_BYTES	12u
#define QUEUES		5u

enum action { REGISTER, MEMORY, DESC, OFFER, KICK, HINT, BALLOON, LOOK, PAUSE,
	N_ACTIONS };

static const struct dev_ops *const ops = &dev_virtio_balloon_ops;

static void
host_asks(struct dev *d, enum action a, uint64_t value)
{
	struct dev_guest_memory m;

	switch (a) {
	case HINT:
		ops->memory->hint(d, value & 1);
		break;
	case BALLOON:
		ops->memory->balloon(d, value);
		break;
	case LOOK:
		ops->memory->look(d, &m);
		break;
	default:
		ops->stop(d);
		ops->start(d);
		break;
	}
}

static void
act(struct fake_driver *drv, struct dev *d, const uint8_t *p)
{
	uint64_t where = le_get32(p + 2), value = le_get32(p + 6);
	enum action a = (enum action)(p[0] % N_ACTIONS);
	unsigned int q = p[1] % QUEUES;

	switch (a) {
	case REGISTER:
		drv_write(drv, where % 0x114, (uint32_t)value);
		break;
	case MEMORY:
		gmem_write(drv->f->env.gmem, where % RAM, p + 6, 6);
		break;
	case DESC:
		drv_desc(drv, q, p[1] / QUEUES % DRV_NUM, where,
		    (uint32_t)value & 0x1fffff, p[10] & 7, p[11] & 15);
		break;
	case OFFER:
		drv_offer(drv, q, p[2] % (DRV_NUM + 1));
		break;
	case KICK:
		drv_kick(drv, q);
		break;
	default:
		host_asks(d, a, value);
		break;
	}
}

void
fuzz_one(const uint8_t *data, size_t len)
{
	const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };
	Persona__State__DeviceState *s = calloc(1, sizeof(*s));
	struct fake_driver drv;
	struct fake_env f;
	struct dev *d;

	fake_env_init(&f, RAM);
	if (s == NULL || ops->create(&d, &f.env, &place) < 0)
		abort();
	drv_start(&drv, &f, QUEUES, 0x1000003e);
	ops->start(d);
	for (size_t at = 0; at + ACTION_BYTES <= len; at += ACTION_BYTES)
		act(&drv, d, data + at);
	persona__state__device_state__init(s);
	s->name = strdup("balloon0");
	ops->stop(d);
	if (ops->save(d, s) < 0 || ops->check(d, s) < 0)
		abort();
	ops->load(d, s);
	ops->start(d);
	persona__state__device_state__free_unpacked(s, NULL);
	ops->free(d);
	fake_env_fini(&f);
}

static size_t
action(uint8_t *p, enum action a, uint8_t arg, uint32_t where, uint32_t value)
{
	memset(p, 0, ACTION_BYTES);
	p[0] = (uint8_t)a;
	p[1] = arg;
	le_put32(p + 2, where);
	le_put32(p + 6, value);
	return ACTION_BYTES;
}

/* A driver at work on each queue, and a host that asks. */
size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	uint8_t q = (uint8_t)(i % QUEUES);
	size_t n = 0;

	if (i >= 2 * QUEUES || max < 1024)
		return 0;
	n += action(buf + n, HINT, 0, 0, 1);
	n += action(buf + n, MEMORY, 0, DRV_DATA, 2);
	n += action(buf + n, DESC, q, DRV_DATA, 4);	/* a command, page 2 */
	n += action(buf + n, OFFER, q, 0, 0);
	n += action(buf + n, KICK, q, 0, 0);
	n += action(buf + n, DESC, q, 0x100000, 0x80000);
	buf[n - 2] = 2;					/* free memory */
	n += action(buf + n, OFFER, q, 0, 0);
	n += action(buf + n, KICK, q, 0, 0);
	n += action(buf + n, LOOK, 0, 0, 0);
	if (i >= QUEUES)
		n += action(buf + n, PAUSE, 0, 0, 0);
	n += action(buf + n, BALLOON, 0, 0, 0x100000);
	n += action(buf + n, REGISTER, 0, 0x104, 77);
	n += action(buf + n, REGISTER, 0, 0x10c, i & 1);
	n += action(buf + n, KICK, q, 0, 0);
	return n;
}
