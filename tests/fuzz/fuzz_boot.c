/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the input is a kernel file. boot_load must refuse it or place it
 * within guest memory, with an entry point inside it.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot.h"
#include "fuzz/fuzz.h"
#include "gmem.h"
#include "le.h"

#define RAM	(64u << 20)

void
fuzz_one(const uint8_t *data, size_t len)
{
	struct boot_config c = { .initrd_fd = -1, .cmdline = "console=ttyS0",
		.vcpus = 1 };
	struct boot_entry e;
	struct gmem *g;
	const char *why;
	int r;

	c.kernel_fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (c.kernel_fd < 0 ||
	    write(c.kernel_fd, data, len) != (ssize_t)len ||
	    gmem_new(&g, NULL, -1, RAM) < 0)
		abort();
	c.initrd_fd = c.kernel_fd;	/* any bytes will do */
	r = boot_load(g, &c, &e, &why);
	if (r == 0 ? gmem_ptr(g, e.rip, 1) == NULL : why[0] == '\0')
		abort();
	gmem_free(g);
	close(c.kernel_fd);
}

static void
seed_bzimage(uint8_t *p)
{
	p[0x1f1] = 1;
	le_put16(p + 0x1fe, 0xaa55);
	p[0x201] = 0x6a;
	le_put32(p + 0x202, 0x53726448);
	le_put16(p + 0x206, 0x020f);
	p[0x211] = 1;
	le_put32(p + 0x22c, 0x7fffffff);
	le_put32(p + 0x230, 0x200000);
	p[0x234] = 1;
	le_put16(p + 0x236, 1);
	le_put32(p + 0x238, 2047);
	le_put64(p + 0x258, 0x1000000);
	le_put32(p + 0x260, 0x10000);
}

/* An ELF with a PT_LOAD and a PT_NOTE; owner decides what it is. */
static void
seed_elf(uint8_t *p, const char *owner, uint32_t type)
{
	uint8_t *h = p + sizeof(Elf64_Ehdr);

	memcpy(p, ELFMAG, 4);
	p[EI_CLASS] = ELFCLASS64;
	p[EI_DATA] = ELFDATA2LSB;
	le_put16(p + 18, EM_X86_64);
	le_put64(p + 24, 0x100010);
	le_put64(p + 32, sizeof(Elf64_Ehdr));
	le_put16(p + 54, sizeof(Elf64_Phdr));
	le_put16(p + 56, 2);
	le_put32(h, PT_LOAD);
	le_put64(h + 8, 0x200);
	le_put64(h + 16, 0x100000);
	le_put64(h + 24, 0x100000);
	le_put64(h + 32, 0x200);
	le_put64(h + 40, 0x2000);
	h += sizeof(Elf64_Phdr);
	le_put32(h, PT_NOTE);
	le_put64(h + 8, 0x180);
	le_put64(h + 32, 0x40);
	le_put32(p + 0x180, (uint32_t)strlen(owner) + 1);
	le_put32(p + 0x184, 4);
	le_put32(p + 0x188, type);
	memcpy(p + 0x18c, owner, strlen(owner));
	le_put32(p + 0x190, 0x100020);
}

static void
seed_multiboot(uint8_t *p, uint32_t flags)
{
	le_put32(p, 0x1badb002);
	le_put32(p + 4, flags);
	le_put32(p + 8, -(0x1badb002u + flags));
	le_put32(p + 12, 0x100000);
	le_put32(p + 16, 0x100000);
	le_put32(p + 24, 0x200000);
	le_put32(p + 28, 0x100040);
}

size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	const size_t len = 2048;

	if (max < len)
		return 0;
	memset(buf, 0, len);
	switch (i) {
	case 0:
		seed_bzimage(buf);
		return len;
	case 1:
		seed_elf(buf, "Xen", 18);
		return len;
	case 2:
		seed_elf(buf, "Linux", 0x100);
		return len;
	case 3:
		seed_multiboot(buf, 0x10003);
		return len;
	case 4:
		seed_elf(buf, "Xen", 18);
		seed_multiboot(buf + 0x300, 3);
		return len;
	default:
		return 0;
	}
}
