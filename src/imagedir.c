/* SPDX-License-Identifier: ISC */
/*
 * Opens, makes, publishes and removes image directories. Knows no registry and no
 * process.
 */
#include "imagedir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "privdir.h"

#define DEPTH_MAX	4	/* checkpoints/N is two */

/* --- the regions ----------------------------------------------------------------------- */

static void
add_region(struct imagedir *i, Persona__Transfer__Region__Kind kind,
    uint64_t bytes)
{
	Persona__Transfer__Region *r = &i->regions[i->n_regions];

	persona__transfer__region__init(r);
	r->kind = kind;
	r->bytes = bytes;
	r->has_fds = true;
	i->list[i->n_regions++] = r;
}

/* The spec is within its bounds (spec_check), so they all fit. */
static void
list_regions(struct imagedir *i, const Persona__Transfer__Persona *p)
{
	const Persona__Spec__Spec *s = p->spec;

	memset(i, 0, sizeof(*i));
	add_region(i, PERSONA__TRANSFER__REGION__KIND__RAM, p->ram_bytes);
	if (s == NULL)
		return;
	for (size_t n = 0; n < s->n_disks && n < DISKS_MAX; n++)
		add_region(i, PERSONA__TRANSFER__REGION__KIND__DISK,
		    s->disks[n]->bytes);
	if (s->kernel != NULL)
		add_region(i, PERSONA__TRANSFER__REGION__KIND__KERNEL,
		    s->kernel->bytes);
	if (s->initrd != NULL)
		add_region(i, PERSONA__TRANSFER__REGION__KIND__INITRD,
		    s->initrd->bytes);
}

void
imagedir_close(struct imagedir *i)
{
	for (size_t n = 0; n < i->n_fds; n++)
		close(i->fds[n]);
	i->n_fds = 0;
}

/* The file of region n, without its directory. */
static void
file_name(char out[NAME_MAX], const struct imagedir *i, size_t n,
    const struct imagedir_memory *memory)
{
	switch (i->regions[n].kind) {
	case PERSONA__TRANSFER__REGION__KIND__RAM:
		snprintf(out, NAME_MAX, "%s%smemory", memory->sub,
		    memory->sub[0] != '\0' ? "/" : "");
		break;
	case PERSONA__TRANSFER__REGION__KIND__DISK:
		/* Disks stand right after memory. */
		snprintf(out, NAME_MAX, "disk%zu.img", n - 1);
		break;
	case PERSONA__TRANSFER__REGION__KIND__KERNEL:
		snprintf(out, NAME_MAX, "kernel");
		break;
	default:
		snprintf(out, NAME_MAX, "initrd");
		break;
	}
}

static bool
has_file(const struct imagedir *i, size_t n,
    const struct imagedir_memory *memory)
{
	return i->regions[n].kind != PERSONA__TRANSFER__REGION__KIND__RAM ||
	    memory->state_bytes > 0;
}

static int
add_file(struct imagedir *i, const char *dir, const char *name, int flags,
    uint64_t bytes)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if ((flags & O_CREAT) != 0 && ftruncate(fd, (off_t)bytes) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	i->fds[i->n_fds++] = fd;
	return 0;
}

/* --- to be read -------------------------------------------------------------------------- */

/* The map of a disk over a template, and the template's disk. */
static int
add_layers(struct imagedir *i, const char *dir, const char *templates_dir,
    const Persona__Spec__Disk *disk, size_t n)
{
	char name[NAME_MAX], hex[2 * 32 + 1] = "";
	int r;

	snprintf(name, sizeof(name), "disk%zu.map", n);
	r = add_file(i, dir, name, O_RDONLY, 0);
	if (r < 0)	/* it came here whole, by a move or from a file */
		return r == -ENOENT ? 0 : r;
	for (size_t k = 0; k < disk->template_root.len && k < 32; k++)
		snprintf(hex + 2 * k, 3, "%02x", disk->template_root.data[k]);
	snprintf(name, sizeof(name), "%s/disk%zu.img", hex, n);
	return add_file(i, templates_dir, name, O_RDONLY, 0);
}

