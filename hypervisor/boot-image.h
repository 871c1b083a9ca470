/* SPDX-License-Identifier: ISC */
/*
 * What boot.c and the loaders share: the kernel file in memory, where things go
 * in the guest's first megabyte, the memory map. Knows no KVM.
 */
#ifndef BOOT_IMAGE_H
#define BOOT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot.h"

/*
 * The first megabyte, which no kernel is loaded into. Everything here is read
 * once by the guest's start-up code and may be overwritten afterwards, except
 * the ACPI tables, which lie where the memory map says "reserved".
 */
#define BOOT_GDT_GPA		0x1000u
#define BOOT_INFO_GPA		0x2000u	/* multiboot info or PVH start info */
#define BOOT_PARAMS_GPA		0x7000u	/* Linux boot_params, one page */
#define BOOT_PML4_GPA		0x9000u	/* six pages of page tables */
#define BOOT_CMDLINE_GPA	0x20000u
#define BOOT_SEED_GPA		0x21000u /* Linux setup_data with random bytes */
#define BOOT_LOW_END_GPA	0x9fc00u /* usable memory ends, as on a PC */
#define BOOT_ACPI_GPA		0xe0000u
#define BOOT_ACPI_END_GPA	0x100000u
#define BOOT_KERNEL_MIN_GPA	0x100000u

/* One entry of the memory map; the types are those of e820. */
#define BOOT_MEM_RAM		1u
#define BOOT_MEM_RESERVED	2u
#define BOOT_MEM_ENTRIES_MAX	4u

struct boot_mem {
	uint64_t	start;
	uint64_t	len;
	uint32_t	type;
};

/* A boot under way. The file's bytes come from a stranger. */
struct boot_image {
	struct gmem	*gmem;
	const struct boot_config *config;
	const uint8_t	*file;
	uint64_t	file_len;
	uint64_t	low_ram_end;	/* end of RAM below 4 GiB */
	uint64_t	rsdp_gpa;
	size_t		n_mem;
	struct boot_mem	mem[BOOT_MEM_ENTRIES_MAX];
	/* Set by boot_place_initrd; 0, 0 without an initramfs. */
	uint64_t	initrd_gpa;
	uint64_t	initrd_len;
	const char	*why;		/* the sentence for a failure */
};

/* Say why it fails and return r: `return boot_fail(b, -ENOEXEC, "...")`. */
int	boot_fail(struct boot_image *b, int r, const char *why);

/* The len bytes at offset in the file, or NULL when it does not have them. */
const uint8_t	*boot_at(const struct boot_image *b, uint64_t offset,
		    uint64_t len);

/*
 * Read the initramfs to the highest place in RAM that ends at or below `max` and
 * starts at or above `kernel_end`. 0 or -errno with why.
 */
int	boot_place_initrd(struct boot_image *b, uint64_t kernel_end,
	    uint64_t max);

/* Write to guest memory; -E2BIG with why when that is no RAM. */
int	boot_write(struct boot_image *b, uint64_t gpa, const void *buf,
	    size_t len);

/* An ELF file as the loaders see it (boot-elf.c). */
struct boot_elf {
	bool		is64;
	bool		linux_note;	/* a note of owner "Linux": a vmlinux */
	bool		pvh;		/* has a PVH entry point */
	uint32_t	pvh_entry;
	uint64_t	entry;		/* physical */
	uint64_t	end;		/* first byte after the loaded image */
};

bool	boot_elf_is(const struct boot_image *b);
/* Look at headers and notes, place nothing. */
int	boot_elf_parse(struct boot_image *b, struct boot_elf *e);
/* Place every PT_LOAD segment; fills entry and end. */
int	boot_elf_place(struct boot_image *b, struct boot_elf *e);

/* Is there a multiboot 1 header? Its offset in the file, or -1. */
int64_t	boot_multiboot_find(const struct boot_image *b);
int	boot_multiboot(struct boot_image *b, uint32_t header_at,
	    struct boot_entry *entry);
int	boot_pvh(struct boot_image *b, struct boot_elf *e,
	    struct boot_entry *entry);

/* boot-linux.c */
bool	boot_bzimage_is(const struct boot_image *b);
int	boot_bzimage(struct boot_image *b, struct boot_entry *entry);
int	boot_vmlinux(struct boot_image *b, struct boot_elf *e,
	    struct boot_entry *entry);

#endif
