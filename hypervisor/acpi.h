/* SPDX-License-Identifier: ISC */
/*
 * The ACPI tables: how a guest learns of its processors, its virtio-mmio slots,
 * its serial port, its clock, its generation id and how to power off. Knows no KVM and
 * no device's inside.
 * Source: ACPI 6.5, chapter 5.
 */
#ifndef ACPI_H
#define ACPI_H

#include <stddef.h>
#include <stdint.h>

#include "machine.h"

struct gmem;

/*
 * Write the tables where BOOT_ACPI_GPA says and where a BIOS would keep them, so
 * that a guest without a boot protocol's pointer finds them too. APIC ids are
 * 0..vcpus-1. *rsdp_gpa is where the root pointer is. 0, -E2BIG, or -errno of the
 * random numbers.
 */
int	acpi_write(struct gmem *g, unsigned int vcpus,
	    const struct machine_virtio_slot *slots, size_t n_slots,
	    uint64_t *rsdp_gpa);

#endif
