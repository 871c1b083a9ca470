/* SPDX-License-Identifier: ISC */
/*
 * The Linux 64-bit boot protocol, for bzImage and ELF vmlinux. Deliberately knows
 * nothing of how the image decompresses itself or what it does next.
 * Source: Linux Documentation/arch/x86/boot.rst and zero-page.rst.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "boot-image.h"
#include "bounds.h"
#include "le.h"

/* Offsets within both the file's first sectors and boot_params. */
#define HDR_START		0x1f1u	/* setup_sects: the header begins */
#define HDR_BOOT_FLAG		0x1feu
#define HDR_JUMP_LEN		0x201u
#define HDR_MAGIC		0x202u
#define HDR_VERSION		0x206u
#define HDR_TYPE_OF_LOADER	0x210u
#define HDR_LOADFLAGS		0x211u
#define HDR_RAMDISK_IMAGE	0x218u
#define HDR_RAMDISK_SIZE	0x21cu
#define HDR_CMD_LINE_PTR	0x228u
#define HDR_INITRD_ADDR_MAX	0x22cu
#define HDR_KERNEL_ALIGNMENT	0x230u
#define HDR_RELOCATABLE		0x234u
#define HDR_XLOADFLAGS		0x236u
#define HDR_CMDLINE_SIZE	0x238u
#define HDR_SETUP_DATA		0x250u
#define HDR_PREF_ADDRESS	0x258u
#define HDR_INIT_SIZE		0x260u
#define HDR_END_MIN		0x264u	/* version 2.12 has all of these */
#define HDR_END_MAX		0x290u	/* boot_params has room up to here */

/* Of boot_params alone */
#define PARAMS_RSDP		0x070u
#define PARAMS_E820_ENTRIES	0x1e8u
#define PARAMS_E820_TABLE	0x2d0u
#define E820_BYTES		20u

#define BOOT_FLAG		0xaa55u
#define MAGIC			0x53726448u	/* "HdrS" */
#define VERSION_MIN		0x020cu	/* xloadflags, Linux 3.8 */
#define SETUP_RNG_SEED		9u	/* Linux 6.0; older ones pass it over */
#define SETUP_DATA_HEAD		16u	/* next, type, length */
#define SEED_BYTES		32u

#define LOADER_UNKNOWN		0xffu
#define LOADED_HIGH		0x01u
#define XLF_KERNEL_64		0x0001u
#define ENTRY_64		0x200u	/* after the protected-mode start */
#define VMLINUX_ALIGNMENT	0x1000000u
#define IDENTITY_BYTES		(4ULL << 30)

#define GDT_CODE64		0x00af9b000000ffffULL
#define GDT_DATA		0x00cf93000000ffffULL

#define PTE_PRESENT_WRITE	0x3u
#define PTE_LARGE		0x80u

bool
boot_bzimage_is(const struct boot_image *b)
{
	return boot_at(b, 0, HDR_END_MIN) != NULL &&
	    le_get16(b->file + HDR_BOOT_FLAG) == BOOT_FLAG &&
	    le_get32(b->file + HDR_MAGIC) == MAGIC;
}

/* One PML4, one PDPT, four PDs of 2 MiB pages: the first 4 GiB, one to one. */
static int
write_page_tables(struct boot_image *b)
{
	uint8_t page[PAGE_BYTES];
	uint64_t pdpt = BOOT_PML4_GPA + PAGE_BYTES;
	uint64_t pd = pdpt + PAGE_BYTES;
	int r;

	memset(page, 0, sizeof(page));
	le_put64(page, pdpt | PTE_PRESENT_WRITE);
	if ((r = boot_write(b, BOOT_PML4_GPA, page, sizeof(page))) < 0)
		return r;
	memset(page, 0, sizeof(page));
	for (unsigned int i = 0; i < 4; i++)
		le_put64(page + 8 * i, (pd + i * PAGE_BYTES) |
		    PTE_PRESENT_WRITE);
	if ((r = boot_write(b, pdpt, page, sizeof(page))) < 0)
		return r;
	for (uint64_t gpa = 0; gpa < IDENTITY_BYTES; gpa += 2u << 20) {
		uint64_t i = gpa >> 21;

		le_put64(page + 8 * (i % 512), gpa | PTE_LARGE |
		    PTE_PRESENT_WRITE);
		if (i % 512 == 511 && (r = boot_write(b, pd + i / 512 *
		    PAGE_BYTES, page, sizeof(page))) < 0)
			return r;
	}
	return 0;
}

