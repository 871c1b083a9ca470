/* SPDX-License-Identifier: ISC */
/*
 * Control groups as files below one directory. Deliberately knows nothing of
 * version 1: its controllers are each their own tree, and a handset new enough for
 * the rest of this has version 2.
 */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES	512
#define FILE_BYTES	(64u << 10)	/* mountinfo of a busy host */
#define PERIOD_US	100000u		/* of cpu.max, the kernel's default */
/* vCPUs, disk workers, the throttle, and room; a guest makes none of them. */
#define THREADS_MAX	"64"
#define PLACE		"persona"
#define OWN_LEAF	"daemon"	/* where a delegated personad moves to */

struct cgroups {
	int	dir;		/* the directory of our groups */
};

/* --- files ------------------------------------------------------------------ */

/* A whole small file as a string. 0 or -errno. */
static int
read_at(int dir, const char *path, char *buf, size_t size)
{
	size_t len = 0;
	int fd, r = 0;

	if ((fd = openat(dir, path, O_RDONLY | O_CLOEXEC)) < 0)
		return -errno;
	while (len < size - 1) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	close(fd);
	return r;
}

static int
write_at(int dir, const char *path, const char *text)
{
	ssize_t len = (ssize_t)strlen(text);
	int fd, r = 0;

	if ((fd = openat(dir, path, O_WRONLY | O_CLOEXEC)) < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		r = -errno;
	close(fd);
	return r;
}

static int
write_in(struct cgroups *c, const char *name, const char *file,
    const char *text)
{
	char path[CGROUP_NAME_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", name, file);
	return write_at(c->dir, path, text);
}

/* --- finding the place ------------------------------------------------------- */

int
cgroup_parse_mount(const char *mountinfo, char *path, size_t size)
{
	for (const char *line = mountinfo; *line != '\0';) {
		const char *end = line + strcspn(line, "\n");
		const char *kind = strstr(line, " - cgroup2 ");
		int start = 0, stop = 0;

		/* id parent major:minor root mount-point options... - type */
		if (kind != NULL && kind < end && sscanf(line,
		    "%*s %*s %*s %*s %n%*s%n", &start, &stop) == 0 &&
		    stop > start && line[start] == '/' &&
		    (size_t)(stop - start) < size) {
			memcpy(path, line + start, (size_t)(stop - start));
			path[stop - start] = '\0';
			return 0;
		}
		line = *end == '\n' ? end + 1 : end;
	}
	return -ENOENT;
}

int
cgroup_parse_own(const char *text, char *path, size_t size)
{
	const char *p = strncmp(text, "0::", 3) == 0 ? text :
	    strstr(text, "\n0::");
	size_t len;

	if (p == NULL)
		return -ENOENT;
	p = strstr(p, "0::") + 3;
	len = strcspn(p, "\n");
	if (len == 0 || len >= size || p[0] != '/')
		return -ENOENT;
	memcpy(path, p, len);
	path[len] = '\0';
	return 0;
}

/* The controllers we want, handed down from `dir` to its children. */
static void
hand_down(int dir)
{
	static const char *const wanted[] = { "+memory", "+cpu", "+pids" };

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		(void)write_at(dir, "cgroup.subtree_control", wanted[i]);
}

/*
 * A group that hands controllers down may hold no process itself, so a personad
 * that was given one moves into a leaf of it.
 */
static int
leave_for_leaf(int dir)
{
	if (mkdirat(dir, OWN_LEAF, 0755) < 0 && errno != EEXIST)
		return -errno;
	return write_at(dir, OWN_LEAF "/cgroup.procs", "0");
}

static int
open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The directory above our place: 0 with *fd, or -errno. */
static int
open_parent(int *fd)
{
	char mount[PATH_BYTES], own[PATH_BYTES], path[2 * PATH_BYTES];
	char *text;
	int r;

	if ((text = malloc(FILE_BYTES)) == NULL)
		return -ENOMEM;
	if ((r = read_at(AT_FDCWD, "/proc/self/mountinfo", text,
	    FILE_BYTES)) < 0 ||
	    (r = cgroup_parse_mount(text, mount, sizeof(mount))) < 0)
		goto out;
	snprintf(path, sizeof(path), "%s", mount);
	if (geteuid() != 0) {
		if ((r = read_at(AT_FDCWD, "/proc/self/cgroup", text,
		    FILE_BYTES)) < 0 ||
		    (r = cgroup_parse_own(text, own, sizeof(own))) < 0)
			goto out;
		snprintf(path, sizeof(path), "%s%s", mount, own);
	}
	if ((r = open_dir(path)) < 0)
		goto out;
	*fd = r;
	r = geteuid() != 0 ? leave_for_leaf(*fd) : 0;
	if (r < 0)
		close(*fd);
out:
	free(text);
	return r;
}

static void
say_what_lacks(int place, char why[CGROUP_WHY_MAX])
{
	static const struct {
		const char	*controller, *loss;
	} wanted[] = {
		{ "memory", "memory" }, { "cpu", "processor time" },
		{ "pids", "threads" },
	};
	char have[256] = "", lost[128] = "";

	(void)read_at(place, "cgroup.subtree_control", have, sizeof(have));
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		size_t at = strlen(lost);

		if (strstr(have, wanted[i].controller) == NULL)
			snprintf(lost + at, sizeof(lost) - at, "%s%s",
			    at > 0 ? ", " : "", wanted[i].loss);
	}
	if (lost[0] != '\0')
		snprintf(why, CGROUP_WHY_MAX, "personas have no limit on %s: "
		    "cgroup v2 lacks the controllers here", lost);
}

int
cgroups_new(struct cgroups **cp, char why[CGROUP_WHY_MAX])
{
	struct cgroups *c;
	int parent = -1, r;

	why[0] = '\0';
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return -ENOMEM;
	c->dir = -1;
	if ((r = open_parent(&parent)) < 0)
		goto out;
	hand_down(parent);
	if (mkdirat(parent, PLACE, 0755) < 0 && errno != EEXIST) {
		r = -errno;
		goto out;
	}
	c->dir = openat(parent, PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0) {
		r = -errno;
		goto out;
	}
	hand_down(c->dir);
	say_what_lacks(c->dir, why);
	*cp = c;
	c = NULL;
	r = 0;
out:
	if (r < 0)
		snprintf(why, CGROUP_WHY_MAX, "personas have no limits: %s",
		    r == -ENOENT ? "there is no cgroup v2 here" :
		    strerror(-r));
	if (parent >= 0)
		close(parent);
	cgroups_free(c);
	return r;
}

void
cgroups_free(struct cgroups *c)
{
	if (c == NULL)
		return;
	if (c->dir >= 0)
		close(c->dir);
	free(c);
}

/* --- groups -------------------------------------------------------------------- */

/* Remove what is empty; a group that somebody is in stays by itself (EBUSY). */
static void
sweep(struct cgroups *c)
{
	int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			(void)unlinkat(c->dir, e->d_name, AT_REMOVEDIR);
	closedir(dir);
}

static int
try_make(struct cgroups *c, const char *id, pid_t first,
    const struct cgroup_limits *l, char name[CGROUP_NAME_MAX])
{
	struct timespec now;
	int r;

	/* The persona of this id may have one here that is going away, or belong
	 * to another personad of this machine. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, CGROUP_NAME_MAX, "%.32s.%" PRIx64, id,
	    ((uint64_t)now.tv_sec << 20 | (uint64_t)now.tv_nsec >> 10) &
	    0xffffffffffff);
	if (mkdirat(c->dir, name, 0755) < 0)
		return -errno;
	if ((r = cgroup_limit(c, name, l)) == 0)
		r = cgroup_add(c, name, first);
	if (r < 0)
		cgroup_remove(c, name);
	return r;
}

int
cgroup_make(struct cgroups *c, const char *id, pid_t first,
    const struct cgroup_limits *l, char name[CGROUP_NAME_MAX])
{
	int r = -ENOTSUP;

	name[0] = '\0';
	if (c == NULL)
		return r;
	sweep(c);
	/* Another personad that sweeps at this moment may take it from us. */
	for (int tries = 0; tries < 3; tries++) {
		r = try_make(c, id, first, l, name);
		if (r == 0)
			return 0;
		if (r != -ENOENT && r != -ENODEV)
			break;
	}
	name[0] = '\0';
	return r;
}

int
cgroup_of(struct cgroups *c, pid_t pid, char name[CGROUP_NAME_MAX])
{
	char path[64], text[2048], own[PATH_BYTES];
	const char *last;
	struct stat st;
	int r;

	name[0] = '\0';
	if (c == NULL)
		return -ENOTSUP;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if ((r = read_at(AT_FDCWD, path, text, sizeof(text))) < 0 ||
	    (r = cgroup_parse_own(text, own, sizeof(own))) < 0)
		return -ENOENT;
	last = strrchr(own, '/') + 1;
	if (strlen(last) >= CGROUP_NAME_MAX || last[0] == '\0' ||
	    fstatat(c->dir, last, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -ENOENT;
	strcpy(name, last);
	return 0;
}

int
cgroup_add(struct cgroups *c, const char *name, pid_t pid)
{
	char text[16];

	if (c == NULL)
		return -ENOTSUP;
	snprintf(text, sizeof(text), "%d", (int)pid);
	return write_in(c, name, "cgroup.procs", text);
}

/* A controller that is not here has no file; that was said once, at the start. */
static int
missing_is_fine(int r)
{
	return r == -ENOENT ? 0 : r;
}

int
cgroup_limit(struct cgroups *c, const char *name,
    const struct cgroup_limits *l)
{
	char memory[32] = "max", cpu[48] = "max";
	int r;

	if (c == NULL)
		return -ENOTSUP;
	if (l->memory_bytes > 0)
		snprintf(memory, sizeof(memory), "%" PRIu64, l->memory_bytes);
	if (l->cpu_percent > 0)
		snprintf(cpu, sizeof(cpu), "%" PRIu64 " %u",
		    (uint64_t)l->cpu_percent * (PERIOD_US / 100), PERIOD_US);
	if ((r = missing_is_fine(write_in(c, name, "memory.max",
	    memory))) < 0 ||
	    (r = missing_is_fine(write_in(c, name, "cpu.max", cpu))) < 0)
		return r;
	/* Half a persona is none: what kills one of its processes kills all. */
	(void)write_in(c, name, "memory.oom.group", "1");
	return missing_is_fine(write_in(c, name, "pids.max", THREADS_MAX));
}

int
cgroup_usage(struct cgroups *c, const char *name, struct cgroup_usage *u)
{
	char path[CGROUP_NAME_MAX + 32], text[512];
	const char *p;
	int r;

	memset(u, 0, sizeof(*u));
	if (c == NULL)
		return -ENOTSUP;
	snprintf(path, sizeof(path), "%s/memory.current", name);
	if ((r = read_at(c->dir, path, text, sizeof(text))) < 0)
		return r;
	u->memory_bytes = strtoull(text, NULL, 10);
	snprintf(path, sizeof(path), "%s/memory.events", name);
	if ((r = read_at(c->dir, path, text, sizeof(text))) < 0)
		return r;
	if ((p = strstr(text, "\noom_kill ")) != NULL)
		u->oom_kills = strtoull(p + 10, NULL, 10);
	return 0;
}

void
cgroup_remove(struct cgroups *c, const char *name)
{
	if (c != NULL && name[0] != '\0')
		(void)unlinkat(c->dir, name, AT_REMOVEDIR);
}
