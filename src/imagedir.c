/* SPDX-License-Identifier: ISC */
/*
 * Publishes and removes image directories. Knows no registry and no process, and of
 * the files only where a suspended persona's lie.
 */
#include "imagedir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"
#include "privdir.h"

static int
write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int
imagedir_put(const char *dir, const char *name, const void *data, size_t len)
{
	char path[PATH_MAX];
	int fd, r;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

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

void
imagedir_remove(const char *dir)
{
	int r = privdir_remove(dir);

	if (r < 0 && r != -ENOENT)
		log_warn_r(r, "%s: cannot be removed", dir);
}
