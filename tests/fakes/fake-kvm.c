/* SPDX-License-Identifier: ISC */
/*
 * The remembering KVM. State requests come in pairs (a set, a get) of one size and
 * are kept as bytes by (descriptor, pair, part), so that a new pair is one row.
 */
#include "fake-kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYS_FD		100
#define VM_FD		101
#define CPU_FD		110	/* and up, by index */
#define CPUS		8
#define SLOTS		4
#define SLOT_PAGES_MAX	(8u << 18)
#define CPUID_MAX	16
#define MSRS		16
#define BLOBS_MAX	256

struct blob {
	int	fd;
	size_t	pair, part;
	size_t	len;
	void	*bytes;
};

struct slot {
	uint64_t gpa, len;
	bool	logged;
	uint64_t *dirty;
};

struct fake_kvm {
	bool	has_manual, manual;
	struct kvm_cpuid_entry2 cpuid[CPUID_MAX];
	uint32_t n_cpuid;
	struct slot slots[SLOTS];
	uint64_t largest_clear;
	struct blob blobs[BLOBS_MAX];
	size_t	n_blobs;
	uint32_t msr_index[MSRS];
	uint64_t msr_value[CPUS][MSRS];
	size_t	n_msrs;
	unsigned int sets;
	unsigned long refused;
	int	refused_error;
};

static const struct { unsigned long set, get; size_t len; } pairs[] = {
	{ KVM_SET_REGS, KVM_GET_REGS, sizeof(struct kvm_regs) },
	{ KVM_SET_SREGS2, KVM_GET_SREGS2, sizeof(struct kvm_sregs2) },
	{ KVM_SET_XSAVE, KVM_GET_XSAVE2, 4096 },
	{ KVM_SET_XCRS, KVM_GET_XCRS, sizeof(struct kvm_xcrs) },
	{ KVM_SET_DEBUGREGS, KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs) },
	{ KVM_SET_LAPIC, KVM_GET_LAPIC, sizeof(struct kvm_lapic_state) },
	{ KVM_SET_MP_STATE, KVM_GET_MP_STATE, sizeof(struct kvm_mp_state) },
	{ KVM_SET_VCPU_EVENTS, KVM_GET_VCPU_EVENTS,
	    sizeof(struct kvm_vcpu_events) },
	{ KVM_SET_PIT2, KVM_GET_PIT2, sizeof(struct kvm_pit_state2) },
	{ KVM_SET_CLOCK, KVM_GET_CLOCK, sizeof(struct kvm_clock_data) },
	{ KVM_SET_IRQCHIP, KVM_GET_IRQCHIP, sizeof(struct kvm_irqchip) },
};
#define N_PAIRS (sizeof(pairs) / sizeof(pairs[0]))

static struct blob *
blob_of(struct fake_kvm *f, int fd, size_t pair, size_t part)
{
	struct blob *b;

	for (size_t i = 0; i < f->n_blobs; i++) {
		b = &f->blobs[i];
		if (b->fd == fd && b->pair == pair && b->part == part)
			return b;
	}
	if (f->n_blobs == BLOBS_MAX)
		abort();
	b = &f->blobs[f->n_blobs++];
	*b = (struct blob){ .fd = fd, .pair = pair, .part = part,
	    .len = pairs[pair].len };
	b->bytes = calloc(1, b->len);
	return b;
}

static int
state_ioctl(struct fake_kvm *f, int fd, unsigned long request, void *param)
{
	for (size_t i = 0; i < N_PAIRS; i++) {
		bool set = request == pairs[i].set;
		size_t part = 0;
		struct blob *b;

		if (!set && request != pairs[i].get)
			continue;
		if (pairs[i].set == KVM_SET_IRQCHIP)
			part = ((struct kvm_irqchip *)param)->chip_id;
		b = blob_of(f, fd, i, part);
		if (set) {
			memcpy(b->bytes, param, b->len);
			f->sets++;
			return 0;
		}
		memcpy(param, b->bytes, b->len);
		if (pairs[i].set == KVM_SET_IRQCHIP)
			((struct kvm_irqchip *)param)->chip_id = (uint32_t)part;
		if (pairs[i].set == KVM_SET_VCPU_EVENTS)
			((struct kvm_vcpu_events *)param)->flags =
			    KVM_VCPUEVENT_VALID_SMM;
		return 0;
	}
	return -ENOTTY;
}

static int
msr_at(const struct fake_kvm *f, uint32_t index)
{
	for (size_t i = 0; i < f->n_msrs; i++)
		if (f->msr_index[i] == index)
			return (int)i;
	return -1;
}

