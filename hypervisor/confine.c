/* SPDX-License-Identifier: ISC */
/*
 * Namespaces, an empty root, another user, no capability. Deliberately knows no
 * system call filter and no persona.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

static int
write_file(const char *path, const char *text)
{
	ssize_t len = (ssize_t)strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		r = -errno;
	close(fd);
	return r;
}

/* A user namespace in which we are who we are, and may make the others. */
static int
own_users(void)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	if ((r = write_file("/proc/self/uid_map", map)) < 0 ||
	    (r = write_file("/proc/self/setgroups", "deny")) < 0)
		return r;
	snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	return write_file("/proc/self/gid_map", map);
}

/*
 * Make an empty, read-only file system the root. An initramfs cannot be pivoted
 * away from; there the new root is moved over it.
 */
static int
empty_root(void)
{
	/* Any directory will do to stand on; these are on every system. */
	static const char *const places[] = { "/tmp", "/run", "/proc" };
	size_t i, n = sizeof(places) / sizeof(places[0]);

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	for (i = 0; i < n; i++)
		if (mount("persona", places[i], "tmpfs", MS_NOSUID | MS_NODEV |
		    MS_NOEXEC | MS_RDONLY, "size=4k,nr_inodes=2,mode=555") == 0)
			break;
	if (i == n || chdir(places[i]) < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0)
			return -errno;
	} else if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
	    chroot(".") < 0) {
		return -errno;
	}
	return chdir("/") < 0 ? -errno : 0;
}

/* 0, or -errno with the step that failed. */
static int
own_spaces(const char **step)
{
	int r;

	*step = "user namespace";
	if (geteuid() != 0 && (r = own_users()) < 0)
		return r;
	*step = "network and mount namespaces";
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
	    CLONE_NEWCGROUP | CLONE_NEWNET) < 0)
		return -errno;
	*step = "empty root";
	return empty_root();
}

static int
become(uid_t uid)
{
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int
confine_enter(const struct confine *c)
{
	const char *step = "";
	bool root = geteuid() == 0;
	int r;

	if (!c->keep_host && (r = own_spaces(&step)) < 0)
		log_info("this host gives no %s: %s", step, strerror(-r));
	if (root && c->uid != 0 && (r = become(c->uid)) < 0) {
		log_err("cannot become user %u: %s", (unsigned int)c->uid,
		    strerror(-r));
		return r;
	}
	/* Root that was not told to become somebody else needs its own rights:
	 * a developer's run by hand. */
	if (root && c->uid == 0)
		return 0;
	if ((r = drop_capabilities()) < 0)
		log_err("cannot give up capabilities: %s", strerror(-r));
	return r;
}
