/* SPDX-License-Identifier: ISC */
/*
 * The CPUID table that a vCPU of a baseline sees. It depends on the baseline, the
 * number of vCPUs and the vendor, and on nothing else of the host, so that a
 * persona sees the same CPU wherever it goes. Deliberately knows no other state,
 * and not what belongs to a baseline (arch-x86-baseline.c).
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch-x86.h"
#include "arch.h"
#include "kvm.h"

#define LEAF_MAX	0xdu
#define EXT_LEAF_MAX	0x80000008u
#define KVM_LEAF	0x40000000u
#define VIRT_BITS	48u
/* The last four letters of the vendors whose CPUs are AMD's design. */
#define ECX_AUTHENTIC_AMD	0x444d4163u
#define ECX_HYGON_GENUINE	0x656e6975u

struct arch_model {
	unsigned int	level;		/* 1..4 */
	unsigned int	n_vcpus;
	bool		amd;
	/* Extended state components 2..7: size and place, as the host has them
	 * (the same on all makers up to AVX). */
	struct { uint32_t size, offset; } component[8];
};

int
arch_model_new(struct arch_model **mp, struct kvm *k, const char *baseline,
    unsigned int n_vcpus)
{
	struct kvm_cpuid_entry2 *e;
	struct kvm_cpuid2 *supported;
	struct arch_model *m;
	unsigned int level = x86_level_of(baseline);
	int r;

	if (level == 0 || n_vcpus == 0 || n_vcpus > VCPUS_MAX)
		return -EINVAL;
	if ((r = x86_cpuid_supported(k, &supported)) < 0)
		return r;
	if ((m = calloc(1, sizeof(*m))) == NULL) {
		free(supported);
		return -ENOMEM;
	}
	m->level = level;
	m->n_vcpus = n_vcpus;
	if ((e = x86_cpuid_find(supported, 0, 0)) != NULL)
		m->amd = e->ecx == ECX_AUTHENTIC_AMD ||
		    e->ecx == ECX_HYGON_GENUINE;
	for (uint32_t i = 2; i < 8; i++) {
		if ((e = x86_cpuid_find(supported, 0xd, i)) == NULL)
			continue;
		m->component[i].size = e->eax;
		m->component[i].offset = e->ebx;
	}
	free(supported);
	*mp = m;
	return 0;
}

void
arch_model_free(struct arch_model *m)
{
	free(m);
}

bool
x86_model_is_amd(const struct arch_model *m)
{
	return m->amd;
}

void
x86_model_set_amd(struct arch_model *m, bool amd)
{
	m->amd = amd;
}

static struct kvm_cpuid_entry2 *
add(struct kvm_cpuid2 *t, uint32_t leaf)
{
	struct kvm_cpuid_entry2 *e = &t->entries[t->nent++];

	memset(e, 0, sizeof(*e));
	e->function = leaf;
	return e;
}

static struct kvm_cpuid_entry2 *
add_indexed(struct kvm_cpuid2 *t, uint32_t leaf, uint32_t index)
{
	struct kvm_cpuid_entry2 *e = add(t, leaf);

	e->index = index;
	e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	return e;
}

static void
put_vendor(const struct arch_model *m, struct kvm_cpuid_entry2 *e)
{
	const char *vendor = m->amd ? "AuthenticAMD" : "GenuineIntel";

	memcpy(&e->ebx, vendor, 4);
	memcpy(&e->edx, vendor + 4, 4);
	memcpy(&e->ecx, vendor + 8, 4);
}

static void
put_brand(const struct arch_model *m, struct kvm_cpuid2 *t)
{
	char brand[48];

	memset(brand, 0, sizeof(brand));
	snprintf(brand, sizeof(brand), "persona %s",
	    x86_level(m->level)->name);
	for (uint32_t i = 0; i < 3; i++) {
		struct kvm_cpuid_entry2 *e = add(t, 0x80000002u + i);

		memcpy(&e->eax, brand + 16 * i, 4);
		memcpy(&e->ebx, brand + 16 * i + 4, 4);
		memcpy(&e->ecx, brand + 16 * i + 8, 4);
		memcpy(&e->edx, brand + 16 * i + 12, 4);
	}
}

/* Bits of an APIC id that number the vCPUs of the one package. */
static unsigned int
id_bits(const struct arch_model *m)
{
	unsigned int bits = 0;

	while (1u << bits < m->n_vcpus)
		bits++;
	return bits;
}

/* Every vCPU is a core of one package, without hyper-threads. */
static void
put_topology(const struct arch_model *m, struct kvm_cpuid2 *t,
    unsigned int index)
{
	struct kvm_cpuid_entry2 *e;

	e = add_indexed(t, 0xb, 0);
	e->ebx = 1;
	e->ecx = 1 << 8;		/* level type: thread */
	e->edx = index;
	e = add_indexed(t, 0xb, 1);
	e->eax = id_bits(m);
	e->ebx = m->n_vcpus;
	e->ecx = 2 << 8 | 1;		/* level type: core */
	e->edx = index;
	e = add_indexed(t, 0xb, 2);
	e->ecx = 2;
	e->edx = index;
}

