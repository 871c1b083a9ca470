/* SPDX-License-Identifier: ISC */
/*
 * The names of a persona's files, region by region. Reads and writes no byte of them.
 */
#include "image-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "image-incoming.h"
#include "log.h"
#include "privdir.h"
#include "vault.h"

#define FILE_PATH_MAX	IMAGE_FILES_PATH_MAX
#define TEMPLATE_BYTES	32u

/* "kernel", "initrd", "disk0.img": region i of the plan. */
static void
file_name(const struct space_plan *plan, size_t i, char name[32])
{
	unsigned int disk = 0;

	for (size_t k = 0; k < i; k++)
		disk += plan->regions[k].kind == SPACE_DISK;
	if (plan->regions[i].kind == SPACE_DISK)
		snprintf(name, 32, "disk%u.img", disk);
	else
		snprintf(name, 32, "%s", plan->regions[i].kind ==
		    SPACE_KERNEL ? "kernel" : "initrd");
}

/* --- descriptors ---------------------------------------------------------------- */

void
image_files_init(struct image_files *f)
{
	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < REGIONS_MAX; i++)
		for (size_t k = 0; k < SPACE_REGION_FDS; k++)
			f->fds[i][k] = -1;
}

void
image_files_close(struct image_files *f)
{
	for (size_t i = 0; i < REGIONS_MAX; i++)
		for (size_t k = 0; k < SPACE_REGION_FDS; k++)
			if (f->fds[i][k] >= 0)
				close(f->fds[i][k]);
	image_files_init(f);
}

