/* SPDX-License-Identifier: ISC */
/*
 * An x86-64 machine at its start, and its clocks. Knows the reset state, the two
 * ways in (32-bit flat, 64-bit Linux) and the cycle counter; deliberately knows
 * no saved state (arch-x86-save.c, -load.c) and no CPUID (arch-x86-cpuid.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch-x86.h"
#include "arch.h"
#include "boot.h"
#include "kvm.h"
#include "log.h"

/*
 * Hardware KVM on Intel keeps a page table and a task state segment of its own
 * in guest-physical space. They lie below the BIOS area, outside any RAM slot.
 */
#define IDENTITY_MAP_GPA	0xfffbc000ULL
#define TSS_GPA			0xfffbd000ULL

#define CR0_PE	(1u << 0)
#define CR0_ET	(1u << 4)
#define CR0_NE	(1u << 5)
#define CR0_PG	(1u << 31)
#define CR4_PAE	(1u << 5)
#define EFER_LME	(1u << 8)
#define EFER_LMA	(1u << 10)
#define RFLAGS_FIXED	2u

/* Linux 64-bit boot protocol: __BOOT_CS and __BOOT_DS. */
#define BOOT_CS		0x10
#define BOOT_DS		0x18
#define BOOT_GDT_BYTES	32

const char	arch_name[] = "x86-64";

int
arch_vm_init(struct kvm *k)
{
	uint64_t identity = IDENTITY_MAP_GPA;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int r;

	if ((r = kvm_vm_ioctl(k, KVM_SET_IDENTITY_MAP_ADDR, &identity)) < 0)
		return r;
	if ((r = kvm_vm_ioctl(k, KVM_SET_TSS_ADDR, (void *)TSS_GPA)) < 0)
		return r;
	if ((r = kvm_vm_ioctl(k, KVM_CREATE_IRQCHIP, NULL)) < 0)
		return r;
	r = kvm_vm_ioctl(k, KVM_CREATE_PIT2, &pit);
	return r < 0 ? r : 0;
}

static struct kvm_segment
flat(uint16_t selector, uint8_t type, bool long_mode)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = long_mode,
		.db = !long_mode,
	};
}

static void
flat_segments(struct kvm_sregs2 *s, bool long_code)
{
	s->cs = flat(BOOT_CS, 0xb, long_code);	/* execute, read, accessed */
	s->ds = s->es = s->fs = s->gs = s->ss = flat(BOOT_DS, 0x3, false);
	s->tr = (struct kvm_segment){ .limit = 0x67, .selector = 0x20,
	    .type = 0xb, .present = 1 };
	s->ldt = (struct kvm_segment){ .unusable = 1 };
	s->idt = (struct kvm_dtable){ .limit = 0 };
}

/*
 * Multiboot 1 (3.2 "Machine state") and PVH (x86/HVM direct boot ABI) both want:
 * protected mode, flat segments, paging and interrupts off. Neither promises a
 * GDT.
 */
static void
enter_protected_32(struct kvm_sregs2 *s)
{
	flat_segments(s, false);
	s->cr0 = CR0_PE | CR0_ET;
	s->cr4 = 0;
	s->efer = 0;
}

/* Documentation/arch/x86/boot.rst, "64-bit Boot Protocol". */
static void
enter_long_64(struct kvm_sregs2 *s, const struct boot_entry *e)
{
	flat_segments(s, true);
	s->gdt = (struct kvm_dtable){ .base = e->gdt,
	    .limit = BOOT_GDT_BYTES - 1 };
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	s->cr3 = e->cr3;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
}

int
arch_boot(struct kvm_cpu *c, const struct boot_entry *e)
{
	struct kvm_regs regs = {
		.rip = e->rip,
		.rax = e->rax,
		.rbx = e->rbx,
		.rsi = e->rsi,
		.rflags = RFLAGS_FIXED,
	};
	struct kvm_sregs2 sregs;
	int r;

	if ((r = kvm_cpu_ioctl(c, KVM_GET_SREGS2, &sregs)) < 0)
		return r;
	if (e->mode == BOOT_LONG_64)
		enter_long_64(&sregs, e);
	else
		enter_protected_32(&sregs);
	sregs.flags = 0;
	if ((r = kvm_cpu_ioctl(c, KVM_SET_SREGS2, &sregs)) < 0)
		return r;
	r = kvm_cpu_ioctl(c, KVM_SET_REGS, &regs);
	return r < 0 ? r : 0;
}

uint64_t
arch_where(struct kvm_cpu *c)
{
	struct kvm_regs regs;

	return kvm_cpu_ioctl(c, KVM_GET_REGS, &regs) < 0 ? 0 : regs.rip;
}

int
arch_clock_new(struct arch_clock **cp, unsigned int n_vcpus)
{
	struct arch_clock *a;

	if (n_vcpus > VCPUS_MAX)
		return -EINVAL;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return -ENOMEM;
	a->n_vcpus = n_vcpus;
	*cp = a;
	return 0;
}

void
arch_clock_free(struct arch_clock *a)
{
	free(a);
}

int
arch_clock_freeze(struct arch_clock *a, struct kvm *k,
    struct kvm_cpu *const *cpus)
{
	struct kvm_clock_data clock = { 0 };
	int r;

	/* The counters first, close to each other; then the nanoseconds. */
	for (unsigned int i = 0; i < a->n_vcpus; i++)
		if ((r = x86_msr_get(cpus[i], MSR_TSC, &a->tsc[i])) < 0)
			return r;
	if ((r = kvm_vm_ioctl(k, KVM_GET_CLOCK, &clock)) < 0)
		return r;
	a->kvmclock_ns = clock.clock;
	for (unsigned int i = 0; i < a->n_vcpus; i++)
		if (x86_msr_get(cpus[i], MSR_TSC_DEADLINE,
		    &a->tsc_deadline[i]) < 0)
			a->tsc_deadline[i] = 0;
	r = kvm_cpu_ioctl(cpus[0], KVM_GET_TSC_KHZ, NULL);
	a->tsc_khz = r > 0 ? (uint64_t)r : 0;
	return 0;
}

/* Cycles of `ns` at tsc_khz, without overflow for years of either. */
static uint64_t
cycles(uint64_t ns, uint64_t tsc_khz)
{
	return (uint64_t)((unsigned __int128)ns * tsc_khz / 1000000u);
}

int
arch_clock_thaw(struct arch_clock *a, struct kvm *k,
    struct kvm_cpu *const *cpus, uint64_t advance_ns)
{
	struct kvm_clock_data clock = { .clock = a->kvmclock_ns + advance_ns };
	uint64_t on = cycles(advance_ns, a->tsc_khz);
	int r;

	if ((r = kvm_vm_ioctl(k, KVM_SET_CLOCK, &clock)) < 0)
		return r;
	for (unsigned int i = 0; i < a->n_vcpus; i++)
		if (x86_msr_set(cpus[i], MSR_TSC, a->tsc[i] + on) < 0)
			log_debug("clock: vCPU %u: this KVM does not set the "
			    "cycle counter", i);
	/* The deadline is a counter value: arm it again on the new count. */
	for (unsigned int i = 0; i < a->n_vcpus; i++)
		if (a->tsc_deadline[i] != 0)
			(void)x86_msr_set(cpus[i], MSR_TSC_DEADLINE,
			    a->tsc_deadline[i]);
	return 0;
}

void
arch_clock_was_paused(struct kvm_cpu *c)
{
	/* -EINVAL from a guest without kvmclock: nothing to tell it then. */
	(void)kvm_cpu_ioctl(c, KVM_KVMCLOCK_CTRL, NULL);
}