/* Selectors 0x10 and 0x18 are fixed by the protocol. */
static int
write_gdt(struct boot_image *b)
{
	uint8_t gdt[32] = { 0 };

	le_put64(gdt + 0x10, GDT_CODE64);
	le_put64(gdt + 0x18, GDT_DATA);
	return boot_write(b, BOOT_GDT_GPA, gdt, sizeof(gdt));
}

/*
 * Random bytes before anything else runs: two personas of one template start with
 * the same disk, and must not make the same keys. The kernel wipes them.
 */
static int
write_seed(struct boot_image *b, uint8_t params[PAGE_BYTES])
{
	uint8_t data[SETUP_DATA_HEAD + SEED_BYTES] = { 0 };
	ssize_t n = getrandom(data + SETUP_DATA_HEAD, SEED_BYTES, 0);
	int r;

	if (n != SEED_BYTES)
		return boot_fail(b, -EIO, "there are no random numbers");
	le_put32(data + 8, SETUP_RNG_SEED);
	le_put32(data + 12, SEED_BYTES);
	r = boot_write(b, BOOT_SEED_GPA, data, sizeof(data));
	explicit_bzero(data, sizeof(data));
	le_put64(params + HDR_SETUP_DATA, BOOT_SEED_GPA);
	return r;
}

/* What every kernel is told, whatever file it came in. */
static int
finish(struct boot_image *b, uint8_t params[PAGE_BYTES], uint64_t rip,
    struct boot_entry *entry)
{
	int r;

	params[HDR_TYPE_OF_LOADER] = LOADER_UNKNOWN;
	le_put32(params + HDR_CMD_LINE_PTR, BOOT_CMDLINE_GPA);
	le_put32(params + HDR_RAMDISK_IMAGE, (uint32_t)b->initrd_gpa);
	le_put32(params + HDR_RAMDISK_SIZE, (uint32_t)b->initrd_len);
	le_put64(params + PARAMS_RSDP, b->rsdp_gpa);
	params[PARAMS_E820_ENTRIES] = (uint8_t)b->n_mem;
	for (size_t i = 0; i < b->n_mem; i++) {
		uint8_t *p = params + PARAMS_E820_TABLE + E820_BYTES * i;

		le_put64(p, b->mem[i].start);
		le_put64(p + 8, b->mem[i].len);
		le_put32(p + 16, b->mem[i].type);
	}
	if ((r = write_seed(b, params)) < 0 ||
	    (r = boot_write(b, BOOT_PARAMS_GPA, params, PAGE_BYTES)) < 0 ||
	    (r = write_page_tables(b)) < 0 || (r = write_gdt(b)) < 0)
		return r;
	entry->mode = BOOT_LONG_64;
	entry->rip = rip;
	entry->rsi = BOOT_PARAMS_GPA;
	entry->cr3 = BOOT_PML4_GPA;
	entry->gdt = BOOT_GDT_GPA;
	return 0;
}

/* Can this header be booted by the 64-bit protocol at all? */
static int
check_header(struct boot_image *b)
{
	const uint8_t *h = b->file;
	size_t cmdline = b->config->cmdline != NULL ?
	    strlen(b->config->cmdline) : 0;

	if (le_get16(h + HDR_VERSION) < VERSION_MIN)
		return boot_fail(b, -ENOEXEC,
		    "the Linux kernel is older than 3.8");
	if (!(le_get16(h + HDR_XLOADFLAGS) & XLF_KERNEL_64) ||
	    !(h[HDR_LOADFLAGS] & LOADED_HIGH))
		return boot_fail(b, -ENOEXEC,
		    "the Linux kernel is not a 64-bit one");
	if (cmdline > le_get32(h + HDR_CMDLINE_SIZE))
		return boot_fail(b, -E2BIG, "the command line is longer than "
		    "this Linux kernel takes");
	return 0;
}

