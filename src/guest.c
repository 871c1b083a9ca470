/* SPDX-License-Identifier: ISC */
/*
 * A persona-vmm from start or discovery to its end. The end is told once, when
 * both the process and the control connection are gone. Knows no registry.
 */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"
#include "launcher.h"
#include "log.h"

/* A large kernel is read and laid out in guest memory, perhaps from slow storage. */
#define CREATE_TIMEOUT_MS	60000
#define HELLO_TIMEOUT_MS	3000
#define LOST_KILL_MS		2000	/* control lost, process still there */
#define WHY_MAX			(REASON_TEXT_MAX + 1)
#define PATH_MAX_BYTES		160

struct guest {
	struct daemon		*daemon;
	struct guest_events	events;
	void			*arg;
	char			id[PERSONA_ID_LEN + 1];
	char			name[PERSONA_NAME_MAX + 1];
	struct child		*child;
	struct vmm		*vmm;
	struct event		*timer;		/* kills when it fires */
	int			ram_fd;
	uint64_t		ram_bytes;
	bool			was_running;
	bool			kill_asked;
	bool			told;		/* why[] is the guest's own account */
	bool			crashed;
	bool			process_gone;
	char			why[WHY_MAX];
};

/* --- files beside the socket --------------------------------------------------- */

static const char *
vmm_path(const struct daemon *d, const char *id, const char *suffix,
    char buf[PATH_MAX_BYTES])
{
	snprintf(buf, PATH_MAX_BYTES, "%s/vmm/%s.%s", d->conf.runtime_dir,
	    id, suffix);
	return buf;
}

static void
remove_files(const struct daemon *d, const char *id)
{
	char path[PATH_MAX_BYTES];

	(void)unlink(vmm_path(d, id, "sock", path));
	(void)unlink(vmm_path(d, id, "pid", path));
}

static int
write_pid(const struct daemon *d, const char *id, pid_t pid)
{
	char path[PATH_MAX_BYTES], text[64];
	int fd, n, r = 0;

	(void)unlink(vmm_path(d, id, "pid", path));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%d %llu\n", (int)pid,
	    (unsigned long long)child_start_ticks(pid));
	if (write(fd, text, (size_t)n) != n)
		r = -EIO;
	close(fd);
	return r;
}

static int
read_pid(const struct daemon *d, const char *id, pid_t *pid, uint64_t *ticks)
{
	char path[PATH_MAX_BYTES];
	unsigned long long t;
	int p, r = -ENOENT;
	FILE *f;

	if ((f = fopen(vmm_path(d, id, "pid", path), "re")) == NULL)
		return -errno;
	if (fscanf(f, "%d %llu", &p, &t) == 2 && p > 1 && t > 0) {
		*pid = p;
		*ticks = t;
		r = 0;
	}
	fclose(f);
	return r;
}

