/* SPDX-License-Identifier: ISC */
/* A baseline is the same CPU on every host that has it, and refused elsewhere. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch-x86.h"
#include "arch.h"
#include "fakes/fake-kvm.h"
#include "unit.h"

static struct kvm *
open_fake(struct fake_kvm *f)
{
	struct kvm *k = NULL;

	CU_ASSERT_EQUAL_FATAL(kvm_open(&k, &fake_kvm_ops, f), 0);
	return k;
}

static struct kvm_cpuid2 *
table(struct kvm *k, const char *baseline, unsigned int n, unsigned int index)
{
	struct kvm_cpuid2 *t = calloc(1, sizeof(*t) +
	    CPUID_ENTRIES_MAX * sizeof(t->entries[0]));
	struct arch_model *m = NULL;

	CU_ASSERT_EQUAL_FATAL(arch_model_new(&m, k, baseline, n), 0);
	x86_model_table(m, index, t);
	arch_model_free(m);
	return t;
}

static const struct kvm_cpuid_entry2 *
entry(const struct kvm_cpuid2 *t, uint32_t leaf, uint32_t index)
{
	static const struct kvm_cpuid_entry2 none;

	for (uint32_t i = 0; i < t->nent; i++)
		if (t->entries[i].function == leaf &&
		    t->entries[i].index == index)
			return &t->entries[i];
	CU_FAIL("the table lacks a leaf");
	return &none;
}

static void
missing_features_are_named(void)
{
	struct fake_kvm *f = fake_kvm_new(true);
	struct kvm *k = open_fake(f);
	char why[256] = "";

	CU_ASSERT_EQUAL(arch_baseline_check(k, "x86-64-v1", false, why,
	    sizeof(why)), 0);
	CU_ASSERT_EQUAL(arch_baseline_check(k, "x86-64-v2", false, why,
	    sizeof(why)), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "ssse3"));
	CU_ASSERT_PTR_NULL(strstr(why, " sse2"));
	fake_kvm_cpuid_bit(f, 0x80000008, 0, 0, 5, true);	/* 32 bits */
	CU_ASSERT_EQUAL(arch_baseline_check(k, "x86-64-v1", false, why,
	    sizeof(why)), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "39 physical address bits"));
	fake_kvm_cpuid_bit(f, 1, 0, 3, 26, false);
	CU_ASSERT_EQUAL(arch_baseline_check(k, "x86-64-v1", false, why,
	    sizeof(why)), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, " sse2"));
	CU_ASSERT_EQUAL(arch_baseline_check(k, "pentium", false, why,
	    sizeof(why)), -EINVAL);
	kvm_close(k);
	fake_kvm_free(f);
}

static void
what_the_host_has_more_is_hidden(void)
{
	struct fake_kvm *poor = fake_kvm_new(true), *rich = fake_kvm_new(true);
	struct kvm *a = open_fake(poor), *b = open_fake(rich);
	struct kvm_cpuid2 *ta, *tb;

	for (unsigned int bit = 0; bit < 32; bit++) {
		fake_kvm_cpuid_bit(rich, 1, 0, 2, bit, true);
		fake_kvm_cpuid_bit(rich, 7, 0, 1, bit, true);
		fake_kvm_cpuid_bit(rich, 0x80000007, 0, 3, bit, true);
	}
	ta = table(a, "x86-64-v1", 2, 1);
	tb = table(b, "x86-64-v1", 2, 1);
	CU_ASSERT_EQUAL(ta->nent, tb->nent);
	CU_ASSERT_EQUAL(memcmp(ta->entries, tb->entries,
	    ta->nent * sizeof(ta->entries[0])), 0);
	CU_ASSERT_EQUAL(entry(tb, 7, 0)->ebx, 0);
	CU_ASSERT_EQUAL(entry(tb, 0x80000007, 0)->edx, 0);
	/* Always there: x2APIC, TSC deadline, "there is a hypervisor". */
	CU_ASSERT_EQUAL(entry(tb, 1, 0)->ecx, 1u << 21 | 1u << 24 | 1u << 31);
	free(ta);
	free(tb);
	kvm_close(a);
	kvm_close(b);
	fake_kvm_free(poor);
	fake_kvm_free(rich);
}

static void
every_vcpu_has_its_number(void)
{
	struct fake_kvm *f = fake_kvm_new(true);
	struct kvm *k = open_fake(f);

	for (unsigned int i = 0; i < 5; i++) {
		struct kvm_cpuid2 *t = table(k, "x86-64-v2", 5, i);

		CU_ASSERT_TRUE(t->nent <= CPUID_ENTRIES_MAX);
		CU_ASSERT_EQUAL(entry(t, 1, 0)->ebx >> 24, i);
		CU_ASSERT_EQUAL(entry(t, 1, 0)->ebx >> 16 & 0xff, 5);
		CU_ASSERT_EQUAL(entry(t, 0xb, 0)->edx, i);
		CU_ASSERT_EQUAL(entry(t, 0xb, 1)->eax, 3);
		CU_ASSERT_EQUAL(entry(t, 0xb, 1)->ebx, 5);
		free(t);
	}
	kvm_close(k);
	fake_kvm_free(f);
}

static void
the_vendor_is_the_hosts(void)
{
	struct fake_kvm *f = fake_kvm_new(true);
	struct kvm *k = open_fake(f);
	struct kvm_cpuid2 *t = table(k, "x86-64-v1", 1, 0);

	CU_ASSERT_EQUAL(memcmp(&entry(t, 0, 0)->ebx, "Genu", 4), 0);
	CU_ASSERT_EQUAL(entry(t, 1, 0)->eax, 0xf61);
	free(t);
	fake_kvm_vendor(f, "AuthenticAMD");
	t = table(k, "x86-64-v1", 1, 0);
	CU_ASSERT_EQUAL(memcmp(&entry(t, 0, 0)->ebx, "Auth", 4), 0);
	CU_ASSERT_EQUAL(entry(t, 1, 0)->eax, 0x60fb1);
	CU_ASSERT_TRUE(entry(t, 0x80000001, 0)->edx & 1);
	free(t);
	kvm_close(k);
	fake_kvm_free(f);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "missing features are named", missing_features_are_named },
		{ "what the host has more is hidden",
		    what_the_host_has_more_is_hidden },
		{ "every vCPU has its number", every_vcpu_has_its_number },
		{ "the vendor is the host's", the_vendor_is_the_hosts },
	};

	return unit_main("cpuid", tests, sizeof(tests) / sizeof(tests[0]));
}
