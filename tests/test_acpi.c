/* SPDX-License-Identifier: ISC */
/*
 * The ACPI tables hang together: checksums, lengths, and what a guest must find.
 * With PERSONA_ACPI_DIR set the tables are left there, for iasl to read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "acpi.h"
#include "aml.h"
#include "boot-image.h"
#include "gmem.h"
#include "le.h"
#include "unit.h"

#define RAM	(64u << 20)

static const struct machine_virtio_slot slots[] = {
	{ 0xd0000000, 0x1000, 16 },
	{ 0xd0001000, 0x1000, 17 },
};

static uint8_t
sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s += *p++;
	return s;
}

/* A table that is where and what it should be; its length in *len. */
static const uint8_t *
table(struct gmem *g, uint64_t gpa, const char *signature, uint32_t *len)
{
	const uint8_t *p = gmem_ptr(g, gpa, 36);

	CU_ASSERT_FATAL(p != NULL && gpa >= BOOT_ACPI_GPA &&
	    gpa < BOOT_ACPI_END_GPA);
	*len = le_get32(p + 4);
	CU_ASSERT_FATAL(*len <= BOOT_ACPI_END_GPA - gpa);
	CU_ASSERT(memcmp(p, signature, 4) == 0);
	CU_ASSERT(sum(p, *len) == 0);
	return p;
}

