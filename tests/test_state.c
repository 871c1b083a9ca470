/* SPDX-License-Identifier: ISC */
/*
 * Machine state: what is saved is loaded again field by field, and what does not
 * fit is refused before KVM hears of it. On a KVM that only remembers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch-x86.h"
#include "arch.h"
#include "bounds.h"
#include "fakes/fake-kvm.h"
#include "golden.h"
#include "state.h"
#include "unit.h"

#define N 2
#define GOLDEN "state-1.golden"

static const char *new_file;	/* --make */

struct machine_under_test {
	struct fake_kvm	*fake;
	struct kvm	*kvm;
	struct kvm_cpu	*cpus[N];
	struct arch_model *model;
	struct arch_clock *clock;
};

static const struct state_identity id = {
	.arch = arch_name,
	.cpu_baseline = "x86-64-v1",
	.ram_bytes = 64 << 20,
	.vcpus = N,
};

static void
setup(struct machine_under_test *m)
{
	m->fake = fake_kvm_new(true);
	CU_ASSERT_EQUAL_FATAL(kvm_open(&m->kvm, &fake_kvm_ops, m->fake), 0);
	CU_ASSERT_EQUAL_FATAL(kvm_create_vm(m->kvm), 0);
	for (unsigned int i = 0; i < N; i++)
		CU_ASSERT_EQUAL_FATAL(kvm_cpu_new(&m->cpus[i], m->kvm, i), 0);
	CU_ASSERT_EQUAL_FATAL(arch_model_new(&m->model, m->kvm, "x86-64-v1",
	    N), 0);
	CU_ASSERT_EQUAL_FATAL(arch_clock_new(&m->clock, N), 0);
}

static void
tear_down(struct machine_under_test *m)
{
	arch_clock_free(m->clock);
	arch_model_free(m->model);
	for (unsigned int i = 0; i < N; i++)
		kvm_cpu_free(m->cpus[i]);
	kvm_close(m->kvm);
	fake_kvm_free(m->fake);
}

/* Give a KVM structure a content in which every byte differs. */
static void
fill(void *p, size_t len, unsigned int salt)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)p)[i] = (uint8_t)(i * 7 + salt);
}

static void
put_guest(struct machine_under_test *m)
{
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_pit_state2 pit;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_HALTED };
	struct kvm_clock_data clock = { .clock = 123456789 };
	uint8_t xsave[4096];

	for (unsigned int i = 0; i < N; i++) {
		fill(&regs, sizeof(regs), i);
		memset(&sregs, 0, sizeof(sregs));
		sregs.cs = (struct kvm_segment){ .base = 0x1000 + i,
		    .limit = 0xfffff, .selector = 0x33, .type = 0xb,
		    .present = 1, .dpl = 3, .l = 1, .s = 1, .g = 1 };
		sregs.cr3 = 0x5000 + i;
		sregs.efer = 0xd01;
		sregs.gdt = (struct kvm_dtable){ 0x7000, 0x7f, { 0 } };
		sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		sregs.pdptrs[3] = 0x9001;
		fill(&lapic, sizeof(lapic), i + 3);
		fill(xsave, sizeof(xsave), i + 5);
		kvm_cpu_ioctl(m->cpus[i], KVM_SET_REGS, &regs);
		kvm_cpu_ioctl(m->cpus[i], KVM_SET_SREGS2, &sregs);
		kvm_cpu_ioctl(m->cpus[i], KVM_SET_LAPIC, &lapic);
		kvm_cpu_ioctl(m->cpus[i], KVM_SET_XSAVE, xsave);
		kvm_cpu_ioctl(m->cpus[i], KVM_SET_MP_STATE, &mp);
	}
	fill(&pit, sizeof(pit), 9);
	pit.flags = KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	kvm_vm_ioctl(m->kvm, KVM_SET_PIT2, &pit);
	kvm_vm_ioctl(m->kvm, KVM_SET_CLOCK, &clock);
	for (uint32_t chip = 0; chip < KVM_NR_IRQCHIPS; chip++) {
		struct kvm_irqchip c = { .chip_id = chip };

		fill(c.chip.dummy, sizeof(c.chip.pic), chip + 11);
		kvm_vm_ioctl(m->kvm, KVM_SET_IRQCHIP, &c);
	}
	fake_kvm_msr(m->fake, 0xc0000081, 0x23001000000000);
	fake_kvm_msr(m->fake, MSR_TSC, 1000000);
	fake_kvm_msr(m->fake, MSR_TSC_DEADLINE, 2000000);
}

