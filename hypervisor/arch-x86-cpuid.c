/* SPDX-License-Identifier: ISC */
/*
 * The named CPU baselines x86-64-v1..v4 (psABI for x86-64, 3.1.1) as CPUID
 * tables. A table depends on the baseline, the number of vCPUs and the vendor,
 * and on nothing else of the host, so that a persona sees the same CPU wherever
 * it goes. Knows CPUID; deliberately knows no other state.
 */
#include <asm/kvm_para.h>
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch-x86.h"
#include "arch.h"
#include "kvm.h"

#define LEVELS		4
#define SUPPORTED_MAX	256u	/* CPUID entries a host may report */
#define LEAF_MAX	0xdu
#define EXT_LEAF_MAX	0x80000008u
#define KVM_LEAF	0x40000000u
/* Physical address bits every host of these years has; 8 GiB need 34. */
#define PHYS_BITS	39u
#define VIRT_BITS	48u

enum reg { EAX, EBX, ECX, EDX };

/* One CPUID bit: in which level it begins to belong, and who brings it. */
struct feature {
	uint32_t	leaf, index;
	enum reg	reg;
	unsigned int	bit;
	unsigned int	level;		/* 1..4 */
	bool		user_mode;	/* an instruction of ring 3, no state */
	const char	*name;
};

static const struct feature features[] = {
	{ 1, 0, EDX, 0, 1, false, "fpu" },
	{ 1, 0, EDX, 2, 1, false, "de" },
	{ 1, 0, EDX, 3, 1, false, "pse" },
	{ 1, 0, EDX, 4, 1, false, "tsc" },
	{ 1, 0, EDX, 5, 1, false, "msr" },
	{ 1, 0, EDX, 6, 1, false, "pae" },
	{ 1, 0, EDX, 7, 1, false, "mce" },
	{ 1, 0, EDX, 8, 1, false, "cx8" },
	{ 1, 0, EDX, 9, 1, false, "apic" },
	{ 1, 0, EDX, 11, 1, false, "sep" },
	{ 1, 0, EDX, 12, 1, false, "mtrr" },
	{ 1, 0, EDX, 13, 1, false, "pge" },
	{ 1, 0, EDX, 14, 1, false, "mca" },
	{ 1, 0, EDX, 15, 1, false, "cmov" },
	{ 1, 0, EDX, 16, 1, false, "pat" },
	{ 1, 0, EDX, 17, 1, false, "pse36" },
	{ 1, 0, EDX, 19, 1, false, "clflush" },
	{ 1, 0, EDX, 23, 1, false, "mmx" },
	{ 1, 0, EDX, 24, 1, false, "fxsr" },
	{ 1, 0, EDX, 25, 1, false, "sse" },
	{ 1, 0, EDX, 26, 1, false, "sse2" },
	{ 0x80000001, 0, EDX, 11, 1, false, "syscall" },
	{ 0x80000001, 0, EDX, 20, 1, false, "nx" },
	{ 0x80000001, 0, EDX, 29, 1, false, "lm" },
	/* Made by KVM's interrupt controller, whatever the CPU. */
	{ 1, 0, ECX, 21, 1, false, "x2apic" },

	{ 1, 0, ECX, 0, 2, true, "sse3" },
	{ 1, 0, ECX, 9, 2, true, "ssse3" },
	{ 1, 0, ECX, 13, 2, true, "cx16" },
	{ 1, 0, ECX, 19, 2, true, "sse4_1" },
	{ 1, 0, ECX, 20, 2, true, "sse4_2" },
	{ 1, 0, ECX, 23, 2, true, "popcnt" },
	{ 0x80000001, 0, ECX, 0, 2, true, "lahf_lm" },

	{ 1, 0, ECX, 12, 3, false, "fma" },
	{ 1, 0, ECX, 22, 3, false, "movbe" },
	{ 1, 0, ECX, 26, 3, false, "xsave" },
	{ 1, 0, ECX, 28, 3, false, "avx" },
	{ 1, 0, ECX, 29, 3, false, "f16c" },
	{ 7, 0, EBX, 3, 3, false, "bmi1" },
	{ 7, 0, EBX, 5, 3, false, "avx2" },
	{ 7, 0, EBX, 8, 3, false, "bmi2" },
	{ 0x80000001, 0, ECX, 5, 3, false, "abm" },
	{ 0xd, 0, EAX, 0, 3, false, "xcr0.x87" },
	{ 0xd, 0, EAX, 1, 3, false, "xcr0.sse" },
	{ 0xd, 0, EAX, 2, 3, false, "xcr0.avx" },

	{ 7, 0, EBX, 16, 4, false, "avx512f" },
	{ 7, 0, EBX, 17, 4, false, "avx512dq" },
	{ 7, 0, EBX, 28, 4, false, "avx512cd" },
	{ 7, 0, EBX, 30, 4, false, "avx512bw" },
	{ 7, 0, EBX, 31, 4, false, "avx512vl" },
	{ 0xd, 0, EAX, 5, 4, false, "xcr0.opmask" },
	{ 0xd, 0, EAX, 6, 4, false, "xcr0.zmm_hi256" },
	{ 0xd, 0, EAX, 7, 4, false, "xcr0.hi16_zmm" },
};

