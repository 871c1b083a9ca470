/* SPDX-License-Identifier: ISC */
/*
 * Making and loading the identity key. All key material is ssh-keygen's to make
 * and to read; we keep the public half and the path. Knows no peers.
 */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "privdir.h"
#include "pubkey.h"

#define KEYGEN_OUTPUT_MAX	1024u	/* bytes */

struct identity {
	char	path[PATH_MAX];
	char	key[PUBKEY_TEXT_LEN + 1];
	char	fingerprint[FINGERPRINT_MAX + 1];
};

/* In the child: standard input and output as wanted, then the program. */
static void
exec_keygen(const char *const *argv, int out_fd)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(out_fd, STDOUT_FILENO) < 0)
		_exit(127);
	execv(PERSONA_SSH_KEYGEN, (char *const *)argv);
	_exit(127);
}

/* What came out of fd until its end, at most size - 1 bytes, as a text. */
static void
slurp(int fd, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1) {
		n = read(fd, out + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	out[len] = '\0';
}

/* Run ssh-keygen and wait for it. 0, -EINVAL when it failed, -errno. */
static int
run_keygen(const char *const *argv, char *out, size_t size)
{
	int p[2], status = 0;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	if ((pid = fork()) < 0) {
		int r = -errno;

		close(p[0]);
		close(p[1]);
		return r;
	}
	if (pid == 0)
		exec_keygen(argv, p[1]);
	close(p[1]);
	slurp(p[0], out, size);
	close(p[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}

/*
 * Made beside its place, then renamed: a start that was cut short leaves no key
 * rather than half a key. ssh-keygen creates it readable by us alone.
 */
static int
make_key(const char *dir, const char *path)
{
	char fresh[PATH_MAX], public[PATH_MAX], out[KEYGEN_OUTPUT_MAX];
	const char *argv[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
	    "persona", "-f", fresh, NULL };
	int r;

	if (snprintf(fresh, sizeof(fresh), "%s.new", path) >=
	    (int)sizeof(fresh) ||
	    snprintf(public, sizeof(public), "%s.new.pub", path) >=
	    (int)sizeof(public))
		return -ENAMETOOLONG;
	unlink(fresh);
	if ((r = run_keygen(argv, out, sizeof(out))) < 0)
		goto out;
	if ((r = privdir_sync(fresh)) < 0)
		goto out;
	r = rename(fresh, path) < 0 ? -errno : privdir_sync(dir);
out:
	unlink(public);
	if (r < 0) {
		unlink(fresh);
		log_warn_r(r, "identity: ssh-keygen could not make %s", path);
	}
	return r;
}

static int
check_key_file(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    (st.st_mode & (S_IRWXG | S_IRWXO)) == 0)
		return 0;
	log_err("%s: must be a file that only we can read", path);
	return -EPERM;
}

/* The public half comes out of the private one: one file, one truth. */
static int
load_public(struct identity *id)
{
	char out[KEYGEN_OUTPUT_MAX];
	const char *argv[] = { "ssh-keygen", "-y", "-P", "", "-f", id->path, NULL };
	int r;

	if ((r = run_keygen(argv, out, sizeof(out))) < 0)
		return r;
	out[strcspn(out, "\r\n")] = '\0';
	if (strlen(out) > PUBKEY_TEXT_LEN && out[PUBKEY_TEXT_LEN] == ' ')
		out[PUBKEY_TEXT_LEN] = '\0';	/* the comment */
	if ((r = pubkey_fingerprint(out, id->fingerprint)) < 0)
		return r;
	memcpy(id->key, out, sizeof(id->key));
	return 0;
}

int
identity_open(struct identity **ip, const char *dir)
{
	struct identity *id;
	int r;

	if ((r = privdir_check(dir)) < 0)
		return r;
	if ((id = calloc(1, sizeof(*id))) == NULL)
		return -ENOMEM;
	if (snprintf(id->path, sizeof(id->path), "%s/identity", dir) >=
	    (int)sizeof(id->path)) {
		r = -ENAMETOOLONG;
		goto fail;
	}
	r = check_key_file(id->path);
	if (r == -ENOENT && (r = make_key(dir, id->path)) == 0)
		r = check_key_file(id->path);
	if (r < 0)
		goto fail;
	if ((r = load_public(id)) < 0) {
		log_err("%s: is no ed25519 key we can use", id->path);
		goto fail;
	}
	*ip = id;
	return 0;
fail:
	identity_free(id);
	return r;
}

const char *
identity_key(const struct identity *id)
{
	return id->key;
}

const char *
identity_fingerprint(const struct identity *id)
{
	return id->fingerprint;
}

const char *
identity_path(const struct identity *id)
{
	return id->path;
}

int
identity_private_fd(const struct identity *id)
{
	int fd = open(id->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void
identity_free(struct identity *id)
{
	free(id);
}