static void
leave(const uint8_t *p, size_t len, const char *name)
{
	const char *dir = getenv("PERSONA_ACPI_DIR");
	char path[256];
	FILE *f;

	if (dir == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s.aml", dir, name);
	if ((f = fopen(path, "w")) == NULL)
		return;
	CU_ASSERT(fwrite(p, 1, len, f) == len);
	fclose(f);
}

static const uint8_t *
find(const uint8_t *p, size_t len, const char *what, size_t n)
{
	for (size_t i = 0; i + n <= len; i++)
		if (memcmp(p + i, what, n) == 0)
			return p + i;
	return NULL;
}

static void
tables(void)
{
	const uint8_t *rsdp, *xsdt, *fadt, *madt, *dsdt, *facs, *p, *id;
	static const uint8_t none[16];
	uint64_t rsdp_gpa;
	struct gmem *g;
	uint32_t len;

	CU_ASSERT_FATAL(gmem_new(&g, NULL, -1, RAM) == 0);
	CU_ASSERT_FATAL(acpi_write(g, 3, slots, 2, &rsdp_gpa) == 0);
	CU_ASSERT(rsdp_gpa % 16 == 0 && rsdp_gpa >= 0xe0000);
	rsdp = gmem_ptr(g, rsdp_gpa, 36);
	CU_ASSERT_FATAL(rsdp != NULL);
	CU_ASSERT(memcmp(rsdp, "RSD PTR ", 8) == 0 && rsdp[15] == 2);
	CU_ASSERT(sum(rsdp, 20) == 0 && sum(rsdp, 36) == 0);

	xsdt = table(g, le_get64(rsdp + 24), "XSDT", &len);
	CU_ASSERT(len == 36 + 2 * 8);
	madt = table(g, le_get64(xsdt + 44), "APIC", &len);
	leave(madt, len, "apic");
	CU_ASSERT(len == 44 + 3 * 8 + 12 + 10 + 6);
	CU_ASSERT(madt[44 + 16 + 3] == 2 && madt[44 + 24] == 1);

	fadt = table(g, le_get64(xsdt + 36), "FACP", &len);
	leave(fadt, len, "facp");
	CU_ASSERT(le_get16(fadt + 46) == 9);
	CU_ASSERT(le_get32(fadt + 64) == 0x604);
	CU_ASSERT(le_get64(fadt + 140) == le_get32(fadt + 40));
	facs = gmem_ptr(g, le_get32(fadt + 36), 64);
	CU_ASSERT(le_get32(fadt + 36) % 64 == 0);
	CU_ASSERT(facs != NULL && memcmp(facs, "FACS", 4) == 0);

	dsdt = table(g, le_get64(fadt + 140), "DSDT", &len);
	leave(dsdt, len, "dsdt");
	p = find(dsdt, len, "LNRO0005", 9);
	CU_ASSERT_FATAL(p != NULL);
	p = find(p + 9, len - (size_t)(p + 9 - dsdt), "LNRO0005", 9);
	CU_ASSERT_FATAL(p != NULL);
	CU_ASSERT(find(p, 60, "\x00\x10\x00\xd0\x00\x10\x00\x00", 8) != NULL);
	CU_ASSERT(find(p, 60, "\x89\x06\x00\x01\x01\x11\x00\x00\x00", 9) !=
	    NULL);
	CU_ASSERT(find(dsdt, len, "\x0c\x41\xd0\x05\x01", 5) != NULL);
	CU_ASSERT(find(dsdt, len, "_S5_", 4) != NULL);
	/* The clock, and that the FADT does not deny it. */
	CU_ASSERT(find(dsdt, len, "\x0c\x41\xd0\x0b\0", 5) != NULL);
	CU_ASSERT(find(dsdt, len, "\x47\x01\x70\0\x70\0\x01\x02\x22\0\x01",
	    11) != NULL);
	CU_ASSERT((le_get16(fadt + 109) & 0x20) == 0 && fadt[108] == 0x32);
	/* The generation id's place, its interrupt, and who is told. */
	CU_ASSERT(find(dsdt, len, "ADDR\x12\x49\0\x02\x0c\x00\xf0\x0f\x00\0",
	    14) != NULL);
	CU_ASSERT(find(dsdt, len, "\x89\x06\x00\x03\x01\x16\0\0\0", 9) !=
	    NULL);
	CU_ASSERT(find(dsdt, len, "_EVT\x09\x86\\\x2e_SB_VGEN\x0a\x80",
	    18) != NULL);
	id = gmem_ptr(g, 0xff000, 16);
	CU_ASSERT_FATAL(id != NULL);
	CU_ASSERT(memcmp(id, none, 16) != 0);
	gmem_free(g);
}

static void
limits(void)
{
	struct machine_virtio_slot many[32];
	uint64_t rsdp;
	struct gmem *g;

	CU_ASSERT_FATAL(gmem_new(&g, NULL, -1, RAM) == 0);
	for (unsigned int i = 0; i < 32; i++)
		many[i] = slots[0];
	CU_ASSERT(acpi_write(g, 8, many, 32, &rsdp) == 0);
	CU_ASSERT(acpi_write(g, 9, many, 1, &rsdp) == -E2BIG);
	gmem_free(g);
	CU_ASSERT_FATAL(gmem_new(&g, NULL, -1, 64 << 10) == 0);
	CU_ASSERT(acpi_write(g, 1, slots, 2, &rsdp) == -E2BIG);
	gmem_free(g);
}

static void
builder(void)
{
	struct aml a;

	aml_init(&a);
	aml_close(&a);
	CU_ASSERT(aml_finish(&a) == -EINVAL);
	aml_init(&a);
	aml_scope_open(&a, "_SB_");
	CU_ASSERT(aml_finish(&a) == -EINVAL);
	aml_close(&a);
	CU_ASSERT(aml_finish(&a) == 0 && a.len == 8);
	CU_ASSERT(memcmp(a.bytes, "\x10\x47\x00\\_SB_", 8) == 0);
	aml_name(&a, "TOOLONG");
	CU_ASSERT(aml_finish(&a) == -EINVAL);
	aml_init(&a);
	for (unsigned int i = 0; i < 20; i++)
		aml_package_open(&a, 0);
	CU_ASSERT(aml_finish(&a) == -E2BIG);
	aml_init(&a);
	for (unsigned int i = 0; i < 10000; i++)
		aml_string(&a, "x");
	CU_ASSERT(aml_finish(&a) == -E2BIG && a.len <= AML_MAX_BYTES);
	aml_init(&a);
	aml_integer(&a, 0);
	aml_integer(&a, 0xff);
	aml_integer(&a, 0x100);
	CU_ASSERT(a.len == 8 && memcmp(a.bytes, "\0\x0a\xff\x0c\0\x01\0\0",
	    8) == 0);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "every table is whole and points to the next", tables },
		{ "too many processors and too little memory are refused",
		    limits },
		{ "the builder notices brackets and overflow", builder },
	};

	return unit_main("acpi", tests, sizeof(tests) / sizeof(tests[0]));
}
