/* SPDX-License-Identifier: ISC */
/*
 * Two personads in one small program, for it_sync.sh: starts the real persona-sync
 * twice, with the real sshd and persona-gate between them, moves the memory of a
 * guest that a timer dirties (timer-guest.h), and compares what arrived. Knows no
 * registry and no KVM.
 *
 *   syncdrive DIR GATE PERSONA-SYNC [MB [BYTES-A-SECOND [FAULT]]]
 *
 * FAULT: kill-send, kill-receive, cut (sshd killed), cancel: when a few progress
 * messages have come. Then the guest must run on at the source.
 */
#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gate-server.h"
#include "greeting.h"
#include "identity.h"
#include "ipc.h"
#include "listen.h"
#include "log.h"
#include "sshd-conf.h"
#include "timer-guest.h"
#include "transfer.pb-c.h"

#define ATTEMPT		5u
#define TENURE		1u
#define STATE_BYTES	20000u
#define LATE_CHANNEL	3u	/* the last: handed over after the offer */
#define TRANSFER_ID	"00112233445566778899aabbccddeeff"
#define KIND(x)		PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_##x

struct drive {
	struct event_base	*base;
	const char		*dir, *gate, *program, *fault;
	uint64_t		limit;
	struct identity		*own, *peer;	/* source's and target's */
	struct listener		*listener;
	struct gate_stream	late;		/* gate_fd 0: none */
	bool			offered;
	struct gate_server	*gates;
	int			source, target;		/* our ends */
	pid_t			source_pid, target_pid, sshd_pid;
	struct timer_guest	guest;
	int			copy_fd;		/* the target's memory */
	uint8_t			*copy;
	bool			owned, released;
	uint64_t		stopped_ns;
	unsigned int		progress;
	bool			source_done, target_done;
	uint32_t		source_reason;
	struct ipc_msg		in;
};

static struct drive d;

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* --- saying things ------------------------------------------------------------ */

static void
tell_of(int to, uint64_t attempt, Persona__Transfer__TransferMessage *m,
    const int *fds, size_t n)
{
	m->attempt = attempt;
	if (ipc_send(to, &m->base, fds, n, 1000) < 0)
		log_warn("a worker does not listen");
}

static void
tell(int to, Persona__Transfer__TransferMessage *m, const int *fds, size_t n)
{
	tell_of(to, ATTEMPT, m, fds, n);
}

static int
state_fd(void)
{
	static uint8_t state[STATE_BYTES];
	int fd = memfd_create("state", MFD_CLOEXEC);

	memset(state, 0x3c, sizeof(state));
	if (fd < 0 || write(fd, state, sizeof(state)) != sizeof(state))
		fatal("state: %s", strerror(errno));
	return fd;
}

static void
say_setup(void)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SendSetup s = PERSONA__TRANSFER__SEND_SETUP__INIT;
	Persona__Transfer__Persona p = PERSONA__TRANSFER__PERSONA__INIT;
	Persona__Transfer__Address dead = PERSONA__TRANSFER__ADDRESS__INIT;
	Persona__Transfer__Address a = PERSONA__TRANSFER__ADDRESS__INIT;
	Persona__Transfer__Address *addresses[2] = { &dead, &a };
	int fd = identity_private_fd(d.own);

	p.id = (char *)(uintptr_t)TRANSFER_ID;
	p.name = (char *)(uintptr_t)"work";
	p.ram_bytes = d.guest.ram_bytes;
	p.vcpus = 1;
	p.cpu_baseline = (char *)(uintptr_t)"x86-64-v2";
	p.tenure = TENURE;
	/* Nobody answers at the first address; the second must be tried. */
	dead.host = a.host = (char *)(uintptr_t)"127.0.0.1";
	dead.port = 1;
	a.port = listener_port(d.listener);
	s.transfer_id = (char *)(uintptr_t)TRANSFER_ID;
	s.persona = &p;
	s.addresses = addresses;
	s.n_addresses = 2;
	s.peer_key = (char *)(uintptr_t)identity_key(d.peer);
	s.own_key = (char *)(uintptr_t)identity_key(d.own);
	s.has_bandwidth_limit = d.limit > 0;
	s.bandwidth_limit = d.limit;
	m.kind_case = KIND(SEND_SETUP);
	m.send_setup = &s;
	tell(d.source, &m, &fd, 1);
	close(fd);
}

static void
say_memory(void)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SendMemory memory =
	    PERSONA__TRANSFER__SEND_MEMORY__INIT;
	const int fds[] = { d.guest.ram_fd, d.guest.transfer_fd,
	    d.guest.dirty_fd };

	m.kind_case = KIND(SEND_MEMORY);
	m.send_memory = &memory;
	tell(d.source, &m, fds, 3);
}

static void
say_stopped(void)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Stopped stopped = PERSONA__TRANSFER__STOPPED__INIT;
	int fd = state_fd();

	d.guest.runs = false;
	d.stopped_ns = now_ns();
	stopped.state_bytes = STATE_BYTES;
	stopped.stopped_at_ns = d.stopped_ns;
	m.kind_case = KIND(STOPPED);
	m.stopped = &stopped;
	tell(d.source, &m, &fd, 1);
	close(fd);
}

