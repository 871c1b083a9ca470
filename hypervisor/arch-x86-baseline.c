/* SPDX-License-Identifier: ISC */
/*
 * What the CPU baselines x86-64-v1..v4 are (psABI for x86-64, 3.1.1), and whether
 * a host has one. Knows CPUID bits by name; deliberately knows no guest and not
 * how its whole table looks (arch-x86-cpuid.c).
 */
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

static const struct x86_level levels[LEVELS] = {
	{ "x86-64-v1", 0x00000f61, 0x00060fb1 },
	{ "x86-64-v2", 0x000106a3, 0x00100f23 },
	{ "x86-64-v3", 0x000306c1, 0x00800f12 },
	{ "x86-64-v4", 0x00050654, 0x00a10f11 },
};

const char *
arch_baseline(size_t i)
{
	return i < LEVELS ? levels[i].name : NULL;
}

unsigned int
x86_level_of(const char *baseline)
{
	for (unsigned int i = 0; i < LEVELS; i++)
		if (strcmp(levels[i].name, baseline) == 0)
			return i + 1;
	return 0;
}

const struct x86_level *
x86_level(unsigned int level)
{
	return &levels[level - 1];
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

struct kvm_cpuid_entry2 *
x86_cpuid_find(struct kvm_cpuid2 *t, uint32_t leaf, uint32_t index)
{
	for (uint32_t i = 0; i < t->nent; i++)
		if (t->entries[i].function == leaf &&
		    t->entries[i].index == index)
			return &t->entries[i];
	return NULL;
}

struct kvm_cpuid2 *
x86_cpuid_alloc(uint32_t n)
{
	struct kvm_cpuid2 *t;

	t = calloc(1, sizeof(*t) + n * sizeof(t->entries[0]));
	if (t != NULL)
		t->nent = n;
	return t;
}

int
x86_cpuid_supported(struct kvm *k, struct kvm_cpuid2 **tp)
{
	struct kvm_cpuid2 *t = x86_cpuid_alloc(SUPPORTED_MAX);
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
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(supported, f->leaf, f->index);

	if (e != NULL && *reg_of(e, f->reg) >> f->bit & 1)
		return true;
	return software && f->user_mode && host_has(f);
}

/* The guest is told X86_PHYS_BITS; a host with fewer could not keep that word. */
static bool
has_phys_bits(struct kvm_cpuid2 *supported)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(supported, 0x80000008, 0);

	return e == NULL || (e->eax & 0xff) >= X86_PHYS_BITS;
}

int
arch_baseline_check(struct kvm *k, const char *baseline, bool software,
    char *why, size_t why_len)
{
	unsigned int level = x86_level_of(baseline), n_missing = 0;
	struct kvm_cpuid2 *supported;
	char names[256] = "";
	size_t at = 0;
	int r;

	if (level == 0) {
		snprintf(why, why_len, "there is no CPU baseline \"%.32s\"; "
		    "known are x86-64-v1 to x86-64-v4", baseline);
		return -EINVAL;
	}
	if ((r = x86_cpuid_supported(k, &supported)) < 0) {
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
		    X86_PHYS_BITS);
		n_missing++;
	}
	free(supported);
	if (n_missing == 0)
		return 0;
	snprintf(why, why_len, "this handset's CPU lacks %s; missing:%s",
	    baseline, names);
	return -ENOTSUP;
}

void
x86_level_put(unsigned int level, struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 *e;

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		const struct feature *f = &features[i];

		if (f->level <= level &&
		    (e = x86_cpuid_find(t, f->leaf,
		    f->index)) != NULL)
			*reg_of(e, f->reg) |= 1u << f->bit;
	}
}