static int
msrs_ioctl(struct fake_kvm *f, int fd, bool set, struct kvm_msrs *m)
{
	for (uint32_t i = 0; i < m->nmsrs; i++) {
		int at = msr_at(f, m->entries[i].index);
		uint64_t *v;

		if (at < 0)
			return (int)i;
		v = &f->msr_value[fd - CPU_FD][at];
		if (set)
			*v = m->entries[i].data;
		else
			m->entries[i].data = *v;
		f->sets += set;
	}
	return (int)m->nmsrs;
}

static int
slot_set(struct fake_kvm *f, const struct kvm_userspace_memory_region *r)
{
	struct slot *s;

	if (r->slot >= SLOTS)
		return -EINVAL;
	s = &f->slots[r->slot];
	s->gpa = r->guest_phys_addr;
	s->len = r->memory_size;
	if (s->dirty == NULL)
		s->dirty = calloc(SLOT_PAGES_MAX / 64, sizeof(uint64_t));
	/* "Initially set", as the kernel does it. */
	if (!s->logged && (r->flags & KVM_MEM_LOG_DIRTY_PAGES))
		memset(s->dirty, f->manual ? 0xff : 0, s->len / 4096 / 8);
	s->logged = r->flags & KVM_MEM_LOG_DIRTY_PAGES;
	return 0;
}

static int
dirty_get(struct fake_kvm *f, struct kvm_dirty_log *log)
{
	struct slot *s = &f->slots[log->slot];
	size_t len = s->len / 4096 / 8;

	if (!s->logged)
		return -ENOENT;
	memcpy(log->dirty_bitmap, s->dirty, len);
	if (!f->manual)
		memset(s->dirty, 0, len);
	return 0;
}

static int
dirty_clear(struct fake_kvm *f, const struct kvm_clear_dirty_log *log)
{
	struct slot *s = &f->slots[log->slot];
	const uint64_t *bits = log->dirty_bitmap;

	if (!f->manual || log->first_page % 64 != 0)
		return -EINVAL;
	for (uint64_t i = 0; i < (log->num_pages + 63u) / 64; i++)
		s->dirty[log->first_page / 64 + i] &= ~bits[i];
	if (log->num_pages > f->largest_clear)
		f->largest_clear = log->num_pages;
	return 0;
}

static int
capability(struct fake_kvm *f, uintptr_t cap)
{
	switch (cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return f->has_manual ? 3 : 0;
	case KVM_CAP_XSAVE2:
		return 4096;
	case KVM_CAP_XCRS:
		return 1;
	default:
		return 0;
	}
}

static int
list_msrs(const struct fake_kvm *f, struct kvm_msr_list *l)
{
	l->nmsrs = (uint32_t)f->n_msrs;
	memcpy(l->indices, f->msr_index, f->n_msrs * sizeof(uint32_t));
	return 0;
}

static int
supported_cpuid(const struct fake_kvm *f, struct kvm_cpuid2 *t)
{
	if (t->nent < f->n_cpuid)
		return -E2BIG;
	t->nent = f->n_cpuid;
	memcpy(t->entries, f->cpuid, f->n_cpuid * sizeof(f->cpuid[0]));
	return 0;
}

static int
fake_ioctl(void *arg, int fd, unsigned long request, uintptr_t param)
{
	struct fake_kvm *f = arg;
	void *p = (void *)param;

	if (f->refused_error != 0 && request == f->refused)
		return -f->refused_error;
	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_CREATE_VM:
		return VM_FD;
	case KVM_GET_VCPU_MMAP_SIZE:
		return 4096;
	case KVM_CREATE_VCPU:
		return CPU_FD + (int)param;
	case KVM_CHECK_EXTENSION:
		return capability(f, param);
	case KVM_ENABLE_CAP:
		f->manual = true;
		return 0;
	case KVM_SET_USER_MEMORY_REGION:
		return slot_set(f, p);
	case KVM_GET_DIRTY_LOG:
		return dirty_get(f, p);
	case KVM_CLEAR_DIRTY_LOG:
		return dirty_clear(f, p);
	case KVM_GET_SUPPORTED_CPUID:
		return supported_cpuid(f, p);
	case KVM_GET_MSR_INDEX_LIST:
		return list_msrs(f, p);
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		return msrs_ioctl(f, fd, request == KVM_SET_MSRS, p);
	case KVM_GET_TSC_KHZ:
		return 2000000;
	case KVM_SET_CPUID2:
		return 0;
	default:
		return state_ioctl(f, fd, request, p);
	}
}

static int
fake_open(void *arg)
{
	(void)arg;
	return SYS_FD;
}

