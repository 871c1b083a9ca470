/* SPDX-License-Identifier: ISC */
/*
 * An x86-64 machine's chips and vCPUs into state.proto, field by field.
 * Deliberately knows no device, and no way back (arch-x86-load.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch-x86-fields.h"
#include "arch-x86.h"
#include "arch.h"
#include "kvm.h"

/* VcpuX86.MpState <-> KVM_MP_STATE_*; the wire's numbers are its own. */
static const uint32_t mp_states[] = {
	[PERSONA__STATE__VCPU_X86__MP_STATE__RUNNABLE] = KVM_MP_STATE_RUNNABLE,
	[PERSONA__STATE__VCPU_X86__MP_STATE__UNINITIALIZED] =
	    KVM_MP_STATE_UNINITIALIZED,
	[PERSONA__STATE__VCPU_X86__MP_STATE__INIT_RECEIVED] =
	    KVM_MP_STATE_INIT_RECEIVED,
	[PERSONA__STATE__VCPU_X86__MP_STATE__HALTED] = KVM_MP_STATE_HALTED,
	[PERSONA__STATE__VCPU_X86__MP_STATE__SIPI_RECEIVED] =
	    KVM_MP_STATE_SIPI_RECEIVED,
};
#define MP_STATES (sizeof(mp_states) / sizeof(mp_states[0]))

int
x86_mp_state_to_kvm(int wire)
{
	return wire >= 0 && (size_t)wire < MP_STATES ? (int)mp_states[wire] :
	    -1;
}

static int
mp_state_from_kvm(uint32_t kvm_state)
{
	for (size_t i = 0; i < MP_STATES; i++)
		if (mp_states[i] == kvm_state)
			return (int)i;
	return -1;
}

static Persona__State__TableX86 *
table_save(const struct kvm_dtable *t)
{
	Persona__State__TableX86 *out = malloc(sizeof(*out));

	if (out == NULL)
		return NULL;
	persona__state__table_x86__init(out);
	out->base_address = t->base;
	out->limit = t->limit;
	return out;
}

static uint32_t
segment_rights(const struct kvm_segment *s)
{
	return (uint32_t)s->type | (uint32_t)s->s << 4 |
	    (uint32_t)s->dpl << 5 | (uint32_t)s->present << 7 |
	    (uint32_t)s->avl << 12 | (uint32_t)s->l << 13 |
	    (uint32_t)s->db << 14 | (uint32_t)s->g << 15 |
	    (uint32_t)s->unusable << 16;
}

static int
segments_save(const struct kvm_sregs2 *s, Persona__State__VcpuX86 *out)
{
	const struct kvm_segment *const from[SEGMENTS] = {
#define X(i, name) [i] = &s->name,
		SEGMENT_FIELDS(X)
#undef X
	};

	out->segments = calloc(SEGMENTS, sizeof(out->segments[0]));
	if (out->segments == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < SEGMENTS; i++) {
		Persona__State__SegmentX86 *seg = malloc(sizeof(*seg));

		if (seg == NULL)
			return -ENOMEM;
		persona__state__segment_x86__init(seg);
		seg->base_address = from[i]->base;
		seg->limit = from[i]->limit;
		seg->selector = from[i]->selector;
		seg->rights = segment_rights(from[i]);
		out->segments[out->n_segments++] = seg;
	}
	return 0;
}

static int
regs_save(struct kvm_cpu *c, Persona__State__VcpuX86 *out)
{
	struct kvm_sregs2 s;
	struct kvm_regs regs;
	int r;

	if ((r = kvm_cpu_ioctl(c, KVM_GET_REGS, &regs)) < 0 ||
	    (r = kvm_cpu_ioctl(c, KVM_GET_SREGS2, &s)) < 0)
		return r;
	if ((out->gpr = calloc(GPRS, sizeof(out->gpr[0]))) == NULL)
		return -ENOMEM;
	out->n_gpr = GPRS;
#define X(i, name) out->gpr[i] = regs.name;
	GPR_FIELDS(X)
#undef X
	out->rip = regs.rip;
	out->rflags = regs.rflags;
#define X(name) out->name = s.name;
	CONTROL_FIELDS(X)
#undef X
	out->gdt = table_save(&s.gdt);
	out->idt = table_save(&s.idt);
	if (out->gdt == NULL || out->idt == NULL)
		return -ENOMEM;
	if (s.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) {
		out->pdptrs = calloc(PDPTRS, sizeof(out->pdptrs[0]));
		if (out->pdptrs == NULL)
			return -ENOMEM;
		out->n_pdptrs = PDPTRS;
		memcpy(out->pdptrs, s.pdptrs, sizeof(s.pdptrs));
	}
	return segments_save(&s, out);
}

