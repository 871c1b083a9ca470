/* SPDX-License-Identifier: ISC */
/*
 * The machine's devices: the table below and the walks over it. A restored
 * machine is wired by the same lines as a fresh one. Deliberately knows no
 * device's inside, no vCPU and no KVM.
 */
#include "machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus.h"
#include "devices.h"
#include "platform.h"
#include "power-ports.h"
#include "virtio-mmio.h"

struct machine_row {
	const char	*name;		/* stable: saved states carry it */
	const struct dev_ops *ops;
	struct dev_place place;
	bool		virtio;		/* announced as a virtio-mmio slot */
};

/*
 * THE table. Order, names and places are part of the saved state: a change here
 * is a change of format. GSIs 0-15 are the ISA interrupts, 16-23 virtio's; the
 * virtio slots lie in the hole below 4 GiB, under the IOAPIC.
 */
static const struct machine_row rows[] = {
	{ "power", &dev_power_ops, { POWER_PM1_PORT, POWER_SCI_GSI, 0 }, false },
	{ "serial0", &dev_serial_ops, { 0x3f8, 4, 0 }, false },
	{ "hvc0", &dev_virtio_console_ops, { 0xd0000000, 16, 0 }, true },
	{ "rng0", &dev_virtio_rng_ops, { 0xd0001000, 17, 0 }, true },
	{ "net0", &dev_virtio_net_ops, { 0xd0002000, 18, 0 }, true },
	{ "disk0", &dev_virtio_blk_ops, { 0xd0003000, 19, 0 }, true },
	{ "disk1", &dev_virtio_blk_ops, { 0xd0004000, 20, 1 }, true },
	{ "balloon0", &dev_virtio_balloon_ops, { 0xd0005000, 21, 0 }, true },
	{ "rtc", &dev_rtc_ops, { RTC_PORT, RTC_GSI, 0 }, false },
	{ "vmgenid", &dev_vmgenid_ops, { VMGENID_GPA, VMGENID_GSI, 0 }, false },
};

#define N_ROWS	(sizeof(rows) / sizeof(rows[0]))

struct machine {
	struct dev_env	env;
	struct dev	*devs[N_ROWS];
};

int
machine_new(struct machine **mp, const struct dev_env *env)
{
	struct machine *m;
	int r = -EINVAL;

	if ((m = calloc(1, sizeof(*m))) == NULL)
		return -ENOMEM;
	m->env = *env;
	for (size_t i = 0; i < N_ROWS; i++)
		if ((r = rows[i].ops->create(&m->devs[i], &m->env,
		    &rows[i].place)) < 0)
			goto out;
	*mp = m;
	m = NULL;
	r = 0;
out:
	machine_free(m);
	return r;
}

void
machine_free(struct machine *m)
{
	if (m == NULL)
		return;
	for (size_t i = N_ROWS; i-- > 0;)
		if (m->devs[i] != NULL)
			rows[i].ops->free(m->devs[i]);
	free(m);
}

void
machine_start(struct machine *m)
{
	bus_lock(m->env.bus);
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].ops->start != NULL)
			rows[i].ops->start(m->devs[i]);
	bus_unlock(m->env.bus);
}

void
machine_stop(struct machine *m)
{
	bus_lock(m->env.bus);
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].ops->stop != NULL)
			rows[i].ops->stop(m->devs[i]);
	bus_unlock(m->env.bus);
}

/* Append one row's state. What was allocated is freed with `out`. */
static int
save_row(const struct machine_row *row, struct dev *dev,
    Persona__State__MachineState *out)
{
	Persona__State__DeviceState *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__device_state__init(s);
	out->devices[out->n_devices++] = s;
	s->version = row->ops->version;
	if ((s->name = strdup(row->name)) == NULL)
		return -ENOMEM;
	return row->ops->save(dev, s);
}

int
machine_save(struct machine *m, Persona__State__MachineState *out)
{
	int r = -EINVAL;

	if (out->n_devices != 0)
		return -EINVAL;
	out->devices = calloc(N_ROWS, sizeof(out->devices[0]));
	if (out->devices == NULL)
		return -ENOMEM;
	bus_lock(m->env.bus);
	for (size_t i = 0; i < N_ROWS; i++)
		if ((r = save_row(&rows[i], m->devs[i], out)) < 0)
			break;
	bus_unlock(m->env.bus);
	return r;
}

static int
check_row(const struct machine_row *row, struct dev *dev,
    const Persona__State__DeviceState *in, const char **why)
{
	if (strcmp(in->name, row->name) != 0) {
		*why = "the state has other devices than this machine";
		return -EPROTO;
	}
	if (in->version != row->ops->version) {
		*why = "the state of a device has another version";
		return -EPROTO;
	}
	if (row->ops->check(dev, in) < 0) {
		*why = "the state of a device cannot be true";
		return -EINVAL;
	}
	return 0;
}

int
machine_load(struct machine *m, const Persona__State__MachineState *in,
    const char **why)
{
	int r = 0;

	if (in->n_devices != N_ROWS) {
		*why = "the state has another number of devices";
		return -EPROTO;
	}
	bus_lock(m->env.bus);
	/* All are checked before the first is touched. */
	for (size_t i = 0; i < N_ROWS && r == 0; i++)
		r = check_row(&rows[i], m->devs[i], in->devices[i], why);
	for (size_t i = 0; i < N_ROWS && r == 0; i++)
		rows[i].ops->load(m->devs[i], in->devices[i]);
	bus_unlock(m->env.bus);
	return r;
}

int
machine_renew(struct machine *m)
{
	int r = 0;

	bus_lock(m->env.bus);
	for (size_t i = 0; i < N_ROWS && r == 0; i++)
		if (rows[i].ops->renew != NULL)
			r = rows[i].ops->renew(m->devs[i]);
	bus_unlock(m->env.bus);
	return r;
}

void
machine_hint_memory(struct machine *m, bool on)
{
	bus_lock(m->env.bus);
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].ops->memory != NULL)
			rows[i].ops->memory->hint(m->devs[i], on);
	bus_unlock(m->env.bus);
}

void
machine_balloon(struct machine *m, uint64_t bytes)
{
	bus_lock(m->env.bus);
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].ops->memory != NULL)
			rows[i].ops->memory->balloon(m->devs[i], bytes);
	bus_unlock(m->env.bus);
}

void
machine_look_memory(struct machine *m, struct dev_guest_memory *out)
{
	memset(out, 0, sizeof(*out));
	bus_lock(m->env.bus);
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].ops->memory != NULL)
			rows[i].ops->memory->look(m->devs[i], out);
	bus_unlock(m->env.bus);
}

int
machine_attach(struct machine *m, const char *row, int stream_fd)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		int r;

		if (strcmp(rows[i].name, row) != 0 ||
		    rows[i].ops->attach == NULL)
			continue;
		bus_lock(m->env.bus);
		r = rows[i].ops->attach(m->devs[i], stream_fd);
		bus_unlock(m->env.bus);
		return r;
	}
	if (stream_fd >= 0)
		close(stream_fd);
	return -ENOENT;
}

size_t
machine_virtio_slots(struct machine_virtio_slot *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < N_ROWS; i++) {
		if (!rows[i].virtio)
			continue;
		if (n < max)
			out[n] = (struct machine_virtio_slot){
				.addr = rows[i].place.addr,
				.len = VIRTIO_MMIO_LEN,
				.gsi = rows[i].place.gsi,
			};
		n++;
	}
	return n < max ? n : max;
}