static Persona__State__MachineState *
save(struct machine_under_test *m)
{
	Persona__State__MachineState *s = state_new(&id);

	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL_FATAL(arch_clock_freeze(m->clock, m->kvm, m->cpus), 0);
	CU_ASSERT_EQUAL_FATAL(arch_save(m->clock, m->kvm, m->model, m->cpus, N,
	    s), 0);
	return s;
}

static size_t
pack(const Persona__State__MachineState *s, uint8_t **bytes)
{
	size_t len = persona__state__machine_state__get_packed_size(s);

	*bytes = malloc(len);
	persona__state__machine_state__pack(s, *bytes);
	return len;
}

static void
save_load_save_is_the_same(void)
{
	struct machine_under_test a, b;
	Persona__State__MachineState *sa, *sb;
	uint8_t *pa, *pb;
	size_t la, lb;
	char why[256] = "";

	setup(&a);
	setup(&b);
	put_guest(&a);
	sa = save(&a);
	CU_ASSERT_EQUAL(arch_check(b.kvm, b.model, N, sa, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(arch_load(b.clock, b.kvm, b.model, b.cpus, N, sa, why,
	    sizeof(why)), 0);
	CU_ASSERT_STRING_EQUAL(why, "");
	sb = save(&b);
	la = pack(sa, &pa);
	lb = pack(sb, &pb);
	CU_ASSERT_EQUAL_FATAL(la, lb);
	CU_ASSERT_EQUAL(memcmp(pa, pb, la), 0);
	free(pa);
	free(pb);
	state_free(sa);
	state_free(sb);
	tear_down(&a);
	tear_down(&b);
}

/* What it saves, byte for byte. */
static void
saves_as(struct machine_under_test *m, const uint8_t *expected,
    size_t expected_len)
{
	Persona__State__MachineState *s = save(m);
	uint8_t *bytes;
	size_t len = pack(s, &bytes);

	CU_ASSERT_EQUAL_FATAL(len, expected_len);
	CU_ASSERT_EQUAL(memcmp(bytes, expected, len), 0);
	free(bytes);
	state_free(s);
}

/*
 * What was saved by the version that was released is what is saved today, byte for
 * byte, and loads. A new field is optional and absent here; anything else needs
 * another STATE_VERSION and another file.
 */
static void
saved_state_is_what_it_was(void)
{
	static uint8_t golden[65536];
	size_t golden_len = golden_read(GOLDEN, "machine", golden,
	    sizeof(golden));
	struct machine_under_test a;
	Persona__State__MachineState *s = NULL;
	char why[256] = "";

	CU_ASSERT_FATAL(golden_len > 0 && golden_len < sizeof(golden));
	setup(&a);
	put_guest(&a);
	saves_as(&a, golden, golden_len);
	tear_down(&a);

	setup(&a);
	CU_ASSERT_EQUAL_FATAL(state_unpack(&s, golden, golden_len, &id, why,
	    sizeof(why)), 0);
	CU_ASSERT_EQUAL(arch_check(a.kvm, a.model, N, s, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(arch_load(a.clock, a.kvm, a.model, a.cpus, N, s, why,
	    sizeof(why)), 0);
	saves_as(&a, golden, golden_len);
	state_free(s);
	tear_down(&a);
}

static void
clocks_move_on_by_what_they_missed(void)
{
	struct machine_under_test a;
	struct kvm_clock_data clock = { 0 };

	setup(&a);
	put_guest(&a);
	CU_ASSERT_EQUAL(arch_clock_freeze(a.clock, a.kvm, a.cpus), 0);
	fake_kvm_msr(a.fake, MSR_TSC, 77);
	CU_ASSERT_EQUAL(arch_clock_thaw(a.clock, a.kvm, a.cpus, 1000), 0);
	CU_ASSERT_EQUAL(kvm_vm_ioctl(a.kvm, KVM_GET_CLOCK, &clock), 0);
	CU_ASSERT_EQUAL(clock.clock, 123456789 + 1000);
	/* 2 GHz: 1000 ns are 2000 cycles. */
	CU_ASSERT_EQUAL(fake_kvm_msr_of(a.fake, 1, MSR_TSC), 1002000);
	CU_ASSERT_EQUAL(fake_kvm_msr_of(a.fake, 1, MSR_TSC_DEADLINE), 2000000);
	tear_down(&a);
}

static void
another_vendors_guest_keeps_its_cpu(void)
{
	struct machine_under_test a, b;
	Persona__State__MachineState *sa, *sb;
	char why[256] = "";

	setup(&a);
	put_guest(&a);
	sa = save(&a);
	setup(&b);
	fake_kvm_vendor(b.fake, "AuthenticAMD");
	arch_model_free(b.model);
	CU_ASSERT_EQUAL_FATAL(arch_model_new(&b.model, b.kvm, "x86-64-v1", N),
	    0);
	CU_ASSERT_EQUAL(arch_check(b.kvm, b.model, N, sa, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(arch_load(b.clock, b.kvm, b.model, b.cpus, N, sa, why,
	    sizeof(why)), 0);
	sb = save(&b);
	CU_ASSERT_EQUAL(sb->vcpus[0]->cpuid[0]->ebx, sa->vcpus[0]->cpuid[0]->ebx);
	state_free(sa);
	state_free(sb);
	tear_down(&a);
	tear_down(&b);
}

/* A check with this outcome, a sentence when it refuses, and no set in KVM. */
static void
refuse(struct machine_under_test *b, const Persona__State__MachineState *s,
    int error)
{
	unsigned int sets = fake_kvm_sets(b->fake);
	char why[256] = "";

	CU_ASSERT_EQUAL(arch_check(b->kvm, b->model, N, s, why, sizeof(why)),
	    error);
	CU_ASSERT_EQUAL(why[0] != '\0', error != 0);
	CU_ASSERT_EQUAL(fake_kvm_sets(b->fake), sets);
}

static void
what_does_not_fit_is_refused_untouched(void)
{
	struct machine_under_test a, b;
	Persona__State__MachineState *s;
	Persona__State__VcpuX86 *v;

	setup(&a);
	setup(&b);
	put_guest(&a);
	s = save(&a);
	v = s->vcpus[1];
#define WITH(field, value, error) do { \
	__typeof__(field) was = (field); \
	(field) = (value); \
	refuse(&b, s, (error)); \
	(field) = was; \
} while (0)
	WITH(s->n_vcpus, 1, -EINVAL);
	WITH(s->clock, NULL, -EINVAL);
	WITH(s->irqchip->ioapic->n_redirection, 23, -EINVAL);
	WITH(s->irqchip->pit->n_channels, 0, -EINVAL);
	WITH(v->index, 0, -EINVAL);
	WITH(v->n_gpr, 15, -EINVAL);
	WITH(v->n_segments, 7, -EINVAL);
	WITH(v->n_lapic, 63, -EINVAL);
	WITH(v->n_debug, 0, -EINVAL);
	WITH(v->n_pdptrs, 3, -EINVAL);
	WITH(v->xsave.len, 511, -EINVAL);
	WITH(v->xsave.len, 4097, -EINVAL);
	WITH(v->mp_state, 99, -EINVAL);
	WITH(v->gdt->limit, 0x10000, -EINVAL);
	WITH(v->n_cpuid, 0, -ENOTSUP);
	WITH(v->cpuid[3]->ecx, ~v->cpuid[3]->ecx, -ENOTSUP);
	WITH(v->msrs[0]->index, 0xdead, 0);	/* zero: absent is the same */
	v->msrs[0]->value = 1;
	WITH(v->msrs[0]->index, 0xdead, -ENOTSUP);
	WITH(v->msrs[0]->index, MSR_TSC, -ENOTSUP);
#undef WITH
	state_free(s);
	tear_down(&a);
	tear_down(&b);
}

static void
envelopes_are_compared(void)
{
	struct state_identity other = id;
	Persona__State__MachineState *s = state_new(&id), *got = NULL;
	uint64_t len;
	uint8_t *bytes;
	char why[256] = "";
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(state_pack(s, &fd, &len), 0);
	CU_ASSERT_EQUAL(write(fd, "x", 1), -1);		/* sealed */
	bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	CU_ASSERT_EQUAL(state_unpack(&got, bytes, len, &id, why, sizeof(why)),
	    0);
	state_free(got);
	other.ram_bytes *= 2;
	CU_ASSERT_EQUAL(state_unpack(&got, bytes, len, &other, why,
	    sizeof(why)), -EINVAL);
	other = id;
	other.cpu_baseline = "x86-64-v2";
	CU_ASSERT_EQUAL(state_unpack(&got, bytes, len, &other, why,
	    sizeof(why)), -EINVAL);
	other = id;
	other.arch = "arm64";
	CU_ASSERT_EQUAL(state_unpack(&got, bytes, len, &other, why,
	    sizeof(why)), -EINVAL);
	for (uint64_t n = 0; n < len; n++)
		CU_ASSERT_TRUE(state_unpack(&got, bytes, n, &id, why,
		    sizeof(why)) < 0);
	munmap(bytes, len);
	close(fd);
	s->version = STATE_VERSION + 1;
	CU_ASSERT_EQUAL_FATAL(state_pack(s, &fd, &len), 0);
	bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	CU_ASSERT_EQUAL(state_unpack(&got, bytes, len, &id, why, sizeof(why)),
	    -EPROTO);
	munmap(bytes, len);
	close(fd);
	state_free(s);
}

static void
make_file(void)
{
	struct machine_under_test a;
	Persona__State__MachineState *s;
	uint8_t *bytes;
	FILE *f = fopen(new_file, "wx");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	setup(&a);
	put_guest(&a);
	s = save(&a);
	fprintf(f, "# Machine state, version %u: two vCPUs and the chips.\n",
	    STATE_VERSION);
	golden_write(f, "machine", bytes, pack(s, &bytes));
	CU_ASSERT_EQUAL(fclose(f), 0);
	free(bytes);
	state_free(s);
	tear_down(&a);
}

int
main(int argc, char **argv)
{
	static const struct unit_test making[] = {
		{ "the file is made", make_file },
	};
	static const struct unit_test tests[] = {
		{ "save, load, save is the same", save_load_save_is_the_same },
		{ "a saved state is what it was", saved_state_is_what_it_was },
		{ "clocks move on by what they missed",
		    clocks_move_on_by_what_they_missed },
		{ "another vendor's guest keeps its CPU",
		    another_vendors_guest_keeps_its_cpu },
		{ "what does not fit is refused untouched",
		    what_does_not_fit_is_refused_untouched },
		{ "envelopes are compared", envelopes_are_compared },
	};

	if (argc == 3 && strcmp(argv[1], "--make") == 0) {
		new_file = argv[2];
		return unit_main("making", making, 1);
	}
	return unit_main("state", tests, sizeof(tests) / sizeof(tests[0]));
}
