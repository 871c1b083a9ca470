/* SPDX-License-Identifier: ISC */
/*
 * Load a kernel into guest memory and say in which state the boot vCPU starts.
 * Knows file formats (ELF multiboot/PVH, bzImage, vmlinux), not KVM.
 */
#ifndef BOOT_H
#define BOOT_H

#include <stdint.h>

struct gmem;

enum boot_mode {
	BOOT_PROTECTED_32,	/* multiboot and PVH: 32-bit flat, paging off */
	BOOT_LONG_64,		/* Linux 64-bit boot protocol: paging on */
};

/* What the arch code needs to start vCPU 0; set by boot_load. */
struct boot_entry {
	enum boot_mode	mode;
	uint64_t	rip;
	uint64_t	rax;	/* multiboot magic */
	uint64_t	rbx;	/* multiboot info / PVH start info */
	uint64_t	rsi;	/* Linux boot_params */
	uint64_t	cr3;	/* identity map, BOOT_LONG_64 */
	uint64_t	gdt;	/* guest address of the boot GDT, BOOT_LONG_64 */
};

struct boot_config {
	int		kernel_fd;
	int		initrd_fd;	/* -1: none */
	const char	*cmdline;	/* at most CMDLINE_MAX bytes */
	unsigned int	vcpus;
};

/*
 * Recognise the file, place it, its initramfs, command line, memory map and ACPI
 * tables, fill *entry. The memory must be fresh: what a file calls zero is not
 * written. Both descriptors are regular files, read from their start. 0, or
 * -ENOEXEC/-E2BIG/-EIO... with a sentence in *why (static) for whoever gave the
 * file.
 */
int	boot_load(struct gmem *g, const struct boot_config *c,
	    struct boot_entry *entry, const char **why);

#endif