static void
say_release(uint64_t tenure)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Release release = PERSONA__TRANSFER__RELEASE__INIT;

	d.released = true;
	release.tenure = tenure;
	m.kind_case = KIND(RELEASE);
	m.release = &release;
	tell(d.source, &m, NULL, 0);
}

static void
say_cancel(void)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Cancel cancel = PERSONA__TRANSFER__CANCEL__INIT;

	cancel.reason = 1;
	m.kind_case = KIND(CANCEL);
	m.cancel = &cancel;
	tell(d.source, &m, NULL, 0);
}

static void
say_accept(void)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Accept accept = PERSONA__TRANSFER__ACCEPT__INIT;

	m.kind_case = KIND(ACCEPT);
	m.accept = &accept;
	tell(d.target, &m, &d.copy_fd, 1);
}

static void
say_prepared(void)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Prepared prepared =
	    PERSONA__TRANSFER__PREPARED__INIT;

	prepared.tenure = TENURE + 1;
	m.kind_case = KIND(PREPARED);
	m.prepared = &prepared;
	tell(d.target, &m, NULL, 0);
}

static void
say_running(uint64_t stopped_for_ns)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Running running = PERSONA__TRANSFER__RUNNING__INIT;

	d.owned = true;
	printf("stopped for %.1f ms, %.1f by the sender's word\n",
	    (double)(now_ns() - d.stopped_ns) / 1e6,
	    (double)stopped_for_ns / 1e6);
	running.tenure = TENURE + 1;
	running.has_blackout_ns = 1;
	running.blackout_ns = stopped_for_ns;
	m.kind_case = KIND(RUNNING);
	m.running = &running;
	tell(d.target, &m, NULL, 0);
}

/* --- hearing things ----------------------------------------------------------- */

static void
cause_fault(void)
{
	if (d.fault == NULL || ++d.progress != 4)
		return;
	if (strcmp(d.fault, "kill-send") == 0)
		kill(d.source_pid, SIGKILL);
	else if (strcmp(d.fault, "kill-receive") == 0)
		kill(d.target_pid, SIGKILL);
	else if (strcmp(d.fault, "cut") == 0)
		kill(d.sshd_pid, SIGKILL);
	else
		say_cancel();
}

static void
heard_ended(const char *who, const Persona__Transfer__Ended *e)
{
	const Persona__Transfer__Progress *p = e->last;

	printf("%s: %s (%u), %llu KiB, cpu %llu ms\n", who, e->message,
	    e->reason, p != NULL ? (unsigned long long)p->bytes_sent >> 10 : 0,
	    (unsigned long long)e->cpu_ms);
}

static void
heard_by_source(const Persona__Transfer__TransferMessage *m)
{
	switch ((int)m->kind_case) {
	case KIND(PEER_PROVEN):
		say_memory();
		break;
	case KIND(WANT_STOP):
		say_stopped();
		break;
	case KIND(PREPARED):
		say_release(m->prepared->tenure);
		break;
	case KIND(PROGRESS):
		cause_fault();
		break;
	case KIND(ENDED):
		heard_ended("source", m->ended);
		d.source_reason = m->ended->reason;
		break;
	}
}

