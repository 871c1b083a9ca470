/* SPDX-License-Identifier: ISC */
/*
 * The MMIO transport of a virtio device: registers, interrupt line, saved state.
 * Knows no device kind. Source: VIRTIO 1.2, section 4.2.
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include "dev.h"
#include "virtio.h"

#define VIRTIO_MMIO_LEN	0x1000u		/* bytes a slot takes, a page */

struct virtio_mmio;

/*
 * The kind of an empty slot: device id 0, which drivers pass over (4.2.3.1.1).
 * Machines differ in what is in a slot, never in which slots there are.
 */
extern const struct virtio_ops virtio_absent_ops;

/* Claim the slot at `place` for a device of kind `ops`. 0 or -errno. */
int	virtio_mmio_new(struct virtio_mmio **tp, const struct dev_env *env,
	    const struct dev_place *place, const struct virtio_ops *ops,
	    void *arg);
void	virtio_mmio_free(struct virtio_mmio *t);

/* The core of the device; valid while the transport lives. */
struct virtio	*virtio_mmio_core(struct virtio_mmio *t);

/* As in dev_ops, for the whole device as far as it has no state of its own. */
int	virtio_mmio_save(struct virtio_mmio *t,
	    Persona__State__DeviceState *out);
int	virtio_mmio_check(struct virtio_mmio *t,
	    const Persona__State__DeviceState *in);
void	virtio_mmio_load(struct virtio_mmio *t,
	    const Persona__State__DeviceState *in);

#endif