/* XSAVE areas may be larger than struct kvm_xsave: ask how large. */
size_t
x86_xsave_room(struct kvm *k)
{
	size_t n = (size_t)kvm_cap(k, KVM_CAP_XSAVE2);

	return n < sizeof(struct kvm_xsave) ? sizeof(struct kvm_xsave) : n;
}

static int
xsave_save(struct kvm *k, struct kvm_cpu *c, Persona__State__VcpuX86 *out)
{
	bool wide = kvm_cap(k, KVM_CAP_XSAVE2) > 0;
	struct kvm_xcrs xcrs;
	int r;

	out->xsave.len = x86_xsave_room(k);
	if ((out->xsave.data = calloc(1, out->xsave.len)) == NULL)
		return -ENOMEM;
	r = kvm_cpu_ioctl(c, wide ? KVM_GET_XSAVE2 : KVM_GET_XSAVE,
	    out->xsave.data);
	if (r < 0)
		return r;
	/* Zeros at the end say nothing. */
	while (out->xsave.len > FXSAVE_BYTES &&
	    out->xsave.data[out->xsave.len - 1] == 0)
		out->xsave.len--;
	memset(&xcrs, 0, sizeof(xcrs));
	if (kvm_cap(k, KVM_CAP_XCRS) > 0 &&
	    kvm_cpu_ioctl(c, KVM_GET_XCRS, &xcrs) >= 0)
		for (uint32_t i = 0; i < xcrs.nr_xcrs; i++)
			if (xcrs.xcrs[i].xcr == 0) {
				out->has_xcr0 = true;
				out->xcr0 = xcrs.xcrs[i].value;
			}
	return 0;
}

static int
msrs_save(struct kvm *k, struct kvm_cpu *c, Persona__State__VcpuX86 *out)
{
	struct kvm_msr_list *l = NULL;
	int r;

	if ((r = x86_msr_list(k, &l)) < 0)
		return r;
	if ((out->msrs = calloc(l->nmsrs + 1, sizeof(out->msrs[0]))) == NULL)
		goto nomem;
	for (uint32_t i = 0; i < l->nmsrs; i++) {
		Persona__State__MsrX86 *msr;
		uint64_t value;

		/* Listed but not readable: a feature this guest lacks. */
		if (!x86_msr_is_saved(l->indices[i]) ||
		    x86_msr_get(c, l->indices[i], &value) < 0)
			continue;
		if ((msr = malloc(sizeof(*msr))) == NULL)
			goto nomem;
		persona__state__msr_x86__init(msr);
		msr->index = l->indices[i];
		msr->value = value;
		out->msrs[out->n_msrs++] = msr;
	}
	free(l);
	return 0;
nomem:
	free(l);
	return -ENOMEM;
}

static int
lapic_save(struct kvm_cpu *c, Persona__State__VcpuX86 *out)
{
	struct kvm_lapic_state l;
	int r;

	if ((r = kvm_cpu_ioctl(c, KVM_GET_LAPIC, &l)) < 0)
		return r;
	if ((out->lapic = calloc(LAPIC_REGS, sizeof(out->lapic[0]))) == NULL)
		return -ENOMEM;
	out->n_lapic = LAPIC_REGS;
	for (size_t i = 0; i < LAPIC_REGS; i++)
		memcpy(&out->lapic[i], &l.regs[16 * i],
		    sizeof(out->lapic[i]));
	return 0;
}

