/* SPDX-License-Identifier: ISC */
/*
 * What the loader said: the command line and where RAM is. Reads multiboot 1
 * information (Multiboot 0.6.96, 3.3) and PVH start info (Xen's
 * public/arch-x86/hvm/start_info.h); knows nothing of what the RAM is for.
 */
#ifndef BOOTINFO_H
#define BOOTINFO_H

#include <stdint.h>

#define BOOT_KIND_MULTIBOOT	0x2badb002u
#define BOOT_KIND_PVH		0x336ec578u

#define BOOT_RANGES_MAX		8u
#define BOOT_CMDLINE_MAX	2047u

struct bootinfo {
	struct {
		uint64_t	start, end;	/* page-aligned, end exclusive */
	} ram[BOOT_RANGES_MAX];
	unsigned int	n_ram;
	char		cmdline[BOOT_CMDLINE_MAX + 1];
};

/*
 * Copy everything out, so that the loader's own memory may be written over.
 * Only RAM in [floor, ceiling) is kept. 0, or -1 when there is no memory map.
 */
int	bootinfo_read(struct bootinfo *b, uint32_t kind, uint64_t info_gpa,
	    uint64_t floor, uint64_t ceiling);

#endif
