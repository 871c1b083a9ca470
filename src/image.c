/* SPDX-License-Identifier: ISC */
/*
 * Boot files and disks in images/<id>, copied into images/<id>.new and renamed when
 * all of it is on disk. Knows no file format: the hypervisor judges the bytes.
 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounds.h"
#include "daemon.h"
#include "imagedir.h"
#include "privdir.h"
#include "registry.h"
#include "vault.h"

/* One step of a copy: short enough that the loop goes on serving. */
#define STEP_BYTES	(4u << 20)
#define IMAGE_PATH_MAX	(CONF_STATE_DIR_MAX + 96)

/* What a copy makes, in this order. */
enum { KERNEL, INITRD, DISK0, N_COPIES = DISK0 + DISKS_MAX };

struct image_copy {
	struct daemon	*daemon;
	char		id[PERSONA_ID_LEN + 1];
	struct copy {
		int	from;			/* -1: zeroes */
		int	to;			/* -1: there is no such file */
		uint64_t at, bytes;
	} files[N_COPIES];
	int		now;			/* which one is being copied */
	struct event	*ev;
	image_done_fn	*done;
	void		*arg;
};

static const char *const copy_names[N_COPIES] = {
	"kernel", "initrd", "disk0.img", "disk1.img",
};

static const char *
image_path(const struct daemon *d, const char *id, const char *tail,
    char buf[IMAGE_PATH_MAX])
{
	char home[IMAGE_HOME_MAX];

	snprintf(buf, IMAGE_PATH_MAX, "%s/%s/%s%s", d->conf.state_dir,
	    image_home(d, id, home), id, tail);
	return buf;
}

int
image_open_source(const char *path, uid_t uid, gid_t gid, uint64_t max_bytes,
    int *fdp, uint64_t *bytes)
{
	struct stat st;
	int fd, r = 0;

	if (path[0] != '/')
		return -EINVAL;
	/* A member of the group asks us to read; our own rights do not count. */
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
		r = -errno;
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size == 0)
		r = -EINVAL;
	else if ((uint64_t)st.st_size > max_bytes)
		r = -EFBIG;
	if (r < 0) {
		close(fd);
		return r;
	}
	*fdp = fd;
	if (bytes != NULL)
		*bytes = (uint64_t)st.st_size;
	return 0;
}

void
image_sources_init(struct image_sources *s)
{
	*s = (struct image_sources){ .kernel_fd = -1, .initrd_fd = -1 };
	for (size_t i = 0; i < DISKS_MAX; i++)
		s->disks[i].fd = -1;
}

static void
close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
image_sources_close(struct image_sources *s)
{
	close_fd(s->kernel_fd);
	close_fd(s->initrd_fd);
	for (size_t i = 0; i < DISKS_MAX; i++)
		close_fd(s->disks[i].fd);
	image_sources_init(s);
}

static void
remove_tree(const struct daemon *d, const char *id, const char *suffix)
{
	char path[IMAGE_PATH_MAX];

	imagedir_remove(image_path(d, id, suffix, path));
}

static void
copy_free(struct image_copy *c)
{
	for (size_t i = 0; i < N_COPIES; i++) {
		close_fd(c->files[i].from);
		close_fd(c->files[i].to);
	}
	if (c->ev != NULL)
		event_free(c->ev);
	free(c);
}

/* Everything is written: give it its name. */
static int
publish(struct image_copy *c)
{
	char made[IMAGE_PATH_MAX], final[IMAGE_PATH_MAX], dir[IMAGE_PATH_MAX];
	char home[IMAGE_HOME_MAX];
	int r;

	image_path(c->daemon, c->id, ".new", made);
	image_path(c->daemon, c->id, "", final);
	if ((r = privdir_sync(made)) < 0)
		return r;
	if (rename(made, final) < 0)
		return -errno;
	snprintf(dir, sizeof(dir), "%s/%s", c->daemon->conf.state_dir,
	    image_home(c->daemon, c->id, home));
	return privdir_sync(dir);
}

/* Shared blocks where the file system can, a plain copy across file systems. */
static ssize_t
copy_some(const struct copy *f, size_t len)
{
	off_t in = (off_t)f->at, out = (off_t)f->at;
	ssize_t n = copy_file_range(f->from, &in, f->to, &out, len, 0);

	if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
	    errno == EOPNOTSUPP) &&
	    lseek(f->to, (off_t)f->at, SEEK_SET) >= 0) {
		in = (off_t)f->at;
		n = sendfile(f->to, f->from, &in, len);
	}
	return n < 0 ? -errno : n;
}

/* Pass over a hole: 1 with *len bytes of data ahead, 0 at the end. */
static int
next_data(struct copy *f, size_t *len)
{
	off_t data = f->from < 0 ? -1 : lseek(f->from, (off_t)f->at, SEEK_DATA);
	off_t hole;

	if (data < 0 || (uint64_t)data >= f->bytes) {
		f->at = f->bytes;
		return 0;
	}
	f->at = (uint64_t)data;
	hole = lseek(f->from, data, SEEK_HOLE);
	if (hole <= data || (uint64_t)hole > f->bytes)
		hole = (off_t)f->bytes;
	if (*len > (size_t)(hole - data))
		*len = (size_t)(hole - data);
	return 1;
}

