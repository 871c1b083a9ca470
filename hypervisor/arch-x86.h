/* SPDX-License-Identifier: ISC */
/*
 * What the arch-x86*.c files share with each other, and with nobody else.
 */
#ifndef ARCH_X86_H
#define ARCH_X86_H

#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"

struct kvm;
struct kvm_cpu;
struct kvm_cpuid2;
struct kvm_cpuid_entry2;
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

/* --- CPUID and the baselines ---------------------------------------------- */

/* Physical address bits every host of these years has; 8 GiB need 34. */
#define X86_PHYS_BITS		39u

/* What a level looks like besides its bits: a well-known CPU of that age. */
struct x86_level {
	const char	*name;
	uint32_t	signature_intel, signature_amd;	/* CPUID 1 EAX */
};

/* 1..4 for the name of a baseline, 0 for any other; and back. */
unsigned int	x86_level_of(const char *baseline);
const struct x86_level	*x86_level(unsigned int level);

/* Set the level's feature bits in those of the table's leaves that are there. */
void	x86_level_put(unsigned int level, struct kvm_cpuid2 *t);

/* A table with n empty entries, for free(); NULL: no memory. */
struct kvm_cpuid2	*x86_cpuid_alloc(uint32_t n);
struct kvm_cpuid_entry2	*x86_cpuid_find(struct kvm_cpuid2 *t, uint32_t leaf,
	    uint32_t index);
/* What this KVM can show a guest, for free(). 0 or -errno. */
int	x86_cpuid_supported(struct kvm *k, struct kvm_cpuid2 **tp);

/* --- the rest --------------------------------------------------------------- */

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

#endif
