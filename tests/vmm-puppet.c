/* SPDX-License-Identifier: ISC */
/*
 * Requests of vmm.proto, a persona-vmm as a child, and its guest's serial line.
 * Checks nothing.
 */
#include "vmm-puppet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc.h"

#define RPC_TIMEOUT_MS	10000

void
vmm_die(const char *what)
{
	printf("NOT OK - %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
vmm_sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* --- the protocol -------------------------------------------------------- */

Persona__Vmm__VmmMessage *
vmm_receive(int fd, int *out_fd)
{
	static struct ipc_msg in;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	Persona__Vmm__VmmMessage *m;

	if (poll(&p, 1, RPC_TIMEOUT_MS) != 1 || ipc_recv(fd, &in) != 1)
		return NULL;
	m = persona__vmm__vmm_message__unpack(NULL, in.len, in.data);
	if (out_fd != NULL)
		*out_fd = ipc_take_fd(&in, 0);
	ipc_msg_fini(&in);
	return m;
}

/*
 * Ask and wait for the answer. The reply's error (or -EPIPE when there was none);
 * the whole message in *mp when asked for.
 */
int
vmm_rpc(int fd, Persona__Vmm__Request *q, const int *fds, size_t n_fds,
    Persona__Vmm__VmmMessage **mp, int *out_fd)
{
	static uint64_t next_id = 1;
	Persona__Vmm__VmmMessage m = PERSONA__VMM__VMM_MESSAGE__INIT, *got;
	int r = -EPIPE;

	q->id = next_id++;
	m.kind_case = PERSONA__VMM__VMM_MESSAGE__KIND_REQUEST;
	m.request = q;
	if (ipc_send(fd, &m.base, fds, n_fds, 1000) < 0)
		return -EPIPE;
	if ((got = vmm_receive(fd, out_fd)) == NULL)
		return -EPIPE;
	if (got->kind_case == PERSONA__VMM__VMM_MESSAGE__KIND_REPLY &&
	    got->reply->id == q->id)
		r = got->reply->error;
	if (r < 0 && got->kind_case == PERSONA__VMM__VMM_MESSAGE__KIND_REPLY)
		printf("# refused: %s\n", got->reply->message);
	if (mp != NULL)
		*mp = got;
	else
		persona__vmm__vmm_message__free_unpacked(got, NULL);
	return r;
}

int
vmm_ask_start(int fd)
{
	VMM_REQUEST(q, START, start, Start, START);
	return vmm_rpc(fd, &q, NULL, 0, NULL, NULL);
}

int
vmm_ask_pause(int fd)
{
	VMM_REQUEST(q, PAUSE, pause, Pause, PAUSE);
	return vmm_rpc(fd, &q, NULL, 0, NULL, NULL);
}

int
vmm_ask_resume(int fd, uint64_t advance_ns)
{
	VMM_REQUEST(q, RESUME, resume, Resume, RESUME);
	q_body.has_advance_clock_ns = advance_ns != 0;
	q_body.advance_clock_ns = advance_ns;
	return vmm_rpc(fd, &q, NULL, 0, NULL, NULL);
}

int
vmm_ask_stop(int fd)
{
	VMM_REQUEST(q, STOP, stop, Stop, STOP);
	return vmm_rpc(fd, &q, NULL, 0, NULL, NULL);
}

int
vmm_ask_throttle(int fd, uint32_t percent)
{
	VMM_REQUEST(q, THROTTLE, throttle, Throttle, THROTTLE);
	q_body.percent = percent;
	return vmm_rpc(fd, &q, NULL, 0, NULL, NULL);
}

int
vmm_ask_harvest(int fd, Persona__Vmm__Harvest__Mode mode, uint64_t *pages)
{
	Persona__Vmm__VmmMessage *m = NULL;
	int r;

	VMM_REQUEST(q, HARVEST, harvest, Harvest, HARVEST);
	q_body.has_mode = true;
	q_body.mode = mode;
	r = vmm_rpc(fd, &q, NULL, 0, &m, NULL);
	if (r == 0)
		*pages = m->reply->harvest->dirty_pages;
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
	return r;
}

int
vmm_ask_save(int fd, int *state_fd)
{
	VMM_REQUEST(q, SAVE, save, Save, SAVE);
	return vmm_rpc(fd, &q, NULL, 0, NULL, state_fd);
}

int
vmm_ask_load(int fd, int state_fd)
{
	VMM_REQUEST(q, LOAD, load, Load, LOAD);
	return vmm_rpc(fd, &q, &state_fd, 1, NULL, NULL);
}

int
vmm_ask_hello(int fd, Persona__Vmm__HelloResult__VcpuState *state, int *ram_fd)
{
	Persona__Vmm__VmmMessage *m = NULL;
	int r;

	VMM_REQUEST(q, HELLO, hello, Hello, HELLO);
	r = vmm_rpc(fd, &q, NULL, 0, &m, ram_fd);
	if (r == 0)
		*state = m->reply->hello->vcpus;
	if (r == 0 && m->reply->hello->persona_id != NULL &&
	    strcmp(m->reply->hello->persona_id, VMM_ID) != 0)
		r = -EINVAL;
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
	return r;
}

void
vmm_ask_stats(int fd, uint32_t *percent, uint64_t *run_ns)
{
	Persona__Vmm__VmmMessage *m = NULL;

	VMM_REQUEST(q, STATS, stats, Stats, STATS);
	*percent = 100;
	*run_ns = 0;
	if (vmm_rpc(fd, &q, NULL, 0, &m, NULL) == 0) {
		*percent = m->reply->stats->throttle_percent;
		*run_ns = m->reply->stats->run_ns;
	}
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
}

/* Percent of the next second in which the one vCPU was let run. */
int
vmm_duty(int fd)
{
	uint64_t before, after;
	uint32_t percent;
	int64_t t0 = now_ms(), ms;

	vmm_ask_stats(fd, &percent, &before);
	vmm_sleep_ms(1000);
	vmm_ask_stats(fd, &percent, &after);
	ms = now_ms() - t0;
	return (int)((int64_t)(after - before) / 10000 / ms);
}

/* --- processes ----------------------------------------------------------- */

static int
listen_on(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 4) < 0)
		vmm_die("listen");
	return fd;
}

