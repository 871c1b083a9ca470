/* SPDX-License-Identifier: ISC */
/*
 * Files, machine, state, record, and then the guest runs. What was saved is used up
 * by that and loses its name just before: a disk that went on must never meet an
 * older memory again. Until then a failure leaves it as it was.
 */
#include "persona-wake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "attempt.h"
#include "daemon.h"
#include "guest.h"
#include "guest-files.h"
#include "persona.h"
#include "saved.h"
#include "vault.h"

#define VMM_TIMEOUT_MS	20000	/* pages are read while it is loaded */

static Persona__Image__Manifest *
manifest_of(const struct persona *p, int *r)
{
	Persona__Image__Manifest *m = NULL;
	char dir[SAVED_PATH_MAX];

	*r = saved_manifest(saved_dir(p->daemon, p->rec.id, SAVED_SUSPENDED,
	    false, dir), &m);
	if (*r == 0 && (m->persona->ram_bytes != p->rec.ram_bytes ||
	    m->persona->vcpus != p->rec.vcpus)) {
		persona__image__manifest__free_unpacked(m, NULL);
		m = NULL;
		*r = -EUCLEAN;
	}
	return m;
}

static int
open_file(const struct persona *p, const char *name, int flags)
{
	char dir[SAVED_PATH_MAX], path[SAVED_PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", saved_dir(p->daemon, p->rec.id,
	    SAVED_SUSPENDED, false, dir), name);
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* persona-vmm takes a state that nobody can change under it. */
static int
sealed_state(const struct persona *p, uint64_t len, int *fdp)
{
	int file = open_file(p, "state", O_RDONLY), r = 0;
	int fd = memfd_create("persona-state", MFD_CLOEXEC |
	    MFD_ALLOW_SEALING);
	off_t at = 0;

	if (file < 0 || fd < 0)
		r = file < 0 ? file : -errno;
	while (r == 0 && (uint64_t)at < len) {
		ssize_t n = sendfile(fd, file, &at, len - (uint64_t)at);

		if (n < 0 && errno != EINTR)
			r = -errno;
		else if (n == 0)
			r = -EUCLEAN;
	}
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK |
	    F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	if (file >= 0)
		close(file);
	if (r < 0 && fd >= 0)
		close(fd);
	else
		*fdp = fd;
	return r;
}

/* --- it runs ------------------------------------------------------------------------ */

static void
resumed(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct persona *p = attempt_answered(arg, NULL);

	(void)reply;
	(void)msg;
	if (p == NULL || p->guest == NULL)
		return;
	/* Until here it told a restarted personad that the guest is to run on. */
	saved_sweep(p->daemon, p->rec.id);
	persona_woken(p, r, why);
}

/* How long it has slept; a clock that was set back meanwhile counts as no time. */
static uint64_t
slept_ns(const Persona__Image__Manifest *m)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return m->has_saved_unix_ns && now > m->saved_unix_ns ?
	    now - m->saved_unix_ns : 0;
}

static int
run_on(struct persona *p, const char **why)
{
	Persona__Image__Manifest *m;
	struct question *q;
	uint64_t slept;
	int r;

	*why = "its manifest cannot be read";
	if ((m = manifest_of(p, &r)) == NULL)
		return r;
	slept = slept_ns(m);
	persona__image__manifest__free_unpacked(m, NULL);
	*why = "the start could not be recorded";
	if ((r = registry_persona_started(p->daemon->registry,
	    p->rec.id)) < 0 ||
	    (r = saved_retire(p->daemon, p->rec.id, SAVED_SUSPENDED)) < 0)
		return r;
	*why = "persona-vmm does not listen";
	if ((q = attempt_ask(p->daemon, p->rec.id, 0)) == NULL)
		return -ENOMEM;
	r = vmm_resume_after(guest_vmm(p->guest), slept, VMM_TIMEOUT_MS,
	    resumed, q);
	if (r < 0)
		free(q);
	return r;
}

