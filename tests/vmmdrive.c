/* SPDX-License-Identifier: ISC */
/*
 * Drives a real persona-vmm with the small guest through vmm.proto, story by
 * story, and prints one line for each thing that must be true. Run by it_vmm.sh;
 * needs /dev/kvm. Deliberately knows no personad.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bounds.h"
#include "ipc.h"
#include "state.pb-c.h"
#include "vmm.pb-c.h"

#define RAM_BYTES	(64ULL << 20)
#define BITMAP_BYTES	(RAM_BYTES / PAGE_BYTES / 8)
#define ID		"0123456789abcdef0123456789abcdef"
#define RPC_TIMEOUT_MS	10000
#define LINE_TIMEOUT_MS	20000

static const char *vmm_path, *guest_path, *work_dir;
static int n_failed;

/* One persona-vmm process and what we hold of it. */
struct vmm {
	pid_t	pid;
	int	ctl;		/* owner connection */
	int	console;
	int	ram_fd;
	char	listen_path[108];
	char	line[512];	/* last console line that matched */
	char	pending[4096];	/* console bytes not yet a line */
	size_t	n_pending;
};

static void
check(bool ok, const char *what)
{
	printf("%s - %s\n", ok ? "ok" : "NOT OK", what);
	fflush(stdout);
	n_failed += !ok;
}

static void
die(const char *what)
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

static void
sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* --- the protocol -------------------------------------------------------- */

static Persona__Vmm__VmmMessage *
receive(int fd, int *out_fd)
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
static int
rpc(int fd, Persona__Vmm__Request *q, const int *fds, size_t n_fds,
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
	if ((got = receive(fd, out_fd)) == NULL)
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

#define REQUEST(q, CASE, field, type, init) \
	Persona__Vmm__Request q = PERSONA__VMM__REQUEST__INIT; \
	Persona__Vmm__##type q##_body = PERSONA__VMM__##init##__INIT; \
	q.what_case = PERSONA__VMM__REQUEST__WHAT_##CASE; \
	q.field = &q##_body

static int
ask_start(int fd)
{
	REQUEST(q, START, start, Start, START);
	return rpc(fd, &q, NULL, 0, NULL, NULL);
}

static int
ask_pause(int fd)
{
	REQUEST(q, PAUSE, pause, Pause, PAUSE);
	return rpc(fd, &q, NULL, 0, NULL, NULL);
}

static int
ask_resume(int fd, uint64_t advance_ns)
{
	REQUEST(q, RESUME, resume, Resume, RESUME);
	q_body.has_advance_clock_ns = advance_ns != 0;
	q_body.advance_clock_ns = advance_ns;
	return rpc(fd, &q, NULL, 0, NULL, NULL);
}

static int
ask_stop(int fd)
{
	REQUEST(q, STOP, stop, Stop, STOP);
	return rpc(fd, &q, NULL, 0, NULL, NULL);
}

static int
ask_throttle(int fd, uint32_t percent)
{
	REQUEST(q, THROTTLE, throttle, Throttle, THROTTLE);
	q_body.percent = percent;
	return rpc(fd, &q, NULL, 0, NULL, NULL);
}

static int
ask_harvest(int fd, Persona__Vmm__Harvest__Mode mode, uint64_t *pages)
{
	Persona__Vmm__VmmMessage *m = NULL;
	int r;

	REQUEST(q, HARVEST, harvest, Harvest, HARVEST);
	q_body.has_mode = true;
	q_body.mode = mode;
	r = rpc(fd, &q, NULL, 0, &m, NULL);
	if (r == 0)
		*pages = m->reply->harvest->dirty_pages;
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
	return r;
}

static int
ask_save(int fd, int *state_fd)
{
	REQUEST(q, SAVE, save, Save, SAVE);
	return rpc(fd, &q, NULL, 0, NULL, state_fd);
}

static int
ask_load(int fd, int state_fd)
{
	REQUEST(q, LOAD, load, Load, LOAD);
	return rpc(fd, &q, &state_fd, 1, NULL, NULL);
}

static int
ask_hello(int fd, Persona__Vmm__HelloResult__VcpuState *state, int *ram_fd)
{
	Persona__Vmm__VmmMessage *m = NULL;
	int r;

	REQUEST(q, HELLO, hello, Hello, HELLO);
	r = rpc(fd, &q, NULL, 0, &m, ram_fd);
	if (r == 0)
		*state = m->reply->hello->vcpus;
	if (r == 0 && m->reply->hello->persona_id != NULL &&
	    strcmp(m->reply->hello->persona_id, ID) != 0)
		r = -EINVAL;
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
	return r;
}

static void
ask_stats(int fd, uint32_t *percent, uint64_t *run_ns)
{
	Persona__Vmm__VmmMessage *m = NULL;

	REQUEST(q, STATS, stats, Stats, STATS);
	*percent = 100;
	*run_ns = 0;
	if (rpc(fd, &q, NULL, 0, &m, NULL) == 0) {
		*percent = m->reply->stats->throttle_percent;
		*run_ns = m->reply->stats->run_ns;
	}
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
}

/* Percent of the next second in which the one vCPU was let run. */
static int
measure_duty(int fd)
{
	uint64_t before, after;
	uint32_t percent;
	int64_t t0 = now_ms(), ms;

	ask_stats(fd, &percent, &before);
	sleep_ms(1000);
	ask_stats(fd, &percent, &after);
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
		die("listen");
	return fd;
}

static int
connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die("connect");
	return fd;
}

