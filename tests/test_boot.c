/* SPDX-License-Identifier: ISC */
/* Kernels of every format boot as their protocol says; damaged ones do not. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot-image.h"
#include "boot.h"
#include "bounds.h"
#include "gmem.h"
#include "le.h"
#include "unit.h"

#define RAM		(64u << 20)
#define FILE_BYTES	0x4000u
#define CODE_AT		0x2000u		/* in every file made here */

static uint8_t file[FILE_BYTES];
static struct gmem *g;
static struct boot_entry entry;
static const char *why;

static int
file_of(const void *p, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0 && write(fd, p, len) == (ssize_t)len);
	return fd;
}

/* Boot what is in `file`; the memory stays in g for a look. */
static int
boot(const char *cmdline, const char *initrd)
{
	struct boot_config c = { .initrd_fd = -1, .cmdline = cmdline,
		.vcpus = 1 };
	int r;

	gmem_free(g);
	g = NULL;
	CU_ASSERT_FATAL(gmem_new(&g, NULL, -1, RAM) == 0);
	c.kernel_fd = file_of(file, sizeof(file));
	if (initrd != NULL)
		c.initrd_fd = file_of(initrd, strlen(initrd));
	r = boot_load(g, &c, &entry, &why);
	close(c.kernel_fd);
	if (c.initrd_fd >= 0)
		close(c.initrd_fd);
	CU_ASSERT(r == 0 || (why != NULL && why[0] != '\0'));
	return r;
}

static const uint8_t *
at(uint64_t gpa)
{
	const uint8_t *p = gmem_ptr(g, gpa, 4096);

	CU_ASSERT_FATAL(p != NULL);
	return p;
}

static uint8_t *
phdr(unsigned int i)
{
	return file + sizeof(Elf64_Ehdr) + i * sizeof(Elf64_Phdr);
}

static void
put_phdr(unsigned int i, uint32_t type, uint64_t offset, uint64_t vaddr,
    uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
	uint8_t *p = phdr(i);

	le_put32(p, type);
	le_put64(p + 8, offset);
	le_put64(p + 16, vaddr);
	le_put64(p + 24, paddr);
	le_put64(p + 32, filesz);
	le_put64(p + 40, memsz);
}

static void
put_note(const char *owner, uint32_t type, uint32_t value)
{
	uint8_t *p = file + 0x1000;
	size_t len = strlen(owner) + 1;

	le_put32(p, (uint32_t)len);
	le_put32(p + 4, 4);
	le_put32(p + 8, type);
	memcpy(p + 12, owner, len);
	le_put32(p + 12 + (len + 3) / 4 * 4, value);
	put_phdr(1, PT_NOTE, 0x1000, 0, 0, 12 + (len + 3) / 4 * 4 + 4, 0);
}

/* An ELF64 of one segment at 1 MiB, linked high; the entry is virtual. */
static void
make_elf64(void)
{
	memset(file, 0, sizeof(file));
	memcpy(file, ELFMAG, 4);
	file[EI_CLASS] = ELFCLASS64;
	file[EI_DATA] = ELFDATA2LSB;
	file[EI_VERSION] = 1;
	le_put16(file + 18, EM_X86_64);
	le_put64(file + offsetof(Elf64_Ehdr, e_entry), 0xffffffff80100010);
	le_put64(file + offsetof(Elf64_Ehdr, e_phoff), sizeof(Elf64_Ehdr));
	le_put16(file + offsetof(Elf64_Ehdr, e_phentsize),
	    sizeof(Elf64_Phdr));
	le_put16(file + offsetof(Elf64_Ehdr, e_phnum), 2);
	put_phdr(0, PT_LOAD, CODE_AT, 0xffffffff80100000, 0x100000, 0x1000,
	    0x3000);
	memcpy(file + CODE_AT, "CODE", 4);
}