static int
events_save(struct kvm_cpu *c, Persona__State__VcpuX86 *out)
{
	Persona__State__EventsX86 *e;
	struct kvm_vcpu_events v;
	int r;

	if ((r = kvm_cpu_ioctl(c, KVM_GET_VCPU_EVENTS, &v)) < 0)
		return r;
	if ((e = out->events = malloc(sizeof(*e))) == NULL)
		return -ENOMEM;
	persona__state__events_x86__init(e);
#define PUT(field, v_) do { e->has_##field = true; e->field = (v_); } while (0)
	PUT(exception_injected, v.exception.injected);
	PUT(exception_pending, v.exception.pending);
	PUT(exception_vector, v.exception.nr);
	if (v.exception.has_error_code)
		PUT(exception_error_code, v.exception.error_code);
	PUT(interrupt_injected, v.interrupt.injected);
	PUT(interrupt_vector, v.interrupt.nr);
	PUT(interrupt_soft, v.interrupt.soft);
	PUT(interrupt_shadow, v.interrupt.shadow);
	PUT(nmi_injected, v.nmi.injected);
	PUT(nmi_pending, v.nmi.pending);
	PUT(nmi_masked, v.nmi.masked);
	PUT(sipi_vector, v.sipi_vector);
	if (v.flags & KVM_VCPUEVENT_VALID_SMM) {
		PUT(smm, v.smi.smm);
		PUT(smm_pending, v.smi.pending);
		PUT(smm_inside_nmi, v.smi.smm_inside_nmi);
		PUT(smm_latched_init, v.smi.latched_init);
	}
#undef PUT
	return 0;
}

static int
mp_state_save(struct kvm_cpu *c, Persona__State__VcpuX86 *out)
{
	struct kvm_mp_state mp;
	int r;

	if ((r = kvm_cpu_ioctl(c, KVM_GET_MP_STATE, &mp)) < 0)
		return r;
	if ((r = mp_state_from_kvm(mp.mp_state)) < 0)
		return -EPROTO;
	out->mp_state = (Persona__State__VcpuX86__MpState)r;
	return 0;
}

static int
debug_save(struct kvm_cpu *c, Persona__State__VcpuX86 *out)
{
	struct kvm_debugregs d;
	int r;

	if ((r = kvm_cpu_ioctl(c, KVM_GET_DEBUGREGS, &d)) < 0)
		return r;
	if ((out->debug = calloc(DEBUG_REGS, sizeof(out->debug[0]))) == NULL)
		return -ENOMEM;
	out->n_debug = DEBUG_REGS;
	for (size_t i = 0; i < 4; i++)
		out->debug[i] = d.db[i];
	out->debug[4] = d.dr6;
	out->debug[5] = d.dr7;
	return 0;
}

static int
cpuid_save(const struct arch_model *m, Persona__State__VcpuX86 *out)
{
	struct kvm_cpuid2 *t;

	t = calloc(1, sizeof(*t) + CPUID_ENTRIES_MAX * sizeof(t->entries[0]));
	out->cpuid = calloc(CPUID_ENTRIES_MAX, sizeof(out->cpuid[0]));
	if (t == NULL || out->cpuid == NULL)
		goto nomem;
	x86_model_table(m, out->index, t);
	for (uint32_t i = 0; i < t->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &t->entries[i];
		Persona__State__CpuidX86 *to = malloc(sizeof(*to));

		if (to == NULL)
			goto nomem;
		persona__state__cpuid_x86__init(to);
		to->function = e->function;
		to->index = e->index;
		to->has_index_matters = true;
		to->index_matters =
		    e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		to->eax = e->eax;
		to->ebx = e->ebx;
		to->ecx = e->ecx;
		to->edx = e->edx;
		out->cpuid[out->n_cpuid++] = to;
	}
	free(t);
	return 0;
nomem:
	free(t);
	return -ENOMEM;
}

static int
vcpu_save(struct kvm *k, const struct arch_model *m, struct kvm_cpu *c,
    Persona__State__VcpuX86 *out)
{
	int r;

	if ((r = mp_state_save(c, out)) < 0)	/* first: it settles INIT/SIPI */
		return r;
	if ((r = cpuid_save(m, out)) < 0 || (r = regs_save(c, out)) < 0 ||
	    (r = xsave_save(k, c, out)) < 0 || (r = msrs_save(k, c, out)) < 0 ||
	    (r = lapic_save(c, out)) < 0 || (r = debug_save(c, out)) < 0)
		return r;
	return events_save(c, out);
}

static Persona__State__PicX86 *
pic_save(struct kvm *k, uint32_t chip)
{
	struct kvm_irqchip in = { .chip_id = chip };
	Persona__State__PicX86 *out;

	if (kvm_vm_ioctl(k, KVM_GET_IRQCHIP, &in) < 0)
		return NULL;
	if ((out = malloc(sizeof(*out))) == NULL)
		return NULL;
	persona__state__pic_x86__init(out);
#define X(name) out->name = in.chip.pic.name;
	PIC_FIELDS(X)
#undef X
	return out;
}

