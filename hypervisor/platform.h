/* SPDX-License-Identifier: ISC */
/*
 * Where the small parts of the board are: placed by machine.c, announced to the
 * guest by acpi.c. Knows nothing of what they do.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#define RTC_PORT	0x70u		/* index, data */
#define RTC_PORTS	2u
#define RTC_GSI		8u
#define RTC_CENTURY	0x32u		/* register of the century, as on a PC */

/* The generation id: alone in its page, the last one that the memory map keeps
 * from the guest (BOOT_ACPI_END_GPA). */
#define VMGENID_GPA	0xff000u
#define VMGENID_BYTES	16u
#define VMGENID_GSI	22u		/* edge: it has changed */

#endif