static void
vmlinux(void)
{
	make_elf64();
	put_note("Linux", 0x100, 0);
	CU_ASSERT_FATAL(boot("console=ttyS0", "initramfs!") == 0);
	CU_ASSERT(entry.mode == BOOT_LONG_64 && entry.rip == 0x100010);
	CU_ASSERT(memcmp(at(0x100000), "CODE", 4) == 0);
	CU_ASSERT(strcmp((const char *)at(le_get32(at(entry.rsi) + 0x228)),
	    "console=ttyS0") == 0);
	CU_ASSERT(le_get32(at(entry.rsi) + 0x21c) == 10);
	CU_ASSERT(le_get32(at(entry.rsi) + 0x218) % 4096 == 0);
	CU_ASSERT(memcmp(at(le_get32(at(entry.rsi) + 0x218)), "initramfs!",
	    10) == 0);
	CU_ASSERT(at(entry.rsi)[0x1e8] == 3);
	/* One-to-one map: PML4 -> PDPT -> PD, 2 MiB pages. */
	CU_ASSERT(le_get64(at(entry.cr3)) == (entry.cr3 + 0x1000) + 3);
	CU_ASSERT(le_get64(at(entry.cr3 + 0x1000) + 8) ==
	    (entry.cr3 + 0x3000) + 3);
	CU_ASSERT(le_get64(at(entry.cr3 + 0x3000) + 8) == 0x40200083);
	CU_ASSERT(le_get64(at(entry.gdt) + 0x10) == 0x00af9b000000ffff);
	CU_ASSERT(memcmp(at(le_get64(at(entry.rsi) + 0x70)), "RSD PTR ",
	    8) == 0);
}

static void
pvh(void)
{
	const uint8_t *info;

	make_elf64();
	put_note("Xen", 18, 0x100020);
	CU_ASSERT_FATAL(boot("a b", "rd") == 0);
	CU_ASSERT(entry.mode == BOOT_PROTECTED_32 && entry.rip == 0x100020);
	info = at(entry.rbx);
	CU_ASSERT(le_get32(info) == 0x336ec578 && le_get32(info + 4) == 1);
	CU_ASSERT(strcmp((const char *)at(le_get64(info + 24)), "a b") == 0);
	CU_ASSERT(le_get32(info + 12) == 1);
	CU_ASSERT(le_get64(at(le_get64(info + 16)) + 8) == 2);
	CU_ASSERT(le_get32(info + 48) == 3);
	CU_ASSERT(le_get64(at(le_get64(info + 40)) + 48) == 0x100000);
	CU_ASSERT(le_get64(at(le_get64(info + 40)) + 56) == RAM - 0x100000);
}

static void
put_multiboot(uint32_t flags)
{
	uint8_t *p = file + 0x1800;

	le_put32(p, 0x1badb002);
	le_put32(p + 4, flags);
	le_put32(p + 8, -(0x1badb002u + flags));
}

static void
multiboot(void)
{
	const uint8_t *info, *map;

	make_elf64();
	put_multiboot(3);
	CU_ASSERT_FATAL(boot("x=1", "rd") == 0);
	CU_ASSERT(entry.mode == BOOT_PROTECTED_32 && entry.rip == 0x100010);
	CU_ASSERT(entry.rax == 0x2badb002);
	info = at(entry.rbx);
	CU_ASSERT(le_get32(info) == 0x24d);
	CU_ASSERT(le_get32(info + 4) == 639);
	CU_ASSERT(le_get32(info + 8) == 63 << 10);
	CU_ASSERT(strcmp((const char *)at(le_get32(info + 16)), "x=1") == 0);
	CU_ASSERT(le_get32(info + 20) == 1);
	CU_ASSERT(memcmp(at(le_get32(at(le_get32(info + 24)))), "rd", 2) == 0);
	CU_ASSERT(le_get32(info + 44) == 3 * 24);
	map = at(le_get32(info + 48));
	CU_ASSERT(le_get32(map) == 20 && le_get32(map + 20) == 1);
	CU_ASSERT(strcmp((const char *)at(le_get32(info + 64)),
	    "persona") == 0);
	put_multiboot(4);
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
}

