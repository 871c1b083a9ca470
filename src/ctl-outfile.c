/* SPDX-License-Identifier: ISC */
/*
 * Nameless files where the file system has them (a kill leaves nothing behind),
 * FILE.part elsewhere, which is what sticks and cards need. Knows no content.
 */
#include "ctl-outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE	0600	/* a persona is a private thing */

static int
open_stdout(const struct ctl *ctl, struct outfile *o)
{
	if (isatty(STDOUT_FILENO))
		return ctl_usage(ctl, "standard output is a terminal; send it "
		    "into a pipe or a file");
	o->direct = true;
	if ((o->fd = dup(STDOUT_FILENO)) < 0)
		return ctl_fail(ctl, "standard output: %s", strerror(errno));
	return CTL_OK;
}

/* Something has that name: a pipe or a device is meant to be written to. */
static int
open_special(const struct ctl *ctl, struct outfile *o, const struct stat *st)
{
	if (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode))
		return ctl_fail(ctl, "%s is there already; it is not "
		    "overwritten. Remove it, or choose another name", o->path);
	o->direct = true;
	if ((o->fd = open(o->path, O_WRONLY | O_CLOEXEC)) < 0)
		return ctl_fail(ctl, "%s: %s", o->path, strerror(errno));
	return CTL_OK;
}

static const char *
directory_of(const char *path, char buf[PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s", path);
	return dirname(buf);
}

static int
open_new(const struct ctl *ctl, struct outfile *o)
{
	char buf[PATH_MAX];

	o->fd = open(directory_of(o->path, buf), O_TMPFILE | O_RDWR | O_CLOEXEC,
	    MODE);
	if (o->fd >= 0)
		return CTL_OK;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return ctl_fail(ctl, "%s: %s", o->path, strerror(errno));
	if (snprintf(o->part, sizeof(o->part), "%s.part", o->path) >=
	    (int)sizeof(o->part))
		return ctl_fail(ctl, "%s: %s", o->path, strerror(ENAMETOOLONG));
	o->fd = open(o->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
	if (o->fd >= 0)
		return CTL_OK;
	if (errno == EEXIST)
		(void)ctl_fail(ctl, "%s is left from an earlier export, or "
		    "another is under way; if not, remove it", o->part);
	else
		(void)ctl_fail(ctl, "%s: %s", o->part, strerror(errno));
	o->part[0] = '\0';
	return CTL_FAILED;
}

int
outfile_open(const struct ctl *ctl, struct outfile *o, const char *path)
{
	struct stat st;

	memset(o, 0, sizeof(*o));
	o->fd = -1;
	if (strcmp(path, "-") == 0)
		return open_stdout(ctl, o);
	if (snprintf(o->path, sizeof(o->path), "%s", path) >=
	    (int)sizeof(o->path))
		return ctl_fail(ctl, "%s", strerror(ENAMETOOLONG));
	if (lstat(path, &st) == 0)
		return open_special(ctl, o, &st);
	return open_new(ctl, o);
}

/* Where the file system cannot promise, look first. */
static int
rename_part(const struct outfile *o)
{
	struct stat st;

	if (renameat2(AT_FDCWD, o->part, AT_FDCWD, o->path,
	    RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (lstat(o->path, &st) == 0)
		return -EEXIST;
	return rename(o->part, o->path) < 0 ? -errno : 0;
}

static int
link_nameless(const struct outfile *o)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", o->fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, o->path, AT_SYMLINK_FOLLOW) < 0 ?
	    -errno : 0;
}

static int
sync_directory(const struct outfile *o)
{
	char buf[PATH_MAX];
	int fd = open(directory_of(o->path, buf), O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
		r = -errno;
	close(fd);
	return r;
}

int
outfile_publish(const struct ctl *ctl, struct outfile *o)
{
	int r;

	if (o->direct)
		return CTL_OK;
	r = o->part[0] != '\0' ? rename_part(o) : link_nameless(o);
	if (r == -EEXIST)
		return ctl_fail(ctl, "%s has come in the meantime; it is not "
		    "overwritten", o->path);
	if (r < 0)
		return ctl_fail(ctl, "%s: %s", o->path, strerror(-r));
	o->part[0] = '\0';
	if ((r = sync_directory(o)) < 0)
		return ctl_fail(ctl, "%s is there, but may not outlive a power "
		    "cut: %s", o->path, strerror(-r));
	return CTL_OK;
}

void
outfile_close(struct outfile *o)
{
	if (o->part[0] != '\0')
		(void)unlink(o->part);
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}