/* What a level looks like besides its bits: a well-known CPU of that age. */
struct level {
	const char	*name;
	uint32_t	signature_intel, signature_amd;	/* CPUID 1 EAX */
};

static const struct level levels[LEVELS] = {
	{ "x86-64-v1", 0x00000f61, 0x00060fb1 },
	{ "x86-64-v2", 0x000106a3, 0x00100f23 },
	{ "x86-64-v3", 0x000306c1, 0x00800f12 },
	{ "x86-64-v4", 0x00050654, 0x00a10f11 },
};

struct arch_model {
	unsigned int	level;		/* 1..4 */
	unsigned int	n_vcpus;
	bool		amd;
	/* Extended state components 2..7: size and place, as the host has them
	 * (the same on all makers up to AVX). */
	struct { uint32_t size, offset; } component[8];
};

const char	arch_name[] = "x86-64";

const char *
arch_baseline(size_t i)
{
	return i < LEVELS ? levels[i].name : NULL;
}

static unsigned int
level_of(const char *baseline)
{
	for (unsigned int i = 0; i < LEVELS; i++)
		if (strcmp(levels[i].name, baseline) == 0)
			return i + 1;
	return 0;
}

static uint32_t *
reg_of(struct kvm_cpuid_entry2 *e, enum reg reg)
{
	switch (reg) {
	case EAX:
		return &e->eax;
	case EBX:
		return &e->ebx;
	case ECX:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

static struct kvm_cpuid_entry2 *
find(struct kvm_cpuid2 *t, uint32_t leaf, uint32_t index)
{
	for (uint32_t i = 0; i < t->nent; i++)
		if (t->entries[i].function == leaf &&
		    t->entries[i].index == index)
			return &t->entries[i];
	return NULL;
}

static struct kvm_cpuid2 *
table_alloc(uint32_t n)
{
	struct kvm_cpuid2 *t;

	t = calloc(1, sizeof(*t) + n * sizeof(t->entries[0]));
	if (t != NULL)
		t->nent = n;
	return t;
}

static int
supported_by(struct kvm *k, struct kvm_cpuid2 **tp)
{
	struct kvm_cpuid2 *t = table_alloc(SUPPORTED_MAX);
	int r;

	if (t == NULL)
		return -ENOMEM;
	if ((r = kvm_sys_ioctl(k, KVM_GET_SUPPORTED_CPUID, t)) < 0) {
		free(t);
		return r;
	}
	*tp = t;
	return 0;
}

/* Software KVM runs user code on the CPU itself: ask that one. */
static bool
host_has(const struct feature *f)
{
	unsigned int v[4];

	if (!__get_cpuid_count(f->leaf, f->index, &v[EAX], &v[EBX], &v[ECX],
	    &v[EDX]))
		return false;
	return v[f->reg] >> f->bit & 1;
}

static bool
is_there(struct kvm_cpuid2 *supported, const struct feature *f, bool software)
{
	struct kvm_cpuid_entry2 *e = find(supported, f->leaf, f->index);

	if (e != NULL && *reg_of(e, f->reg) >> f->bit & 1)
		return true;
	return software && f->user_mode && host_has(f);
}

/* The guest is told PHYS_BITS; a host with fewer could not keep that word. */
static bool
has_phys_bits(struct kvm_cpuid2 *supported)
{
	struct kvm_cpuid_entry2 *e = find(supported, 0x80000008, 0);

	return e == NULL || (e->eax & 0xff) >= PHYS_BITS;
}

int
arch_baseline_check(struct kvm *k, const char *baseline, bool software,
    char *why, size_t why_len)
{
	unsigned int level = level_of(baseline), n_missing = 0;
	struct kvm_cpuid2 *supported;
	char names[256] = "";
	size_t at = 0;
	int r;

	if (level == 0) {
		snprintf(why, why_len, "there is no CPU baseline \"%.32s\"; "
		    "known are x86-64-v1 to x86-64-v4", baseline);
		return -EINVAL;
	}
	if ((r = supported_by(k, &supported)) < 0) {
		snprintf(why, why_len, "KVM does not say what CPU it has: %s",
		    strerror(-r));
		return r;
	}
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		const struct feature *f = &features[i];
		int n;

		if (f->level > level || is_there(supported, f, software))
			continue;
		n_missing++;
		n = snprintf(names + at, sizeof(names) - at, " %s", f->name);
		if (n > 0 && at + (size_t)n < sizeof(names))
			at += (size_t)n;
	}
	if (n_missing == 0 && !has_phys_bits(supported)) {
		snprintf(names, sizeof(names), " %u physical address bits",
		    PHYS_BITS);
		n_missing++;
	}
	free(supported);
	if (n_missing == 0)
		return 0;
	snprintf(why, why_len, "this handset's CPU lacks %s; missing:%s",
	    baseline, names);
	return -ENOTSUP;
}

int
arch_model_new(struct arch_model **mp, struct kvm *k, const char *baseline,
    unsigned int n_vcpus)
{
	struct kvm_cpuid_entry2 *e;
	struct kvm_cpuid2 *supported;
	struct arch_model *m;
	unsigned int level = level_of(baseline);
	int r;

	if (level == 0 || n_vcpus == 0 || n_vcpus > VCPUS_MAX)
		return -EINVAL;
	if ((r = supported_by(k, &supported)) < 0)
		return r;
	if ((m = calloc(1, sizeof(*m))) == NULL) {
		free(supported);
		return -ENOMEM;
	}
	m->level = level;
	m->n_vcpus = n_vcpus;
	if ((e = find(supported, 0, 0)) != NULL)
		m->amd = e->ecx == 0x444d4163 || e->ecx == 0x656e6975;
	for (uint32_t i = 2; i < 8; i++) {
		if ((e = find(supported, 0xd, i)) == NULL)
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
	    levels[m->level - 1].name);
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

uint32_t
x86_model_xsave_bytes(const struct arch_model *m)
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
	e->ebx = e->ecx = x86_model_xsave_bytes(m);
	add_indexed(t, 0xd, 1);
	for (uint32_t i = 2; i < 8; i++) {
		if (!(xcr0 >> i & 1))
			continue;
		e = add_indexed(t, 0xd, i);
		e->eax = m->component[i].size;
		e->ebx = m->component[i].offset;
	}
}

static void
put_features(const struct arch_model *m, struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 *e;

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		const struct feature *f = &features[i];

		if (f->level <= m->level &&
		    (e = find(t, f->leaf, f->index)) != NULL)
			*reg_of(e, f->reg) |= 1u << f->bit;
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
	const struct level *l = &levels[m->level - 1];
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
	e->eax = VIRT_BITS << 8 | PHYS_BITS;
	if (m->amd)
		e->ecx = id_bits(m) << 12 | (m->n_vcpus - 1);
	put_features(m, t);
	put_extra_bits(m, one, ext);
}

int
arch_model_apply(const struct arch_model *m, struct kvm_cpu *c,
    unsigned int index)
{
	struct kvm_cpuid2 *t = table_alloc(CPUID_ENTRIES_MAX);
	int r;

	if (t == NULL)
		return -ENOMEM;
	x86_model_table(m, index, t);
	r = kvm_cpu_ioctl(c, KVM_SET_CPUID2, t);
	free(t);
	return r < 0 ? r : 0;
}