/* The a.out kludge: a flat file whose header says where it goes. */
static void
multiboot_flat(void)
{
	uint8_t *p = file + 0x1800;

	memset(file, 0, sizeof(file));
	put_multiboot(0x10000);
	memcpy(file + CODE_AT, "CODE", 4);
	le_put32(p + 12, 0x101800);
	le_put32(p + 16, 0x101000);
	le_put32(p + 20, 0x103000);
	le_put32(p + 24, 0x200000);
	le_put32(p + 28, 0x101800);
	CU_ASSERT_FATAL(boot("", NULL) == 0);
	CU_ASSERT(entry.rip == 0x101800);
	CU_ASSERT(memcmp(at(0x101800), file + 0x1800, 4) == 0);
	CU_ASSERT(memcmp(at(0x101800 + CODE_AT - 0x1800), "CODE", 4) == 0);

	le_put32(p + 16, 0x101900);	/* starts after its own header */
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	le_put32(p + 16, 0x1000);	/* before the file */
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	le_put32(p + 16, 0x101000);
	le_put32(p + 20, 0x109000);	/* longer than the file */
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	le_put32(p + 20, 0x100000);	/* ends before it begins */
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	le_put32(p + 20, 0);
	le_put32(p + 24, 0xfffff000);
	CU_ASSERT(boot("", NULL) == -E2BIG);
}

static void
make_bzimage(void)
{
	memset(file, 0, sizeof(file));
	file[0x1f1] = 15;		/* code begins at 16 * 512 = 0x2000 */
	le_put16(file + 0x1fe, 0xaa55);
	file[0x201] = 0x6a;
	le_put32(file + 0x202, 0x53726448);
	le_put16(file + 0x206, 0x020f);
	file[0x211] = 1;
	le_put32(file + 0x22c, 0x7fffffff);
	le_put32(file + 0x230, 0x200000);
	file[0x234] = 1;
	le_put16(file + 0x236, 1);
	le_put32(file + 0x238, 2047);
	le_put64(file + 0x258, 0x1000000);
	le_put32(file + 0x260, 0x800000);
	memcpy(file + CODE_AT, "CODE", 4);
}

static void
bzimage(void)
{
	make_bzimage();
	CU_ASSERT_FATAL(boot("quiet", "rd") == 0);
	CU_ASSERT(entry.mode == BOOT_LONG_64 && entry.rip == 0x1000200);
	CU_ASSERT(memcmp(at(0x1000000), "CODE", 4) == 0);
	CU_ASSERT(le_get32(at(entry.rsi) + 0x202) == 0x53726448);
	CU_ASSERT(at(entry.rsi)[0x210] == 0xff);
	CU_ASSERT(le_get32(at(entry.rsi) + 0x218) == RAM - 4096);

	/* Its favourite place is taken: it moves by its alignment. */
	le_put64(file + 0x258, 0x3f00000);
	CU_ASSERT(boot("", NULL) == 0 && entry.rip == 0x200200);
	file[0x234] = 0;
	CU_ASSERT(boot("", NULL) == -E2BIG);
}

/* Two starts of the same files begin with different random numbers. */
static void
bzimage_seed(void)
{
	uint8_t first[32];
	const uint8_t *data;
	uint64_t gpa;

	make_bzimage();
	CU_ASSERT_FATAL(boot("", NULL) == 0);
	gpa = le_get64(at(entry.rsi) + 0x250);
	data = at(gpa);
	CU_ASSERT(le_get64(data) == 0 && le_get32(data + 8) == 9 &&
	    le_get32(data + 12) == sizeof(first));
	memcpy(first, data + 16, sizeof(first));
	CU_ASSERT_FATAL(boot("", NULL) == 0);
	/* Another memory, laid out alike. */
	CU_ASSERT_EQUAL(le_get64(at(entry.rsi) + 0x250), gpa);
	CU_ASSERT(memcmp(first, at(gpa) + 16, sizeof(first)) != 0);
}

