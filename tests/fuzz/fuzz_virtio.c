/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the input is what a hostile guest does to the machine: port and
 * register accesses, writes to its memory (the rings among it), and bytes typed
 * on the host. Twelve bytes an action. After each input the machine must still
 * save a state that it would itself accept.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fakes/fake-driver.h"
#include "fuzz/fuzz.h"
#include "le.h"
#include "machine.h"

#define RAM		(1u << 20)
#define ACTION_BYTES	12u

enum action { MMIO_WRITE, MMIO_READ, MEMORY, PIO_WRITE, PIO_READ, TYPE, KICK,
	DESC, N_ACTIONS };

static void
act(struct fake_env *f, int fd, const uint8_t *p)
{
	uint64_t where = le_get32(p + 2), value = le_get32(p + 6);
	uint64_t slot = DRV_SLOT + 0x1000 * (uint64_t)(p[1] & 1);
	unsigned int len = 1u << (p[1] >> 6);
	uint8_t desc[16] = { 0 };

	switch ((enum action)(p[0] % N_ACTIONS)) {
	case MMIO_WRITE:
		bus_write(f->env.bus, BUS_MMIO, slot + where % 0x104, 4,
		    value);
		break;
	case MMIO_READ:
		bus_read(f->env.bus, BUS_MMIO, slot + where % 0x1008, len);
		break;
	case MEMORY:
		gmem_write(f->env.gmem, where % RAM, p + 6, 6);
		break;
	case PIO_WRITE:
		bus_write(f->env.bus, BUS_PIO, where & 0xffff, len, value);
		break;
	case PIO_READ:
		bus_read(f->env.bus, BUS_PIO, where & 0xffff, len);
		break;
	case TYPE:
		if (write(fd, p + 2, 10) < 0)
			break;
		fake_env_run(f);
		break;
	case KICK:
		bus_write(f->env.bus, BUS_MMIO, slot + 0x50, 4, p[2] & 3);
		break;
	case DESC:	/* a descriptor of one of the queues, nearly sane */
		le_put64(desc, where);
		le_put32(desc + 8, le_get32(p + 6) & 0x1ffff);
		le_put16(desc + 12, p[10] & 7);
		le_put16(desc + 14, p[11] & 15);
		gmem_write(f->env.gmem, drv_desc_gpa(p[1] & 1) +
		    16 * (p[1] >> 5), desc, sizeof(desc));
		break;
	default:
		break;
	}
}

static void
check_saved(struct fake_env *f, struct machine *m)
{
	Persona__State__MachineState *s = malloc(sizeof(*s));
	const char *why = "";

	(void)f;
	if (s == NULL)
		abort();
	persona__state__machine_state__init(s);
	s->arch = strdup("test");
	s->cpu_baseline = strdup("none");
	machine_stop(m);
	if (machine_save(m, s) < 0 || machine_load(m, s, &why) < 0)
		abort();
	persona__state__machine_state__free_unpacked(s, NULL);
}

void
fuzz_one(const uint8_t *data, size_t len)
{
	struct fake_driver drv;
	struct fake_env f;
	struct machine *m;
	int sv[2], hvc[2];

	fake_env_init(&f, RAM);
	if (machine_new(&m, &f.env) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, hvc) < 0 ||
	    machine_attach(m, "serial0", sv[0]) < 0 ||
	    machine_attach(m, "hvc0", hvc[0]) < 0)
		abort();
	machine_start(m);
	drv_start(&drv, &f, 2, 1ULL << 28);
	for (size_t at = 0; at + ACTION_BYTES <= len; at += ACTION_BYTES)
		act(&f, data[at + 1] & 2 ? hvc[1] : sv[1], data + at);
	check_saved(&f, m);
	machine_free(m);
	fake_env_fini(&f);
	close(sv[1]);
	close(hvc[1]);
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

/* A driver at work: descriptors, a head, an index, a kick, typed input. */
size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	unsigned int q = i & 1;
	size_t n = 0;

	if (i >= 6 || max < 1024)
		return 0;
	n += action(buf + n, DESC, (uint8_t)q, DRV_DATA, 64);
	buf[n - 2] = (uint8_t)(i < 4 ? 1 : 4);	/* a chain or a table */
	buf[n - 1] = 1;
	n += action(buf + n, DESC, (uint8_t)(1 << 5 | q), DRV_DATA + 64, 256);
	buf[n - 2] = 2;
	n += action(buf + n, MEMORY, 0, DRV_DATA + 8, 0x00020010);
	n += action(buf + n, MEMORY, 0, (uint32_t)drv_avail_gpa(q) + 2, 2);
	n += action(buf + n, TYPE, 2, 0x61616161, 0x62626262);
	n += action(buf + n, KICK, 0, q, 0);
	n += action(buf + n, MMIO_WRITE, 0, 0x64, 1);
	n += action(buf + n, PIO_WRITE, 0, 0x3f8 + i % 8, 0x55);
	n += action(buf + n, PIO_READ, 0, 0x3f8 + i, 0);
	n += action(buf + n, MMIO_WRITE, 0, 0x30, q);
	n += action(buf + n, MMIO_WRITE, 0, 0x44, i / 2 % 2);
	n += action(buf + n, MMIO_WRITE, 0, 0x70, i < 3 ? 15 : 0);
	n += action(buf + n, KICK, 0, q, 0);
	return n;
}
