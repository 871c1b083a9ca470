/* SPDX-License-Identifier: ISC */
/*
 * Each job is one run of persona-vault: started, waited for in the event loop,
 * its sentence passed on. Deliberately never sees a key or a passphrase.
 */
#include "vault.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "hexid.h"
#include "launcher.h"
#include "log.h"
#include "vault-fs.h"
#include "vault-key.h"

#define DIR_BYTES	(CONF_STATE_DIR_MAX + 16 + HEXID_LEN)

enum verb {
	MAKE, OPEN, CLOSE, REMOVE,
	READY,		/* OPEN, or MAKE when there is none: decided as it begins */
};

static const char *const verbs[] = { "make", "open", "close", "remove" };

/* In daemon->vault_jobs: of those with one id only the first one runs. */
struct vault_job {
	TAILQ_ENTRY(vault_job) entry;
	struct daemon	*daemon;
	char		id[HEXID_LEN + 1];
	enum verb	verb;
	int		passphrase_fd;	/* ours until it runs; or -1 */
	int		out_fd;		/* its sentence */
	vault_done_fn	*done;		/* NULL: nobody waits */
	void		*arg;
};

static const char *
vault_dir(const struct daemon *d, const char *id, char dir[DIR_BYTES])
{
	snprintf(dir, DIR_BYTES, "%s/vaults/%s", d->conf.state_dir, id);
	return dir;
}

/* --- states --------------------------------------------------------------------------- */

enum vault_state
vault_state(const struct daemon *d, const char *id)
{
	char dir[DIR_BYTES];

	if (access(vault_dir(d, id, dir), F_OK) < 0)
		return VAULT_ABSENT;
	switch (vault_mount_of(dir)) {
	case VAULT_MOUNT_ALIVE:
		return VAULT_OPENED;
	case VAULT_MOUNT_DEAD:
		return VAULT_LOST;
	default:
		return VAULT_LOCKED;
	}
}

bool
vault_wants_passphrase(const struct daemon *d, const char *id)
{
	Persona__Vault__VaultKey *k;
	char dir[DIR_BYTES];
	bool wants;

	if (vault_key_read(vault_dir(d, id, dir), &k) < 0)
		return false;
	wants = (int)k->method == VAULT_PASSPHRASE;
	persona__vault__vault_key__free_unpacked(k, NULL);
	return wants;
}

bool
vault_is_wanted(const struct packed_spec *spec)
{
	Persona__Spec__Spec *s;
	bool wanted;

	if (spec_unpack(spec, &s) < 0)
		return false;
	wanted = s->has_encrypted && s->encrypted;
	persona__spec__spec__free_unpacked(s, NULL);
	return wanted;
}

int
vault_mark(struct packed_spec *spec)
{
	Persona__Spec__Spec *s;
	const char *why;
	int r;

	if ((r = spec_unpack(spec, &s)) < 0)
		return r;
	s->has_encrypted = s->encrypted = true;
	r = spec_pack(s, spec, &why);
	persona__spec__spec__free_unpacked(s, NULL);
	return r;
}

const char *
image_home(const struct daemon *d, const char *id, char buf[IMAGE_HOME_MAX])
{
	switch (vault_state(d, id)) {
	case VAULT_ABSENT:
		snprintf(buf, IMAGE_HOME_MAX, "images");
		break;
	case VAULT_OPENED:
		snprintf(buf, IMAGE_HOME_MAX, "vaults/%s/" VAULT_OPEN, id);
		break;
	default:
		snprintf(buf, IMAGE_HOME_MAX, "vaults/%s/locked", id);
		break;
	}
	return buf;
}

/* --- jobs ----------------------------------------------------------------------------- */

static void
read_sentence(int fd, char *why, size_t size)
{
	ssize_t n = read(fd, why, size - 1);

	why[n > 0 ? n : 0] = '\0';
	why[strcspn(why, "\n")] = '\0';
}

static struct vault_job *
first_of(struct daemon *d, const char *id)
{
	struct vault_job *j;

	TAILQ_FOREACH(j, &d->vault_jobs, entry)
		if (strcmp(j->id, id) == 0)
			return j;
	return NULL;
}

static void	job_run(struct vault_job *j);

/* Tell, and let the next one of this vault run. */
static void
job_over(struct vault_job *j, int r, const char *why)
{
	struct daemon *d = j->daemon;
	struct vault_job *next;

	if (r < 0)
		log_warn("vault %.32s: %s: %s", j->id, verbs[j->verb], why);
	else
		log_debug("vault %.32s: %s: done", j->id, verbs[j->verb]);
	TAILQ_REMOVE(&d->vault_jobs, j, entry);
	if ((next = first_of(d, j->id)) != NULL)
		job_run(next);
	if (j->done != NULL)
		j->done(j->arg, r, why);
	free(j);
}

static void
job_ended(void *arg, int status)
{
	struct vault_job *j = arg;
	char why[VAULT_WHY_MAX];
	int r = WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;

	read_sentence(j->out_fd, why, sizeof(why));
	close(j->out_fd);
	if (r < 0 && why[0] == '\0')
		snprintf(why, sizeof(why), "persona-vault failed; the log of "
		    "personad says more");
	job_over(j, r, why);
}

static bool
has_key(const struct daemon *d, const char *id)
{
	char path[DIR_BYTES + 8];

	snprintf(path, sizeof(path), "%s/vaults/%s/" VAULT_KEY_NAME,
	    d->conf.state_dir, id);
	return access(path, F_OK) == 0;
}

