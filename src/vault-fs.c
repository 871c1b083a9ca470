/* SPDX-License-Identifier: ISC */
/*
 * The table of kinds, and what mounting has in common for all of them. Knows no
 * key.
 */
#include "vault-fs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf.h"

#define PATH_BYTES	(CONF_STATE_DIR_MAX + 96)

/* The best first. */
static const struct vault_fs *const kinds[] = {
	&vault_fs_gocryptfs,
};

#define N_KINDS	(sizeof(kinds) / sizeof(kinds[0]))

const struct vault_fs *
vault_fs_best(char why[VAULT_WHY_MAX])
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (kinds[i]->usable(why) == 0)
			return kinds[i];
	return NULL;
}

const struct vault_fs *
vault_fs_named(const char *name)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

/* A directory on another device than its parent is a mount point. */
enum vault_mount
vault_mount_of(const char *dir)
{
	char path[PATH_BYTES];
	struct stat below, at;
	struct statfs fs;

	snprintf(path, sizeof(path), "%s/" VAULT_OPEN, dir);
	if (stat(dir, &below) < 0)
		return VAULT_MOUNT_NONE;
	if (stat(path, &at) < 0)
		return errno == ENOENT ? VAULT_MOUNT_NONE : VAULT_MOUNT_DEAD;
	if (at.st_dev == below.st_dev)
		return VAULT_MOUNT_NONE;
	/* stat may be the kernel's memory of it; this is not. */
	return statfs(path, &fs) < 0 ? VAULT_MOUNT_DEAD : VAULT_MOUNT_ALIVE;
}

/* Whoever is not root mounted through fusermount and unmounts through it. */
static int
fusermount(const char *path, bool by_force)
{
	const char *argv[] = { "fusermount3", "-u", "-q", by_force ? "-z" :
	    "-q", "--", path, NULL };
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT :
	    -EBUSY;
}

int
vault_unmount(const char *dir, bool by_force)
{
	const enum vault_mount now = vault_mount_of(dir);
	char path[PATH_BYTES];

	if (now == VAULT_MOUNT_NONE)
		return 0;
	by_force |= now == VAULT_MOUNT_DEAD;
	snprintf(path, sizeof(path), "%s/" VAULT_OPEN, dir);
	if (umount2(path, UMOUNT_NOFOLLOW | (by_force ? MNT_DETACH : 0)) == 0)
		return 0;
	return errno == EPERM ? fusermount(path, by_force) : -errno;
}
