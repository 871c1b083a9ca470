/* SPDX-License-Identifier: ISC */
/*
 * ELF images, and the two 32-bit boot protocols for them: multiboot 1 and PVH.
 * Deliberately knows no Linux. The file is a stranger's: every offset is checked
 * against the file, every address against guest memory.
 * Sources: System V ABI, chapter 4 and 5; Multiboot Specification 0.6.96;
 * Xen's docs/misc/pvh and public/arch-x86/hvm/start_info.h.
 */
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "boot-image.h"
#include "le.h"

#define PHDRS_MAX		64u
#define NOTES_MAX_BYTES		(1u << 20)

#define MB_HEADER_MAGIC		0x1badb002u
#define MB_SEARCH_BYTES		8192u	/* the header lies in these, 3.1 */
#define MB_HEADER_BYTES		32u	/* with the address fields */
#define MB_F_UNKNOWN		0x0000fff8u /* required features: 0..2 only */
#define MB_F_VIDEO		0x00000004u
#define MB_F_ADDRESSES		0x00010000u
#define MB_LOADED_MAGIC		0x2badb002u
#define MB_INFO_BYTES		120u
#define MB_INFO_FLAGS		0x245u	/* memory, command line, map, name */
#define MB_INFO_MODS		0x008u

#define PVH_NOTE_ENTRY		18u	/* XEN_ELFNOTE_PHYS32_ENTRY */
#define PVH_MAGIC		0x336ec578u
#define PVH_INFO_BYTES		56u

/* A program header, of either class. */
struct phdr {
	uint32_t	type;
	uint64_t	offset, vaddr, paddr, filesz, memsz, align;
};

bool
boot_elf_is(const struct boot_image *b)
{
	const uint8_t *p = boot_at(b, 0, SELFMAG);

	return p != NULL && memcmp(p, ELFMAG, SELFMAG) == 0;
}

static unsigned int
phdr_count(const struct boot_image *b, bool is64)
{
	return le_get16(b->file + (is64 ? offsetof(Elf64_Ehdr, e_phnum) :
	    offsetof(Elf32_Ehdr, e_phnum)));
}

/* Program header i; the table was checked to be within the file. */
static struct phdr
phdr_at(const struct boot_image *b, bool is64, unsigned int i)
{
	const uint8_t *p;

	if (is64) {
		p = b->file + le_get64(b->file + offsetof(Elf64_Ehdr,
		    e_phoff)) + i * sizeof(Elf64_Phdr);
		return (struct phdr){
			.type = le_get32(p),
			.offset = le_get64(p + offsetof(Elf64_Phdr, p_offset)),
			.vaddr = le_get64(p + offsetof(Elf64_Phdr, p_vaddr)),
			.paddr = le_get64(p + offsetof(Elf64_Phdr, p_paddr)),
			.filesz = le_get64(p + offsetof(Elf64_Phdr, p_filesz)),
			.memsz = le_get64(p + offsetof(Elf64_Phdr, p_memsz)),
			.align = le_get64(p + offsetof(Elf64_Phdr, p_align)),
		};
	}
	p = b->file + le_get32(b->file + offsetof(Elf32_Ehdr, e_phoff)) +
	    i * sizeof(Elf32_Phdr);
	return (struct phdr){
		.type = le_get32(p),
		.offset = le_get32(p + offsetof(Elf32_Phdr, p_offset)),
		.vaddr = le_get32(p + offsetof(Elf32_Phdr, p_vaddr)),
		.paddr = le_get32(p + offsetof(Elf32_Phdr, p_paddr)),
		.filesz = le_get32(p + offsetof(Elf32_Phdr, p_filesz)),
		.memsz = le_get32(p + offsetof(Elf32_Phdr, p_memsz)),
		.align = le_get32(p + offsetof(Elf32_Phdr, p_align)),
	};
}

static uint32_t
align4(uint32_t n)
{
	return (n + 3) & ~3u;
}

static void
take_note(struct boot_elf *e, const uint8_t *name, uint32_t namesz,
    const uint8_t *desc, uint32_t descsz, uint32_t type)
{
	if (namesz == 6 && memcmp(name, "Linux", 6) == 0)
		e->linux_note = true;
	if (namesz == 4 && memcmp(name, "Xen", 4) == 0 &&
	    type == PVH_NOTE_ENTRY && descsz >= 4) {
		/* 32 or 64 bits wide; the address itself has 32 */
		e->pvh = true;
		e->pvh_entry = le_get32(desc);
	}
}