static void
bzimage_liars(void)
{
	make_bzimage();
	le_put16(file + 0x206, 0x0209);
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	make_bzimage();
	le_put16(file + 0x236, 0);
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	make_bzimage();
	file[0x1f1] = 255;
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	make_bzimage();
	le_put32(file + 0x260, 0xffffffff);
	CU_ASSERT(boot("", NULL) == -E2BIG);
	make_bzimage();
	le_put64(file + 0x258, UINT64_MAX);
	CU_ASSERT(boot("", NULL) == 0);		/* taken elsewhere */
	le_put32(file + 0x230, 0x80000000);
	CU_ASSERT(boot("", NULL) == -E2BIG);
	le_put32(file + 0x230, 3);
	CU_ASSERT(boot("", NULL) == -E2BIG);
	make_bzimage();
	le_put32(file + 0x238, 3);
	CU_ASSERT(boot("quiet", NULL) == -E2BIG);
	make_bzimage();
	le_put32(file + 0x22c, 0x1000);
	CU_ASSERT(boot("", "rd") == -E2BIG);
	make_bzimage();
	file[0x201] = 0;
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
}

static void
elf_liars(void)
{
	make_elf64();
	CU_ASSERT(boot("", NULL) == -ENOEXEC);	/* no note: not ours */
	put_note("Xen", 18, 0x100020);
	CU_ASSERT(boot("", NULL) == 0);
	le_put64(phdr(0) + 24, 0x8000);
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	le_put64(phdr(0) + 24, UINT64_MAX - 0x800);
	CU_ASSERT(boot("", NULL) == -E2BIG);
	le_put64(phdr(0) + 24, RAM - 0x1000);
	CU_ASSERT(boot("", NULL) == -E2BIG);
	le_put64(phdr(0) + 24, 0x100000);
	le_put64(phdr(0) + 40, UINT64_MAX);
	CU_ASSERT(boot("", NULL) == -E2BIG);
	le_put64(phdr(0) + 40, 0x800);		/* less than is in the file */
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	le_put64(phdr(0) + 40, 0x3000);
	le_put64(phdr(0) + 8, UINT64_MAX);
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	le_put64(phdr(0) + 8, CODE_AT);
	put_note("Xen", 18, 0x200000);		/* entry outside */
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	put_note("Xen", 18, 0x100020);
	le_put32(file + 0x1000, 0xffffffff);	/* a note of 4 GiB */
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	put_note("Xen", 18, 0x100020);
	le_put16(file + offsetof(Elf64_Ehdr, e_phnum), 0xffff);
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	le_put16(file + offsetof(Elf64_Ehdr, e_phnum), 2);
	le_put64(file + offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX);
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	make_elf64();
	le_put16(file + 18, EM_AARCH64);
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
}

static void
odd_requests(void)
{
	struct boot_config c = { .kernel_fd = -1, .initrd_fd = -1,
		.vcpus = 1 };
	static char cmdline[CMDLINE_MAX + 2];
	int fds[2];

	memset(file, 'x', sizeof(file));
	CU_ASSERT(boot("", NULL) == -ENOEXEC);
	make_bzimage();
	memset(cmdline, 'a', CMDLINE_MAX + 1);
	CU_ASSERT(boot(cmdline, NULL) == -E2BIG);
	cmdline[CMDLINE_MAX] = '\0';
	CU_ASSERT(boot(cmdline, NULL) == 0);
	CU_ASSERT(boot(NULL, "") == -ENOEXEC);	/* an empty initramfs */

	CU_ASSERT(boot_load(g, &c, &entry, &why) == -EBADF);
	CU_ASSERT_FATAL(pipe(fds) == 0);
	c.kernel_fd = fds[0];
	CU_ASSERT(boot_load(g, &c, &entry, &why) == -ENOEXEC);
	c.vcpus = 9;
	CU_ASSERT(boot_load(g, &c, &entry, &why) == -EINVAL);
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a vmlinux boots by the 64-bit protocol", vmlinux },
		{ "a PVH kernel boots in 32 bits", pvh },
		{ "a multiboot ELF boots in 32 bits", multiboot },
		{ "a flat multiboot file goes where it says", multiboot_flat },
		{ "a bzImage boots by the 64-bit protocol", bzimage },
		{ "each start has a random seed of its own", bzimage_seed },
		{ "a damaged bzImage is refused", bzimage_liars },
		{ "a damaged ELF is refused", elf_liars },
		{ "impossible requests are refused", odd_requests },
	};
	int r = unit_main("boot", tests, sizeof(tests) / sizeof(tests[0]));

	gmem_free(g);
	return r;
}
