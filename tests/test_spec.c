/* SPDX-License-Identifier: ISC */
/* A spec comes back as it was packed, and nothing out of bounds is packed or read. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "spec.h"
#include "unit.h"

struct sample {
	Persona__Spec__Spec	spec;
	Persona__Spec__Disk	disk[DISKS_MAX + 1];
	Persona__Spec__Disk	*disks[DISKS_MAX + 1];
	Persona__Spec__Net	net;
	Persona__Spec__Forward	forward;
	Persona__Spec__Forward	*forwards[FORWARDS_MAX + 1];
	Persona__Spec__Limits	limits;
	Persona__Spec__Boot	kernel, initrd;
	uint8_t			mac[6];
	uint8_t			root[32];
};

static void
sample(struct sample *x)
{
	*x = (struct sample){
		.spec = PERSONA__SPEC__SPEC__INIT,
		.net = PERSONA__SPEC__NET__INIT,
		.forward = PERSONA__SPEC__FORWARD__INIT,
		.limits = PERSONA__SPEC__LIMITS__INIT,
		.kernel = PERSONA__SPEC__BOOT__INIT,
		.initrd = PERSONA__SPEC__BOOT__INIT,
		.mac = { 0x02, 1, 2, 3, 4, 5 },
	};
	for (size_t i = 0; i < DISKS_MAX + 1; i++) {
		persona__spec__disk__init(&x->disk[i]);
		x->disk[i].bytes = 1 << 20;
		x->disks[i] = &x->disk[i];
	}
	for (size_t i = 0; i < FORWARDS_MAX + 1; i++)
		x->forwards[i] = &x->forward;
	x->forward.host_port = 2222;
	x->forward.guest_port = 22;
	x->net.mac.data = x->mac;
	x->net.mac.len = sizeof(x->mac);
	x->net.forwards = x->forwards;
	x->net.n_forwards = 1;
	x->kernel.bytes = x->initrd.bytes = 1;
	x->spec.disks = x->disks;
	x->spec.n_disks = DISKS_MAX;
	x->spec.net = &x->net;
	x->spec.limits = &x->limits;
	x->spec.kernel = &x->kernel;
	x->spec.initrd = &x->initrd;
}

static void
it_comes_back_as_it_was(void)
{
	Persona__Spec__Spec *got = NULL;
	struct packed_spec packed;
	struct sample x;
	const char *why;

	sample(&x);
	CU_ASSERT_EQUAL_FATAL(spec_pack(&x.spec, &packed, &why), 0);
	CU_ASSERT_EQUAL_FATAL(spec_unpack(&packed, &got), 0);
	CU_ASSERT_EQUAL(got->n_disks, DISKS_MAX);
	CU_ASSERT_EQUAL(got->disks[0]->bytes, 1 << 20);
	CU_ASSERT_EQUAL(got->net->forwards[0]->guest_port, 22);
	persona__spec__spec__free_unpacked(got, NULL);
}

static void
nothing_is_the_empty_one(void)
{
	Persona__Spec__Spec *got = NULL;
	struct packed_spec packed;
	const char *why;

	CU_ASSERT_EQUAL(spec_pack(NULL, &packed, &why), 0);
	CU_ASSERT_EQUAL(packed.len, 0);
	CU_ASSERT_EQUAL_FATAL(spec_unpack(&packed, &got), 0);
	CU_ASSERT_EQUAL(got->n_disks, 0);
	CU_ASSERT_PTR_NULL(got->net);
	persona__spec__spec__free_unpacked(got, NULL);
}

static void
what_is_out_of_bounds_is_refused(void)
{
	struct packed_spec packed;
	struct sample x;
	const char *why;

#define REFUSED(change)							\
	do {								\
		sample(&x);						\
		why = NULL;						\
		change;							\
		CU_ASSERT_EQUAL(spec_pack(&x.spec, &packed, &why),	\
		    -EPROTO);						\
		CU_ASSERT_PTR_NOT_NULL(why);				\
		CU_ASSERT_EQUAL(packed.len, 0);				\
	} while (0)
	REFUSED(x.spec.n_disks = DISKS_MAX + 1);
	REFUSED(x.disk[0].bytes = 0);
	REFUSED(x.disk[1].bytes = 4097);
	REFUSED(x.disk[1].bytes = DISK_MAX_BYTES + 4096);
	REFUSED(x.disk[0].has_template_root = true;
	    x.disk[0].template_root.data = x.root;
	    x.disk[0].template_root.len = 31);
	REFUSED(x.net.mac.len = 5);
	REFUSED(x.mac[0] = 0x03);
	REFUSED(x.mac[0] = 0x00);
	REFUSED(x.net.n_forwards = FORWARDS_MAX + 1);
	REFUSED(x.forward.host_port = 0);
	REFUSED(x.forward.guest_port = 65536);
	REFUSED(x.forward.host = (char *)(uintptr_t)"1.2.3.4 ; rm");
	REFUSED(x.limits.has_cpu_percent = true; x.limits.cpu_percent = 0);
	REFUSED(x.limits.has_memory_bytes = true;
	    x.limits.memory_bytes = LIMIT_MEMORY_MIN_BYTES - 1);
	REFUSED(x.limits.has_memory_bytes = true;
	    x.limits.memory_bytes = RAM_MAX_BYTES + 1);
	REFUSED(x.spec.arch = (char *)(uintptr_t)"");
	REFUSED(x.kernel.bytes = 0);
	REFUSED(x.initrd.bytes = BOOT_FILE_MAX_BYTES + 1);
	REFUSED(x.spec.kernel = NULL);
#undef REFUSED
}

static void
damaged_bytes_are_refused(void)
{
	Persona__Spec__Spec *got = NULL;
	struct packed_spec packed = { .len = 3, .bytes = { 0x0a, 0x7f, 0 } };

	CU_ASSERT_EQUAL(spec_unpack(&packed, &got), -EPROTO);
	CU_ASSERT_PTR_NULL(got);
	packed.len = sizeof(packed.bytes) + 1;
	CU_ASSERT_EQUAL(spec_unpack(&packed, &got), -EPROTO);
	/* A disk of no bytes: well formed, and out of bounds. */
	packed = (struct packed_spec){ .len = 4,
	    .bytes = { 0x0a, 2, 0x08, 0 } };
	CU_ASSERT_EQUAL(spec_unpack(&packed, &got), -EPROTO);
}