static int
socket_address(const struct daemon *d, const char *id, struct sockaddr_un *sun)
{
	char path[PATH_MAX_BYTES];

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	vmm_path(d, id, "sock", path);
	if (strlen(path) >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	strcpy(sun->sun_path, path);
	return 0;
}

/* Where a later personad will find this guest; the vmm accepts on it. */
static int
listen_for_heirs(const struct daemon *d, const char *id, int *fdp)
{
	struct sockaddr_un sun;
	int fd, r;

	if ((r = socket_address(d, id, &sun)) < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)unlink(sun.sun_path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
	    chmod(sun.sun_path, 0600) < 0 || listen(fd, 4) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

/* --- the end -------------------------------------------------------------------- */

static void
guest_free(struct guest *g)
{
	g->events.ready = NULL;
	if (g->timer != NULL)
		event_free(g->timer);
	child_forget(g->child);
	vmm_free(g->vmm);
	if (g->ram_fd >= 0)
		close(g->ram_fd);
	free(g);
}

static void
finish_if_over(struct guest *g)
{
	struct guest_events events = g->events;
	void *arg = g->arg;
	bool crashed = g->crashed;
	char why[WHY_MAX];

	if (!g->process_gone || g->vmm != NULL)
		return;
	memcpy(why, g->why, sizeof(why));
	remove_files(g->daemon, g->id);
	guest_free(g);
	events.ended(arg, crashed, why);
}

static void
process_ended(void *arg, int status)
{
	struct guest *g = arg;
	char text[128];
	struct timeval soon = { .tv_sec = 1 };

	g->child = NULL;
	g->process_gone = true;
	if (!g->told && g->kill_asked) {
		snprintf(g->why, sizeof(g->why), "it was killed");
	} else if (!g->told) {
		g->crashed = true;
		snprintf(g->why, sizeof(g->why), "persona-vmm %s",
		    child_status_text(status, text, sizeof(text)));
	}
	/* Its last words may still be in the socket; they are not waited for long. */
	if (g->vmm != NULL)
		(void)evtimer_add(g->timer, &soon);
	finish_if_over(g);
}

static void
vmm_lost(void *arg)
{
	struct guest *g = arg;
	struct timeval tv = { .tv_sec = LOST_KILL_MS / 1000 };
	struct vmm *v = g->vmm;

	g->vmm = NULL;
	vmm_free(v);
	if (!g->process_gone)
		(void)evtimer_add(g->timer, &tv);
	finish_if_over(g);
}

static void
vmm_exited(void *arg, const Persona__Vmm__Exited *e)
{
	static const char *const words[] = {
		[PERSONA__VMM__EXITED__REASON__POWER_OFF] =
		    "the guest powered off",
		[PERSONA__VMM__EXITED__REASON__RESET] =
		    "the guest asked for a reset",
		[PERSONA__VMM__EXITED__REASON__STOPPED] = "it was stopped",
		[PERSONA__VMM__EXITED__REASON__CRASHED] = "the guest crashed",
	};
	struct guest *g = arg;
	size_t i = (size_t)e->reason;
	const char *word = i < sizeof(words) / sizeof(words[0]) &&
	    words[i] != NULL ? words[i] : "the guest ended";

	g->told = true;
	g->crashed = e->reason == PERSONA__VMM__EXITED__REASON__CRASHED ||
	    e->reason == PERSONA__VMM__EXITED__REASON__UNKNOWN;
	if (e->message != NULL && e->message[0] != '\0' &&
	    strlen(e->message) < REASON_TEXT_MAX)
		word = e->message;
	snprintf(g->why, sizeof(g->why), "%s", word);
}

static const struct vmm_events vmm_events = {
	.exited = vmm_exited,
	.lost = vmm_lost,
};

/* Somebody has not gone as it should have. */
static void
overdue_cb(evutil_socket_t fd, short what, void *arg)
{
	struct guest *g = arg;

	(void)fd;
	(void)what;
	if (!g->process_gone) {
		log_warn("persona %s: persona-vmm[%d] does not end, killing it",
		    g->name, (int)child_pid(g->child));
		g->kill_asked = true;
		child_kill(g->child, SIGKILL);
	} else if (g->vmm != NULL) {
		vmm_lost(g);
	}
}

/* --- the beginning -------------------------------------------------------------- */

static int
make_memory(const char *name, uint64_t bytes, int *fdp)
{
	char label[PERSONA_NAME_MAX + 16];
	int fd, r;

	snprintf(label, sizeof(label), "persona-%s", name);
	fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* Nobody who maps it may be made to fault by a later truncation. */
	if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS,
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

static int
guest_new(struct guest **gp, struct daemon *d,
    const struct persona_record *rec, const struct guest_events *events,
    void *arg)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return -ENOMEM;
	g->daemon = d;
	g->events = *events;
	g->arg = arg;
	g->ram_fd = -1;
	g->ram_bytes = rec->ram_bytes;
	memcpy(g->id, rec->id, sizeof(g->id));
	memcpy(g->name, rec->name, sizeof(g->name));
	if ((g->timer = evtimer_new(d->base, overdue_cb, g)) == NULL) {
		guest_free(g);
		return -ENOMEM;
	}
	*gp = g;
	return 0;
}

static int
spawn_vmm(struct guest *g, int *control_fd)
{
	char control[16], heirs[16];
	char *argv[] = { (char *)"persona-vmm", (char *)"--control-fd",
	    control, (char *)"--listen-fd", heirs, NULL };
	struct launch_spec spec = { .argv = argv, .n_fds = 2 };
	char program[DAEMON_PROGRAM_MAX];
	int sv[2] = { -1, -1 }, listen_fd = -1, r;

	spec.path = daemon_program(g->daemon, "persona-vmm", program);
	snprintf(control, sizeof(control), "%d", LAUNCH_FD_BASE);
	snprintf(heirs, sizeof(heirs), "%d", LAUNCH_FD_BASE + 1);
	if ((r = ipc_pair(sv)) < 0)
		goto out;
	if ((r = listen_for_heirs(g->daemon, g->id, &listen_fd)) < 0)
		goto out;
	spec.fds[0] = sv[1];
	spec.fds[1] = listen_fd;
	if ((r = launcher_spawn(g->daemon->launcher, &spec, process_ended, g,
	    &g->child)) < 0)
		goto out;
	*control_fd = sv[0];
	sv[0] = -1;
	r = write_pid(g->daemon, g->id, child_pid(g->child));
out:
	if (sv[0] >= 0)
		close(sv[0]);
	if (sv[1] >= 0)
		close(sv[1]);
	if (listen_fd >= 0)
		close(listen_fd);
	return r;
}

/* Not when the guest is being discarded with the question still open. */
static void
tell_ready(struct guest *g, int r, const char *why)
{
	if (g->events.ready != NULL)
		g->events.ready(g->arg, r, why);
}

static void
created(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct guest *g = arg;

	(void)reply;
	(void)msg;
	tell_ready(g, r, why);
}

static int
send_create(struct guest *g, const struct persona_record *rec, int kernel_fd,
    int initrd_fd)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Create c = PERSONA__VMM__CREATE__INIT;
	int fds[3] = { g->ram_fd, kernel_fd, initrd_fd };
	size_t n_fds = kernel_fd < 0 ? 1 : initrd_fd < 0 ? 2 : 3;

	c.persona_id = g->id;
	c.name = g->name;
	c.ram_bytes = rec->ram_bytes;
	c.vcpus = rec->vcpus;
	c.cpu_baseline = (char *)rec->cpu_baseline;
	c.cmdline = (char *)rec->cmdline;
	c.boot = kernel_fd >= 0;
	req.what_case = PERSONA__VMM__REQUEST__WHAT_CREATE;
	req.create = &c;
	return vmm_request(g->vmm, &req, fds, n_fds, CREATE_TIMEOUT_MS,
	    created, g);
}

int
guest_start(struct guest **gp, struct daemon *d,
    const struct persona_record *rec, int kernel_fd, int initrd_fd,
    const struct guest_events *events, void *arg)
{
	struct guest *g = NULL;
	int control_fd = -1, r;

	if ((r = guest_new(&g, d, rec, events, arg)) < 0)
		return r;
	if ((r = make_memory(rec->name, rec->ram_bytes, &g->ram_fd)) < 0)
		goto fail;
	r = spawn_vmm(g, &control_fd);
	if (control_fd < 0)
		goto fail;
	if (r < 0) {
		close(control_fd);
		goto fail;
	}
	if ((r = vmm_new(&g->vmm, d->base, control_fd, &vmm_events, g)) < 0 ||
	    (r = send_create(g, rec, kernel_fd, initrd_fd)) < 0)
		goto fail;
	*gp = g;
	return 0;
fail:
	guest_discard(g);
	return r;
}

/* --- finding it again ----------------------------------------------------------- */

static void
greeted(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	const Persona__Vmm__HelloResult *hello;
	struct guest *g = arg;

	if (r < 0)
		goto out;
	r = -EPROTO;
	why = "the virtual machine is not the one we started";
	if (reply->result_case != PERSONA__VMM__REPLY__RESULT_HELLO)
		goto out;
	hello = reply->hello;
	if (hello->persona_id == NULL || strcmp(hello->persona_id, g->id) != 0 ||
	    hello->ram_bytes != g->ram_bytes)
		goto out;
	if ((g->ram_fd = ipc_take_fd(msg, 0)) < 0)
		goto out;
	g->was_running = hello->vcpus ==
	    PERSONA__VMM__HELLO_RESULT__VCPU_STATE__RUNNING;
	r = 0;
	why = "";
out:
	tell_ready(g, r, why);
}

static int
connect_vmm(struct guest *g)
{
	struct sockaddr_un sun;
	int fd, r;

	if ((r = socket_address(g->daemon, g->id, &sun)) < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return vmm_new(&g->vmm, g->daemon->base, fd, &vmm_events, g);
}

int
guest_find(struct guest **gp, struct daemon *d,
    const struct persona_record *rec, const struct guest_events *events,
    void *arg)
{
	struct guest *g = NULL;
	uint64_t ticks;
	pid_t pid;
	int r;

	if (read_pid(d, rec->id, &pid, &ticks) < 0)
		return -ENOENT;
	if ((r = guest_new(&g, d, rec, events, arg)) < 0)
		return r;
	if (launcher_watch(d->launcher, pid, ticks, process_ended, g,
	    &g->child) < 0) {
		guest_discard(g);
		return -ENOENT;
	}
	if ((r = connect_vmm(g)) < 0 || (r = vmm_hello(g->vmm,
	    HELLO_TIMEOUT_MS, greeted, g)) < 0) {
		log_warn_r(r, "persona %s: persona-vmm[%d] runs but cannot be "
		    "reached, killing it", rec->name, (int)pid);
		guest_discard(g);
		return -ENOENT;
	}
	*gp = g;
	return 0;
}

void
guest_sweep(struct daemon *d)
{
	char path[PATH_MAX_BYTES], id[PERSONA_ID_LEN + 1];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/vmm", d->conf.runtime_dir);
	if ((dir = opendir(path)) == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		struct child *child;
		uint64_t ticks;
		pid_t pid;

		if (strlen(e->d_name) != PERSONA_ID_LEN + 4 ||
		    strcmp(e->d_name + PERSONA_ID_LEN, ".pid") != 0)
			continue;
		snprintf(id, sizeof(id), "%.32s", e->d_name);
		if (read_pid(d, id, &pid, &ticks) < 0)
			continue;
		if (launcher_watches(d->launcher, pid))
			continue;
		if (launcher_watch(d->launcher, pid, ticks, NULL, NULL,
		    &child) == 0) {
			log_warn("persona-vmm[%d] belongs to no persona, "
			    "killing it", (int)pid);
			child_kill(child, SIGKILL);
		}
		remove_files(d, id);
	}
	closedir(dir);
}

/* --- small ---------------------------------------------------------------------- */

void
guest_set_events(struct guest *g, const struct guest_events *events, void *arg)
{
	g->events = *events;
	g->arg = arg;
}

struct vmm *
guest_vmm(struct guest *g)
{
	return g == NULL ? NULL : g->vmm;
}

int
guest_ram_fd(const struct guest *g)
{
	return g->ram_fd;
}

pid_t
guest_pid(const struct guest *g)
{
	return child_pid(g->child);
}

bool
guest_was_running(const struct guest *g)
{
	return g->was_running;
}

void
guest_stop(struct guest *g, uint32_t timeout_ms)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000,
	    .tv_usec = (timeout_ms % 1000) * 1000 };

	if (g->vmm == NULL ||
	    vmm_stop(g->vmm, timeout_ms, NULL, NULL) < 0)
		guest_kill(g);
	else
		(void)evtimer_add(g->timer, &tv);
}

void
guest_kill(struct guest *g)
{
	g->kill_asked = true;
	child_kill(g->child, SIGKILL);
}

void
guest_leave(struct guest *g)
{
	if (g != NULL)
		guest_free(g);
}

void
guest_discard(struct guest *g)
{
	if (g == NULL)
		return;
	child_kill(g->child, SIGKILL);
	remove_files(g->daemon, g->id);
	guest_free(g);
}
