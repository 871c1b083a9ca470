/* SPDX-License-Identifier: ISC */
/*
 * The ways a guest ends or restarts its machine: ACPI sleep (also the small
 * guest's power-off), the reset port, the keyboard controller's reset pulse.
 * Deliberately knows no keyboard: ports 0x60 and 0x64 are there because every
 * PC's reset code looks at them.
 * Source: ACPI 6.5, 4.8.3; power-ports.h is what acpi.c tells the guest of it.
 *
 * The documented power-off for a guest without ACPI: a 16-bit write of 0x2000
 * (SLP_EN with the S5 sleep type, 0) to port 0x604, as under QEMU.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus.h"
#include "devices.h"
#include "power-ports.h"

#define PM1_CNT_SCI_EN	0x0001u	/* we are always in ACPI mode */
#define PM1_CNT_SLP_TYP	0x1c00u
#define PM1_CNT_SLP_EN	0x2000u
#define RESET_CPU	0x04u	/* the bit of POWER_RESET_VALUE that acts */
#define KBD_PULSE_RESET	0xfeu

struct dev {
	struct dev_env	env;
	uint16_t	pm1_enable;
	uint16_t	pm1_control;
};

/*
 * The PM1 registers as one row of bytes: status (never anything to report),
 * enable, control. Partial writes change the bytes they name.
 */
static uint64_t
pm1_read(void *arg, uint64_t offset, unsigned int len)
{
	const struct dev *d = arg;
	uint64_t all;

	(void)len;
	all = (uint64_t)d->pm1_enable << 16 |
	    (uint64_t)(d->pm1_control | PM1_CNT_SCI_EN) << 32;
	return all >> (8 * offset);
}

static uint16_t
merge(uint16_t old, unsigned int reg, uint64_t offset, unsigned int len,
    uint64_t value)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t at = reg + i;

		if (at < offset || at >= offset + len)
			continue;
		old &= (uint16_t)~(0xffu << (8 * i));
		old |= (uint16_t)(((value >> (8 * (at - offset))) & 0xff)
		    << (8 * i));
	}
	return old;
}

static void
pm1_write(void *arg, uint64_t offset, unsigned int len, uint64_t value)
{
	struct dev *d = arg;
	uint16_t control;

	d->pm1_enable = merge(d->pm1_enable, 2, offset, len, value);
	control = merge(d->pm1_control, 4, offset, len, value);
	d->pm1_control = control & ~(PM1_CNT_SLP_EN | PM1_CNT_SCI_EN);
	/* S5 is the only sleep we offer. */
	if ((control & PM1_CNT_SLP_EN) &&
	    (control & PM1_CNT_SLP_TYP) == POWER_S5_SLP_TYP << 10)
		d->env.request(d->env.arg, MACHINE_POWER_OFF);
}

static const struct bus_region_ops pm1_ops = {
	.read = pm1_read,
	.write = pm1_write,
};

static uint64_t
reset_read(void *arg, uint64_t offset, unsigned int len)
{
	(void)arg;
	(void)offset;
	(void)len;
	return 0;
}

static void
reset_write(void *arg, uint64_t offset, unsigned int len, uint64_t value)
{
	struct dev *d = arg;

	(void)offset;
	(void)len;
	if (value & RESET_CPU)
		d->env.request(d->env.arg, MACHINE_RESET);
}

static const struct bus_region_ops reset_ops = {
	.read = reset_read,
	.write = reset_write,
};

/* Both buffers always empty: nobody waits for this controller. */
static uint64_t
kbd_read(void *arg, uint64_t offset, unsigned int len)
{
	(void)arg;
	(void)offset;
	(void)len;
	return 0;
}

static void
kbd_command(void *arg, uint64_t offset, unsigned int len, uint64_t value)
{
	struct dev *d = arg;

	(void)offset;
	(void)len;
	if ((value & 0xff) == KBD_PULSE_RESET)
		d->env.request(d->env.arg, MACHINE_RESET);
}

static const struct bus_region_ops kbd_data_ops = { .read = kbd_read };
static const struct bus_region_ops kbd_command_ops = {
	.read = kbd_read,
	.write = kbd_command,
};

static void
power_free(struct dev *d)
{
	free(d);
}

static int
power_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;
	int r;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->env = *env;
	if ((r = bus_add(env->bus, BUS_PIO, place->addr, POWER_PM1_LEN,
	    &pm1_ops, d)) < 0 ||
	    (r = bus_add(env->bus, BUS_PIO, POWER_RESET_PORT, 1,
	    &reset_ops, d)) < 0 ||
	    (r = bus_add(env->bus, BUS_PIO, 0x60, 1, &kbd_data_ops, d)) < 0 ||
	    (r = bus_add(env->bus, BUS_PIO, 0x64, 1, &kbd_command_ops,
	    d)) < 0) {
		power_free(d);
		return r;
	}
	*dp = d;
	return 0;
}

static int
power_save(struct dev *d, Persona__State__DeviceState *out)
{
	Persona__State__Power *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__power__init(s);
	s->pm1_enable = d->pm1_enable;
	s->pm1_control = d->pm1_control;
	out->power = s;
	out->kind_case = PERSONA__STATE__DEVICE_STATE__KIND_POWER;
	return 0;
}

static int
power_check(struct dev *d, const Persona__State__DeviceState *in)
{
	(void)d;
	if (in->kind_case != PERSONA__STATE__DEVICE_STATE__KIND_POWER ||
	    in->power->pm1_enable > 0xffff || in->power->pm1_control > 0xffff ||
	    (in->power->pm1_control & (PM1_CNT_SLP_EN | PM1_CNT_SCI_EN)) != 0)
		return -EINVAL;
	return 0;
}

static void
power_load(struct dev *d, const Persona__State__DeviceState *in)
{
	d->pm1_enable = (uint16_t)in->power->pm1_enable;
	d->pm1_control = (uint16_t)in->power->pm1_control;
}

const struct dev_ops dev_power_ops = {
	.kind = "power",
	.version = 1,
	.create = power_create,
	.save = power_save,
	.check = power_check,
	.load = power_load,
	.free = power_free,
};
