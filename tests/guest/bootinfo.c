/* SPDX-License-Identifier: ISC */
/*
 * Read multiboot and PVH boot information. The loader is trusted: it is what put
 * us here. Knows nothing of what the RAM is for.
 */
#include <stddef.h>

#include "bootinfo.h"

#define MB_HAS_CMDLINE	(1u << 2)
#define MB_HAS_MMAP	(1u << 6)
#define RANGE_RAM	1u
#define PAGE_MASK	0xfffu

struct multiboot_info {
	uint32_t	flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t	mods_count, mods_addr, syms[4];
	uint32_t	mmap_length, mmap_addr;
};

struct multiboot_range {
	uint32_t	size;	/* of what follows */
	uint64_t	start, len;
	uint32_t	type;
} __attribute__((packed));

struct pvh_info {
	uint32_t	magic, version, flags, nr_modules;
	uint64_t	modlist, cmdline, rsdp, memmap;
	uint32_t	memmap_entries, reserved;
};

struct pvh_range {
	uint64_t	start, len;
	uint32_t	type, reserved;
};

static const void *
at(uint64_t gpa)
{
	return (const void *)(uintptr_t)gpa;
}

static void
keep_range(struct bootinfo *b, uint64_t start, uint64_t len, uint64_t floor,
    uint64_t ceiling)
{
	uint64_t end = start + len;

	if (start < floor)
		start = floor;
	if (end > ceiling)
		end = ceiling;
	start = (start + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
	end &= ~(uint64_t)PAGE_MASK;
	if (start >= end || b->n_ram == BOOT_RANGES_MAX)
		return;
	b->ram[b->n_ram].start = start;
	b->ram[b->n_ram].end = end;
	b->n_ram++;
}

static void
keep_cmdline(struct bootinfo *b, const char *s)
{
	size_t n = 0;

	for (; s != NULL && s[n] != '\0' && n < BOOT_CMDLINE_MAX; n++)
		b->cmdline[n] = s[n];
	b->cmdline[n] = '\0';
}

static void
read_multiboot(struct bootinfo *b, const struct multiboot_info *m,
    uint64_t floor, uint64_t ceiling)
{
	uint32_t done = 0;

	if (m->flags & MB_HAS_CMDLINE)
		keep_cmdline(b, at(m->cmdline));
	if (!(m->flags & MB_HAS_MMAP))
		return;
	while (done < m->mmap_length) {
		const struct multiboot_range *r = at(m->mmap_addr + done);

		if (r->type == RANGE_RAM)
			keep_range(b, r->start, r->len, floor, ceiling);
		done += r->size + (uint32_t)sizeof(r->size);
	}
}

static void
read_pvh(struct bootinfo *b, const struct pvh_info *p, uint64_t floor,
    uint64_t ceiling)
{
	const struct pvh_range *r = at(p->memmap);

	if (p->cmdline != 0)
		keep_cmdline(b, at(p->cmdline));
	for (uint32_t i = 0; p->version >= 1 && i < p->memmap_entries; i++)
		if (r[i].type == RANGE_RAM)
			keep_range(b, r[i].start, r[i].len, floor, ceiling);
}

int
bootinfo_read(struct bootinfo *b, uint32_t kind, uint64_t info_gpa,
    uint64_t floor, uint64_t ceiling)
{
	b->n_ram = 0;
	b->cmdline[0] = '\0';
	if (kind == BOOT_KIND_MULTIBOOT)
		read_multiboot(b, at(info_gpa), floor, ceiling);
	else if (kind == BOOT_KIND_PVH)
		read_pvh(b, at(info_gpa), floor, ceiling);
	return b->n_ram > 0 ? 0 : -1;
}