static int
job_spawn(struct vault_job *j, int out_fd)
{
	char program[DAEMON_PROGRAM_MAX], dir[DIR_BYTES], number[16];
	char key_file[CONF_STATE_DIR_MAX + 16];
	char *argv[6] = { (char *)(uintptr_t)"persona-vault",
	    (char *)(uintptr_t)verbs[j->verb],
	    (char *)(uintptr_t)vault_dir(j->daemon, j->id, dir) };
	struct launch_spec spec = { .argv = argv, .out_fd = out_fd };
	struct child *child;
	size_t n = 3;

	if (j->verb == MAKE || j->verb == OPEN) {
		snprintf(key_file, sizeof(key_file), "%s/vault.key",
		    j->daemon->conf.state_dir);
		argv[n++] = key_file;
		if (j->passphrase_fd >= 0) {
			snprintf(number, sizeof(number), "%d", LAUNCH_FD_BASE);
			argv[n++] = number;
			spec.fds[0] = j->passphrase_fd;
			spec.n_fds = 1;
		}
	}
	argv[n] = NULL;
	spec.path = daemon_program(j->daemon, "persona-vault", program);
	return launcher_spawn(j->daemon->launcher, &spec, job_ended, j,
	    &child);
}

static int
job_begin(struct vault_job *j)
{
	int p[2], r;

	if (j->verb == READY)
		j->verb = has_key(j->daemon, j->id) ? OPEN : MAKE;
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	j->out_fd = p[0];
	r = job_spawn(j, p[1]);
	close(p[1]);
	if (r < 0)
		close(p[0]);
	return r;
}

/* A failure is heard of later, as every end is. */
static void
not_begun_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	job_over(arg, -EIO, "persona-vault cannot be started");
}

static void
job_run(struct vault_job *j)
{
	const struct timeval now = { 0, 0 };
	int r = job_begin(j);

	if (j->passphrase_fd >= 0)
		close(j->passphrase_fd);
	j->passphrase_fd = -1;
	if (r == 0)
		return;
	log_warn_r(r, "persona-vault cannot be started");
	if (event_base_once(j->daemon->base, -1, EV_TIMEOUT, not_begun_cb, j,
	    &now) < 0)
		fatal("no memory for an event");
}

static int
job_start(struct vault_job **jp, struct daemon *d, enum verb verb,
    const char *id, int passphrase_fd, vault_done_fn *done, void *arg)
{
	struct vault_job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return -ENOMEM;
	j->daemon = d;
	snprintf(j->id, sizeof(j->id), "%s", id);
	j->verb = verb;
	j->passphrase_fd = passphrase_fd < 0 ? -1 :
	    fcntl(passphrase_fd, F_DUPFD_CLOEXEC, 0);
	j->done = done;
	j->arg = arg;
	TAILQ_INSERT_TAIL(&d->vault_jobs, j, entry);
	if (first_of(d, id) == j)
		job_run(j);
	if (jp != NULL)
		*jp = j;
	return 0;
}

int
vault_make(struct vault_job **jp, struct daemon *d, const char *id,
    int passphrase_fd, vault_done_fn *done, void *arg)
{
	return job_start(jp, d, MAKE, id, passphrase_fd, done, arg);
}

int
vault_open(struct vault_job **jp, struct daemon *d, const char *id,
    int passphrase_fd, vault_done_fn *done, void *arg)
{
	return job_start(jp, d, OPEN, id, passphrase_fd, done, arg);
}

int
vault_ready(struct vault_job **jp, struct daemon *d, const char *id,
    vault_done_fn *done, void *arg)
{
	if (vault_state(d, id) != VAULT_OPENED &&
	    vault_wants_passphrase(d, id))
		return -ENOKEY;
	return job_start(jp, d, READY, id, -1, done, arg);
}

int
vault_lock(struct vault_job **jp, struct daemon *d, const char *id,
    vault_done_fn *done, void *arg)
{
	return job_start(jp, d, CLOSE, id, -1, done, arg);
}

void
vault_remove(struct daemon *d, const char *id)
{
	int r;

	if (vault_state(d, id) == VAULT_ABSENT && first_of(d, id) == NULL)
		return;
	if ((r = job_start(NULL, d, REMOVE, id, -1, NULL, NULL)) < 0)
		log_warn_r(r, "vault %.32s: cannot be removed", id);
}

void
vault_cancel(struct vault_job *j)
{
	if (j != NULL)
		j->done = NULL;
}

/* --- all of them ---------------------------------------------------------------------- */

static DIR *
open_vaults(const struct daemon *d)
{
	char path[CONF_STATE_DIR_MAX + 16];

	snprintf(path, sizeof(path), "%s/vaults", d->conf.state_dir);
	return opendir(path);
}

void
vaults_free(struct daemon *d)
{
	struct vault_job *j;

	while ((j = TAILQ_FIRST(&d->vault_jobs)) != NULL) {
		TAILQ_REMOVE(&d->vault_jobs, j, entry);
		if (j->passphrase_fd >= 0)
			close(j->passphrase_fd);
		free(j);
	}
}

void
vaults_sweep(struct daemon *d, bool (*keep)(struct daemon *d, const char *id))
{
	DIR *dir = open_vaults(d);
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (!hexid_ok(e->d_name) || (keep(d, e->d_name) &&
		    has_key(d, e->d_name)))
			continue;
		log_info("vault %.32s: belongs to nobody, removed", e->d_name);
		vault_remove(d, e->d_name);
	}
	if (dir != NULL)
		closedir(dir);
}

void
vaults_each_open(struct daemon *d,
    void (*each)(struct daemon *d, const char *id, void *arg), void *arg)
{
	DIR *dir = open_vaults(d);
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (hexid_ok(e->d_name) &&
		    vault_state(d, e->d_name) == VAULT_OPENED)
			each(d, e->d_name, arg);
	if (dir != NULL)
		closedir(dir);
}
