/* SPDX-License-Identifier: ISC */
/*
 * RSDP, XSDT, FADT, FACS, MADT and DSDT of a small PC: one IOAPIC, no power
 * management but off and reset, virtio-mmio slots as LNRO0005 devices (the only
 * way Linux finds them on x86-64). Deliberately knows no interpreter: names,
 * resources, and one method of one line. Source: ACPI 6.5, chapter 5.
 *
 * The interrupts: GSI n is pin n of the one IOAPIC, KVM's default routing, the
 * timer included (no override of IRQ 0). Only the SCI is unlike an ISA IRQ.
 */
#include "acpi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "aml.h"
#include "boot-image.h"
#include "bounds.h"
#include "gmem.h"
#include "le.h"
#include "platform.h"
#include "power-ports.h"

#define HEADER_BYTES	36u
#define RSDP_BYTES	36u
#define RSDP_V1_BYTES	20u	/* what the first checksum covers */
#define FACS_BYTES	64u
#define FADT_BYTES	276u
#define MADT_MAX	(44u + 8u * VCPUS_MAX + 12u + 10u + 6u)
#define N_XSDT		2u	/* FADT, MADT */

#define LAPIC_ADDR	0xfee00000u
#define IOAPIC_ADDR	0xfec00000u

/* FADT: IAPC_BOOT_ARCH (5.2.9.3) and Flags (table 5.10) */
#define ARCH_LEGACY	0x0001u	/* devices on the ISA bus: the serial port */
#define ARCH_NO_VGA	0x0004u
#define FADT_WBINVD	(1u << 0)
#define FADT_PROC_C1	(1u << 2)
#define FADT_NO_PWR_BUTTON (1u << 4)
#define FADT_NO_SLP_BUTTON (1u << 5)
#define FADT_NO_FIX_RTC	(1u << 6)
#define FADT_RESET_REG	(1u << 10)

#define GAS_SYSTEM_IO	1u
#define ISO_LEVEL_HIGH	0x000du

/* Where the next table goes. */
struct place {
	struct gmem	*gmem;
	uint64_t	next;
};

static uint8_t
checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len-- > 0)
		sum += *p++;
	return (uint8_t)-sum;
}

/* Put a table at the next 64-byte boundary. */
static int
write_at(struct place *pl, const void *p, size_t len, uint64_t *gpa)
{
	uint64_t at = (pl->next + 63) & ~63ULL;

	if (len > VMGENID_GPA - at)
		return -E2BIG;
	if (gmem_write(pl->gmem, at, p, len) < 0)
		return -E2BIG;
	pl->next = at + len;
	*gpa = at;
	return 0;
}

/* The header that all tables but RSDP and FACS begin with (5.2.6). */
static int
write_table(struct place *pl, uint8_t *t, size_t len, const char *signature,
    uint8_t revision, uint64_t *gpa)
{
	memset(t, 0, HEADER_BYTES);
	memcpy(t, signature, 4);
	le_put32(t + 4, (uint32_t)len);
	t[8] = revision;
	memcpy(t + 10, "PERSON", 6);
	memcpy(t + 16, "PERSONA ", 8);
	le_put32(t + 24, 1);
	memcpy(t + 28, "PRSN", 4);
	le_put32(t + 32, 1);
	t[9] = checksum(t, len);
	return write_at(pl, t, len, gpa);
}

static void
describe_serial(struct aml *a)
{
	aml_device_open(a, "COM1");
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0501");
	aml_name(a, "_UID");
	aml_integer(a, 1);
	aml_name(a, "_CRS");
	aml_resources_open(a);
	aml_io(a, 0x3f8, 8);
	aml_isa_irq(a, 4);
	aml_resources_close(a);
	aml_close(a);
}

static void
describe_rtc(struct aml *a)
{
	aml_device_open(a, "RTC0");
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0B00");
	aml_name(a, "_CRS");
	aml_resources_open(a);
	aml_io(a, RTC_PORT, RTC_PORTS);
	aml_isa_irq(a, RTC_GSI);
	aml_resources_close(a);
	aml_close(a);
}

/*
 * The generation id, and the interrupt that says it has changed: through a generic
 * event device (5.6.9), which needs no register of ours as a GPE block would.
 */