int
imagedir_open(struct imagedir *i, const char *dir, const char *templates_dir,
    const Persona__Transfer__Persona *persona,
    const struct imagedir_memory *memory, const char **what)
{
	char name[NAME_MAX];
	int r = 0;

	*what = "its files";
	list_regions(i, persona);
	for (size_t n = 0; n < i->n_regions && r == 0; n++) {
		const bool disk = i->regions[n].kind ==
		    PERSONA__TRANSFER__REGION__KIND__DISK;
		size_t before = i->n_fds;

		if (!has_file(i, n, memory))
			continue;
		*what = disk ? "its disk" : n == 0 ? "its memory" :
		    "its boot files";
		file_name(name, i, n, memory);
		r = add_file(i, dir, name, O_RDONLY, 0);
		if (r == 0 && disk &&
		    persona->spec->disks[n - 1]->has_template_root)
			r = add_layers(i, dir, templates_dir,
			    persona->spec->disks[n - 1], n - 1);
		i->regions[n].fds = (uint32_t)(i->n_fds - before);
	}
	if (r == 0 && memory->state_bytes > 0) {
		*what = "its machine state";
		snprintf(name, sizeof(name), "%s%sstate", memory->sub,
		    memory->sub[0] != '\0' ? "/" : "");
		r = add_file(i, dir, name, O_RDONLY, 0);
	}
	if (r < 0)
		imagedir_close(i);
	return r;
}

/* --- to be filled ------------------------------------------------------------------------ */

static int
make_dirs(const char *dir, const struct imagedir_memory *memory)
{
	char path[PATH_MAX];

	if (mkdir(dir, 0700) < 0)
		return -errno;
	if (memory->state_bytes == 0 || memory->sub[0] == '\0')
		return 0;
	if (snprintf(path, sizeof(path), "%s/%s", dir, memory->sub) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int
make_files(struct imagedir *i, const char *dir,
    const struct imagedir_memory *memory)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL;
	char name[NAME_MAX];
	int r;

	for (size_t n = 0; n < i->n_regions; n++) {
		if (!has_file(i, n, memory))
			continue;
		file_name(name, i, n, memory);
		if ((r = add_file(i, dir, name, flags,
		    i->regions[n].bytes)) < 0)
			return r;
		i->regions[n].fds = 1;
	}
	if (memory->state_bytes == 0)
		return 0;
	snprintf(name, sizeof(name), "%s%sstate", memory->sub,
	    memory->sub[0] != '\0' ? "/" : "");
	return add_file(i, dir, name, flags, 0);
}

int
imagedir_make(struct imagedir *i, const char *dir,
    const Persona__Transfer__Persona *persona,
    const struct imagedir_memory *memory)
{
	int r;

	list_regions(i, persona);
	if ((r = make_dirs(dir, memory)) == 0)
		r = make_files(i, dir, memory);
	if (r < 0) {
		imagedir_close(i);
		if (r != -EEXIST)
			imagedir_remove(dir);
	}
	return r;
}

int
imagedir_put(const char *dir, const char *name, const void *data, size_t len)
{
	struct imagedir one = { .n_fds = 0 };
	const uint8_t *p = data;
	int r;

	if ((r = add_file(&one, dir, name, O_WRONLY | O_CREAT | O_EXCL,
	    0)) < 0)
		return r;
	while (r == 0 && len > 0) {
		ssize_t n = write(one.fds[0], p, len);

		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	if (r == 0 && fsync(one.fds[0]) < 0)
		r = -errno;
	imagedir_close(&one);
	return r;
}

/* --- in place ---------------------------------------------------------------------------- */

int
imagedir_publish(const char *made, const char *dir)
{
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/" IMAGEDIR_SUSPENDED, made) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, F_OK) == 0 && (r = privdir_sync(path)) < 0)
		return r;
	if ((r = privdir_sync(made)) < 0)
		return r;
	/* Onto nothing or an empty directory, never over an image. */
	if (rename(made, dir) < 0)
		return errno == ENOTEMPTY ? -EEXIST : -errno;
	return privdir_sync_parent(dir);
}

static void
remove_at(int at, const char *name, int depth)
{
	struct dirent *e;
	DIR *d;
	int fd;

	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, e->d_name, 0) < 0 && errno == EISDIR &&
		    depth < DEPTH_MAX)
			remove_at(fd, e->d_name, depth + 1);
	}
	closedir(d);
	if (unlinkat(at, name, AT_REMOVEDIR) < 0)
		log_warn_r(-errno, "image %s: cannot be removed", name);
}

void
imagedir_remove(const char *dir)
{
	remove_at(AT_FDCWD, dir, 0);
}