/*
 * Walk the notes of one segment; nonsense ends the walk, it is no one's loss.
 * Linkers align them to 4 bytes, whatever the class.
 */
static void
parse_notes(const struct boot_image *b, struct boot_elf *e,
    const struct phdr *h)
{
	uint32_t len = (uint32_t)h->filesz, at = 0;
	const uint8_t *p;

	if (h->filesz > NOTES_MAX_BYTES ||
	    (p = boot_at(b, h->offset, h->filesz)) == NULL)
		return;
	while (len - at >= 12) {
		uint32_t namesz = le_get32(p + at);
		uint32_t descsz = le_get32(p + at + 4);
		uint32_t type = le_get32(p + at + 8);

		at += 12;
		if (namesz > len - at || align4(namesz) > len - at ||
		    descsz > len - at - align4(namesz))
			return;
		take_note(e, p + at, namesz, p + at + align4(namesz), descsz,
		    type);
		at += align4(namesz);
		if (align4(descsz) > len - at)
			return;
		at += align4(descsz);
	}
}

int
boot_elf_parse(struct boot_image *b, struct boot_elf *e)
{
	const uint8_t *p = boot_at(b, 0, sizeof(Elf32_Ehdr));
	uint64_t phoff, entsize;
	unsigned int n;

	memset(e, 0, sizeof(*e));
	if (p == NULL || p[EI_DATA] != ELFDATA2LSB ||
	    (p[EI_CLASS] != ELFCLASS32 && p[EI_CLASS] != ELFCLASS64))
		return boot_fail(b, -ENOEXEC, "the ELF header is damaged");
	e->is64 = p[EI_CLASS] == ELFCLASS64;
	if (e->is64 && boot_at(b, 0, sizeof(Elf64_Ehdr)) == NULL)
		return boot_fail(b, -ENOEXEC, "the ELF header is damaged");
	if (le_get16(p + 18) != EM_X86_64 && le_get16(p + 18) != EM_386)
		return boot_fail(b, -ENOEXEC,
		    "the kernel is for another kind of processor");
	if (e->is64) {
		e->entry = le_get64(p + offsetof(Elf64_Ehdr, e_entry));
		phoff = le_get64(p + offsetof(Elf64_Ehdr, e_phoff));
		entsize = le_get16(p + offsetof(Elf64_Ehdr, e_phentsize));
	} else {
		e->entry = le_get32(p + offsetof(Elf32_Ehdr, e_entry));
		phoff = le_get32(p + offsetof(Elf32_Ehdr, e_phoff));
		entsize = le_get16(p + offsetof(Elf32_Ehdr, e_phentsize));
	}
	n = phdr_count(b, e->is64);
	if (n == 0 || n > PHDRS_MAX || entsize != (e->is64 ?
	    sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
	    boot_at(b, phoff, n * entsize) == NULL)
		return boot_fail(b, -ENOEXEC,
		    "the ELF program headers are damaged");
	for (unsigned int i = 0; i < n; i++) {
		struct phdr h = phdr_at(b, e->is64, i);

		if (h.type == PT_NOTE)
			parse_notes(b, e, &h);
	}
	return 0;
}

static int
place_segment(struct boot_image *b, const struct phdr *h)
{
	const uint8_t *p = boot_at(b, h->offset, h->filesz);

	if (p == NULL || h->filesz > h->memsz)
		return boot_fail(b, -ENOEXEC, "an ELF segment is damaged");
	if (h->paddr < BOOT_KERNEL_MIN_GPA)
		return boot_fail(b, -ENOEXEC,
		    "the kernel wants to be loaded below 1 MiB");
	/* The rest up to memsz is zero already: the memory is fresh. */
	if (h->paddr >= b->low_ram_end ||
	    h->memsz > b->low_ram_end - h->paddr)
		return boot_fail(b, -E2BIG,
		    "the kernel does not fit into the guest's memory");
	return boot_write(b, h->paddr, p, h->filesz);
}

int
boot_elf_place(struct boot_image *b, struct boot_elf *e)
{
	uint64_t virt_entry = e->entry;
	unsigned int n = phdr_count(b, e->is64);
	bool found = false;
	int r;

	e->end = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct phdr h = phdr_at(b, e->is64, i);

		if (h.type != PT_LOAD || h.memsz == 0)
			continue;
		if ((r = place_segment(b, &h)) < 0)
			return r;
		if (h.paddr + h.memsz > e->end)
			e->end = h.paddr + h.memsz;
		/* Linked to run elsewhere: the entry moves along. */
		if (!found && virt_entry >= h.vaddr &&
		    virt_entry - h.vaddr < h.memsz) {
			e->entry = h.paddr + (virt_entry - h.vaddr);
			found = true;
		}
	}
	if (e->end == 0)
		return boot_fail(b, -ENOEXEC, "the ELF file loads nothing");
	if (e->entry < BOOT_KERNEL_MIN_GPA || e->entry >= e->end)
		return boot_fail(b, -ENOEXEC,
		    "the ELF entry point is outside of what is loaded");
	return 0;
}