/* 1: this file is whole; 0: more to come; -errno. */
static int
copy_step(struct copy *f)
{
	size_t left = STEP_BYTES;

	while (left > 0 && f->at < f->bytes) {
		size_t len = left;
		ssize_t n;

		if (next_data(f, &len) == 0)
			break;
		if ((n = copy_some(f, len)) < 0)
			return (int)n;
		if (n == 0)		/* it has shrunk under us */
			return -EIO;
		f->at += (uint64_t)n;
		left -= (size_t)n;
	}
	/* Step by step, so that the last one has little left to wait for. */
	if (fdatasync(f->to) < 0)
		return -errno;
	return f->at >= f->bytes;
}

static void
copy_cb(evutil_socket_t fd, short what, void *arg)
{
	struct image_copy *c = arg;
	image_done_fn *done = c->done;
	void *done_arg = c->arg;
	int r = copy_step(&c->files[c->now]);

	(void)fd;
	(void)what;
	while (r == 1 && ++c->now < N_COPIES)
		if (c->files[c->now].to >= 0)
			r = 0;
	if (r == 0) {
		event_active(c->ev, EV_TIMEOUT, 0);
		return;
	}
	if (r == 1)
		r = publish(c);
	if (r < 0)
		remove_tree(c->daemon, c->id, ".new");
	copy_free(c);
	done(done_arg, r);
}

/* Make the empty file number i, at its full size. */
static int
copy_begin(struct image_copy *c, size_t i, int from, uint64_t bytes)
{
	char path[IMAGE_PATH_MAX], tail[32];
	struct copy *f = &c->files[i];
	struct stat st;

	f->bytes = bytes;
	if (bytes == 0 && fstat(from, &st) == 0)
		f->bytes = (uint64_t)st.st_size;
	snprintf(tail, sizeof(tail), ".new/%s", copy_names[i]);
	f->to = open(image_path(c->daemon, c->id, tail, path),
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (f->to < 0 || ftruncate(f->to, (off_t)f->bytes) < 0)
		return -errno;
	return 0;
}

static int
copies_begin(struct image_copy *c, size_t n_disks,
    const uint64_t disk_bytes[DISKS_MAX])
{
	int r = copy_begin(c, KERNEL, c->files[KERNEL].from, 0);

	if (r == 0 && c->files[INITRD].from >= 0)
		r = copy_begin(c, INITRD, c->files[INITRD].from, 0);
	for (size_t i = 0; i < n_disks && r == 0; i++)
		r = copy_begin(c, DISK0 + i, c->files[DISK0 + i].from,
		    disk_bytes[i]);
	return r;
}

/* Take the sources over; NULL, and they are closed, when there is no memory. */
static struct image_copy *
copy_new(struct daemon *d, const char *id, struct image_sources *from)
{
	struct image_copy *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		image_sources_close(from);
		return NULL;
	}
	c->daemon = d;
	snprintf(c->id, sizeof(c->id), "%s", id);
	for (size_t i = 0; i < N_COPIES; i++)
		c->files[i].to = -1;
	c->files[KERNEL].from = from->kernel_fd;
	c->files[INITRD].from = from->initrd_fd;
	for (size_t i = 0; i < DISKS_MAX; i++)
		c->files[DISK0 + i].from = from->disks[i].fd;
	return c;
}

int
image_create(struct image_copy **cp, struct daemon *d, const char *id,
    struct image_sources *from, image_done_fn *done, void *arg)
{
	struct image_copy *c = copy_new(d, id, from);
	uint64_t disk_bytes[DISKS_MAX];
	char path[IMAGE_PATH_MAX];
	size_t n_disks = from->n_disks;
	int r = -ENOMEM;

	if (c == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < DISKS_MAX; i++)
		disk_bytes[i] = from->disks[i].bytes;
	image_sources_init(from);	/* ours now */
	c->done = done;
	c->arg = arg;
	if ((c->ev = event_new(d->base, -1, 0, copy_cb, c)) == NULL)
		goto fail;
	if (mkdir(image_path(d, id, ".new", path), 0700) < 0) {
		r = -errno;
		goto fail;
	}
	if ((r = copies_begin(c, n_disks, disk_bytes)) < 0) {
		remove_tree(d, id, ".new");
		goto fail;
	}
	event_active(c->ev, EV_TIMEOUT, 0);
	*cp = c;
	return 0;
fail:
	copy_free(c);
	return r;
}

void
image_remove(struct daemon *d, const char *id)
{
	if (vault_state(d, id) == VAULT_ABSENT)
		remove_tree(d, id, "");
	else
		vault_remove(d, id);
}

void
image_sweep(struct daemon *d)
{
	char path[IMAGE_PATH_MAX], id[PERSONA_ID_LEN + 1];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/images", d->conf.state_dir);
	if ((dir = opendir(path)) == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		if (strlen(e->d_name) != PERSONA_ID_LEN + 4 ||
		    strcmp(e->d_name + PERSONA_ID_LEN, ".new") != 0)
			continue;
		snprintf(id, sizeof(id), "%.32s", e->d_name);
		remove_tree(d, id, ".new");
	}
	closedir(dir);
}