int
vmm_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		vmm_die("connect");
	return fd;
}

void
vmm_spawn(struct vmm *v, const struct vmm_site *site)
{
	static int n;
	char listen_arg[16], control_arg[16];
	int sv[2], l;

	memset(v, 0, sizeof(*v));
	v->site = site;
	v->console = v->ram_fd = -1;
	snprintf(v->listen_path, sizeof(v->listen_path), "%s/vmm%d.sock",
	    site->dir, n++);
	if (ipc_pair(sv) < 0)
		vmm_die("socketpair");
	l = listen_on(v->listen_path);
	if ((v->pid = fork()) < 0)
		vmm_die("fork");
	if (v->pid == 0) {
		snprintf(control_arg, sizeof(control_arg), "%d", sv[1]);
		snprintf(listen_arg, sizeof(listen_arg), "%d", l);
		fcntl(sv[1], F_SETFD, 0);
		execl(site->vmm, site->vmm, "--control-fd", control_arg,
		    "--listen-fd", listen_arg, (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	close(l);
	v->ctl = sv[0];
}

void
vmm_console(struct vmm *v)
{
	int sv[2];

	VMM_REQUEST(q, CONSOLE, console, ConsoleAttach, CONSOLE_ATTACH);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		vmm_die("socketpair");
	if (vmm_rpc(v->ctl, &q, &sv[1], 1, NULL, NULL) != 0)
		vmm_die("console attach");
	close(sv[1]);
	if (v->console >= 0)
		close(v->console);
	v->console = sv[0];
	v->n_pending = 0;
}

int
vmm_create(struct vmm *v, int ram_fd, bool boot, const char *baseline,
    uint32_t vcpus, const char *cmdline)
{
	int kernel = open(v->site->guest, O_RDONLY | O_CLOEXEC);
	int fds[2] = { ram_fd, kernel }, r;

	VMM_REQUEST(q, CREATE, create, Create, CREATE);
	if (kernel < 0)
		vmm_die(v->site->guest);
	q_body.persona_id = (char *)VMM_ID;
	q_body.name = (char *)"drive";
	q_body.ram_bytes = VMM_RAM_BYTES;
	q_body.vcpus = vcpus;
	q_body.cpu_baseline = (char *)baseline;
	q_body.cmdline = (char *)cmdline;
	q_body.boot = boot;
	r = vmm_rpc(v->ctl, &q, fds, boot ? 2 : 1, NULL, NULL);
	close(kernel);
	v->ram_fd = ram_fd;
	return r;
}

int
vmm_ram_new(void)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, VMM_RAM_BYTES) < 0)
		vmm_die("memfd");
	return fd;
}