int64_t
boot_multiboot_find(const struct boot_image *b)
{
	uint64_t end = b->file_len < MB_SEARCH_BYTES ? b->file_len :
	    MB_SEARCH_BYTES;

	for (uint32_t at = 0; at + 12 <= end; at += 4) {
		const uint8_t *p = b->file + at;

		if (le_get32(p) == MB_HEADER_MAGIC && (uint32_t)(le_get32(p) +
		    le_get32(p + 4) + le_get32(p + 8)) == 0)
			return at;
	}
	return -1;
}

/* The header itself says what to load where (3.1.3), as flat files do. */
static int
place_flat(struct boot_image *b, uint32_t header_at, struct boot_elf *e)
{
	const uint8_t *p = boot_at(b, header_at, MB_HEADER_BYTES);
	uint64_t header_addr, load, load_end, bss_end, offset, len;
	const uint8_t *from;

	if (p == NULL)
		return boot_fail(b, -ENOEXEC, "the multiboot header is cut");
	header_addr = le_get32(p + 12);
	load = le_get32(p + 16);
	load_end = le_get32(p + 20);
	bss_end = le_get32(p + 24);
	e->entry = le_get32(p + 28);
	if (load > header_addr || header_addr - load > header_at)
		goto damaged;
	offset = header_at - (header_addr - load);
	len = load_end != 0 ? load_end - load : b->file_len - offset;
	if ((load_end != 0 && load_end < load) ||
	    (from = boot_at(b, offset, len)) == NULL)
		goto damaged;
	e->end = bss_end > load + len ? bss_end : load + len;
	if (load < BOOT_KERNEL_MIN_GPA || e->entry < load ||
	    e->entry >= e->end)
		goto damaged;
	if (e->end > b->low_ram_end)
		return boot_fail(b, -E2BIG,
		    "the kernel does not fit into the guest's memory");
	return boot_write(b, load, from, len);
damaged:
	return boot_fail(b, -ENOEXEC,
	    "the addresses in the multiboot header are damaged");
}

/* The map, each entry preceded by its size without that field (3.3). */
static uint32_t
put_multiboot_map(const struct boot_image *b, uint8_t *p)
{
	uint32_t at = 0;

	for (size_t i = 0; i < b->n_mem; i++, at += 24) {
		le_put32(p + at, 20);
		le_put64(p + at + 4, b->mem[i].start);
		le_put64(p + at + 12, b->mem[i].len);
		le_put32(p + at + 20, b->mem[i].type);
	}
	return at;
}