/* It may come from anywhere, and is taken at its word or not at all. */
static void
other_processors_are_told_apart(void)
{
	Persona__Spec__Spec s = PERSONA__SPEC__SPEC__INIT;
	char why[64] = "";

	CU_ASSERT_EQUAL(spec_check_host(NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(spec_check_host(&s, why, sizeof(why)), 0);
	s.arch = (char *)(uintptr_t)spec_host_arch();
	CU_ASSERT_EQUAL(spec_check_host(&s, why, sizeof(why)), 0);
	CU_ASSERT_STRING_EQUAL(why, "");
	s.arch = (char *)(uintptr_t)"riscv64";
	CU_ASSERT_EQUAL(spec_check_host(&s, why, sizeof(why)), -ENOEXEC);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "made for riscv64; this handset"));
	CU_ASSERT_EQUAL(spec_check_host(&s, why, 8), -ENOEXEC);
	CU_ASSERT_STRING_EQUAL(why, "it is m");
	s.arch = (char *)(uintptr_t)"x86";	/* the beginning is not the name */
	CU_ASSERT_EQUAL(spec_check_host(&s, why, sizeof(why)), -ENOEXEC);
}

static bool
fits(const char *arch, const char *baseline)
{
	Persona__Spec__Spec s = PERSONA__SPEC__SPEC__INIT;

	s.arch = (char *)(uintptr_t)arch;
	return spec_baseline_fits(&s, baseline);
}

static void
a_baseline_is_of_its_architecture(void)
{
	CU_ASSERT_TRUE(fits("x86-64", "x86-64-v1"));
	CU_ASSERT_TRUE(fits("x86-64", spec_usual_baseline("x86-64")));
	CU_ASSERT_TRUE(fits("arm64", spec_usual_baseline("arm64")));
	CU_ASSERT_FALSE(fits("arm64", "x86-64-v2"));
	CU_ASSERT_FALSE(fits("x86-64", "armv8-a"));
	CU_ASSERT_FALSE(fits("x86-64", ""));
	CU_ASSERT_FALSE(fits("arm64", "arm"));
	/* Nobody says which, or one that has no baselines yet. */
	CU_ASSERT_TRUE(spec_baseline_fits(NULL, "x86-64-v2"));
	CU_ASSERT_TRUE(fits(NULL, "armv8-a"));
	CU_ASSERT_TRUE(fits("riscv64", "x86-64-v2"));
	CU_ASSERT_PTR_NULL(spec_usual_baseline("riscv64"));
	CU_ASSERT_PTR_NOT_NULL(spec_usual_baseline(spec_host_arch()));
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "it comes back as it was", it_comes_back_as_it_was },
		{ "nothing is the empty one", nothing_is_the_empty_one },
		{ "what is out of bounds is refused",
		    what_is_out_of_bounds_is_refused },
		{ "damaged bytes are refused", damaged_bytes_are_refused },
		{ "other processors are told apart",
		    other_processors_are_told_apart },
		{ "a baseline is of its architecture",
		    a_baseline_is_of_its_architecture },
	};

	return unit_main("spec", tests, sizeof(tests) / sizeof(tests[0]));
}