static void
describe_vmgenid(struct aml *a)
{
	aml_device_open(a, "VGEN");
	aml_name(a, "_HID");
	aml_string(a, "VMGENCTR");
	aml_name(a, "_CID");
	aml_string(a, "VM_Gen_Counter");
	aml_name(a, "_DDN");
	aml_string(a, "VM_Gen_Counter");
	aml_name(a, "ADDR");		/* low and high half */
	aml_package_open(a, 2);
	aml_integer(a, VMGENID_GPA);
	aml_integer(a, 0);
	aml_close(a);
	aml_close(a);

	aml_device_open(a, "GED0");
	aml_name(a, "_HID");
	aml_string(a, "ACPI0013");
	aml_name(a, "_CRS");
	aml_resources_open(a);
	aml_interrupt_edge_high(a, VMGENID_GSI);
	aml_resources_close(a);
	aml_method_open(a, "_EVT", 1);
	aml_notify(a, "_SB_", "VGEN", 0x80);
	aml_close(a);
	aml_close(a);
}

static void
describe_virtio(struct aml *a, unsigned int i,
    const struct machine_virtio_slot *slot)
{
	char name[5];

	snprintf(name, sizeof(name), "VR%02X", i & 0xff);
	aml_device_open(a, name);
	aml_name(a, "_HID");
	aml_string(a, "LNRO0005");
	aml_name(a, "_UID");
	aml_integer(a, i);
	aml_name(a, "_CRS");
	aml_resources_open(a);
	aml_memory32(a, (uint32_t)slot->addr, (uint32_t)slot->len);
	aml_interrupt_level_high(a, slot->gsi);
	aml_resources_close(a);
	aml_close(a);
}

static int
write_dsdt(struct place *pl, const struct machine_virtio_slot *slots,
    size_t n_slots, uint64_t *gpa)
{
	uint8_t t[HEADER_BYTES + AML_MAX_BYTES];
	struct aml a;
	int r;

	aml_init(&a);
	aml_scope_open(&a, "_SB_");
	describe_serial(&a);
	describe_rtc(&a);
	describe_vmgenid(&a);
	for (size_t i = 0; i < n_slots; i++)
		describe_virtio(&a, (unsigned int)i, &slots[i]);
	aml_close(&a);
	/* Soft off: the sleep types for PM1a and PM1b, two reserved. */
	aml_name(&a, "_S5_");
	aml_package_open(&a, 4);
	aml_integer(&a, POWER_S5_SLP_TYP);
	aml_integer(&a, POWER_S5_SLP_TYP);
	aml_integer(&a, 0);
	aml_integer(&a, 0);
	aml_close(&a);
	if ((r = aml_finish(&a)) < 0)
		return r;
	memcpy(t + HEADER_BYTES, a.bytes, a.len);
	return write_table(pl, t, HEADER_BYTES + a.len, "DSDT", 2, gpa);
}

/* A Generic Address Structure for a port (5.2.3.2). */
static void
put_gas(uint8_t *p, unsigned int bits, unsigned int port)
{
	p[0] = GAS_SYSTEM_IO;
	p[1] = (uint8_t)bits;
	p[3] = bits == 8 ? 1 : 2;	/* access size: byte, word */
	le_put64(p + 4, port);
}

static int
write_fadt(struct place *pl, uint64_t facs, uint64_t dsdt, uint64_t *gpa)
{
	uint8_t t[FADT_BYTES] = { 0 };

	le_put32(t + 36, (uint32_t)facs);
	le_put32(t + 40, (uint32_t)dsdt);
	le_put16(t + 46, POWER_SCI_GSI);
	/* SMI_CMD stays 0: always in ACPI mode. */
	le_put32(t + 56, POWER_PM1_PORT);
	le_put32(t + 64, POWER_PM1_CNT_PORT);
	t[88] = 4;			/* PM1_EVT_LEN */
	t[89] = 2;			/* PM1_CNT_LEN */
	le_put16(t + 96, 0xffff);	/* no C2 */
	le_put16(t + 98, 0xffff);	/* no C3 */
	t[108] = RTC_CENTURY;
	le_put16(t + 109, ARCH_LEGACY | ARCH_NO_VGA);
	le_put32(t + 112, FADT_WBINVD | FADT_PROC_C1 | FADT_NO_PWR_BUTTON |
	    FADT_NO_SLP_BUTTON | FADT_NO_FIX_RTC | FADT_RESET_REG);
	put_gas(t + 116, 8, POWER_RESET_PORT);
	t[128] = POWER_RESET_VALUE;
	t[131] = 3;			/* minor version */
	le_put64(t + 140, dsdt);
	put_gas(t + 148, 32, POWER_PM1_PORT);
	put_gas(t + 172, 16, POWER_PM1_CNT_PORT);
	return write_table(pl, t, sizeof(t), "FACP", 6, gpa);
}