/* Multiboot information, 3.3, with what it points to right behind it. */
static int
write_multiboot_info(struct boot_image *b)
{
	static const char name[] = "persona";
	uint8_t buf[MB_INFO_BYTES + 24 * BOOT_MEM_ENTRIES_MAX + 16 +
	    sizeof(name)] = { 0 };
	uint32_t map = MB_INFO_BYTES;
	uint32_t mods = map + 24 * BOOT_MEM_ENTRIES_MAX;
	uint32_t name_at = mods + 16;

	le_put32(buf, MB_INFO_FLAGS | (b->initrd_len > 0 ? MB_INFO_MODS : 0));
	le_put32(buf + 4, BOOT_LOW_END_GPA >> 10);
	le_put32(buf + 8, (uint32_t)((b->low_ram_end -
	    BOOT_KERNEL_MIN_GPA) >> 10));
	le_put32(buf + 16, BOOT_CMDLINE_GPA);
	if (b->initrd_len > 0) {
		le_put32(buf + 20, 1);
		le_put32(buf + 24, BOOT_INFO_GPA + mods);
		le_put32(buf + mods, (uint32_t)b->initrd_gpa);
		le_put32(buf + mods + 4, (uint32_t)(b->initrd_gpa +
		    b->initrd_len));
	}
	le_put32(buf + 44, put_multiboot_map(b, buf + map));
	le_put32(buf + 48, BOOT_INFO_GPA + map);
	le_put32(buf + 64, BOOT_INFO_GPA + name_at);
	memcpy(buf + name_at, name, sizeof(name));
	return boot_write(b, BOOT_INFO_GPA, buf, sizeof(buf));
}

int
boot_multiboot(struct boot_image *b, uint32_t header_at,
    struct boot_entry *entry)
{
	uint32_t flags = le_get32(b->file + header_at + 4);
	struct boot_elf e = { 0 };
	int r;

	if (flags & (MB_F_UNKNOWN | MB_F_VIDEO))
		return boot_fail(b, -ENOEXEC, "the kernel needs a multiboot "
		    "feature we do not have (a video mode?)");
	if (flags & MB_F_ADDRESSES) {
		r = place_flat(b, header_at, &e);
	} else if (boot_elf_is(b)) {
		if ((r = boot_elf_parse(b, &e)) == 0)
			r = boot_elf_place(b, &e);
	} else {
		r = boot_fail(b, -ENOEXEC, "the kernel has a multiboot header "
		    "without addresses and is no ELF file");
	}
	if (r < 0 ||
	    (r = boot_place_initrd(b, e.end, b->low_ram_end)) < 0 ||
	    (r = write_multiboot_info(b)) < 0)
		return r;
	entry->mode = BOOT_PROTECTED_32;
	entry->rip = e.entry;
	entry->rax = MB_LOADED_MAGIC;
	entry->rbx = BOOT_INFO_GPA;
	return 0;
}

/* hvm_start_info version 1, then one module, then the memory map. */
static int
write_pvh_info(struct boot_image *b)
{
	uint8_t buf[PVH_INFO_BYTES + 32 + 24 * BOOT_MEM_ENTRIES_MAX] = { 0 };
	uint32_t mod = PVH_INFO_BYTES, map = mod + 32;

	le_put32(buf, PVH_MAGIC);
	le_put32(buf + 4, 1);
	if (b->initrd_len > 0) {
		le_put32(buf + 12, 1);
		le_put64(buf + 16, BOOT_INFO_GPA + mod);
		le_put64(buf + mod, b->initrd_gpa);
		le_put64(buf + mod + 8, b->initrd_len);
	}
	le_put64(buf + 24, BOOT_CMDLINE_GPA);
	le_put64(buf + 32, b->rsdp_gpa);
	le_put64(buf + 40, BOOT_INFO_GPA + map);
	le_put32(buf + 48, (uint32_t)b->n_mem);
	for (size_t i = 0; i < b->n_mem; i++) {
		le_put64(buf + map + 24 * i, b->mem[i].start);
		le_put64(buf + map + 24 * i + 8, b->mem[i].len);
		le_put32(buf + map + 24 * i + 16, b->mem[i].type);
	}
	return boot_write(b, BOOT_INFO_GPA, buf, sizeof(buf));
}

int
boot_pvh(struct boot_image *b, struct boot_elf *e, struct boot_entry *entry)
{
	int r;

	/* The note, not the ELF header, says where to begin. */
	e->entry = e->pvh_entry;
	if ((r = boot_elf_place(b, e)) < 0 ||
	    (r = boot_place_initrd(b, e->end, b->low_ram_end)) < 0 ||
	    (r = write_pvh_info(b)) < 0)
		return r;
	entry->mode = BOOT_PROTECTED_32;
	entry->rip = e->pvh_entry;
	entry->rbx = BOOT_INFO_GPA;
	return 0;
}
