/* SPDX-License-Identifier: ISC */
/*
 * What kind of KVM an x86-64 host has, found by looking and by trying. Knows sysfs
 * names and one instruction; deliberately gives no advice (probe.c).
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch.h"
#include "boot.h"
#include "kvm.h"

/* The self-test's 64 KiB of guest memory. */
#define TEST_BYTES	0x10000u
#define TEST_PML4	0x1000u
#define TEST_PDPT	0x2000u
#define TEST_PD		0x3000u
#define TEST_GDT	0x4000u
#define TEST_CODE	0x8000u
#define TEST_OPERAND	0x9000u	/* 16 bytes, for the instruction tried */
#define TEST_PORT	0xf4

#define PTE_PRESENT_RW	0x3u
#define PTE_LARGE	0x80u

bool
arch_kvm_is_hardware(void)
{
	return access("/sys/module/kvm_intel", F_OK) == 0 ||
	    access("/sys/module/kvm_amd", F_OK) == 0;
}

static bool
has_vmx(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c >> 5 & 1;
}

static bool
has_svm(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0x80000001, &a, &b, &c, &d) && c >> 2 & 1;
}

bool
arch_cpu_can_virtualise(void)
{
	return has_vmx() || has_svm();
}

const char *
arch_kvm_module(void)
{
	return has_svm() ? "kvm_amd" : "kvm_intel";
}

static void
put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/*
 * A 64-bit kernel of three instructions: LOCK CMPXCHG16B, which every x86-64
 * kernel's allocator uses and which a KVM that emulates kernel code does not
 * know; then a port write to say that it got there.
 */
static void
write_test_kernel(uint8_t *ram)
{
	static const uint8_t code[] = {
		0xf0, 0x48, 0x0f, 0xc7, 0x0e,	/* lock cmpxchg16b [rsi] */
		0xe6, TEST_PORT,		/* out TEST_PORT, al */
		0xf4,				/* hlt */
	};

	put64(ram + TEST_PML4, TEST_PDPT | PTE_PRESENT_RW);
	put64(ram + TEST_PDPT, TEST_PD | PTE_PRESENT_RW);
	put64(ram + TEST_PD, PTE_LARGE | PTE_PRESENT_RW);
	put64(ram + TEST_GDT + 0x10, 0x00af9b000000ffffu);
	put64(ram + TEST_GDT + 0x18, 0x00cf93000000ffffu);
	memcpy(ram + TEST_CODE, code, sizeof(code));
}

static int
run_test_kernel(struct kvm *k, struct kvm_cpu *c)
{
	const struct boot_entry entry = {
		.mode = BOOT_LONG_64,
		.rip = TEST_CODE,
		.rsi = TEST_OPERAND,
		.cr3 = TEST_PML4,
		.gdt = TEST_GDT,
	};
	const struct kvm_run *run = kvm_cpu_area(c);
	struct arch_model *model;
	int r;

	if ((r = arch_model_new(&model, k, arch_baseline(0), 1)) < 0)
		return r;
	r = arch_model_apply(model, c, 0);
	arch_model_free(model);
	if (r < 0 || (r = arch_boot(c, &entry)) < 0 ||
	    (r = kvm_cpu_run(c)) < 0)
		return r;
	return run->exit_reason == KVM_EXIT_IO && run->io.port == TEST_PORT ?
	    0 : -ENOTSUP;
}

int
arch_self_test(struct kvm *k)
{
	struct kvm_cpu *c = NULL;
	uint8_t *ram;
	int r;

	ram = mmap(NULL, TEST_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return -errno;
	write_test_kernel(ram);
	if ((r = kvm_create_vm(k)) < 0 || (r = arch_vm_init(k)) < 0 ||
	    (r = kvm_slot_set(k, 0, 0, ram, TEST_BYTES, false)) < 0 ||
	    (r = kvm_cpu_new(&c, k, 0)) < 0)
		goto out;
	r = run_test_kernel(k, c);
out:
	kvm_cpu_free(c);
	kvm_destroy_vm(k);
	munmap(ram, TEST_BYTES);
	return r;
}