static void *
fake_map(void *arg, int fd, size_t len)
{
	(void)arg;
	(void)fd;
	return calloc(1, len);
}

static void
fake_unmap(void *arg, void *p, size_t len)
{
	(void)arg;
	(void)len;
	free(p);
}

static void
fake_close(void *arg, int fd)
{
	(void)arg;
	(void)fd;
}

const struct kvm_ops fake_kvm_ops = {
	.open = fake_open,
	.ioctl = fake_ioctl,
	.map = fake_map,
	.unmap = fake_unmap,
	.close = fake_close,
};

struct fake_kvm *
fake_kvm_new(bool manual_dirty_log)
{
	struct fake_kvm *f = calloc(1, sizeof(*f));

	f->has_manual = manual_dirty_log;
	fake_kvm_vendor(f, "GenuineIntel");
	for (unsigned int bit = 0; bit < 27; bit++)
		fake_kvm_cpuid_bit(f, 1, 0, 3, bit, true);
	fake_kvm_cpuid_bit(f, 1, 0, 2, 21, true);
	fake_kvm_cpuid_bit(f, 0x80000001, 0, 3, 11, true);
	fake_kvm_cpuid_bit(f, 0x80000001, 0, 3, 20, true);
	fake_kvm_cpuid_bit(f, 0x80000001, 0, 3, 29, true);
	fake_kvm_msr(f, 0x10, 0);
	fake_kvm_msr(f, 0x174, 0);
	fake_kvm_msr(f, 0xc0000081, 0);
	fake_kvm_msr(f, 0x6e0, 0);
	fake_kvm_msr(f, 0x4b564d01, 0);
	return f;
}

void
fake_kvm_free(struct fake_kvm *f)
{
	for (size_t i = 0; i < f->n_blobs; i++)
		free(f->blobs[i].bytes);
	for (size_t i = 0; i < SLOTS; i++)
		free(f->slots[i].dirty);
	free(f);
}

static struct kvm_cpuid_entry2 *
cpuid_entry(struct fake_kvm *f, uint32_t leaf, uint32_t index)
{
	struct kvm_cpuid_entry2 *e;

	for (uint32_t i = 0; i < f->n_cpuid; i++)
		if (f->cpuid[i].function == leaf && f->cpuid[i].index == index)
			return &f->cpuid[i];
	e = &f->cpuid[f->n_cpuid++];
	e->function = leaf;
	e->index = index;
	return e;
}

void
fake_kvm_cpuid_bit(struct fake_kvm *f, uint32_t leaf, uint32_t index,
    unsigned int reg, unsigned int bit, bool on)
{
	struct kvm_cpuid_entry2 *e = cpuid_entry(f, leaf, index);
	uint32_t *regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

	*regs[reg] &= ~(1u << bit);
	*regs[reg] |= (uint32_t)on << bit;
}

void
fake_kvm_vendor(struct fake_kvm *f, const char *twelve)
{
	struct kvm_cpuid_entry2 *e = cpuid_entry(f, 0, 0);

	memcpy(&e->ebx, twelve, 4);
	memcpy(&e->edx, twelve + 4, 4);
	memcpy(&e->ecx, twelve + 8, 4);
}

void
fake_kvm_dirty(struct fake_kvm *f, unsigned int slot, uint64_t page)
{
	if (f->slots[slot].logged)
		f->slots[slot].dirty[page / 64] |= 1ULL << (page % 64);
}

uint64_t
fake_kvm_largest_clear(const struct fake_kvm *f)
{
	return f->largest_clear;
}

bool
fake_kvm_is_logged(const struct fake_kvm *f, unsigned int slot)
{
	return f->slots[slot].logged;
}

void
fake_kvm_slot(const struct fake_kvm *f, unsigned int slot, uint64_t *gpa,
    uint64_t *len_bytes)
{
	*gpa = f->slots[slot].gpa;
	*len_bytes = f->slots[slot].len;
}

void
fake_kvm_refuse(struct fake_kvm *f, unsigned long request, int error)
{
	f->refused = request;
	f->refused_error = error;
}

unsigned int
fake_kvm_sets(const struct fake_kvm *f)
{
	return f->sets;
}

void
fake_kvm_msr(struct fake_kvm *f, uint32_t index, uint64_t value)
{
	int at = msr_at(f, index);

	if (at < 0) {
		at = (int)f->n_msrs++;
		f->msr_index[at] = index;
	}
	for (size_t i = 0; i < CPUS; i++)
		f->msr_value[i][at] = value;
}

uint64_t
fake_kvm_msr_of(struct fake_kvm *f, unsigned int cpu, uint32_t index)
{
	return f->msr_value[cpu][msr_at(f, index)];
}
