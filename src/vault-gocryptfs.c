/* SPDX-License-Identifier: ISC */
/*
 * gocryptfs: a directory of files, each in blocks of 4 KiB with AES-256-GCM, names
 * encrypted too, served over FUSE by a process of its own. What it expects stands
 * in gocryptfs(1); its standard input is where it takes the key.
 */
#include "vault-fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf.h"

#define PATH_BYTES	(CONF_STATE_DIR_MAX + 96)
/* Its exit statuses that mean something to us (gocryptfs(1)). */
#define EXIT_WRONG_KEY	12
#define EXIT_FUSE	19
#define EXIT_CONF	23
#define EXIT_WRITE_CONF	24

static int
complain(char why[VAULT_WHY_MAX], int r, const char *text)
{
	snprintf(why, VAULT_WHY_MAX, "%s", text);
	return r;
}

/* Its node may be there without the module: only opening it says. */
static bool
has_fuse(void)
{
	struct stat st;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	const bool has = fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode);

	if (fd >= 0)
		close(fd);
	return has;
}

static int
usable(char why[VAULT_WHY_MAX])
{
	if (access(PERSONA_GOCRYPTFS, X_OK) < 0)
		return complain(why, -ENOENT, "gocryptfs is missing "
		    "(apt-get install gocryptfs fuse3)");
	if (access("/bin/fusermount", X_OK) < 0)
		return complain(why, -ENOENT, "fusermount is missing "
		    "(apt-get install fuse3)");
	if (!has_fuse())
		return complain(why, -ENODEV, "/dev/fuse cannot be opened "
		    "(modprobe fuse)");
	return 0;
}

/* --- running it ------------------------------------------------------------------- */

static void __attribute__((noreturn))
become(const char *const *argv, int key_fd)
{
	int null_fd = open("/dev/null", O_WRONLY);

	if (dup2(key_fd, STDIN_FILENO) < 0 || null_fd < 0 ||
	    dup2(null_fd, STDOUT_FILENO) < 0)
		_exit(126);
	execv(PERSONA_GOCRYPTFS, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/*
 * The key as it is typed where a person has one: a line of hex digits. A pipe
 * holds it whole, so it is written before there is a reader.
 */
static int
key_pipe(const uint8_t key[CRYPT_KEY_BYTES])
{
	char line[2 * CRYPT_KEY_BYTES + 2];
	int p[2];

	for (size_t i = 0; i < CRYPT_KEY_BYTES; i++)
		snprintf(line + 2 * i, 3, "%02x", key[i]);
	line[2 * CRYPT_KEY_BYTES] = '\n';
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	if (write(p[1], line, sizeof(line) - 1) !=
	    (ssize_t)(sizeof(line) - 1)) {
		close(p[0]);
		p[0] = -EIO;
	}
	crypt_forget(line, sizeof(line));
	close(p[1]);
	return p[0];
}

/* Its exit status, or -errno. The one that serves a mount has left it by then. */
static int
run(const char *const *argv, const uint8_t key[CRYPT_KEY_BYTES])
{
	int key_fd = key_pipe(key), status;
	pid_t pid;

	if (key_fd < 0)
		return key_fd;
	if ((pid = fork()) == 0)
		become(argv, key_fd);
	close(key_fd);
	if (pid < 0)
		return -EAGAIN;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

static int
judge(int status, char why[VAULT_WHY_MAX])
{
	switch (status) {
	case 0:
		return 0;
	case EXIT_WRONG_KEY:
		return complain(why, -EKEYREJECTED, "its encrypted directory "
		    "does not take the key");
	case EXIT_FUSE:
		return complain(why, -ENODEV, "its encrypted directory cannot "
		    "be mounted; \"personactl doctor\" says what is missing");
	case EXIT_CONF:
		return complain(why, -EUCLEAN, "its encrypted directory is "
		    "damaged: gocryptfs.conf cannot be read");
	case EXIT_WRITE_CONF:
		return complain(why, -ENOSPC, "its encrypted directory cannot "
		    "be written; there may be no room for it");
	default:
		snprintf(why, VAULT_WHY_MAX, "gocryptfs ended with %d; the log "
		    "of personad has what it said", status);
		return status < 0 ? status : -EIO;
	}
}

/* --- the operations --------------------------------------------------------------- */

/*
 * The key is random and needs no stretching: the cheapest scrypt. What stretches
 * a passphrase is Argon2id, in vault-key.c.
 */
static int
make(const char *dir, const uint8_t key[CRYPT_KEY_BYTES],
    char why[VAULT_WHY_MAX])
{
	char cipher[PATH_BYTES];
	const char *const argv[] = { "gocryptfs", "-init", "-q", "-nosyslog",
	    "-scryptn", "10", "--", cipher, NULL };

	snprintf(cipher, sizeof(cipher), "%s/" VAULT_CIPHER, dir);
	if (mkdir(cipher, 0700) < 0)
		return -errno;
	return judge(run(argv, key), why);
}

/*
 * As root, others may pass descriptors of it to personas that run as other users;
 * what opens a path is still judged by the modes of the files.
 */
static int
open_at(const char *dir, const uint8_t key[CRYPT_KEY_BYTES],
    char why[VAULT_WHY_MAX])
{
	char cipher[PATH_BYTES], open[PATH_BYTES];
	const char *argv[] = { "gocryptfs", "-q", "-nosyslog", "-nodev",
	    "-nosuid", "-noexec", geteuid() == 0 ? "-allow_other" : "-q",
	    "--", cipher, open, NULL };

	snprintf(cipher, sizeof(cipher), "%s/" VAULT_CIPHER, dir);
	snprintf(open, sizeof(open), "%s/" VAULT_OPEN, dir);
	return judge(run(argv, key), why);
}

const struct vault_fs vault_fs_gocryptfs = {
	.name = "gocryptfs",
	.usable = usable,
	.make = make,
	.open = open_at,
};