static void
hand_over(const struct gate_stream *gs)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__AddStream add = PERSONA__TRANSFER__ADD_STREAM__INIT;
	const int fds[] = { gs->rfd, gs->wfd, gs->gate_fd };

	add.channel = gs->channel;
	m.kind_case = KIND(ADD_STREAM);
	m.add_stream = &add;
	tell_of(d.target, 0, &m, fds, 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* Its worker has made the offer known: a stream that came late is no worse. */
static void
heard_offer(void)
{
	d.offered = true;
	say_accept();
	if (d.late.gate_fd > 0)
		hand_over(&d.late);
}

static void
heard_by_target(const Persona__Transfer__TransferMessage *m)
{
	switch ((int)m->kind_case) {
	case KIND(OFFERED):
		heard_offer();
		break;
	case KIND(VERIFIED):
		say_prepared();
		break;
	case KIND(RELEASED):
		say_running(m->released->stopped_for_ns);
		break;
	case KIND(ENDED):
		heard_ended("target", m->ended);
		break;
	}
}

/* Both workers gone: it is over. */
static void
worker_gone(bool *done, struct event *e)
{
	event_del(e);
	*done = true;
	if (!d.released)
		d.guest.runs = true;
	if (d.source_done && d.target_done)
		event_base_loopbreak(d.base);
}

static struct event *source_event, *target_event;

static void
worker_cb(evutil_socket_t fd, short what, void *arg)
{
	bool source = fd == d.source;
	int r;

	(void)what;
	(void)arg;
	while ((r = ipc_recv(fd, &d.in)) > 0) {
		Persona__Transfer__TransferMessage *m;

		m = persona__transfer__transfer_message__unpack(NULL, d.in.len,
		    d.in.data);
		if (m == NULL)
			fatal("a worker sent nonsense");
		if (source)
			heard_by_source(m);
		else
			heard_by_target(m);
		persona__transfer__transfer_message__free_unpacked(m, NULL);
		ipc_msg_fini(&d.in);
	}
	if (r != -EAGAIN)
		worker_gone(source ? &d.source_done : &d.target_done,
		    source ? source_event : target_event);
}

/* --- starting things ---------------------------------------------------------- */

static pid_t
start_worker(const char *role, int *ours)
{
	char number[16];
	int sv[2];
	pid_t pid;

	if (ipc_pair(sv) < 0 || (pid = fork()) < 0)
		fatal("cannot start a worker");
	if (pid == 0) {
		int theirs = dup(sv[1]);	/* survives exec */

		snprintf(number, sizeof(number), "%d", theirs);
		execl(d.program, d.program, role, "--ipc-fd", number,
		    getenv("SYNCDRIVE_DEBUG") ? "--debug" : NULL, NULL);
		_exit(127);
	}
	close(sv[1]);
	*ours = sv[0];
	return pid;
}

/* As from a personad that has heard of no offer yet, so of no attempt. */
static void
stream_arrived(void *arg, const struct gate_stream *gs)
{
	(void)arg;
	if (gs->channel == LATE_CHANNEL && !d.offered)
		d.late = *gs;
	else
		hand_over(gs);
}

static void
sshd_spawned(void *arg, pid_t pid)
{
	(void)arg;
	d.sshd_pid = pid;
}

static void
no_pairing(void *arg, int fd, const char *address)
{
	(void)arg;
	(void)address;
	close(fd);
}

static void
open_target(void)
{
	char path[PATH_MAX], user[GREETING_USER_MAX + 1], gates[PATH_MAX];
	const char *host = "127.0.0.1", *key = identity_key(d.own);
	struct sshd_conf conf = { .dir = path, .gate = d.gate,
	    .gate_socket = gates, .user = user };
	struct listener_config lc = { .hosts = &host, .n_hosts = 1,
	    .sshd_config = path, .user = user, .spawned = sshd_spawned,
	    .pair = no_pairing };

	snprintf(path, sizeof(path), "%s/target", d.dir);
	snprintf(gates, sizeof(gates), "%s/gate.sock", d.dir);
	conf.identity = identity_path(d.peer);
	if (sshd_conf_user(user, sizeof(user)) < 0 ||
	    sshd_conf_write(&conf, &key, 1) < 0 ||
	    gate_server_open(&d.gates, d.base, gates, stream_arrived,
	    NULL) < 0)
		fatal("the target's door does not open");
	snprintf(path, sizeof(path), "%s/target/" SSHD_CONF_NAME, d.dir);
	if (listener_open(&d.listener, d.base, &lc) < 0)
		fatal("the target does not listen");
}

static void
open_identities(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/source", d.dir);
	if (identity_open(&d.own, path) < 0)
		fatal("no identity");
	snprintf(path, sizeof(path), "%s/target", d.dir);
	if (identity_open(&d.peer, path) < 0)
		fatal("no identity");
}

static struct event *
watch(int fd, event_callback_fn cb)
{
	struct event *e = event_new(d.base, fd, EV_READ | EV_PERSIST, cb, NULL);

	if (e == NULL || event_add(e, NULL) < 0)
		fatal("no event");
	return e;
}

static int
verdict(uint64_t took_ns)
{
	bool same;

	printf("%llu ms in all\n", (unsigned long long)took_ns / 1000000);
	if (d.fault != NULL) {
		bool kept = d.guest.runs && !d.released && !d.owned;

		printf("%s: the guest %s\n", d.fault, kept ?
		    "runs on at the source" : "IS LOST");
		return kept ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (d.source_reason != 0 || !d.owned)
		return EXIT_FAILURE;
	same = memcmp(d.guest.ram, d.copy, d.guest.ram_bytes) == 0;
	printf("memory is %s\n", same ? "the same" : "DIFFERENT");
	return same ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	uint64_t begun, ram_bytes;
	int r;

	if (argc < 4)
		return 2;
	log_init("syncdrive", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	d.dir = argv[1];
	d.gate = argv[2];
	d.program = argv[3];
	ram_bytes = (argc > 4 ? strtoull(argv[4], NULL, 10) : 64) << 20;
	d.limit = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
	d.fault = argc > 6 ? argv[6] : NULL;
	d.base = event_base_new();
	open_identities();
	d.copy = timer_guest_memory(&d.copy_fd, ram_bytes);
	open_target();
	timer_guest_start(&d.guest, d.base, ram_bytes);
	d.target_pid = start_worker("receive", &d.target);
	d.source_pid = start_worker("send", &d.source);
	source_event = watch(d.source, worker_cb);
	target_event = watch(d.target, worker_cb);
	begun = now_ns();
	say_setup();
	event_base_dispatch(d.base);
	r = verdict(now_ns() - begun);
	listener_close(d.listener);
	gate_server_close(d.gates);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return r;
}