void
vmm_boot(struct vmm *v, const struct vmm_site *site, uint32_t vcpus,
    const char *cmdline)
{
	vmm_spawn(v, site);
	if (vmm_create(v, vmm_ram_new(), true, "x86-64-v1", vcpus, cmdline) != 0)
		vmm_die("create");
	vmm_console(v);
	if (vmm_ask_start(v->ctl) != 0)
		vmm_die("start");
}

void
vmm_end(struct vmm *v)
{
	close(v->ctl);
	if (v->console >= 0)
		close(v->console);
	if (v->ram_fd >= 0)
		close(v->ram_fd);
	if (v->pid > 0) {
		kill(v->pid, SIGKILL);
		waitpid(v->pid, NULL, 0);
	}
	unlink(v->listen_path);
}

/* The process's exit status, -1 when it did not exit in time. */
int
vmm_wait(struct vmm *v)
{
	int64_t until = now_ms() + 5000;
	int status;

	while (now_ms() < until) {
		if (waitpid(v->pid, &status, WNOHANG) == v->pid) {
			v->pid = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		vmm_sleep_ms(10);
	}
	return -1;
}

/* --- the guest's console ------------------------------------------------- */

static bool
next_line(struct vmm *v, int64_t until)
{
	for (;;) {
		char *nl = memchr(v->pending, '\n', v->n_pending);
		struct pollfd p = { .fd = v->console, .events = POLLIN };
		ssize_t n;

		if (nl != NULL) {
			size_t len = (size_t)(nl - v->pending);
			size_t keep = len < sizeof(v->line) ? len :
			    sizeof(v->line) - 1;

			memcpy(v->line, v->pending, keep);
			v->line[keep] = '\0';
			v->n_pending -= len + 1;
			memmove(v->pending, nl + 1, v->n_pending);
			return true;
		}
		if (v->n_pending == sizeof(v->pending))
			v->n_pending = 0;
		if (until <= now_ms() ||
		    poll(&p, 1, (int)(until - now_ms())) != 1)
			return false;
		n = read(v->console, v->pending + v->n_pending,
		    sizeof(v->pending) - v->n_pending);
		if (n <= 0)
			return false;
		v->n_pending += (size_t)n;
	}
}

/* Wait for a line that begins so; it stays in v->line. */
bool
vmm_await(struct vmm *v, const char *begin, int timeout_ms)
{
	int64_t until = now_ms() + timeout_ms;

	while (next_line(v, until))
		if (strncmp(v->line, begin, strlen(begin)) == 0)
			return true;
	return false;
}

/* The number behind " name=" in the last line, or -1. */
long long
vmm_field(const struct vmm *v, const char *name)
{
	char key[32];
	const char *p;

	snprintf(key, sizeof(key), " %s=", name);
	p = strstr(v->line, key);
	return p == NULL ? -1 : strtoll(p + strlen(key), NULL, 10);
}

bool
vmm_await_beat(struct vmm *v)
{
	return vmm_await(v, "beat ", VMM_LINE_TIMEOUT_MS) && vmm_field(v, "bad") == 0;
}

/* Drop what was printed before now, then look at the next beat. */
bool
vmm_await_fresh_beat(struct vmm *v)
{
	char sink[4096];

	while (recv(v->console, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	v->n_pending = 0;
	(void)next_line(v, now_ms() + VMM_LINE_TIMEOUT_MS);	/* maybe cut off */
	return vmm_await_beat(v);
}
