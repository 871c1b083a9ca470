/* SPDX-License-Identifier: ISC */
/*
 * Boot files in images/<id>, copied into images/<id>.new and renamed when all of
 * it is on disk. Knows no file format: the hypervisor judges the bytes.
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
#include "log.h"
#include "privdir.h"
#include "registry.h"

/* One step of a copy: short enough that the loop goes on serving. */
#define STEP_BYTES	(4u << 20)
#define IMAGE_PATH_MAX	(CONF_STATE_DIR_MAX + 64)

struct image_copy {
	struct daemon	*daemon;
	char		id[PERSONA_ID_LEN + 1];
	int		from[2], to[2];		/* kernel, initrd; -1: none */
	int		now;			/* which one is being copied */
	struct event	*ev;
	image_done_fn	*done;
	void		*arg;
};

static const char *const file_names[2] = { "kernel", "initrd" };

static const char *
image_path(const struct daemon *d, const char *id, const char *tail,
    char buf[IMAGE_PATH_MAX])
{
	snprintf(buf, IMAGE_PATH_MAX, "%s/images/%s%s", d->conf.state_dir, id,
	    tail);
	return buf;
}

int
image_open_source(const char *path, uid_t uid, gid_t gid, int *fdp)
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
	else if ((uint64_t)st.st_size > BOOT_FILE_MAX_BYTES)
		r = -EFBIG;
	if (r < 0) {
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

static void
remove_tree(const struct daemon *d, const char *id, const char *suffix)
{
	char path[IMAGE_PATH_MAX], tail[32];

	for (int i = 0; i < 2; i++) {
		snprintf(tail, sizeof(tail), "%s/%s", suffix, file_names[i]);
		(void)unlink(image_path(d, id, tail, path));
	}
	if (rmdir(image_path(d, id, suffix, path)) < 0 && errno != ENOENT)
		log_warn_r(-errno, "image %s: cannot be removed", path);
}

static void
copy_free(struct image_copy *c)
{
	for (int i = 0; i < 2; i++) {
		if (c->from[i] >= 0)
			close(c->from[i]);
		if (c->to[i] >= 0)
			close(c->to[i]);
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
	int r;

	image_path(c->daemon, c->id, ".new", made);
	image_path(c->daemon, c->id, "", final);
	if ((r = privdir_sync(made)) < 0)
		return r;
	if (rename(made, final) < 0)
		return -errno;
	return privdir_sync(image_path(c->daemon, "", "", dir));
}

/* Shared blocks where the file system can, a plain copy across file systems. */
static ssize_t
copy_some(int from, int to, size_t len)
{
	ssize_t n = copy_file_range(from, NULL, to, NULL, len, 0);

	if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
	    errno == EOPNOTSUPP))
		n = sendfile(to, from, NULL, len);
	return n < 0 ? -errno : n;
}

/* 1: this file is whole; 0: more to come; -errno. */
static int
copy_step(struct image_copy *c)
{
	size_t left = STEP_BYTES;
	ssize_t n;

	while (left > 0) {
		n = copy_some(c->from[c->now], c->to[c->now], left);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		left -= (size_t)n;
	}
	/* Step by step, so that the last one has little left to wait for. */
	if (fdatasync(c->to[c->now]) < 0)
		return -errno;
	return left > 0 ? 1 : 0;
}

static void
copy_cb(evutil_socket_t fd, short what, void *arg)
{
	struct image_copy *c = arg;
	image_done_fn *done = c->done;
	void *done_arg = c->arg;
	int r = copy_step(c);

	(void)fd;
	(void)what;
	if (r == 1 && c->now == 0 && c->from[1] >= 0) {
		c->now = 1;
		r = 0;
	}
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

int
image_create(struct image_copy **cp, struct daemon *d, const char *id,
    int kernel_fd, int initrd_fd, image_done_fn *done, void *arg)
{
	struct image_copy *c = calloc(1, sizeof(*c));
	char path[IMAGE_PATH_MAX], tail[32];
	int r = -ENOMEM;

	if (c == NULL) {
		close(kernel_fd);
		if (initrd_fd >= 0)
			close(initrd_fd);
		return -ENOMEM;
	}
	c->daemon = d;
	c->done = done;
	c->arg = arg;
	c->from[0] = kernel_fd;
	c->from[1] = initrd_fd;
	c->to[0] = c->to[1] = -1;
	snprintf(c->id, sizeof(c->id), "%s", id);
	if ((c->ev = event_new(d->base, -1, 0, copy_cb, c)) == NULL)
		goto fail;
	if (mkdir(image_path(d, id, ".new", path), 0700) < 0) {
		r = -errno;
		goto fail;
	}
	for (int i = 0; i < 2; i++) {
		if (c->from[i] < 0)
			continue;
		snprintf(tail, sizeof(tail), ".new/%s", file_names[i]);
		c->to[i] = open(image_path(d, id, tail, path),
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (c->to[i] < 0) {
			r = -errno;
			remove_tree(d, id, ".new");
			goto fail;
		}
	}
	event_active(c->ev, EV_TIMEOUT, 0);
	*cp = c;
	return 0;
fail:
	copy_free(c);
	return r;
}

int
image_open(struct daemon *d, const char *id, int *kernel_fd, int *initrd_fd)
{
	char path[IMAGE_PATH_MAX];

	*kernel_fd = open(image_path(d, id, "/kernel", path),
	    O_RDONLY | O_CLOEXEC);
	if (*kernel_fd < 0)
		return -errno;
	*initrd_fd = open(image_path(d, id, "/initrd", path),
	    O_RDONLY | O_CLOEXEC);
	if (*initrd_fd < 0 && errno != ENOENT) {
		int r = -errno;

		close(*kernel_fd);
		return r;
	}
	return 0;
}

void
image_remove(struct daemon *d, const char *id)
{
	remove_tree(d, id, "");
}

void
image_sweep(struct daemon *d)
{
	char path[IMAGE_PATH_MAX], id[PERSONA_ID_LEN + 1];
	struct dirent *e;
	DIR *dir;

	if ((dir = opendir(image_path(d, "", "", path))) == NULL)
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
