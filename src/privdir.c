/* SPDX-License-Identifier: ISC */
/*
 * Checking a private directory the way sshd's StrictModes does, except that it
 * forgives sticky parents such as /tmp. Knows nothing of what is kept there.
 */
#include "privdir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static int
check_one(const char *path, bool innermost)
{
	const mode_t others = S_IWGRP | S_IWOTH;
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode) &&
	    (st.st_uid == geteuid() || (st.st_uid == 0 && !innermost)) &&
	    ((st.st_mode & others) == 0 ||
	    (!innermost && (st.st_mode & S_ISVTX) != 0)))
		return 0;
	log_err("%s: must be a directory that only %s can change", path,
	    innermost ? "we" : "root or we");
	return -EPERM;
}

int
privdir_check(const char *path)
{
	char part[PATH_MAX], *slash;
	int r;

	if (realpath(path, part) == NULL)
		return -errno;
	r = check_one(part, true);
	while (r == 0 && (slash = strrchr(part, '/')) != NULL &&
	    slash[1] != '\0') {
		slash[slash == part] = '\0';	/* keep the root's own slash */
		r = check_one(part, false);
	}
	return r;
}

static int
write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Is there such a file of ours already, with this text to its end? */
static bool
stands_so(const char *path, const char *text, unsigned int mode)
{
	const size_t len = strlen(text);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	bool same = false;
	char *old;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 07777) == mode && st.st_uid == geteuid() &&
	    (size_t)st.st_size == len && (old = malloc(len + 1)) != NULL) {
		same = read(fd, old, len + 1) == (ssize_t)len &&
		    memcmp(old, text, len) == 0;
		free(old);
	}
	close(fd);
	return same;
}

int
privdir_write(const char *dir, const char *name, const char *text,
    unsigned int mode)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int fd = -1, r;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path) ||
	    snprintf(fresh, sizeof(fresh), "%s/%s.new", dir, name) >=
	    (int)sizeof(fresh))
		return -ENAMETOOLONG;
	/* Storage that is full has no room for the same once more. */
	if (stands_so(path, text, mode))
		return 0;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
	    mode);
	if (fd < 0)
		return -errno;
	if ((r = write_all(fd, text, strlen(text))) < 0)
		goto out;
	r = rename(fresh, path) < 0 ? -errno : 0;
out:
	close(fd);
	if (r < 0)
		unlink(fresh);
	return r;
}

int
privdir_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

int
privdir_sync_parent(const char *path)
{
	char dir[PATH_MAX], *slash;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	if ((slash = strrchr(dir, '/')) == NULL)
		return -EINVAL;
	*slash = '\0';
	return privdir_sync(dir);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path) < 0 ? -errno : 0;
}

int
privdir_remove(const char *path)
{
	int r = nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);

	/* What it met by itself stands in errno, what we met is the result. */
	return r == -1 ? -errno : r;
}
