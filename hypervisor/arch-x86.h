/* SPDX-License-Identifier: ISC */
/*
 * What the arch-x86*.c files share with each other, and with nobody else.
 */
#ifndef ARCH_X86_H
#define ARCH_X86_H

#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"

struct kvm_cpu;
struct kvm_cpuid2;
struct arch_model;

#define MSR_TSC			0x10u
#define MSR_TSC_DEADLINE	0x6e0u

#define CPUID_ENTRIES_MAX	64u	/* of a baseline's table */

/* A guest's clocks; see arch.h. */
struct arch_clock {
	unsigned int	n_vcpus;
	uint64_t	kvmclock_ns;
	uint64_t	tsc_khz;
	uint64_t	tsc[VCPUS_MAX];
	uint64_t	tsc_deadline[VCPUS_MAX];	/* 0: not armed */
};

/* One MSR. 0, -ENOENT when KVM does not know it, or -errno. */
int	x86_msr_get(struct kvm_cpu *c, uint32_t index, uint64_t *value);
int	x86_msr_set(struct kvm_cpu *c, uint32_t index, uint64_t value);

/*
 * Which vendor's name the model carries: the host's at first, and the former
 * host's for a guest that was moved here.
 */
bool	x86_model_is_amd(const struct arch_model *m);
void	x86_model_set_amd(struct arch_model *m, bool amd);

/* The CPUID table vCPU `index` sees; CPUID_ENTRIES_MAX entries of room. */
void	x86_model_table(const struct arch_model *m, unsigned int index,
	    struct kvm_cpuid2 *out);

/* Bytes of the XSAVE area a guest of this model can use. */
uint32_t	x86_model_xsave_bytes(const struct arch_model *m);

#endif