static void
vmm_spawn(struct vmm *v)
{
	static int n;
	char listen_arg[16], control_arg[16];
	int sv[2], l;

	memset(v, 0, sizeof(*v));
	v->console = v->ram_fd = -1;
	snprintf(v->listen_path, sizeof(v->listen_path), "%s/vmm%d.sock",
	    work_dir, n++);
	if (ipc_pair(sv) < 0)
		die("socketpair");
	l = listen_on(v->listen_path);
	if ((v->pid = fork()) < 0)
		die("fork");
	if (v->pid == 0) {
		snprintf(control_arg, sizeof(control_arg), "%d", sv[1]);
		snprintf(listen_arg, sizeof(listen_arg), "%d", l);
		fcntl(sv[1], F_SETFD, 0);
		execl(vmm_path, vmm_path, "--control-fd", control_arg,
		    "--listen-fd", listen_arg, (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	close(l);
	v->ctl = sv[0];
}

static void
console_attach(struct vmm *v)
{
	int sv[2];

	REQUEST(q, CONSOLE, console, ConsoleAttach, CONSOLE_ATTACH);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		die("socketpair");
	if (rpc(v->ctl, &q, &sv[1], 1, NULL, NULL) != 0)
		die("console attach");
	close(sv[1]);
	if (v->console >= 0)
		close(v->console);
	v->console = sv[0];
	v->n_pending = 0;
}

static int
create(struct vmm *v, int ram_fd, bool boot, const char *baseline,
    uint32_t vcpus, const char *cmdline)
{
	int kernel = open(guest_path, O_RDONLY | O_CLOEXEC);
	int fds[2] = { ram_fd, kernel }, r;

	REQUEST(q, CREATE, create, Create, CREATE);
	if (kernel < 0)
		die(guest_path);
	q_body.persona_id = (char *)ID;
	q_body.name = (char *)"drive";
	q_body.ram_bytes = RAM_BYTES;
	q_body.vcpus = vcpus;
	q_body.cpu_baseline = (char *)baseline;
	q_body.cmdline = (char *)cmdline;
	q_body.boot = boot;
	r = rpc(v->ctl, &q, fds, boot ? 2 : 1, NULL, NULL);
	close(kernel);
	v->ram_fd = ram_fd;
	return r;
}

static int
ram_new(void)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, RAM_BYTES) < 0)
		die("memfd");
	return fd;
}