static int
open_sized(const char *path, uint64_t bytes, int *fdp)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
		r = -EUCLEAN;
	if (r < 0) {
		log_warn_r(r, "%s", path);
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

/* A disk with a map beside it shares blocks of the template that it names. */
static int
open_layers(struct image_files *f, size_t i, const struct daemon *d,
    const char *dir, const char *name, const Persona__Spec__Disk *disk)
{
	char path[FILE_PATH_MAX + 64], root[2 * TEMPLATE_BYTES + 1];
	int fd;

	snprintf(path, sizeof(path), "%s/%.5s.map", dir, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return errno == ENOENT ? 0 : -errno;
	f->fds[i][1] = fd;
	if (!disk->has_template_root ||
	    disk->template_root.len != TEMPLATE_BYTES)
		return -EUCLEAN;
	for (size_t k = 0; k < TEMPLATE_BYTES; k++)
		snprintf(root + 2 * k, 3, "%02x", disk->template_root.data[k]);
	snprintf(path, sizeof(path), "%s/templates/%s/%s",
	    d->conf.state_dir, root, name);
	f->n_fds[i] = SPACE_REGION_FDS;
	return open_sized(path, f->plan.regions[i].bytes,
	    &f->fds[i][2]);
}

static int
open_region(struct image_files *f, size_t i, const struct daemon *d,
    const char *dir, const Persona__Spec__Spec *spec)
{
	const struct space_region *region = &f->plan.regions[i];
	char path[FILE_PATH_MAX + 64], name[32];
	int r;

	file_name(&f->plan, i, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f->n_fds[i] = 1;
	if ((r = open_sized(path, region->bytes, &f->fds[i][0])) < 0)
		return r;
	/* Disks stand behind RAM in the order of the spec. */
	return region->kind == SPACE_DISK ?
	    open_layers(f, i, d, dir, name, spec->disks[i - 1]) : 0;
}

int
image_files_open_at(struct image_files *f, const struct daemon *d,
    const char *dir, uint64_t ram_bytes, const Persona__Spec__Spec *spec,
    const char *memory)
{
	char path[FILE_PATH_MAX + 64];
	int r;

	image_files_init(f);
	r = space_plan(&f->plan, ram_bytes, spec);
	if (r == 0 && memory != NULL) {
		snprintf(path, sizeof(path), "%s/%s", dir, memory);
		r = open_sized(path, ram_bytes, &f->fds[0][0]);
	}
	for (size_t i = 1; i < f->plan.n_regions && r == 0; i++)
		r = open_region(f, i, d, dir, spec);
	if (r < 0)
		image_files_close(f);
	return r;
}

int
image_files_open(struct image_files *f, const struct daemon *d,
    const char *id, uint64_t ram_bytes, const Persona__Spec__Spec *spec)
{
	char dir[FILE_PATH_MAX], home[IMAGE_HOME_MAX];

	snprintf(dir, sizeof(dir), "%s/%s/%s", d->conf.state_dir,
	    image_home(d, id, home), id);
	return image_files_open_at(f, d, dir, ram_bytes, spec, NULL);
}

/* Of its size, which has to outlive a power cut even if nothing is ever written. */
static int
make_file(const char *dir, const char *name, uint64_t bytes, int *fdp)
{
	char path[FILE_PATH_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	*fdp = fd;
	return ftruncate(fd, (off_t)bytes) < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* A memory file may lie one directory deeper. */
static int
make_memory(struct image_files *f, const char *dir, const char *memory)
{
	char path[FILE_PATH_MAX + 64];
	const char *slash = strchr(memory, '/');
	int r;

	if (slash != NULL) {
		snprintf(path, sizeof(path), "%s/%.*s", dir,
		    (int)(slash - memory), memory);
		if (mkdir(path, 0700) < 0)
			return -errno;
	}
	r = make_file(dir, memory, f->plan.regions[0].bytes, &f->fds[0][0]);
	return r == 0 && slash != NULL ? privdir_sync(path) : r;
}

int
image_files_size_map(int fd, uint64_t bytes)
{
	if (ftruncate(fd, (off_t)bytes) < 0)
		return -errno;
	return fallocate(fd, 0, 0, (off_t)bytes) < 0 && errno != EOPNOTSUPP ?
	    -errno : 0;
}

/* The map of a disk's own blocks, and the base that another disk has. */
static int
make_layers(struct image_files *f, size_t i, const char *dir,
    const char *image, const struct image_files *over)
{
	struct stat st;
	char name[32];
	int r;

	if (fstat(over->fds[i][1], &st) < 0)
		return -errno;
	snprintf(name, sizeof(name), "%.5s.map", image);
	f->n_fds[i] = SPACE_REGION_FDS;
	if ((r = make_file(dir, name, 0, &f->fds[i][1])) < 0 ||
	    (r = image_files_size_map(f->fds[i][1],
	    (uint64_t)st.st_size)) < 0)
		return r;
	if (fsync(f->fds[i][1]) < 0)
		return -errno;
	f->fds[i][2] = fcntl(over->fds[i][2], F_DUPFD_CLOEXEC, 0);
	return f->fds[i][2] < 0 ? -errno : 0;
}

static int
make_files(struct image_files *f, const char *dir, const char *memory,
    const struct image_files *over)
{
	char name[32];
	int r = 0;

	if (mkdir(dir, 0700) < 0)
		return -errno;
	if (memory != NULL)
		r = make_memory(f, dir, memory);
	for (size_t i = 1; i < f->plan.n_regions && r == 0; i++) {
		file_name(&f->plan, i, name);
		f->n_fds[i] = 1;
		r = make_file(dir, name, f->plan.regions[i].bytes,
		    &f->fds[i][0]);
		if (r == 0 && over != NULL &&
		    over->n_fds[i] == SPACE_REGION_FDS)
			r = make_layers(f, i, dir, name, over);
	}
	return r == 0 ? privdir_sync(dir) : r;
}

int
image_files_make_at(struct image_files *f, const char *dir,
    uint64_t ram_bytes, const Persona__Spec__Spec *spec, const char *memory,
    const struct image_files *over)
{
	int r;

	image_files_init(f);
	if ((r = space_plan(&f->plan, ram_bytes, spec)) < 0)
		return r;
	if ((r = make_files(f, dir, memory, over)) == 0)
		r = privdir_sync_parent(dir);
	if (r < 0) {
		image_files_close(f);
		if (r != -EEXIST)
			(void)privdir_remove(dir);
	}
	return r;
}

int
image_files_make(struct image_files *f, const struct daemon *d,
    const char *id, uint64_t attempt, uint64_t ram_bytes,
    const Persona__Spec__Spec *spec)
{
	char dir[FILE_PATH_MAX];
	int r;

	image_files_init(f);
	r = space_plan(&f->plan, ram_bytes, spec);
	if (r < 0 || f->plan.n_regions == 1)
		return r;
	/* What an attempt of that number left here, from another source, is void. */
	image_incoming_drop(d, id, attempt);
	return image_files_make_at(f,
	    image_incoming_place(d, id, attempt, dir),
	    ram_bytes, spec, NULL, NULL);
}

static int
open_state(const char *dir, const char *name, int flags)
{
	char path[FILE_PATH_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd >= 0 ? fd : -errno;
}

int
image_state_open(const char *dir, const char *name)
{
	return open_state(dir, name, O_RDONLY);
}

int
image_state_make(const char *dir, const char *name)
{
	return open_state(dir, name, O_RDWR | O_CREAT | O_EXCL);
}

uint64_t
image_files_stored(const struct image_files *f)
{
	uint64_t sum = 0;
	struct stat st;

	/* Of a layered disk the base too: it goes along, block by block. */
	for (size_t i = 0; i < f->plan.n_regions; i++)
		for (size_t k = 0; k < SPACE_REGION_FDS; k++)
			if (k != 1 && f->fds[i][k] >= 0 &&
			    fstat(f->fds[i][k], &st) == 0)
				sum += (uint64_t)st.st_blocks * 512;
	return sum;
}

size_t
image_files_describe(const struct image_files *f, int ram_fd,
    Persona__Transfer__Region regions[REGIONS_MAX],
    Persona__Transfer__Region *list[REGIONS_MAX], int fds[IPC_MAX_FDS])
{
	size_t n = 0;

	for (size_t i = 0; i < f->plan.n_regions; i++) {
		Persona__Transfer__Region *r = list[i] = &regions[i];

		persona__transfer__region__init(r);
		r->kind = (Persona__Transfer__Region__Kind)
		    f->plan.regions[i].kind;
		r->bytes = f->plan.regions[i].bytes;
		r->has_fds = 1;
		r->fds = i == 0 ? ram_fd >= 0 : (uint32_t)f->n_fds[i];
		if (i == 0 && ram_fd >= 0)
			fds[n++] = ram_fd;
		for (size_t k = 0; i > 0 && k < f->n_fds[i]; k++)
			fds[n++] = f->fds[i][k];
	}
	return n;
}
