/* SPDX-License-Identifier: ISC */
/*
 * An x86-64 machine's chips and vCPUs from state.proto. The state may come from a
 * liar: arch_check looks at every shape before arch_load applies the first field.
 * Deliberately knows no device and no clock arithmetic (arch-x86.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch-x86-fields.h"
#include "arch-x86.h"
#include "arch.h"
#include "kvm.h"
#include "log.h"

/* KVM itself calls two rates the same when they differ by less. */
#define TSC_TOLERANCE_PPM	250u

/* --- check --------------------------------------------------------------- */

static bool
cpuid_equals(const struct kvm_cpuid_entry2 *e,
    const Persona__State__CpuidX86 *s)
{
	return e->function == s->function && e->index == s->index &&
	    e->eax == s->eax && e->ebx == s->ebx && e->ecx == s->ecx &&
	    e->edx == s->edx;
}

/* Whether the vCPU saw the table that model `m` shows. */
static int
cpuid_check(const struct arch_model *m, const Persona__State__VcpuX86 *v,
    char *why, size_t why_len)
{
	struct kvm_cpuid2 *t;
	int r = 0;

	t = calloc(1, sizeof(*t) + CPUID_ENTRIES_MAX * sizeof(t->entries[0]));
	if (t == NULL)
		return -ENOMEM;
	x86_model_table(m, v->index, t);
	if (t->nent != v->n_cpuid) {
		snprintf(why, why_len, "its CPU was described by %zu CPUID "
		    "entries, ours by %u", v->n_cpuid, t->nent);
		r = -ENOTSUP;
	}
	for (uint32_t i = 0; r == 0 && i < t->nent; i++) {
		if (cpuid_equals(&t->entries[i], v->cpuid[i]))
			continue;
		snprintf(why, why_len, "this handset cannot show it the same "
		    "CPU: CPUID leaf 0x%" PRIx32 " differs",
		    t->entries[i].function);
		r = -ENOTSUP;
	}
	free(t);
	return r;
}

/* The vendor it saw. Only the two exist in our tables. */
static bool
state_is_amd(const Persona__State__MachineState *in)
{
	const Persona__State__VcpuX86 *v = in->vcpus[0];

	return v->n_cpuid > 0 && v->cpuid[0]->ecx == 0x444d4163;
}

/* Every MSR it brings is one we would save, and KVM knows it here. */
static int
msrs_check(struct kvm *k, const Persona__State__VcpuX86 *v, char *why,
    size_t why_len)
{
	struct kvm_msr_list *l;
	int r;

	if (v->n_msrs > MSRS_MAX) {
		snprintf(why, why_len, "it has %zu MSRs", v->n_msrs);
		return -EINVAL;
	}
	if ((r = x86_msr_list(k, &l)) < 0)
		return r;
	for (size_t i = 0; r == 0 && i < v->n_msrs; i++) {
		bool known = false;

		for (uint32_t j = 0; j < l->nmsrs && !known; j++)
			known = l->indices[j] == v->msrs[i]->index;
		/* Zero is what an absent register reads as. */
		if (known && x86_msr_is_saved(v->msrs[i]->index))
			continue;
		if (v->msrs[i]->value == 0)
			continue;
		snprintf(why, why_len, "it uses MSR 0x%" PRIx32 ", which this "
		    "handset's KVM does not have", v->msrs[i]->index);
		r = -ENOTSUP;
	}
	free(l);
	return r;
}

static int
vcpu_check(struct kvm *k, const struct arch_model *m, unsigned int index,
    const Persona__State__VcpuX86 *v, char *why, size_t why_len)
{
	int r;

	if (v->index != index || v->n_gpr != GPRS ||
	    v->n_segments != SEGMENTS || v->n_lapic != LAPIC_REGS ||
	    v->n_debug != DEBUG_REGS ||
	    (v->n_pdptrs != 0 && v->n_pdptrs != PDPTRS) ||
	    v->xsave.len < FXSAVE_BYTES ||
	    v->xsave.len > x86_xsave_room(k) ||
	    x86_mp_state_to_kvm((int)v->mp_state) < 0 ||
	    v->gdt->limit > UINT16_MAX || v->idt->limit > UINT16_MAX) {
		snprintf(why, why_len, "its vCPU %u is not complete", index);
		return -EINVAL;
	}
	if ((r = cpuid_check(m, v, why, why_len)) < 0)
		return r;
	return msrs_check(k, v, why, why_len);
}