static uint64_t
xcr0_of(const struct arch_model *m)
{
	return m->level >= 4 ? 0xe7 : m->level >= 3 ? 0x7 : 0;
}

/* Bytes of the XSAVE area a guest of this model can use. */
static uint32_t
xsave_bytes(const struct arch_model *m)
{
	uint64_t xcr0 = xcr0_of(m);
	uint32_t bytes = 512;

	if (xcr0 != 0)
		bytes += 64;		/* the XSAVE header */
	for (unsigned int i = 2; i < 8; i++) {
		uint32_t end = m->component[i].offset + m->component[i].size;

		if (xcr0 >> i & 1 && end > bytes)
			bytes = end;
	}
	return bytes;
}

static void
put_xsave(const struct arch_model *m, struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 *e = add_indexed(t, 0xd, 0);
	uint64_t xcr0 = xcr0_of(m);

	if (xcr0 == 0)
		return;
	e->ebx = e->ecx = xsave_bytes(m);
	add_indexed(t, 0xd, 1);
	for (uint32_t i = 2; i < 8; i++) {
		if (!(xcr0 >> i & 1))
			continue;
		e = add_indexed(t, 0xd, i);
		e->eax = m->component[i].size;
		e->ebx = m->component[i].offset;
	}
}

/* Bits that are no features of the CPU, and where AMD repeats itself. */
static void
put_extra_bits(const struct arch_model *m, struct kvm_cpuid_entry2 *one,
    struct kvm_cpuid_entry2 *ext)
{
	one->ecx |= 1u << 24 | 1u << 31;	/* TSC deadline, hypervisor */
	if (m->n_vcpus > 1)
		one->edx |= 1u << 28;		/* the ids in EBX are valid */
	if (!m->amd)
		return;
	ext->edx |= one->edx & 0x0183f3ffu;	/* the bits of old */
	if (m->n_vcpus > 1)
		ext->ecx |= 1u << 1;		/* cores, not threads */
}

static void
put_hypervisor(struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 *e = add(t, KVM_LEAF);

	e->eax = KVM_LEAF + 1;
	memcpy(&e->ebx, "KVMK", 4);
	memcpy(&e->ecx, "VMKV", 4);
	memcpy(&e->edx, "M\0\0\0", 4);
	/* Only the clock: what else KVM offers depends on the host's age. */
	e = add(t, KVM_LEAF + 1);
	e->eax = 1u << KVM_FEATURE_CLOCKSOURCE |
	    1u << KVM_FEATURE_CLOCKSOURCE2 | 1u << KVM_FEATURE_NOP_IO_DELAY |
	    1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT;
}

void
x86_model_table(const struct arch_model *m, unsigned int index,
    struct kvm_cpuid2 *t)
{
	const struct x86_level *l = x86_level(m->level);
	struct kvm_cpuid_entry2 *e, *one, *ext;

	t->nent = 0;
	e = add(t, 0);
	e->eax = LEAF_MAX;
	put_vendor(m, e);
	one = add(t, 1);
	one->eax = m->amd ? l->signature_amd : l->signature_intel;
	one->ebx = index << 24 | m->n_vcpus << 16 | 8 << 8; /* CLFLUSH: 64 */
	add(t, 2)->eax = 1;
	add_indexed(t, 4, 0);		/* caches: not told */
	add(t, 6)->eax = 1u << 2;	/* the APIC timer never stops */
	add_indexed(t, 7, 0);
	put_topology(m, t, index);
	put_xsave(m, t);
	put_hypervisor(t);
	e = add(t, 0x80000000);
	e->eax = EXT_LEAF_MAX;
	if (m->amd)
		put_vendor(m, e);
	ext = add(t, 0x80000001);
	put_brand(m, t);
	add(t, 0x80000006)->ecx = 0x02006140;	/* L2: 512 KB, lines of 64 */
	/* No invariant TSC: the next handset may have another rate. */
	add(t, 0x80000007);
	e = add(t, 0x80000008);
	e->eax = VIRT_BITS << 8 | X86_PHYS_BITS;
	if (m->amd)
		e->ecx = id_bits(m) << 12 | (m->n_vcpus - 1);
	x86_level_put(m->level, t);
	put_extra_bits(m, one, ext);
}

int
arch_model_apply(const struct arch_model *m, struct kvm_cpu *c,
    unsigned int index)
{
	struct kvm_cpuid2 *t = x86_cpuid_alloc(CPUID_ENTRIES_MAX);
	int r;

	if (t == NULL)
		return -ENOMEM;
	x86_model_table(m, index, t);
	r = kvm_cpu_ioctl(c, KVM_SET_CPUID2, t);
	free(t);
	return r < 0 ? r : 0;
}
