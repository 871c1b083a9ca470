/* SPDX-License-Identifier: ISC */
/*
 * The trace that a persona-vmm leaves in the runtime directory, and the way back
 * to it for a personad that was restarted. Knows no registry, and not what will
 * become of the guest it finds.
 */
#include "guest-priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"
#include "guest-net.h"
#include "launcher.h"
#include "log.h"

#define HELLO_TIMEOUT_MS	3000
#define PATH_MAX_BYTES		160

/* --- the trace: a socket and a pid ---------------------------------------------- */

/* Short: a socket's path has 107 bytes (see CONF_RUNTIME_DIR_MAX). */
static const struct {
	const char *sock, *pid;
} suffixes[] = {
	[TRACE_VMM] = { "sock", "pid" },
	[TRACE_NET] = { "net", "npid" },
};

static const char *
trace_path(const struct daemon *d, const char *id, const char *suffix,
    char buf[PATH_MAX_BYTES])
{
	snprintf(buf, PATH_MAX_BYTES, "%s/vmm/%s.%s", d->conf.runtime_dir,
	    id, suffix);
	return buf;
}

void
guest_trace_remove(const struct daemon *d, const char *id)
{
	char path[PATH_MAX_BYTES];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		(void)unlink(trace_path(d, id, suffixes[i].sock, path));
		(void)unlink(trace_path(d, id, suffixes[i].pid, path));
	}
}

int
guest_trace_write(const struct daemon *d, const char *id, enum guest_trace of,
    pid_t pid)
{
	char path[PATH_MAX_BYTES], text[64];
	int fd, n, r = 0;

	(void)unlink(trace_path(d, id, suffixes[of].pid, path));
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

int
guest_trace_read(const struct daemon *d, const char *id, enum guest_trace of,
    pid_t *pid, uint64_t *ticks)
{
	char path[PATH_MAX_BYTES];
	unsigned long long t;
	int p, r = -ENOENT;
	FILE *f;

	if ((f = fopen(trace_path(d, id, suffixes[of].pid, path), "re")) == NULL)
		return -errno;
	if (fscanf(f, "%d %llu", &p, &t) == 2 && p > 1 && t > 0) {
		*pid = p;
		*ticks = t;
		r = 0;
	}
	fclose(f);
	return r;
}

/* A socket for its address, or -errno. */
static int
trace_socket(const struct daemon *d, const char *id, enum guest_trace of,
    struct sockaddr_un *sun)
{
	char path[PATH_MAX_BYTES];
	int fd;

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	trace_path(d, id, suffixes[of].sock, path);
	if (strlen(path) >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	strcpy(sun->sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

int
guest_trace_listen(const struct daemon *d, const char *id, enum guest_trace of,
    int *fdp)
{
	struct sockaddr_un sun;
	int fd = trace_socket(d, id, of, &sun), r;

	if (fd < 0)
		return fd;
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

int
guest_trace_connect(const struct daemon *d, const char *id,
    enum guest_trace of, int *fdp)
{
	struct sockaddr_un sun;
	int fd = trace_socket(d, id, of, &sun), r;

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
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
	guest_stood(g, hello->stood);
	for (size_t i = 0; i < hello->n_disks_failed; i++)
		guest_disk_failed(g, hello->disks_failed[i]);
	if (g->net != NULL)
		guest_net_find(g->net);
	r = 0;
	why = "";
out:
	guest_tell_ready(g, r, why);
}

static int
connect_vmm(struct guest *g)
{
	int fd, r = guest_trace_connect(g->daemon, g->id, TRACE_VMM, &fd);

	return r < 0 ? r : guest_control(g, fd);
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

	if (guest_trace_read(d, rec->id, TRACE_VMM, &pid, &ticks) < 0)
		return -ENOENT;
	if ((r = guest_new(&g, d, rec, events, arg)) < 0)
		return r;
	if (launcher_watch(d->launcher, pid, ticks, guest_process_ended, g,
	    &g->child) < 0) {
		guest_discard(g);
		return -ENOENT;
	}
	guest_group_find(g, rec);
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
		if (guest_trace_read(d, id, TRACE_VMM, &pid, &ticks) < 0)
			continue;
		if (launcher_watches(d->launcher, pid))
			continue;
		if (launcher_watch(d->launcher, pid, ticks, NULL, NULL,
		    &child) == 0) {
			log_warn("persona-vmm[%d] belongs to no persona, "
			    "killing it", (int)pid);
			child_kill(child, SIGKILL);
		}
		guest_trace_remove(d, id);
	}
	closedir(dir);
}