int
arch_check(struct kvm *k, struct arch_model *m, unsigned int n_vcpus,
    const Persona__State__MachineState *in, char *why, size_t why_len)
{
	bool was_amd = x86_model_is_amd(m);
	int r = 0;

	if (in->n_vcpus != n_vcpus) {
		snprintf(why, why_len, "it has %zu vCPUs, this machine %u",
		    in->n_vcpus, n_vcpus);
		return -EINVAL;
	}
	if (in->clock == NULL || in->irqchip == NULL ||
	    in->irqchip->ioapic->n_redirection != KVM_IOAPIC_NUM_PINS ||
	    in->irqchip->pit->n_channels != PIT_CHANNELS) {
		snprintf(why, why_len,
		    "its clock or interrupt chips are not complete");
		return -EINVAL;
	}
	x86_model_set_amd(m, state_is_amd(in));
	for (unsigned int i = 0; r == 0 && i < n_vcpus; i++)
		r = vcpu_check(k, m, i, in->vcpus[i], why, why_len);
	x86_model_set_amd(m, was_amd);
	return r;
}

/* --- load ---------------------------------------------------------------- */

static void
segment_load(struct kvm_segment *to, const Persona__State__SegmentX86 *s)
{
	*to = (struct kvm_segment){
		.base = s->base_address,
		.limit = s->limit,
		.selector = (uint16_t)s->selector,
		.type = s->rights & 0xf,
		.s = s->rights >> 4 & 1,
		.dpl = s->rights >> 5 & 3,
		.present = s->rights >> 7 & 1,
		.avl = s->rights >> 12 & 1,
		.l = s->rights >> 13 & 1,
		.db = s->rights >> 14 & 1,
		.g = s->rights >> 15 & 1,
		.unusable = s->rights >> 16 & 1,
	};
}

static int
regs_load(struct kvm_cpu *c, const Persona__State__VcpuX86 *v)
{
	struct kvm_regs regs = { .rip = v->rip, .rflags = v->rflags };
	struct kvm_sregs2 s;
	struct kvm_segment *const to[SEGMENTS] = {
#define X(i, name) [i] = &s.name,
		SEGMENT_FIELDS(X)
#undef X
	};
	int r;

	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < SEGMENTS; i++)
		segment_load(to[i], v->segments[i]);
	s.gdt = (struct kvm_dtable){ .base = v->gdt->base_address,
	    .limit = (uint16_t)v->gdt->limit };
	s.idt = (struct kvm_dtable){ .base = v->idt->base_address,
	    .limit = (uint16_t)v->idt->limit };
#define X(name) s.name = v->name;
	CONTROL_FIELDS(X)
#undef X
	if (v->n_pdptrs == PDPTRS) {
		s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		memcpy(s.pdptrs, v->pdptrs, sizeof(s.pdptrs));
	}
#define X(i, name) regs.name = v->gpr[i];
	GPR_FIELDS(X)
#undef X
	if ((r = kvm_cpu_ioctl(c, KVM_SET_SREGS2, &s)) < 0)
		return r;
	return kvm_cpu_ioctl(c, KVM_SET_REGS, &regs);
}

static int
xsave_load(struct kvm *k, struct kvm_cpu *c,
    const Persona__State__VcpuX86 *v)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1,
	    .xcrs = { { .xcr = 0, .value = v->xcr0 } } };
	void *area;
	int r;

	if (v->has_xcr0 && kvm_cap(k, KVM_CAP_XCRS) > 0 &&
	    (r = kvm_cpu_ioctl(c, KVM_SET_XCRS, &xcrs)) < 0)
		return r;
	if ((area = calloc(1, x86_xsave_room(k))) == NULL)
		return -ENOMEM;
	memcpy(area, v->xsave.data, v->xsave.len);
	r = kvm_cpu_ioctl(c, KVM_SET_XSAVE, area);
	free(area);
	return r;
}

static int
debug_load(struct kvm_cpu *c, const Persona__State__VcpuX86 *v)
{
	struct kvm_debugregs d = { .dr6 = v->debug[4], .dr7 = v->debug[5] };

	for (size_t i = 0; i < 4; i++)
		d.db[i] = v->debug[i];
	return kvm_cpu_ioctl(c, KVM_SET_DEBUGREGS, &d);
}