static void
vmm_boot(struct vmm *v, uint32_t vcpus, const char *cmdline)
{
	vmm_spawn(v);
	if (create(v, ram_new(), true, "x86-64-v1", vcpus, cmdline) != 0)
		die("create");
	console_attach(v);
	if (ask_start(v->ctl) != 0)
		die("start");
}

static void
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
static int
vmm_wait(struct vmm *v)
{
	int64_t until = now_ms() + 5000;
	int status;

	while (now_ms() < until) {
		if (waitpid(v->pid, &status, WNOHANG) == v->pid) {
			v->pid = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		sleep_ms(10);
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
static bool
await(struct vmm *v, const char *begin, int timeout_ms)
{
	int64_t until = now_ms() + timeout_ms;

	while (next_line(v, until))
		if (strncmp(v->line, begin, strlen(begin)) == 0)
			return true;
	return false;
}

/* The number behind " name=" in the last line, or -1. */
static long long
field(const struct vmm *v, const char *name)
{
	char key[32];
	const char *p;

	snprintf(key, sizeof(key), " %s=", name);
	p = strstr(v->line, key);
	return p == NULL ? -1 : strtoll(p + strlen(key), NULL, 10);
}

static bool
await_beat(struct vmm *v)
{
	return await(v, "beat ", LINE_TIMEOUT_MS) && field(v, "bad") == 0;
}

/* Drop what was printed before now, then look at the next beat. */
static bool
await_fresh_beat(struct vmm *v)
{
	char sink[4096];

	while (recv(v->console, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	v->n_pending = 0;
	(void)next_line(v, now_ms() + LINE_TIMEOUT_MS);	/* maybe cut off */
	return await_beat(v);
}

/* --- stories ------------------------------------------------------------- */

#define GUEST_ARGS	"beat=100 hot=4M rate=2M mix=zero:40,text:20,repeat:20,random:20"

static void
story_boot_pause_resume(void)
{
	Persona__Vmm__HelloResult__VcpuState state = 0;
	struct vmm v;
	long long t0;

	vmm_boot(&v, 1, GUEST_ARGS);
	check(await(&v, "ready", LINE_TIMEOUT_MS), "the guest gets ready");
	check(await_beat(&v), "its heart beats, nothing wrong in memory");
	check(ask_pause(v.ctl) == 0, "it can be paused");
	check(ask_pause(v.ctl) == 0, "and paused again");
	check(ask_hello(v.ctl, &state, NULL) == 0 && state ==
	    PERSONA__VMM__HELLO_RESULT__VCPU_STATE__PAUSED,
	    "hello says that it is paused");
	while (await(&v, "beat ", 300))
		;
	check(!await(&v, "beat ", 500), "a paused guest is silent");
	check(ask_resume(v.ctl, 0) == 0 && await_beat(&v),
	    "resumed, its heart beats on");
	t0 = field(&v, "t_ms");
	check(ask_pause(v.ctl) == 0 && ask_resume(v.ctl, 5000000000u) == 0 &&
	    await_fresh_beat(&v), "resumed with its clock moved on");
	check(field(&v, "t_ms") - t0 >= 4500, "its clock moved on by 5 s");
	check(write(v.console, "v\n", 2) == 2 &&
	    await(&v, "verify ok", LINE_TIMEOUT_MS), "its memory verifies");
	vmm_end(&v);
}

static void
transfer_attach(struct vmm *v, int *conn, uint64_t **bitmap)
{
	int sv[2], fds[2];

	REQUEST(q, TRANSFER, transfer, TransferAttach, TRANSFER_ATTACH);
	if (ipc_pair(sv) < 0)
		die("socketpair");
	fds[0] = sv[1];
	fds[1] = memfd_create("bitmap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fds[1] < 0 || ftruncate(fds[1], BITMAP_BYTES) < 0)
		die("bitmap");
	*bitmap = mmap(NULL, BITMAP_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fds[1], 0);
	check(rpc(v->ctl, &q, fds, 2, NULL, NULL) == 0,
	    "a transfer connection is taken");
	close(fds[0]);
	close(fds[1]);
	*conn = sv[0];
}

static uint64_t
count_bits(const uint64_t *bitmap)
{
	uint64_t n = 0;

	for (size_t i = 0; i < BITMAP_BYTES / 8; i++)
		n += (uint64_t)__builtin_popcountll(bitmap[i]);
	return n;
}

static void
story_transfer(void)
{
	uint64_t pages = 0, run_ns, *bitmap;
	uint32_t percent;
	struct vmm v;
	int conn, duty, fd = -1;

	vmm_boot(&v, 1, GUEST_ARGS);
	check(await(&v, "ready", LINE_TIMEOUT_MS), "a guest to be copied");
	transfer_attach(&v, &conn, &bitmap);
	check(ask_harvest(conn, 1, &pages) == 0, "dirty logging starts");
	sleep_ms(500);
	check(ask_harvest(conn, 0, &pages) == 0 && pages > 50 &&
	    pages < 3000, "half a second dirties what its rate says");
	printf("# %" PRIu64 " pages\n", pages);
	check(count_bits(bitmap) == pages, "the bitmap has just as many bits");

	memset(bitmap, 0, BITMAP_BYTES);
	check(ask_pause(v.ctl) == 0 && ask_harvest(conn, 0, &pages) == 0,
	    "a paused guest is harvested to the end");
	memset(bitmap, 0, BITMAP_BYTES);
	check(ask_harvest(conn, 0, &pages) == 0 && pages == 0,
	    "then nothing is left");
	check(ask_resume(conn, 0) == -EPERM, "a transfer may not resume");
	check(ask_pause(conn) == -EPERM, "a transfer may not pause");
	check(ask_save(conn, &fd) == -EPERM && fd < 0,
	    "a transfer may not save");
	check(ask_stop(conn) == -EPERM, "a transfer may not stop");
	check(ask_resume(v.ctl, 0) == 0, "its owner may resume");

	check(ask_throttle(conn, 80) == 0, "a transfer may throttle");
	ask_stats(v.ctl, &percent, &run_ns);
	check(percent == 80, "stats tell the throttle");
	duty = measure_duty(v.ctl);
	printf("# let run %d%% of the time\n", duty);
	check(duty >= 5 && duty <= 50,
	    "throttled by 80 it runs about a fifth of the time");
	check(ask_throttle(conn, 100) == -EINVAL, "100 percent is refused");
	close(conn);
	sleep_ms(100);
	ask_stats(v.ctl, &percent, &run_ns);
	check(percent == 0,
	    "the end of a transfer takes its throttle away");
	check(measure_duty(v.ctl) >= 80, "it runs all the time again");
	check(await_beat(&v), "and harms nothing");
	munmap(bitmap, BITMAP_BYTES);
	vmm_end(&v);
}

/* A copy of the state, changed by `change`, as a new memfd. */
static int
state_variant(int state_fd, void (*change)(Persona__State__MachineState *))
{
	off_t len = lseek(state_fd, 0, SEEK_END);
	Persona__State__MachineState *s;
	uint8_t *bytes = malloc((size_t)len), *out;
	size_t n;
	int fd;

	if (bytes == NULL || pread(state_fd, bytes, (size_t)len, 0) != len)
		die("read state");
	s = persona__state__machine_state__unpack(NULL, (size_t)len, bytes);
	if (s == NULL)
		die("unpack state");
	change(s);
	out = malloc(persona__state__machine_state__get_packed_size(s));
	n = persona__state__machine_state__pack(s, out);
	fd = memfd_create("variant", MFD_CLOEXEC);
	if (write(fd, out, n) != (ssize_t)n)
		die("write state");
	persona__state__machine_state__free_unpacked(s, NULL);
	free(bytes);
	free(out);
	return fd;
}

static void
change_version(Persona__State__MachineState *s)
{
	s->version++;
}

static void
change_baseline(Persona__State__MachineState *s)
{
	s->cpu_baseline[strlen(s->cpu_baseline) - 1]++;
}

static void
change_ram(Persona__State__MachineState *s)
{
	s->ram_bytes *= 2;
}

static void
change_device(Persona__State__MachineState *s)
{
	s->devices[0]->name[0]++;
}

static void
drop_device(Persona__State__MachineState *s)
{
	persona__state__device_state__free_unpacked(
	    s->devices[--s->n_devices], NULL);
}

static void
change_cpuid(Persona__State__MachineState *s)
{
	s->vcpus[0]->cpuid[1]->ecx ^= 1u << 9;
}

static void
drop_lapic(Persona__State__MachineState *s)
{
	s->vcpus[0]->n_lapic--;
}

static void
drop_vcpu(Persona__State__MachineState *s)
{
	persona__state__vcpu_x86__free_unpacked(s->vcpus[--s->n_vcpus], NULL);
}

static void
add_msr(Persona__State__MachineState *s)
{
	s->vcpus[0]->msrs[0]->index = 0x10a;
	s->vcpus[0]->msrs[0]->value = 1;
}

static void
refuse(struct vmm *v, int state_fd, int error, const char *what,
    void (*change)(Persona__State__MachineState *))
{
	int fd = state_variant(state_fd, change);

	check(ask_load(v->ctl, fd) == error, what);
	close(fd);
}

static void
story_save_load(void)
{
	Persona__Vmm__HelloResult__VcpuState vcpus = 0;
	struct vmm a, b;
	long long n_before;
	int state_fd = -1, short_fd;

	vmm_boot(&a, 2, GUEST_ARGS);
	check(await(&a, "ready", LINE_TIMEOUT_MS) && await_beat(&a),
	    "a guest to be saved");
	check(ask_save(a.ctl, &state_fd) == -EBUSY,
	    "a running guest is not saved");
	check(ask_pause(a.ctl) == 0 && ask_save(a.ctl, &state_fd) == 0 &&
	    state_fd >= 0, "paused, it is saved");
	check(fcntl(state_fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE | F_SEAL_SEAL), "its state is sealed");
	n_before = field(&a, "n");

	vmm_spawn(&b);
	check(create(&b, dup(a.ram_fd), false, "x86-64-v1", 2, NULL) == 0,
	    "a second process waits on the same memory");
	console_attach(&b);
	check(ask_start(b.ctl) == -EBUSY, "it has nothing to start yet");
	refuse(&b, state_fd, -EPROTO, "another version is refused",
	    change_version);
	refuse(&b, state_fd, -EINVAL, "another baseline is refused",
	    change_baseline);
	refuse(&b, state_fd, -EINVAL, "another memory size is refused",
	    change_ram);
	refuse(&b, state_fd, -EPROTO, "another device is refused",
	    change_device);
	refuse(&b, state_fd, -EPROTO, "a missing device is refused",
	    drop_device);
	refuse(&b, state_fd, -ENOTSUP, "another CPU is refused",
	    change_cpuid);
	refuse(&b, state_fd, -EINVAL, "half an APIC is refused", drop_lapic);
	refuse(&b, state_fd, -EINVAL, "a missing vCPU is refused", drop_vcpu);
	refuse(&b, state_fd, -ENOTSUP, "an MSR of the host's is refused",
	    add_msr);
	short_fd = memfd_create("short", MFD_CLOEXEC);
	check(write(short_fd, "\010\001\022", 3) == 3 &&
	    ask_load(b.ctl, short_fd) == -EBADMSG, "rubbish is refused");
	close(short_fd);
	check(ask_load(b.ctl, state_fd) == 0,
	    "after all that, the true state is taken");
	check(ask_hello(b.ctl, &vcpus, NULL) == 0 && vcpus ==
	    PERSONA__VMM__HELLO_RESULT__VCPU_STATE__PAUSED,
	    "loaded, it is paused");
	check(ask_resume(b.ctl, 1000000) == 0 && await_beat(&b),
	    "it goes on in the other process");
	check(field(&b, "n") > n_before, "where it was");
	check(write(b.console, "v\n", 2) == 2 &&
	    await(&b, "verify ok", LINE_TIMEOUT_MS), "its memory verifies");
	vmm_end(&a);
	vmm_end(&b);
	close(state_fd);
}

static void
story_baseline(void)
{
	struct vmm v;
	int r;

	vmm_spawn(&v);
	r = create(&v, ram_new(), true, "x86-64-v9", 1, "");
	check(r == -EINVAL, "an unknown baseline is refused");
	r = create(&v, dup(v.ram_fd), true, "x86-64-v4", 1, "");
	check(r == 0 || r == -ENOTSUP,
	    "x86-64-v4 is made or refused in words");
	vmm_end(&v);
}

static void
story_reattach(void)
{
	Persona__Vmm__HelloResult__VcpuState vcpus = 0;
	int ram_fd = -1, second;
	struct vmm v;
	char c;

	vmm_boot(&v, 1, GUEST_ARGS);
	check(await(&v, "ready", LINE_TIMEOUT_MS), "a guest with an owner");
	second = connect_to(v.listen_path);
	check(poll(&(struct pollfd){ .fd = second, .events = POLLIN }, 1,
	    2000) == 1 && recv(second, &c, 1, 0) == 0,
	    "a second owner is refused");
	close(second);
	close(v.ctl);
	sleep_ms(200);
	v.ctl = connect_to(v.listen_path);
	check(ask_hello(v.ctl, &vcpus, &ram_fd) == 0 && ram_fd >= 0 &&
	    vcpus == PERSONA__VMM__HELLO_RESULT__VCPU_STATE__RUNNING,
	    "after the owner's end a new one finds it running");
	if (ram_fd >= 0)
		close(ram_fd);
	console_attach(&v);
	check(await_beat(&v), "and hears its heart");
	vmm_end(&v);
}

/* The Exited event's reason, or -1. */
static int
await_exited(int fd)
{
	Persona__Vmm__VmmMessage *m = receive(fd, NULL);
	int reason = -1;

	if (m != NULL && m->kind_case ==
	    PERSONA__VMM__VMM_MESSAGE__KIND_EVENT)
		reason = (int)m->event->exited->reason;
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
	return reason;
}

static void
story_ends(void)
{
	struct vmm v;

	vmm_boot(&v, 1, GUEST_ARGS);
	check(await(&v, "ready", LINE_TIMEOUT_MS) &&
	    write(v.console, "q", 1) == 1, "a guest is told to power off");
	check(await_exited(v.ctl) ==
	    PERSONA__VMM__EXITED__REASON__POWER_OFF, "the owner learns why");
	check(vmm_wait(&v) == 0, "the process exits with 0");
	vmm_end(&v);

	vmm_boot(&v, 1, GUEST_ARGS);
	check(ask_stop(v.ctl) == 0 && await_exited(v.ctl) ==
	    PERSONA__VMM__EXITED__REASON__STOPPED, "a stop is a stop");
	check(vmm_wait(&v) == 0, "and exits with 0");
	vmm_end(&v);

	vmm_spawn(&v);
	close(v.ctl);
	v.ctl = -1;
	check(vmm_wait(&v) >= 0, "without owner and guest it leaves");
	vmm_end(&v);
}

int
main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: vmmdrive PERSONA-VMM GUEST DIR\n");
		return 2;
	}
	vmm_path = argv[1];
	guest_path = argv[2];
	work_dir = argv[3];
	story_boot_pause_resume();
	story_transfer();
	story_save_load();
	story_baseline();
	story_reattach();
	story_ends();
	printf("# %d failed\n", n_failed);
	return n_failed == 0 ? 0 : 1;
}