static int
write_madt(struct place *pl, unsigned int vcpus, uint64_t *gpa)
{
	uint8_t t[MADT_MAX] = { 0 };
	uint8_t *p = t + 44;

	le_put32(t + 36, LAPIC_ADDR);
	le_put32(t + 40, 1);		/* there are PICs too */
	for (unsigned int i = 0; i < vcpus; i++, p += 8) {
		p[1] = 8;		/* type 0: local APIC */
		p[2] = p[3] = (uint8_t)i;
		le_put32(p + 4, 1);	/* enabled */
	}
	p[0] = 1;			/* IOAPIC */
	p[1] = 12;
	le_put32(p + 4, IOAPIC_ADDR);
	p += 12;
	p[0] = 2;			/* interrupt source override */
	p[1] = 10;
	p[3] = POWER_SCI_GSI;
	le_put32(p + 4, POWER_SCI_GSI);
	le_put16(p + 8, ISO_LEVEL_HIGH);
	p += 10;
	p[0] = 4;			/* NMI on LINT1 of every processor */
	p[1] = 6;
	p[2] = 0xff;
	p[5] = 1;
	p += 6;
	return write_table(pl, t, (size_t)(p - t), "APIC", 5, gpa);
}

static int
write_facs(struct place *pl, uint64_t *gpa)
{
	uint8_t t[FACS_BYTES] = { 0 };

	memcpy(t, "FACS", 4);
	le_put32(t + 4, FACS_BYTES);
	t[32] = 2;			/* version */
	return write_at(pl, t, sizeof(t), gpa);
}

static int
write_rsdp(struct gmem *g, uint64_t xsdt)
{
	uint8_t t[RSDP_BYTES] = { 0 };

	memcpy(t, "RSD PTR ", 8);
	memcpy(t + 9, "PERSON", 6);
	t[15] = 2;			/* ACPI 2.0 and later: XSDT */
	le_put32(t + 20, RSDP_BYTES);
	le_put64(t + 24, xsdt);
	t[8] = checksum(t, RSDP_V1_BYTES);
	t[32] = checksum(t, RSDP_BYTES);
	return gmem_write(g, BOOT_ACPI_GPA, t, sizeof(t)) < 0 ? -E2BIG : 0;
}

/* A new one for each start: it is another life than the one before. */
static int
write_genid(struct gmem *g)
{
	uint8_t id[VMGENID_BYTES];
	ssize_t n = getrandom(id, sizeof(id), 0);

	if (n != (ssize_t)sizeof(id))
		return n < 0 ? -errno : -EIO;
	return gmem_write(g, VMGENID_GPA, id, sizeof(id)) < 0 ? -E2BIG : 0;
}

int
acpi_write(struct gmem *g, unsigned int vcpus,
    const struct machine_virtio_slot *slots, size_t n_slots,
    uint64_t *rsdp_gpa)
{
	struct place pl = { g, BOOT_ACPI_GPA + RSDP_BYTES };
	uint8_t xsdt[HEADER_BYTES + 8 * N_XSDT];
	uint64_t facs, dsdt, fadt, madt, root;
	int r;

	if (vcpus > VCPUS_MAX)
		return -E2BIG;
	if ((r = write_genid(g)) < 0 ||
	    (r = write_facs(&pl, &facs)) < 0 ||
	    (r = write_dsdt(&pl, slots, n_slots, &dsdt)) < 0 ||
	    (r = write_fadt(&pl, facs, dsdt, &fadt)) < 0 ||
	    (r = write_madt(&pl, vcpus, &madt)) < 0)
		return r;
	le_put64(xsdt + HEADER_BYTES, fadt);
	le_put64(xsdt + HEADER_BYTES + 8, madt);
	if ((r = write_table(&pl, xsdt, sizeof(xsdt), "XSDT", 1,
	    &root)) < 0 || (r = write_rsdp(g, root)) < 0)
		return r;
	*rsdp_gpa = BOOT_ACPI_GPA;
	return 0;
}
