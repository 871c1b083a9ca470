/* SPDX-License-Identifier: ISC */
/*
 * The machine's devices: THE table, and the walks over it (create, start,
 * stop, save, load). Knows device kinds only by their ops; knows no vCPU and no KVM.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "dev.h"

/* Create every device of the table. 0 or -errno, with nothing left behind. */
int	machine_new(struct machine **mp, const struct dev_env *env);
void	machine_free(struct machine *m);

/* Let the devices' host side go on; before the vCPUs run, each time. */
void	machine_start(struct machine *m);
/* Quiesce every device; the vCPUs are parked already. Save wants this first. */
void	machine_stop(struct machine *m);

/*
 * Append one DeviceState a row to `out`, in table order. 0 or -errno (what was
 * appended is freed with `out`).
 */
int	machine_save(struct machine *m, Persona__State__MachineState *out);

/*
 * Load every row from `in`. The set and order of devices must be ours exactly.
 * 0, or -EINVAL/-EPROTO with a sentence in *why (static or within `in`).
 */
int	machine_load(struct machine *m, const Persona__State__MachineState *in,
	    const char **why);

/* Give the console port "serial0" or "hvc0" a stream; takes the descriptor. */
int	machine_attach(struct machine *m, const char *row, int stream_fd);

/* MMIO/IRQ places of the virtio rows, for the ACPI tables. */
struct machine_virtio_slot { uint64_t addr; uint64_t len; unsigned int gsi; };
size_t	machine_virtio_slots(struct machine_virtio_slot *out, size_t max);

#endif