static int
lapic_load(struct kvm_cpu *c, const Persona__State__VcpuX86 *v)
{
	struct kvm_lapic_state l;

	memset(&l, 0, sizeof(l));
	for (size_t i = 0; i < LAPIC_REGS; i++)
		memcpy(&l.regs[16 * i], &v->lapic[i], sizeof(v->lapic[i]));
	return kvm_cpu_ioctl(c, KVM_SET_LAPIC, &l);
}

static int
msrs_load(struct kvm_cpu *c, const Persona__State__VcpuX86 *v, uint32_t *bad)
{
	for (size_t i = 0; i < v->n_msrs; i++) {
		const Persona__State__MsrX86 *m = v->msrs[i];
		uint64_t now;

		/* arch_check let only zeros of those pass. */
		if (!x86_msr_is_saved(m->index))
			continue;
		if (x86_msr_set(c, m->index, m->value) == 0)
			continue;
		/* Refused, but it already is what it should be: fine. */
		if (x86_msr_get(c, m->index, &now) < 0)
			now = 0;
		if (now == m->value)
			continue;
		*bad = m->index;
		return -EIO;
	}
	return 0;
}

static int
events_load(struct kvm_cpu *c, const Persona__State__EventsX86 *e)
{
	struct kvm_vcpu_events v;

	memset(&v, 0, sizeof(v));
	v.flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
	    KVM_VCPUEVENT_VALID_SIPI_VECTOR | KVM_VCPUEVENT_VALID_SHADOW;
	/* KVM without the payload capability wants injected, not pending. */
	v.exception.injected = e->exception_injected || e->exception_pending;
	v.exception.nr = (uint8_t)e->exception_vector;
	v.exception.has_error_code = (uint8_t)e->has_exception_error_code;
	v.exception.error_code = e->exception_error_code;
	v.interrupt.injected = (uint8_t)e->interrupt_injected;
	v.interrupt.nr = (uint8_t)e->interrupt_vector;
	v.interrupt.soft = (uint8_t)e->interrupt_soft;
	v.interrupt.shadow = (uint8_t)e->interrupt_shadow;
	v.nmi.injected = (uint8_t)e->nmi_injected;
	v.nmi.pending = (uint8_t)e->nmi_pending;
	v.nmi.masked = (uint8_t)e->nmi_masked;
	v.sipi_vector = e->sipi_vector;
	if (e->has_smm) {
		v.flags |= KVM_VCPUEVENT_VALID_SMM;
		v.smi.smm = (uint8_t)e->smm;
		v.smi.pending = (uint8_t)e->smm_pending;
		v.smi.smm_inside_nmi = (uint8_t)e->smm_inside_nmi;
		v.smi.latched_init = (uint8_t)e->smm_latched_init;
	}
	return kvm_cpu_ioctl(c, KVM_SET_VCPU_EVENTS, &v);
}

/*
 * The order is KVM's: the APIC base (in sregs) before the APIC, the APIC before
 * the MSRs that its mode decides about, events after the registers whose
 * setting clears them.
 */
static int
vcpu_load(struct kvm *k, const struct arch_model *m, struct kvm_cpu *c,
    const Persona__State__VcpuX86 *v, char *why, size_t why_len)
{
	struct kvm_mp_state mp = {
		.mp_state = (uint32_t)x86_mp_state_to_kvm((int)v->mp_state) };
	const char *what;
	uint32_t msr = 0;
	int r;

	if ((what = "CPUID", r = arch_model_apply(m, c, v->index)) < 0 ||
	    (what = "registers", r = regs_load(c, v)) < 0 ||
	    (what = "FPU state", r = xsave_load(k, c, v)) < 0 ||
	    (what = "debug registers", r = debug_load(c, v)) < 0 ||
	    (what = "local APIC", r = lapic_load(c, v)) < 0 ||
	    (what = "MSRs", r = msrs_load(c, v, &msr)) < 0 ||
	    (what = "mp state", r = kvm_cpu_ioctl(c, KVM_SET_MP_STATE,
	    &mp)) < 0 ||
	    (what = "events", r = events_load(c, v->events)) < 0) {
		if (msr != 0)
			snprintf(why, why_len, "KVM refused vCPU %u's MSR "
			    "0x%" PRIx32, v->index, msr);
		else
			snprintf(why, why_len, "KVM refused vCPU %u's %s: %s",
			    v->index, what, strerror(-r));
		return r;
	}
	return 0;
}

