/* SPDX-License-Identifier: ISC */
/*
 * The generation id: sixteen bytes in guest memory that change when the guest goes
 * on from a state that another machine goes on from too. The guest then stirs its
 * random numbers anew, so that the two do not make the same keys. Deliberately
 * knows not when that is: whoever loads a state says so.
 * Source: Microsoft, "Virtual Machine Generation ID", 2012.
 *
 * The bytes are ordinary guest memory, reserved by the memory map: they are saved
 * and moved with it, and a move or a resume, after which there is still one such
 * machine, leaves them alone. acpi.c writes the first ones.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices.h"
#include "gmem.h"
#include "platform.h"

struct dev {
	struct dev_env	env;
	unsigned int	gsi;
	uint64_t	id_gpa;
	bool		news;	/* tell the guest when it runs */
};

static void
vmgenid_free(struct dev *d)
{
	free(d);
}

static int
vmgenid_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->env = *env;
	d->gsi = place->gsi;
	d->id_gpa = place->addr;
	*dp = d;
	return 0;
}

static int
vmgenid_renew(struct dev *d)
{
	uint8_t id[VMGENID_BYTES];
	ssize_t n = getrandom(id, sizeof(id), 0);

	if (n != (ssize_t)sizeof(id))
		return n < 0 ? -errno : -EIO;
	d->news = true;
	return gmem_write(d->env.gmem, d->id_gpa, id, sizeof(id));
}

/* An edge: the chip must have its own state by now, so not before the start. */
static void
vmgenid_start(struct dev *d)
{
	if (!d->news)
		return;
	d->news = false;
	d->env.irq_line(d->env.arg, d->gsi, true);
	d->env.irq_line(d->env.arg, d->gsi, false);
}

static int
vmgenid_save(struct dev *d, Persona__State__DeviceState *out)
{
	Persona__State__Vmgenid *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__vmgenid__init(s);
	s->id_gpa = d->id_gpa;
	s->news = d->news;
	out->vmgenid = s;
	out->kind_case = PERSONA__STATE__DEVICE_STATE__KIND_VMGENID;
	return 0;
}

static int
vmgenid_check(struct dev *d, const Persona__State__DeviceState *in)
{
	if (in->kind_case != PERSONA__STATE__DEVICE_STATE__KIND_VMGENID ||
	    in->vmgenid->id_gpa % 8 != 0 ||
	    gmem_ptr(d->env.gmem, in->vmgenid->id_gpa, VMGENID_BYTES) == NULL)
		return -EINVAL;
	return 0;
}

static void
vmgenid_load(struct dev *d, const Persona__State__DeviceState *in)
{
	d->id_gpa = in->vmgenid->id_gpa;
	d->news = in->vmgenid->news;
}

const struct dev_ops dev_vmgenid_ops = {
	.kind = "vmgenid",
	.version = 1,
	.create = vmgenid_create,
	.save = vmgenid_save,
	.check = vmgenid_check,
	.load = vmgenid_load,
	.renew = vmgenid_renew,
	.start = vmgenid_start,
	.free = vmgenid_free,
};
