/* SPDX-License-Identifier: ISC */
/*
 * The machine's devices: THE table, and the walks over it (create, start, stop,
 * save, load). Knows device kinds only by their ops; knows no vCPU and no KVM.
 * All calls come from the main thread and take the bus lock themselves.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <stddef.h>

#include "dev.h"

/*
 * Create every device of the table, not started: no host input reaches the guest
 * yet. `env` is copied; what it points to outlives the machine. 0 or -errno.
 * After a failure, and after machine_free, the bus must be freed unused: regions
 * claimed on it are dead.
 */
int	machine_new(struct machine **mp, const struct dev_env *env);
void	machine_free(struct machine *m);

/* Let host input reach the guest; called just before the vCPUs run (again). */
void	machine_start(struct machine *m);

/*
 * Quiesce every device; the vCPUs are parked already. Until machine_start no
 * device touches guest memory. Save wants this first. Repeats are fine.
 */
void	machine_stop(struct machine *m);

/*
 * Append one DeviceState a row to `out`, in table order. 0 or -errno (what was
 * appended is freed with `out`).
 */
int	machine_save(struct machine *m, Persona__State__MachineState *out);

/*
 * Load every row from `in`. The set and order of devices must be ours exactly.
 * 0, or -EINVAL/-EPROTO with a sentence in *why (static) and nothing applied.
 */
int	machine_load(struct machine *m, const Persona__State__MachineState *in,
	    const char **why);

/*
 * After a load: the guest lives on from a state that another machine lives on from
 * too (a checkpoint that is restored, a file that is imported), so it must not
 * take itself for the only one: its random numbers would be the other's. 0 or
 * -errno; after a failure it must not run.
 */
int	machine_renew(struct machine *m);

/* As in dev_memory_ops. */
void	machine_hint_memory(struct machine *m, bool on);
void	machine_balloon(struct machine *m, uint64_t bytes);
void	machine_look_memory(struct machine *m, struct dev_guest_memory *out);

/*
 * Give the console port "serial0" or "hvc0" a stream, or the card "net0" a socket;
 * -1 takes it away. Takes the descriptor in every case. What the guest said lately
 * on a console (at most CONSOLE_RING_BYTES) is sent first. 0, -ENOENT for a row
 * that takes none, -ENODEV for a card that this persona does not have.
 */
int	machine_attach(struct machine *m, const char *row, int stream_fd);

/* MMIO/IRQ places of the virtio rows, for the ACPI tables; how many there are. */
struct machine_virtio_slot {
	uint64_t	addr;
	uint64_t	len;
	unsigned int	gsi;	/* level-triggered, active high */
};
size_t	machine_virtio_slots(struct machine_virtio_slot *out, size_t max);

#endif
