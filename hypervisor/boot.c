/* SPDX-License-Identifier: ISC */
/*
 * Starts a guest from files: recognises the kernel, lays out the first megabyte
 * and hands over to the format's own loader. Deliberately knows no KVM and no
 * register but those a boot protocol names.
 */
#include "boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acpi.h"
#include "boot-image.h"
#include "bounds.h"
#include "gmem.h"
#include "machine.h"

/* More slots than the table will ever have rows. */
#define SLOTS_MAX	32u

int
boot_fail(struct boot_image *b, int r, const char *why)
{
	b->why = why;
	return r;
}

const uint8_t *
boot_at(const struct boot_image *b, uint64_t offset, uint64_t len)
{
	if (offset > b->file_len || len > b->file_len - offset)
		return NULL;
	return b->file + offset;
}

int
boot_write(struct boot_image *b, uint64_t gpa, const void *buf, size_t len)
{
	if (gmem_write(b->gmem, gpa, buf, len) < 0)
		return boot_fail(b, -E2BIG,
		    "the kernel does not fit into the guest's memory");
	return 0;
}

/* Read exactly len bytes from the start of a file. */
static int
read_file(int fd, void *buf, uint64_t len)
{
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (uint8_t *)buf + done, len - done,
		    (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;	/* it shrank under our hands */
		done += (uint64_t)n;
	}
	return 0;
}

static int
file_size(int fd, uint64_t *len)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return -ENOEXEC;
	if ((uint64_t)st.st_size > BOOT_FILE_MAX_BYTES)
		return -E2BIG;
	*len = (uint64_t)st.st_size;
	return 0;
}

/*
 * The kernel is copied, not mapped: a file that shrinks while we look at it must
 * end in an error, not in SIGBUS.
 */
static int
read_kernel(struct boot_image *b, uint8_t **copy)
{
	int r;

	if ((r = file_size(b->config->kernel_fd, &b->file_len)) < 0)
		return boot_fail(b, r, "the kernel is no regular file, "
		    "is empty, or is larger than 512 MiB");
	if ((*copy = malloc(b->file_len)) == NULL)
		return boot_fail(b, -ENOMEM, "no memory to read the kernel");
	if ((r = read_file(b->config->kernel_fd, *copy, b->file_len)) < 0)
		return boot_fail(b, r, "the kernel could not be read");
	b->file = *copy;
	return 0;
}

int
boot_place_initrd(struct boot_image *b, uint64_t kernel_end, uint64_t max)
{
	uint64_t len, gpa;
	void *p;
	int r;

	if (b->config->initrd_fd < 0)
		return 0;
	if ((r = file_size(b->config->initrd_fd, &len)) < 0)
		return boot_fail(b, r, "the initramfs is no regular file, "
		    "is empty, or is larger than 512 MiB");
	if (max > b->low_ram_end)
		max = b->low_ram_end;
	if (len > max)
		goto no_room;
	gpa = (max - len) & ~(uint64_t)(PAGE_BYTES - 1);
	if (gpa < kernel_end || (p = gmem_ptr(b->gmem, gpa, len)) == NULL)
		goto no_room;
	if ((r = read_file(b->config->initrd_fd, p, len)) < 0)
		return boot_fail(b, r, "the initramfs could not be read");
	gmem_mark_dirty(b->gmem, gpa, len);
	b->initrd_gpa = gpa;
	b->initrd_len = len;
	return 0;
no_room:
	return boot_fail(b, -E2BIG, "kernel and initramfs together "
	    "do not fit into the guest's memory");
}

static void
add_mem(struct boot_image *b, uint64_t start, uint64_t end, uint32_t type)
{
	if (end > start)
		b->mem[b->n_mem++] = (struct boot_mem){ start, end - start,
		    type };
}

/* The map of a PC: a gap below 1 MiB, and one below 4 GiB for devices. */
static void
map_memory(struct boot_image *b)
{
	uint64_t size = gmem_size(b->gmem);

	b->low_ram_end = size < GMEM_HOLE_START ? size : GMEM_HOLE_START;
	add_mem(b, 0, BOOT_LOW_END_GPA, BOOT_MEM_RAM);
	add_mem(b, BOOT_LOW_END_GPA, BOOT_KERNEL_MIN_GPA, BOOT_MEM_RESERVED);
	add_mem(b, BOOT_KERNEL_MIN_GPA, b->low_ram_end, BOOT_MEM_RAM);
	add_mem(b, GMEM_HOLE_END, GMEM_HOLE_END + size - b->low_ram_end,
	    BOOT_MEM_RAM);
}

static int
write_tables(struct boot_image *b)
{
	struct machine_virtio_slot slots[SLOTS_MAX];
	size_t n = machine_virtio_slots(slots, SLOTS_MAX);
	int r;

	if ((r = acpi_write(b->gmem, b->config->vcpus, slots, n,
	    &b->rsdp_gpa)) < 0)
		return boot_fail(b, r, "the ACPI tables could not be written");
	return 0;
}

static int
load_elf(struct boot_image *b, struct boot_entry *entry)
{
	struct boot_elf e;
	int r;

	if ((r = boot_elf_parse(b, &e)) < 0)
		return r;
	/* A vmlinux has a PVH entry too; the 64-bit one spares it a detour. */
	if (e.is64 && e.linux_note)
		return boot_vmlinux(b, &e, entry);
	if (e.pvh)
		return boot_pvh(b, &e, entry);
	return boot_fail(b, -ENOEXEC, "this ELF file has neither a multiboot "
	    "header nor a PVH note, and is no Linux kernel");
}

static int
load_any(struct boot_image *b, struct boot_entry *entry)
{
	int64_t at;

	if (boot_bzimage_is(b))
		return boot_bzimage(b, entry);
	if ((at = boot_multiboot_find(b)) >= 0)
		return boot_multiboot(b, (uint32_t)at, entry);
	if (boot_elf_is(b))
		return load_elf(b, entry);
	return boot_fail(b, -ENOEXEC, "the kernel is in no format we know "
	    "(bzImage, ELF vmlinux, PVH or multiboot)");
}

int
boot_load(struct gmem *g, const struct boot_config *c,
    struct boot_entry *entry, const char **why)
{
	struct boot_image b = { .gmem = g, .config = c, .why = "" };
	const char *cmdline = c->cmdline != NULL ? c->cmdline : "";
	uint8_t *copy = NULL;
	int r = -EINVAL;

	memset(entry, 0, sizeof(*entry));
	if (c->vcpus == 0 || c->vcpus > VCPUS_MAX) {
		r = boot_fail(&b, -EINVAL, "a guest has 1 to 8 processors");
		goto out;
	}
	if (strlen(cmdline) > CMDLINE_MAX) {
		r = boot_fail(&b, -E2BIG, "the kernel command line is longer "
		    "than 2047 bytes");
		goto out;
	}
	map_memory(&b);
	if ((r = read_kernel(&b, &copy)) < 0 ||
	    (r = write_tables(&b)) < 0 ||
	    (r = boot_write(&b, BOOT_CMDLINE_GPA, cmdline,
	    strlen(cmdline) + 1)) < 0)
		goto out;
	r = load_any(&b, entry);
out:
	free(copy);
	*why = b.why;
	return r;
}
