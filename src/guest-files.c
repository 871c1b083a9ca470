/* SPDX-License-Identifier: ISC */
/*
 * Opens an image's files for persona-vmm. Deliberately knows no content: sizes
 * are what persona-vmm checks them against.
 */
#include "guest-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "hexid.h"
#include "vault.h"

#define PATH_BYTES	(CONF_STATE_DIR_MAX + 160)
#define ROOT_BYTES	32u		/* BLAKE2b-256 */

void
guest_files_init(struct guest_files *f)
{
	*f = (struct guest_files){ .ram_fd = -1, .kernel_fd = -1,
	    .initrd_fd = -1 };
	for (size_t i = 0; i < DISKS_MAX; i++)
		f->disks[i] = (struct guest_disk){ .fd = -1, .map_fd = -1,
		    .base_fd = -1 };
}

static void
close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
guest_files_close(struct guest_files *f)
{
	close_fd(f->ram_fd);
	close_fd(f->kernel_fd);
	close_fd(f->initrd_fd);
	for (size_t i = 0; i < DISKS_MAX; i++) {
		close_fd(f->disks[i].fd);
		close_fd(f->disks[i].map_fd);
		close_fd(f->disks[i].base_fd);
	}
	guest_files_init(f);
}

/* 0 with a descriptor, or -errno. */
static int
open_in(const struct daemon *d, const char *dir, const char *name, int flags,
    int *fdp)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s/%s", d->conf.state_dir, dir, name);
	*fdp = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	return *fdp < 0 ? -errno : 0;
}

static int
open_base(const struct daemon *d, const Persona__Spec__Disk *spec,
    unsigned int i, int *fdp)
{
	char dir[16 + 2 * ROOT_BYTES], name[24];
	size_t at;

	if (!spec->has_template_root || spec->template_root.len != ROOT_BYTES)
		return -ENOENT;
	at = (size_t)snprintf(dir, sizeof(dir), "templates/");
	for (size_t b = 0; b < ROOT_BYTES; b++)
		at += (size_t)snprintf(dir + at, sizeof(dir) - at, "%02x",
		    spec->template_root.data[b]);
	snprintf(name, sizeof(name), "disk%u.img", i);
	return open_in(d, dir, name, O_RDONLY, fdp);
}

static int
open_disk(struct guest_files *f, const struct daemon *d, const char *dir,
    const Persona__Spec__Disk *spec, unsigned int i, const char **why)
{
	struct guest_disk *disk = &f->disks[i];
	char name[24];
	int r;

	disk->bytes = spec->bytes;
	disk->read_only = spec->has_read_only && spec->read_only;
	*why = "the file of a disk cannot be opened";
	snprintf(name, sizeof(name), "disk%u.img", i);
	if ((r = open_in(d, dir, name, disk->read_only ? O_RDONLY : O_RDWR,
	    &disk->fd)) < 0)
		return r;
	snprintf(name, sizeof(name), "disk%u.map", i);
	if ((r = open_in(d, dir, name, O_RDWR, &disk->map_fd)) == -ENOENT)
		return 0;
	*why = "the template of a disk is not on this handset any more";
	return r < 0 ? r : open_base(d, spec, i, &disk->base_fd);
}

int
guest_files_open_disks(struct guest_files *f, const struct daemon *d,
    const char *dir, const struct packed_spec *packed, const char **why)
{
	Persona__Spec__Spec *spec = NULL;
	int r;

	*why = "what it is made of cannot be read";
	if ((r = spec_unpack(packed, &spec)) < 0)
		return r;
	for (unsigned int i = 0; i < spec->n_disks && r == 0; i++) {
		r = open_disk(f, d, dir, spec->disks[i], i, why);
		f->n_disks = i + 1;
	}
	persona__spec__spec__free_unpacked(spec, NULL);
	if (r < 0)
		guest_files_close(f);
	return r;
}

int
guest_files_open(struct guest_files *f, const struct daemon *d,
    const char *id, const struct packed_spec *spec, const char **why)
{
	char dir[IMAGE_HOME_MAX + HEXID_LEN + 1], home[IMAGE_HOME_MAX];
	int r;

	guest_files_init(f);
	snprintf(dir, sizeof(dir), "%s/%s", image_home(d, id, home), id);
	*why = "its boot files cannot be read";
	if ((r = open_in(d, dir, "kernel", O_RDONLY, &f->kernel_fd)) < 0)
		return r;
	r = open_in(d, dir, "initrd", O_RDONLY, &f->initrd_fd);
	if (r < 0 && r != -ENOENT) {
		guest_files_close(f);
		return r;
	}
	return guest_files_open_disks(f, d, dir, spec, why);
}

uint64_t
guest_files_disk_used(const struct daemon *d, const char *id, unsigned int i)
{
	char path[PATH_BYTES], home[IMAGE_HOME_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s/%s/disk%u.img",
	    d->conf.state_dir, image_home(d, id, home), id, i);
	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}
