/* SPDX-License-Identifier: ISC */
/*
 * persona-vault: makes, opens, closes and removes the encrypted directory of one
 * persona, and ends. It is the only process of ours that sees a vault's key or a
 * passphrase for one. Deliberately knows no persona: it is given a directory.
 *
 * Prints one sentence when it fails; its exit status is the errno. It keeps its
 * capabilities (it mounts) and holds nothing else: no socket, no registry.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bounds.h"
#include "conf.h"
#include "log.h"
#include "privdir.h"
#include "vault-fs.h"
#include "vault-key.h"

#define BUSY_WAIT_MS	2000	/* for files of it to be closed */
#define SERVED_WAIT_MS	5000	/* for the end of what served a mount */

static const char usage[] =
    "usage: persona-vault probe\n"
    "       persona-vault make DIR KEYFILE [FD]\n"
    "       persona-vault open DIR KEYFILE [FD]\n"
    "       persona-vault close DIR\n"
    "       persona-vault remove DIR\n"
    "personad starts it. KEYFILE is the handset's vault key; FD holds a\n"
    "passphrase instead. See persona-design(7).\n";

/* Of one run. */
struct job {
	const char	*dir;
	const char	*key_file;
	int		passphrase_fd;	/* -1: the handset's key */
	char		why[VAULT_WHY_MAX];
	struct vault_secret secret;
	uint8_t		bytes[PASSPHRASE_MAX];	/* of the secret */
};

static int __attribute__((format(printf, 3, 4)))
complain(struct job *j, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(j->why, sizeof(j->why), fmt, ap);
	va_end(ap);
	return r;
}

/* --- the secret -------------------------------------------------------------------- */

