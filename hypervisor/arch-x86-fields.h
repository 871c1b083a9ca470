/* SPDX-License-Identifier: ISC */
/*
 * The lists of fields that arch-x86-save.c and arch-x86-load.c both walk, and what
 * both must agree on. Each field is named once, so that nothing is saved and
 * not loaded.
 */
#ifndef ARCH_X86_FIELDS_H
#define ARCH_X86_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm;
struct kvm_msr_list;

#define LAPIC_REGS	64u	/* 16 bytes apart, from offset 0 */
#define GPRS		16u
#define SEGMENTS	8u
#define PDPTRS		4u
#define DEBUG_REGS	6u
#define PIT_CHANNELS	3u
#define MSRS_MAX	512u
#define FXSAVE_BYTES	512u

/* In the order of VcpuX86.gpr. */
#define GPR_FIELDS(X) \
	X(0, rax) X(1, rbx) X(2, rcx) X(3, rdx) X(4, rsi) X(5, rdi) \
	X(6, rsp) X(7, rbp) X(8, r8) X(9, r9) X(10, r10) X(11, r11) \
	X(12, r12) X(13, r13) X(14, r14) X(15, r15)
/* In the order of VcpuX86.segments. */
#define SEGMENT_FIELDS(X) \
	X(0, cs) X(1, ds) X(2, es) X(3, fs) X(4, gs) X(5, ss) X(6, tr) X(7, ldt)
#define CONTROL_FIELDS(X) \
	X(cr0) X(cr2) X(cr3) X(cr4) X(cr8) X(efer) X(apic_base)
#define PIC_FIELDS(X) \
	X(last_irr) X(irr) X(imr) X(isr) X(priority_add) X(irq_base) \
	X(read_reg_select) X(poll) X(special_mask) X(init_state) X(auto_eoi) \
	X(rotate_on_auto_eoi) X(special_fully_nested_mode) X(init4) X(elcr) \
	X(elcr_mask)
#define PIT_FIELDS(X) \
	X(count) X(latched_count) X(count_latched) X(status_latched) \
	X(status) X(read_state) X(write_state) X(write_latch) X(rw_mode) \
	X(mode) X(bcd) X(gate)

/* The message's MpState as KVM's number, or -1. */
int	x86_mp_state_to_kvm(int wire);

/* Whether an MSR of KVM's list is the guest's state (arch-x86-msr.c). */
bool	x86_msr_is_saved(uint32_t index);
/* The MSRs this KVM knows. 0 or -errno; free *lp. */
int	x86_msr_list(struct kvm *k, struct kvm_msr_list **lp);
/* Bytes of this KVM's XSAVE buffer. */
size_t	x86_xsave_room(struct kvm *k);

#endif
