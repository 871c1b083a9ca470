/* SPDX-License-Identifier: ISC */
/*
 * What differs between processor architectures: how a machine and its vCPUs are
 * made, started, saved and loaded. One arch-*.c family implements it; the rest of
 * the hypervisor deliberately knows no register by name.
 */
#ifndef ARCH_H
#define ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state.pb-c.h"

struct boot_entry;
struct kvm;
struct kvm_cpu;
struct arch_model;
struct arch_clock;

/* As in MachineState.arch. */
extern const char arch_name[];

/* --- CPU baselines ------------------------------------------------------- */

/* The name of baseline i, lowest first, or NULL behind the last. */
const char	*arch_baseline(size_t i);

/*
 * Whether this host can show a guest the baseline. 0, -EINVAL for a name we do
 * not know, -ENOTSUP when something is missing; then a sentence that names it in
 * `why`. `software`: this KVM runs user code natively and emulates the kernel's.
 */
int	arch_baseline_check(struct kvm *k, const char *baseline, bool software,
	    char *why, size_t why_len);

/*
 * The CPU that `n_vcpus` vCPUs of a baseline see: the same on every host that
 * has it. 0 or -errno; the model outlives the vCPUs made from it.
 */
int	arch_model_new(struct arch_model **mp, struct kvm *k,
	    const char *baseline, unsigned int n_vcpus);
void	arch_model_free(struct arch_model *m);
/* Show it to a vCPU that has not run yet. 0 or -errno. */
int	arch_model_apply(const struct arch_model *m, struct kvm_cpu *c,
	    unsigned int index);

/* --- making and starting ------------------------------------------------- */

/* Interrupt chips, timers and reserved areas; before any vCPU. 0 or -errno. */
int	arch_vm_init(struct kvm *k);

/* Put vCPU 0, in its reset state, at a kernel's entry point. 0 or -errno. */
int	arch_boot(struct kvm_cpu *c, const struct boot_entry *e);

/* The instruction pointer, for a crash's log line; 0 when it cannot be read. */
uint64_t	arch_where(struct kvm_cpu *c);

/* --- clocks -------------------------------------------------------------- */

/*
 * The guest's clocks at one instant. freeze reads them from parked vCPUs; thaw
 * sets them to that instant plus advance_ns. Where the host cannot set the
 * cycle counter (software KVM) it goes on by itself; that is not an error.
 */
int	arch_clock_new(struct arch_clock **cp, unsigned int n_vcpus);
void	arch_clock_free(struct arch_clock *a);
int	arch_clock_freeze(struct arch_clock *a, struct kvm *k,
	    struct kvm_cpu *const *cpus);
int	arch_clock_thaw(struct arch_clock *a, struct kvm *k,
	    struct kvm_cpu *const *cpus, uint64_t advance_ns);
/* Tell the guest's watchdogs that it did not hang but was paused. */
void	arch_clock_was_paused(struct kvm_cpu *c);

/* --- state --------------------------------------------------------------- */

/*
 * Save the chips, clocks and vCPUs (parked, each left by a run with
 * immediate_exit) into `out`, with malloc'ed children. 0 or -errno.
 */
int	arch_save(const struct arch_clock *a, struct kvm *k,
	    const struct arch_model *m, struct kvm_cpu *const *cpus,
	    unsigned int n_vcpus, Persona__State__MachineState *out);

/*
 * Whether arch_load would take it: shapes, counts, the CPU it was shown, what
 * this KVM knows. Applies nothing. 0, or -EINVAL/-ENOTSUP and a sentence.
 */
int	arch_check(struct kvm *k, struct arch_model *m,
	    unsigned int n_vcpus, const Persona__State__MachineState *in,
	    char *why, size_t why_len);

/*
 * Apply a state that arch_check took to a machine that has not run. The clocks
 * are put in `a`; they start at the thaw. 0 or -errno and a sentence; on an
 * error the machine must not run.
 */
int	arch_load(struct arch_clock *a, struct kvm *k,
	    struct arch_model *m, struct kvm_cpu *const *cpus,
	    unsigned int n_vcpus, const Persona__State__MachineState *in,
	    char *why, size_t why_len);

/* --- probing ------------------------------------------------------------- */

/* Whether /dev/kvm here runs guest kernels by hardware (sysfs says). */
bool	arch_kvm_is_hardware(void);

/* The CPU has what hardware KVM needs, whether or not the kernel uses it. */
bool	arch_cpu_can_virtualise(void);
/* The module that would bring hardware KVM to this CPU. */
const char	*arch_kvm_module(void);

/*
 * Run a few kernel-mode instructions that every Linux uses. 0 when KVM executes
 * them, -ENOTSUP when it gives up on one, else -errno.
 */
int	arch_self_test(struct kvm *k);

#endif