static int
take_passphrase(struct job *j)
{
	ssize_t n = 0;
	size_t len = 0;

	while (len < sizeof(j->bytes) && (n = pread(j->passphrase_fd,
	    j->bytes + len, sizeof(j->bytes) - len, (off_t)len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return complain(j, -errno, "the passphrase cannot be read");
	if (len == 0)
		return complain(j, -EINVAL, "the passphrase is empty");
	j->secret = (struct vault_secret){ VAULT_PASSPHRASE, j->bytes, len };
	return 0;
}

static int
take_secret(struct job *j)
{
	int r;

	if (crypt_init() < 0)
		return complain(j, -ENOSYS, "libsodium cannot be used");
	if (j->passphrase_fd >= 0)
		return take_passphrase(j);
	if ((r = vault_handset_key(j->key_file, j->bytes)) < 0)
		return complain(j, r, "the handset's vault key %.100s %s",
		    j->key_file, r == -EPERM ? "can be read by others: chmod "
		    "600 it, and take it for known" : r == -EUCLEAN ?
		    "is damaged" : strerror(-r));
	j->secret = (struct vault_secret){ VAULT_HANDSET, j->bytes,
	    CRYPT_KEY_BYTES };
	return 0;
}

/* --- the commands ------------------------------------------------------------------ */

/* One at a time on a directory, also after personad was killed in between. */
static int
lock_dir(struct job *j)
{
	int fd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return complain(j, -errno, "%.150s: %s", j->dir,
		    strerror(errno));
	return 0;
}

/*
 * Held by whoever serves the mount, for as long as he lives: no second one is ever
 * let at the same files, whatever mount namespace the first is in. 0 with the
 * lock in *fdp; -EALREADY when what it served is mounted after all, by one of us
 * that was killed while he set to work; -EBUSY when he does not end in time.
 */
static int
lock_served(struct job *j, int *fdp)
{
	char path[CONF_STATE_DIR_MAX + 96];
	const struct timespec pause = { .tv_nsec = 20000000 };

	snprintf(path, sizeof(path), "%s/served", j->dir);
	if ((*fdp = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600)) < 0)
		return -errno;
	for (int i = 0; i < SERVED_WAIT_MS / 20; i++) {
		if (flock(*fdp, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (vault_mount_of(j->dir) == VAULT_MOUNT_ALIVE) {
			close(*fdp);
			return -EALREADY;
		}
		nanosleep(&pause, NULL);
	}
	close(*fdp);
	return complain(j, -EBUSY, "what served its last mount is still at "
	    "work, with its files open or in another mount namespace");
}

/* Does process `pid` have the file `path` open? */
static bool
has_open(const char *pid, const char *path)
{
	char dir[64], link[CONF_STATE_DIR_MAX + 96], name[320];
	struct dirent *e;
	bool found = false;
	ssize_t n;
	DIR *fds;

	snprintf(dir, sizeof(dir), "/proc/%.16s/fd", pid);
	if ((fds = opendir(dir)) == NULL)
		return false;
	while (!found && (e = readdir(fds)) != NULL) {
		snprintf(name, sizeof(name), "%.24s/%s", dir, e->d_name);
		n = readlink(name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		found = strcmp(link, path) == 0;
	}
	closedir(fds);
	return found;
}

/*
 * It is unmounted here. A copy of the mount in a namespace that somebody else made
 * of ours would keep it decrypted for as long as that lives: end what serves it.
 */
static void
end_served(struct job *j)
{
	char path[CONF_STATE_DIR_MAX + 96], link[PATH_MAX];
	struct dirent *e;
	DIR *proc;

	snprintf(path, sizeof(path), "%s/served", j->dir);
	if (realpath(path, link) == NULL || (proc = opendir("/proc")) == NULL)
		return;
	while ((e = readdir(proc)) != NULL)
		if (atoi(e->d_name) > 1 && has_open(e->d_name, link))
			(void)kill(atoi(e->d_name), SIGKILL);
	closedir(proc);
}

static int
mount_it(struct job *j, const struct vault_fs *fs,
    const uint8_t key[CRYPT_KEY_BYTES])
{
	int served, r = lock_served(j, &served);

	if (r < 0)
		return r == -EALREADY ? 0 : r;
	r = fs->open(j->dir, key, j->why);
	close(served);
	if (r == 0 && vault_mount_of(j->dir) != VAULT_MOUNT_ALIVE)
		r = complain(j, -EIO, "its encrypted directory was mounted and "
		    "is not there");
	return r;
}

static int
write_key(struct job *j, const struct vault_fs *fs,
    const uint8_t key[CRYPT_KEY_BYTES])
{
	char made[CONF_STATE_DIR_MAX + 96], final[CONF_STATE_DIR_MAX + 96];
	const struct crypt_cost cost = { CRYPT_COST_PASSES,
	    CRYPT_COST_MEMORY_KIB };
	uint8_t packed[VAULT_KEY_FILE_MAX];
	size_t len;
	int fd, r;

	if ((r = vault_key_pack(packed, &len, key, fs->name, &j->secret,
	    &cost)) < 0)
		return r == -ENOMEM ? complain(j, r, "there is too little "
		    "memory to stretch a passphrase") : r;
	snprintf(made, sizeof(made), "%s/" VAULT_KEY_NAME ".new", j->dir);
	snprintf(final, sizeof(final), "%s/" VAULT_KEY_NAME, j->dir);
	fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, packed, len) != (ssize_t)len)
		r = -EIO;
	else if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	if (r == 0 && rename(made, final) < 0)
		r = -errno;
	return r == 0 ? privdir_sync(j->dir) : r;
}

/* The key file comes last but for the mount: without it this is half made. */
static int
fill(struct job *j, const struct vault_fs *fs)
{
	char open_dir[CONF_STATE_DIR_MAX + 96];
	uint8_t key[CRYPT_KEY_BYTES];
	int r;

	snprintf(open_dir, sizeof(open_dir), "%s/" VAULT_OPEN, j->dir);
	if (mkdir(open_dir, 0500) < 0)
		return -errno;
	crypt_random(key, sizeof(key));
	r = fs->make(j->dir, key, j->why);
	if (r == 0 && (r = write_key(j, fs, key)) == 0)
		r = mount_it(j, fs, key);
	crypt_forget(key, sizeof(key));
	return r;
}

static int
remove_all(struct job *j)
{
	char path[CONF_STATE_DIR_MAX + 96];
	int r;

	if (access(j->dir, F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	if ((r = lock_dir(j)) < 0)
		return r;
	/* Without its key it is ciphertext for ever, however far we get. */
	snprintf(path, sizeof(path), "%s/" VAULT_KEY_NAME, j->dir);
	(void)unlink(path);
	(void)vault_unmount(j->dir, true);
	end_served(j);
	if (vault_mount_of(j->dir) != VAULT_MOUNT_NONE)
		return complain(j, -EBUSY, "%.150s/" VAULT_OPEN " cannot be "
		    "unmounted", j->dir);
	return privdir_remove(j->dir);
}

/* What stands in the way without a key holds nothing. */
static int
clear_half_made(struct job *j)
{
	char path[CONF_STATE_DIR_MAX + 96];
	int r;

	snprintf(path, sizeof(path), "%s/" VAULT_KEY_NAME, j->dir);
	if (access(path, F_OK) == 0 || errno != ENOENT)
		return -EEXIST;
	if ((r = remove_all(j)) < 0 && r != -ENOENT)
		return r;
	return mkdir(j->dir, 0700) < 0 ? -errno : 0;
}

static int
do_make(struct job *j)
{
	const struct vault_fs *fs = vault_fs_best(j->why);
	int r;

	if (fs == NULL)
		return -ENOTSUP;
	if ((r = take_secret(j)) < 0)
		return r;
	if (mkdir(j->dir, 0700) < 0) {
		r = errno == EEXIST ? clear_half_made(j) : -errno;
		if (r < 0)
			return r;
	}
	if ((r = lock_dir(j)) == 0)
		r = fill(j, fs);
	if (r < 0) {
		char why[VAULT_WHY_MAX];

		memcpy(why, j->why, sizeof(why));
		(void)vault_unmount(j->dir, true);
		(void)privdir_remove(j->dir);
		memcpy(j->why, why, sizeof(why));
	}
	return r;
}

static int
open_with(struct job *j, const Persona__Vault__VaultKey *k)
{
	const struct vault_fs *fs = vault_fs_named(k->backend);
	uint8_t key[CRYPT_KEY_BYTES];
	int r;

	if (fs == NULL)
		return complain(j, -ENOTSUP, "it was encrypted with \"%.40s\", "
		    "which this version does not know", k->backend);
	if ((r = fs->usable(j->why)) < 0)
		return r;
	switch (r = vault_key_open(key, k, &j->secret)) {
	case 0:
		r = mount_it(j, fs, key);
		crypt_forget(key, sizeof(key));
		return r;
	case -EKEYREJECTED:
		return complain(j, r, j->passphrase_fd >= 0 ?
		    "that is not its passphrase" : "it was encrypted with "
		    "another vault key than this handset's");
	case -ENOKEY:
		return complain(j, r, j->passphrase_fd >= 0 ?
		    "it has no passphrase: the handset's key opens it" :
		    "a passphrase opens it");
	default:
		return complain(j, r, "its key cannot be read: %s",
		    strerror(-r));
	}
}

static int
do_open(struct job *j)
{
	Persona__Vault__VaultKey *k;
	int r;

	if ((r = lock_dir(j)) < 0)
		return r;
	if (vault_mount_of(j->dir) == VAULT_MOUNT_ALIVE)
		return 0;
	if ((r = vault_unmount(j->dir, true)) < 0)
		return complain(j, r, "what is left of its last mount cannot "
		    "be taken away: %s", strerror(-r));
	if ((r = vault_key_read(j->dir, &k)) < 0)
		return complain(j, r, "its key file is %s", r == -ENOTSUP ?
		    "a newer version's" : r == -EUCLEAN ? "damaged" :
		    "not to be had");
	if ((r = take_secret(j)) == 0)
		r = open_with(j, k);
	persona__vault__vault_key__free_unpacked(k, NULL);
	return r;
}

/* A process of ours that has just done its work may need a moment to be gone. */
static int
unmount_patiently(struct job *j)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int r = vault_unmount(j->dir, false);

	for (int i = 0; i < BUSY_WAIT_MS / 20 && r == -EBUSY; i++) {
		nanosleep(&pause, NULL);
		r = vault_unmount(j->dir, false);
	}
	return r;
}

static int
do_close(struct job *j)
{
	int served, r;

	if ((r = lock_dir(j)) < 0)
		return r;
	if ((r = unmount_patiently(j)) == -EBUSY)
		return complain(j, r, "something still uses its files");
	/* Its key is gone when the process that had it is. */
	if (r == 0)
		end_served(j);
	if (r == 0 && (r = lock_served(j, &served)) == 0) {
		close(served);
		/* What it may have mounted in its last moment. */
		r = vault_unmount(j->dir, true);
	}
	return r;
}

static int
do_probe(struct job *j)
{
	const struct vault_fs *fs = vault_fs_best(j->why);

	if (fs != NULL)
		printf("%s\n", fs->name);
	return fs != NULL ? 0 : -ENOTSUP;
}

static const struct {
	const char	*name;
	int		(*run)(struct job *j);
	int		args;		/* after the name; FD may follow two */
} commands[] = {
	{ "probe", do_probe, 0 },
	{ "make", do_make, 2 },
	{ "open", do_open, 2 },
	{ "close", do_close, 1 },
	{ "remove", remove_all, 1 },
};

static int
run(struct job *j, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const int n = commands[i].args;

		if (argc < 2 || strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (argc - 2 != n && !(n == 2 && argc - 2 == 3))
			break;
		j->dir = n > 0 ? argv[2] : NULL;
		j->key_file = n > 1 ? argv[3] : NULL;
		if (argc == 5)
			j->passphrase_fd = atoi(argv[4]);
		return commands[i].run(j);
	}
	fputs(usage, stderr);
	exit(2);
}

int
main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	static struct job j = { .passphrase_fd = -1 };
	int r;

	log_init("persona-vault", LOG_INFO);
	umask(077);
	/* No core file and no debugger of the same user gets at a key. */
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	r = run(&j, argc, argv);
	crypt_forget(j.bytes, sizeof(j.bytes));
	if (r < 0)
		printf("%s\n", j.why[0] != '\0' ? j.why : strerror(-r));
	return r < 0 ? -r & 0xff : 0;
}