static int
pic_load(struct kvm *k, uint32_t chip, const Persona__State__PicX86 *p)
{
	struct kvm_irqchip out = { .chip_id = chip };

#define X(name) out.chip.pic.name = (uint8_t)p->name;
	PIC_FIELDS(X)
#undef X
	return kvm_vm_ioctl(k, KVM_SET_IRQCHIP, &out);
}

static int
ioapic_load(struct kvm *k, const Persona__State__IoapicX86 *p)
{
	struct kvm_irqchip out = { .chip_id = KVM_IRQCHIP_IOAPIC };

	out.chip.ioapic.base_address = p->base_address;
	out.chip.ioapic.ioregsel = p->ioregsel;
	out.chip.ioapic.id = p->id;
	out.chip.ioapic.irr = p->irr;
	for (size_t i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		out.chip.ioapic.redirtbl[i].bits = p->redirection[i];
	return kvm_vm_ioctl(k, KVM_SET_IRQCHIP, &out);
}

static int
pit_load(struct kvm *k, const Persona__State__PitX86 *p)
{
	struct kvm_pit_state2 out;

	memset(&out, 0, sizeof(out));
	if (p->hpet_legacy)
		out.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	if (p->speaker_data_on)
		out.flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	for (size_t i = 0; i < PIT_CHANNELS; i++) {
		const Persona__State__PitChannelX86 *ch = p->channels[i];

#define X(name) out.channels[i].name = (__typeof__(out.channels[i].name))ch->name;
		PIT_FIELDS(X)
#undef X
	}
	return kvm_vm_ioctl(k, KVM_SET_PIT2, &out);
}

static int
chips_load(struct kvm *k, const Persona__State__IrqChipX86 *p, char *why,
    size_t why_len)
{
	int r;

	if ((r = pic_load(k, KVM_IRQCHIP_PIC_MASTER, p->pic_master)) < 0 ||
	    (r = pic_load(k, KVM_IRQCHIP_PIC_SLAVE, p->pic_slave)) < 0 ||
	    (r = ioapic_load(k, p->ioapic)) < 0 ||
	    (r = pit_load(k, p->pit)) < 0)
		snprintf(why, why_len, "KVM refused its interrupt chips: %s",
		    strerror(-r));
	return r;
}

static uint64_t
distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* Run its cycle counter at the rate it knew, where the host can. */
static void
tsc_rate_load(struct kvm *k, struct kvm_cpu *const *cpus, unsigned int n,
    uint64_t khz)
{
	int host = kvm_cpu_ioctl(cpus[0], KVM_GET_TSC_KHZ, NULL);

	if (khz == 0 || khz > UINT32_MAX || host <= 0 ||
	    distance(khz, (uint64_t)host) <=
	    (uint64_t)host * TSC_TOLERANCE_PPM / 1000000u)
		return;
	for (unsigned int i = 0; i < n; i++) {
		if (kvm_cap(k, KVM_CAP_TSC_CONTROL) > 0 &&
		    kvm_cpu_ioctl(cpus[i], KVM_SET_TSC_KHZ,
		    (void *)(uintptr_t)khz) >= 0)
			continue;
		log_warn("clock: the guest's cycle counter ran at %" PRIu64
		    " kHz and runs at %d now; its kvmclock stays true", khz,
		    host);
		return;
	}
}

static void
clock_load(struct arch_clock *a, const Persona__State__MachineState *in)
{
	a->kvmclock_ns = in->clock->kvmclock_ns;
	a->tsc_khz = in->clock->tsc_khz;
	for (size_t i = 0; i < a->n_vcpus; i++) {
		a->tsc[i] = in->vcpus[i]->tsc;
		a->tsc_deadline[i] = in->vcpus[i]->tsc_deadline;
	}
}

int
arch_load(struct arch_clock *a, struct kvm *k, struct arch_model *m,
    struct kvm_cpu *const *cpus, unsigned int n_vcpus,
    const Persona__State__MachineState *in, char *why, size_t why_len)
{
	int r;

	x86_model_set_amd(m, state_is_amd(in));
	if ((r = chips_load(k, in->irqchip, why, why_len)) < 0)
		return r;
	for (unsigned int i = 0; i < n_vcpus; i++)
		if ((r = vcpu_load(k, m, cpus[i], in->vcpus[i], why,
		    why_len)) < 0)
			return r;
	tsc_rate_load(k, cpus, n_vcpus, in->clock->tsc_khz);
	clock_load(a, in);
	/* Now, so that timers already count on the right base. */
	return arch_clock_thaw(a, k, cpus, 0);
}