/* Where the image goes: where it likes best, or where its alignment lets it. */
static int
choose_address(struct boot_image *b, uint64_t needed, uint64_t *gpa)
{
	const uint8_t *h = b->file;
	uint64_t pref = le_get64(h + HDR_PREF_ADDRESS);
	uint64_t align = le_get32(h + HDR_KERNEL_ALIGNMENT);

	if (pref >= BOOT_KERNEL_MIN_GPA && pref < b->low_ram_end &&
	    needed <= b->low_ram_end - pref) {
		*gpa = pref;
		return 0;
	}
	if (h[HDR_RELOCATABLE] == 0 || align == 0 ||
	    (align & (align - 1)) != 0)
		goto no_room;
	*gpa = (BOOT_KERNEL_MIN_GPA + align - 1) & ~(align - 1);
	if (*gpa < b->low_ram_end && needed <= b->low_ram_end - *gpa)
		return 0;
no_room:
	return boot_fail(b, -E2BIG,
	    "the Linux kernel needs more memory than the guest has");
}

int
boot_bzimage(struct boot_image *b, struct boot_entry *entry)
{
	uint8_t params[PAGE_BYTES] = { 0 };
	const uint8_t *h = b->file;
	uint64_t offset, len, needed, end, gpa = 0;
	int r;

	if ((r = check_header(b)) < 0)
		return r;
	/* Zero sectors mean four, for the oldest of reasons. */
	offset = 512 * (1 + (h[HDR_START] != 0 ? h[HDR_START] : 4u));
	if (offset >= b->file_len || b->file_len - offset <= ENTRY_64)
		return boot_fail(b, -ENOEXEC, "the Linux kernel is cut short");
	len = b->file_len - offset;
	needed = le_get32(h + HDR_INIT_SIZE);
	if (needed < len)
		needed = len;
	if ((r = choose_address(b, needed, &gpa)) < 0 ||
	    (r = boot_write(b, gpa, b->file + offset, len)) < 0 ||
	    (r = boot_place_initrd(b, gpa + needed,
	    (uint64_t)le_get32(h + HDR_INITRD_ADDR_MAX) + 1)) < 0)
		return r;

	end = HDR_MAGIC + h[HDR_JUMP_LEN];
	if (end > HDR_END_MAX)
		end = HDR_END_MAX;
	if (end < HDR_END_MIN || boot_at(b, 0, end) == NULL)
		return boot_fail(b, -ENOEXEC,
		    "the Linux kernel's header is damaged");
	memcpy(params + HDR_START, h + HDR_START, end - HDR_START);
	return finish(b, params, gpa + ENTRY_64, entry);
}

int
boot_vmlinux(struct boot_image *b, struct boot_elf *e,
    struct boot_entry *entry)
{
	uint8_t params[PAGE_BYTES] = { 0 };
	int r;

	if ((r = boot_elf_place(b, e)) < 0 ||
	    (r = boot_place_initrd(b, e->end, b->low_ram_end)) < 0)
		return r;
	/* A vmlinux has no header of its own: say what it would say. */
	le_put16(params + HDR_BOOT_FLAG, BOOT_FLAG);
	le_put32(params + HDR_MAGIC, MAGIC);
	le_put16(params + HDR_VERSION, VERSION_MIN);
	params[HDR_LOADFLAGS] = LOADED_HIGH;
	le_put32(params + HDR_KERNEL_ALIGNMENT, VMLINUX_ALIGNMENT);
	le_put32(params + HDR_CMDLINE_SIZE, CMDLINE_MAX);
	return finish(b, params, e->entry, entry);
}