static Persona__State__IoapicX86 *
ioapic_save(struct kvm *k)
{
	struct kvm_irqchip in = { .chip_id = KVM_IRQCHIP_IOAPIC };
	Persona__State__IoapicX86 *out;

	if (kvm_vm_ioctl(k, KVM_GET_IRQCHIP, &in) < 0)
		return NULL;
	if ((out = malloc(sizeof(*out))) == NULL)
		return NULL;
	persona__state__ioapic_x86__init(out);
	out->base_address = in.chip.ioapic.base_address;
	out->ioregsel = in.chip.ioapic.ioregsel;
	out->id = in.chip.ioapic.id;
	out->irr = in.chip.ioapic.irr;
	out->redirection = calloc(KVM_IOAPIC_NUM_PINS,
	    sizeof(out->redirection[0]));
	if (out->redirection != NULL)
		out->n_redirection = KVM_IOAPIC_NUM_PINS;
	for (size_t i = 0; i < out->n_redirection; i++)
		out->redirection[i] = in.chip.ioapic.redirtbl[i].bits;
	return out;
}

static Persona__State__PitX86 *
pit_save(struct kvm *k)
{
	Persona__State__PitX86 *out;
	struct kvm_pit_state2 in;

	if (kvm_vm_ioctl(k, KVM_GET_PIT2, &in) < 0)
		return NULL;
	if ((out = malloc(sizeof(*out))) == NULL)
		return NULL;
	persona__state__pit_x86__init(out);
	out->has_hpet_legacy = out->has_speaker_data_on = true;
	out->hpet_legacy = in.flags & KVM_PIT_FLAGS_HPET_LEGACY;
	out->speaker_data_on = in.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	out->channels = calloc(PIT_CHANNELS, sizeof(out->channels[0]));
	for (size_t i = 0; i < PIT_CHANNELS && out->channels != NULL; i++) {
		Persona__State__PitChannelX86 *ch = malloc(sizeof(*ch));

		if (ch == NULL)
			break;
		persona__state__pit_channel_x86__init(ch);
#define X(name) ch->name = in.channels[i].name;
		PIT_FIELDS(X)
#undef X
		out->channels[out->n_channels++] = ch;
	}
	return out;
}

static int
chips_save(struct kvm *k, Persona__State__MachineState *out)
{
	Persona__State__IrqChipX86 *chips = malloc(sizeof(*chips));

	if ((out->irqchip = chips) == NULL)
		return -ENOMEM;
	persona__state__irq_chip_x86__init(chips);
	chips->pic_master = pic_save(k, KVM_IRQCHIP_PIC_MASTER);
	chips->pic_slave = pic_save(k, KVM_IRQCHIP_PIC_SLAVE);
	chips->ioapic = ioapic_save(k);
	chips->pit = pit_save(k);
	if (chips->pic_master == NULL || chips->pic_slave == NULL ||
	    chips->ioapic == NULL || chips->pit == NULL ||
	    chips->ioapic->n_redirection != KVM_IOAPIC_NUM_PINS ||
	    chips->pit->n_channels != PIT_CHANNELS)
		return -EIO;
	return 0;
}

static int
clock_save(const struct arch_clock *a, Persona__State__MachineState *out)
{
	Persona__State__ClockX86 *clock = malloc(sizeof(*clock));

	if ((out->clock = clock) == NULL)
		return -ENOMEM;
	persona__state__clock_x86__init(clock);
	clock->kvmclock_ns = a->kvmclock_ns;
	clock->has_tsc_khz = true;
	clock->tsc_khz = a->tsc_khz;
	for (size_t i = 0; i < out->n_vcpus; i++) {
		out->vcpus[i]->has_tsc = out->vcpus[i]->has_tsc_deadline = true;
		out->vcpus[i]->tsc = a->tsc[i];
		out->vcpus[i]->tsc_deadline = a->tsc_deadline[i];
	}
	return 0;
}

int
arch_save(const struct arch_clock *a, struct kvm *k,
    const struct arch_model *m, struct kvm_cpu *const *cpus,
    unsigned int n_vcpus, Persona__State__MachineState *out)
{
	int r;

	if ((out->vcpus = calloc(n_vcpus, sizeof(out->vcpus[0]))) == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < n_vcpus; i++) {
		Persona__State__VcpuX86 *v = malloc(sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		persona__state__vcpu_x86__init(v);
		out->vcpus[out->n_vcpus++] = v;
		v->index = i;
		if ((r = vcpu_save(k, m, cpus[i], v)) < 0)
			return r;
	}
	if ((r = chips_save(k, out)) < 0)
		return r;
	return clock_save(a, out);
}
