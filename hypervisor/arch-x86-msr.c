/* SPDX-License-Identifier: ISC */
/*
 * Which model specific registers are a guest's state, and how to reach one. Knows
 * numbers; deliberately knows no message.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch-x86-fields.h"
#include "arch-x86.h"
#include "kvm.h"

/*
 * Not the guest's state: what the host's CPU is (feature and microcode MSRs,
 * performance counters we do not show, VMX capabilities), what is a command and
 * not a value (writing a wall clock MSR makes KVM write guest memory), second
 * names of another MSR, and the counters that thaw with the clocks.
 */
static const struct { uint32_t first, last; } msrs_not_saved[] = {
	{ MSR_TSC, MSR_TSC },
	{ MSR_TSC_DEADLINE, MSR_TSC_DEADLINE },
	{ 0x11, 0x12 },			/* old names of the kvmclock MSRs */
	{ 0x4b564d00, 0x4b564d00 },	/* wall clock */
	{ 0x34, 0x34 },			/* SMI count */
	{ 0x8b, 0x8b },			/* microcode revision */
	{ 0xc1, 0xc8 },			/* performance counters */
	{ 0xce, 0xcf },			/* platform and core capabilities */
	{ 0x10a, 0x10b },		/* ARCH_CAPABILITIES, FLUSH_CMD */
	{ 0x186, 0x18d },
	{ 0x1db, 0x1de },		/* last branch records */
	{ 0x309, 0x345 },		/* fixed counters, PERF_CAPABILITIES */
	{ 0x38d, 0x390 },
	{ 0x3f1, 0x3f1 },
	{ 0x480, 0x493 },		/* VMX capabilities */
	{ 0x4c1, 0x4c8 },
	{ 0x600, 0x600 },		/* DS area */
	{ 0xc0010000, 0xc0010007 },
	{ 0xc0010200, 0xc001020f },
	{ 0xc0000300, 0xc0000303 },
	{ 0xc00110a2, 0xc00110a2 },
};

bool
x86_msr_is_saved(uint32_t index)
{
	for (size_t i = 0; i < sizeof(msrs_not_saved) /
	    sizeof(msrs_not_saved[0]); i++)
		if (index >= msrs_not_saved[i].first &&
		    index <= msrs_not_saved[i].last)
			return false;
	return true;
}

int
x86_msr_list(struct kvm *k, struct kvm_msr_list **lp)
{
	struct kvm_msr_list *l;
	int r;

	l = calloc(1, sizeof(*l) + MSRS_MAX * sizeof(l->indices[0]));
	if (l == NULL)
		return -ENOMEM;
	l->nmsrs = MSRS_MAX;
	if ((r = kvm_sys_ioctl(k, KVM_GET_MSR_INDEX_LIST, l)) < 0) {
		free(l);
		return r;
	}
	*lp = l;
	return 0;
}

/* Room for the one entry behind KVM's header. */
union one_msr {
	struct kvm_msrs	head;
	char		room[sizeof(struct kvm_msrs) +
			    sizeof(struct kvm_msr_entry)];
};

static int
msr_ioctl(struct kvm_cpu *c, unsigned long request, uint32_t index,
    uint64_t *value)
{
	union one_msr m;
	int r;

	memset(&m, 0, sizeof(m));
	m.head.nmsrs = 1;
	m.head.entries[0].index = index;
	m.head.entries[0].data = *value;
	/* KVM says how many of the entries it took. */
	if ((r = kvm_cpu_ioctl(c, request, &m)) < 0)
		return r;
	*value = m.head.entries[0].data;
	return r == 1 ? 0 : -ENOENT;
}

int
x86_msr_get(struct kvm_cpu *c, uint32_t index, uint64_t *value)
{
	*value = 0;
	return msr_ioctl(c, KVM_GET_MSRS, index, value);
}

int
x86_msr_set(struct kvm_cpu *c, uint32_t index, uint64_t value)
{
	return msr_ioctl(c, KVM_SET_MSRS, index, &value);
}
