/* SPDX-License-Identifier: ISC */
/*
 * A KVM that only remembers: what was set is what is got, and tests say which
 * pages are dirty. Runs nothing.
 */
#ifndef FAKE_KVM_H
#define FAKE_KVM_H

#include "kvm.h"

struct fake_kvm;

extern const struct kvm_ops fake_kvm_ops;

/* Manual protection offered or not; a plain CPU with every feature of level 1. */
struct fake_kvm	*fake_kvm_new(bool manual_dirty_log);
void	fake_kvm_free(struct fake_kvm *f);

/* Show or hide one CPUID bit; reg 0..3 is EAX..EDX. */
void	fake_kvm_cpuid_bit(struct fake_kvm *f, uint32_t leaf, uint32_t index,
	    unsigned int reg, unsigned int bit, bool on);
void	fake_kvm_vendor(struct fake_kvm *f, const char *twelve);

/* A vCPU wrote this page of a slot. Counts only while the slot is logged. */
void	fake_kvm_dirty(struct fake_kvm *f, unsigned int slot, uint64_t page);
/* Largest number of pages cleared by one call so far. */
uint64_t	fake_kvm_largest_clear(const struct fake_kvm *f);
bool	fake_kvm_is_logged(const struct fake_kvm *f, unsigned int slot);
/* What KVM was told of a slot. */
void	fake_kvm_slot(const struct fake_kvm *f, unsigned int slot,
	    uint64_t *gpa, uint64_t *len_bytes);

/* Refuse this request from now on with -error (0: none). */
void	fake_kvm_refuse(struct fake_kvm *f, unsigned long request, int error);

/* How many calls changed vCPU or chip state so far. */
unsigned int	fake_kvm_sets(const struct fake_kvm *f);

/* An MSR the fake knows (it starts with a few); value for every vCPU. */
void	fake_kvm_msr(struct fake_kvm *f, uint32_t index, uint64_t value);
uint64_t	fake_kvm_msr_of(struct fake_kvm *f, unsigned int cpu,
		    uint32_t index);

#endif