static void
loaded(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct persona *p = attempt_answered(arg, NULL);

	(void)reply;
	(void)msg;
	if (p == NULL || p->guest == NULL)
		return;
	if (r == 0)
		r = run_on(p, &why);
	if (r < 0)
		persona_woken(p, r, why);
}

/* --- it is put together ---------------------------------------------------------------- */

/*
 * What was suspended here goes on only once. From a checkpoint that is still there,
 * or from a file that was imported and may be again, it is a second life: the guest
 * is told to make new random numbers.
 */
static int
load_state(struct persona *p, const char **why)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Load load = PERSONA__VMM__LOAD__INIT;
	Persona__Image__Manifest *m;
	struct question *q;
	int fd = -1, r;

	*why = "its machine state cannot be read";
	if ((m = manifest_of(p, &r)) == NULL)
		return r;
	load.has_second_life = true;
	load.second_life = m->kind !=
	    PERSONA__IMAGE__MANIFEST__KIND__SUSPENDED ||
	    strcmp(m->persona->id, p->rec.id) != 0;
	r = sealed_state(p, m->state_bytes, &fd);
	persona__image__manifest__free_unpacked(m, NULL);
	if (r < 0)
		return r;
	req.what_case = PERSONA__VMM__REQUEST__WHAT_LOAD;
	req.load = &load;
	if ((q = attempt_ask(p->daemon, p->rec.id, 0)) == NULL)
		r = -ENOMEM;
	else if ((r = vmm_request(guest_vmm(p->guest), &req, &fd, 1,
	    VMM_TIMEOUT_MS, loaded, q)) < 0)
		free(q);
	close(fd);
	return r;
}

static void
machine_ready(void *arg, int r, const char *why)
{
	struct persona *p = arg;

	if (r == 0)
		r = load_state(p, &why);
	if (r < 0)
		persona_woken(p, r, why);
}

/* Before it ran: what was saved is still whole. */
static void
ended_early(void *arg, bool crashed, const char *why)
{
	struct persona *p = arg;

	(void)crashed;
	p->guest = NULL;
	persona_woken(p, -ESHUTDOWN, why);
}

/*
 * Room for all of it: a page that is written and finds no block would be the end of
 * the guest. Looked at first, for what an attempt takes it does not give back.
 */
static int
reserve(int fd, uint64_t bytes)
{
	struct statvfs fs;
	struct stat st;
	uint64_t has;

	if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0)
		return -errno;
	has = (uint64_t)st.st_blocks * 512;
	if (has < bytes && (bytes - has) / fs.f_frsize >= fs.f_bavail)
		return -ENOSPC;
	return fallocate(fd, 0, 0, (off_t)bytes) < 0 && errno != EOPNOTSUPP ?
	    -errno : 0;
}

int
persona_wake(struct persona *p, const char **why)
{
	static const struct guest_events events = {
		.ready = machine_ready,
		.ended = ended_early,
	};
	struct guest_files files;
	char dir[IMAGE_HOME_MAX + PERSONA_ID_LEN + 1], home[IMAGE_HOME_MAX];
	int r;

	/* Nothing is booted: the machine goes on. */
	guest_files_init(&files);
	snprintf(dir, sizeof(dir), "%s/%s",
	    image_home(p->daemon, p->rec.id, home), p->rec.id);
	if ((r = guest_files_open_disks(&files, p->daemon, dir, &p->rec.spec,
	    why)) < 0)
		return r;
	*why = "its saved memory cannot be opened";
	if ((r = files.ram_fd = open_file(p, "memory", O_RDWR)) >= 0 &&
	    (r = reserve(files.ram_fd, p->rec.ram_bytes)) == -ENOSPC)
		*why = "the disk has no room for all of its memory, on which "
		    "it goes on; free some, it stays suspended";
	if (r >= 0) {
		*why = "persona-vmm cannot be started";
		r = guest_start(&p->guest, p->daemon, &p->rec, &files, &events,
		    p);
	}
	guest_files_close(&files);
	return r;
}
