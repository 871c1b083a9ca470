/* SPDX-License-Identifier: ISC */
/*
 * A personad with canned answers, one process a connection, for personactl's
 * story: fake-personad SOCKET. What it was asked goes to stdout, a line each.
 * Knows no persona; names of personas and peers choose how a request ends.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.pb-c.h"
#include "ipc.h"
#include "reason.h"

#define TICK_MS 30	/* between two pictures of a move */
#define S(text) ((char *)(uintptr_t)(text))

/* What one connection tells another. */
struct shared {
	atomic_int	cancelled;
	atomic_int	answer;		/* 0: none yet, 1: same, 2: not */
};

struct conn {
	int		fd;
	struct shared	*shared;
};

static void
tick(void)
{
	(void)poll(NULL, 0, TICK_MS);
}

static void
send_reply(struct conn *c, Persona__Control__Reply *r, const int *fd)
{
	Persona__Control__ControlMessage m =
	    PERSONA__CONTROL__CONTROL_MESSAGE__INIT;

	m.kind_case = PERSONA__CONTROL__CONTROL_MESSAGE__KIND_REPLY;
	m.reply = r;
	if (ipc_send(c->fd, &m.base, fd, fd != NULL, 1000) < 0)
		exit(1);	/* the client has left */
}

static void
finish(struct conn *c, int error, const char *message)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;

	r.error = error;
	r.message = S(message);
	r.done = true;
	send_reply(c, &r, NULL);
}

/* --- personas ----------------------------------------------------------- */

static void
fill_persona(Persona__Control__PersonaInfo *p, const char *name)
{
	persona__control__persona_info__init(p);
	p->name = S(name);
	p->id = S("0123456789abcdef0123456789abcdef");
	p->state = PERSONA__CONTROL__PERSONA_INFO__STATE__RUNNING;
	p->ram_bytes = 512ULL << 20;
	p->vcpus = 2;
	p->cpu_baseline = S("x86-64-v2");
	p->tenure = 7;
	p->cmdline = S("console=ttyS0 \"quoted\" \033[31m\xff");
	p->last_end = S("power-off\nby the guest");
	p->has_created_unix_s = true;
	p->created_unix_s = 1790000000;
}

static void
answer_list(struct conn *c)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__PersonaInfo work, home, *all[] = { &work, &home };

	fill_persona(&work, "work");
	fill_persona(&home, "home");
	home.state = PERSONA__CONTROL__PERSONA_INFO__STATE__MOVED;
	home.moved_to = S("bob\033[2J");
	r.done = true;
	r.n_personas = 2;
	r.personas = all;
	send_reply(c, &r, NULL);
}

static void
answer_show(struct conn *c, const char *name)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__PersonaInfo p, *all[] = { &p };

	if (strcmp(name, "garbage") == 0) {
		(void)!write(c->fd, "\xff\xff\xff", 3);
		return;
	}
	if (strcmp(name, "work") != 0) {
		finish(c, -ENOENT, "there is no persona of that name here");
		return;
	}
	fill_persona(&p, name);
	r.done = true;
	r.n_personas = 1;
	r.personas = all;
	send_reply(c, &r, NULL);
}

/* "work" may, "vanish" loses the connection, anything else may not. */
static void
answer_name(struct conn *c, const char *name)
{
	if (strcmp(name, "vanish") == 0)
		return;
	if (strcmp(name, "work") == 0 || strcmp(name, "bob") == 0)
		finish(c, 0, NULL);
	else
		finish(c, -EBUSY, "it cannot be done\033[31m now");
}

static void
serve_console(int fd)
{
	char buf[512], last = 0;
	ssize_t n;

	(void)!write(fd, "hello from the guest\r\n", 22);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			printf("key %d\n", buf[i]);
			buf[i] = (char)toupper(buf[i]);
		}
		fflush(stdout);
		(void)!write(fd, buf, (size_t)n);
		last = buf[n - 1];
		if (last == '!')
			break;	/* the guest ends */
	}
}

static void
answer_console(struct conn *c)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		exit(1);
	send_reply(c, &r, &sv[1]);
	close(sv[1]);
	serve_console(sv[0]);
	close(sv[0]);
	finish(c, 0, NULL);
}

/* --- peers -------------------------------------------------------------- */

static void
answer_peers(struct conn *c)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__PeerInfo bob, evil, *all[] = { &bob, &evil };
	char *addresses[] = { S("192.0.2.7 7272 (wlan0)"),
	    S("fe80::7%usb0 7272 (usb0)") };

	persona__control__peer_info__init(&bob);
	bob.name = S("bob");
	bob.fingerprint = S("SHA256:kHrB4iYEXFmxNqgZVfQ0sBpRZW2Yb9vE1J7TnL3aXkE");
	bob.paired = bob.present = true;
	bob.n_addresses = 2;
	bob.addresses = addresses;
	persona__control__peer_info__init(&evil);
	evil.name = S("bob \xe2\x80\xae\033]0;x\007");
	evil.present = true;
	evil.warning = S("its key has changed since pairing");
	r.done = true;
	r.n_peers = 2;
	r.peers = all;
	send_reply(c, &r, NULL);
}

static void
send_step(struct conn *c, Persona__Control__PairStep__Step step, bool done,
    const char *peer)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__PairStep s = PERSONA__CONTROL__PAIR_STEP__INIT;

	s.step = step;
	s.peer_name = S(peer);
	if (step == PERSONA__CONTROL__PAIR_STEP__STEP__COMPARE)
		s.digits = S("042137");
	s.has_pairing_id = true;
	s.pairing_id = 99;
	r.pair = &s;
	r.done = done;
	send_reply(c, &r, NULL);
}

static void
answer_pair(struct conn *c, const char *peer)
{
	c->shared->answer = 0;
	send_step(c, PERSONA__CONTROL__PAIR_STEP__STEP__CONNECTING, false,
	    peer);
	if (strcmp(peer, "silent") == 0) {
		send_step(c, PERSONA__CONTROL__PAIR_STEP__STEP__TIMED_OUT,
		    true, peer);
		return;
	}
	send_step(c, PERSONA__CONTROL__PAIR_STEP__STEP__COMPARE, false, peer);
	while (c->shared->answer == 0)
		tick();
	if (c->shared->answer == 2) {
		finish(c, -ECONNREFUSED, "the digits were not the same");
		return;
	}
	send_step(c, PERSONA__CONTROL__PAIR_STEP__STEP__WAITING_PEER, false,
	    peer);
	send_step(c, PERSONA__CONTROL__PAIR_STEP__STEP__PAIRED, true, peer);
}

/* --- moves -------------------------------------------------------------- */

static void
send_move(struct conn *c, unsigned int i, bool done, uint32_t reason)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__MoveInfo m = PERSONA__CONTROL__MOVE_INFO__INIT,
	    *all[] = { &m };
	Persona__Transfer__Progress p = PERSONA__TRANSFER__PROGRESS__INIT;
	Persona__Transfer__Savings s = PERSONA__TRANSFER__SAVINGS__INIT;

	p.has_phase = p.has_round = p.has_bytes_sent = p.has_rate = true;
	p.phase = PERSONA__TRANSFER__PROGRESS__PHASE__COPYING;
	p.round = 1 + i / 3;
	p.bytes_sent = (uint64_t)i * (10 << 20);
	p.rate = 25000000;
	p.has_eta_ms = true;
	p.eta_ms = 5000 - i * 100;
	s.zero_pages = 10;
	s.lz4_pages = 30;
	p.savings = &s;
	m.persona = S("work");
	m.peer = S("bob");
	m.outgoing = true;
	m.progress = &p;
	m.has_elapsed_ms = true;
	m.elapsed_ms = 1 + i * 500;
	m.has_ram_bytes = true;
	m.ram_bytes = 512ULL << 20;
	if (done) {
		m.has_ended = m.ended = m.has_reason = true;
		m.reason = reason;
		m.has_blackout_ns = true;
		m.blackout_ns = 43000000;
	}
	r.n_moves = 1;
	r.moves = all;
	r.done = done;
	send_reply(c, &r, NULL);
}

static void
send_failed_move(struct conn *c, int error, uint32_t reason)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;

	r.error = error;
	r.has_reason = true;
	r.reason = reason;
	r.message = S(reason_text(reason));
	r.done = true;
	send_reply(c, &r, NULL);
}

/* "broken" loses the link, "slow" and "stuck" go on until they are cancelled. */
static void
answer_move(struct conn *c, const Persona__Control__Move *m)
{
	bool endless = strcmp(m->peer, "slow") == 0 ||
	    strcmp(m->peer, "stuck") == 0;

	if (m->detach) {
		finish(c, 0, NULL);
		return;
	}
	c->shared->cancelled = 0;
	for (unsigned int i = 0; i < 5 || endless; i++) {
		send_move(c, i < 40 ? i : 40, false, 0);
		tick();
		if (c->shared->cancelled && strcmp(m->peer, "stuck") != 0) {
			send_failed_move(c, -ECANCELED, REASON_CANCELLED);
			return;
		}
		if (i == 2 && strcmp(m->peer, "broken") == 0) {
			send_failed_move(c, -ECONNRESET, REASON_LINK_LOST);
			return;
		}
	}
	send_move(c, 5, true, REASON_OK);
}

static void
answer_status(struct conn *c, const Persona__Control__Status *s)
{
	if (s->name != NULL && strcmp(s->name, "home") == 0) {
		finish(c, 0, NULL);	/* nothing is moved */
		return;
	}
	if (s->follow) {
		send_move(c, 1, false, 0);
		tick();
		send_move(c, 2, true, s->name != NULL ? REASON_CORRUPT :
		    REASON_OK);
	} else {
		Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;
		Persona__Control__MoveInfo m =
		    PERSONA__CONTROL__MOVE_INFO__INIT, *all[] = { &m };
		Persona__Transfer__Progress p =
		    PERSONA__TRANSFER__PROGRESS__INIT;

		m.persona = S("work");
		m.peer = S("bob");
		m.outgoing = true;
		m.progress = &p;
		r.n_moves = 1;
		r.moves = all;
		r.done = true;
		send_reply(c, &r, NULL);
	}
}

/* --- the rest ----------------------------------------------------------- */

static void
answer_doctor(struct conn *c)
{
	Persona__Control__Reply r = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__DoctorResult d =
	    PERSONA__CONTROL__DOCTOR_RESULT__INIT;
	Persona__Control__DoctorResult__Check kvm, avahi,
	    *all[] = { &kvm, &avahi };

	persona__control__doctor_result__check__init(&kvm);
	kvm.name = S("kvm");
	kvm.verdict = PERSONA__CONTROL__DOCTOR_RESULT__CHECK__VERDICT__OK;
	kvm.finding = S("hardware virtualisation");
	persona__control__doctor_result__check__init(&avahi);
	avahi.name = S("avahi");
	avahi.verdict = PERSONA__CONTROL__DOCTOR_RESULT__CHECK__VERDICT__FAILED;
	avahi.finding = S("avahi-daemon does not answer");
	avahi.advice = S("apt-get install avahi-daemon");
	d.n_checks = 2;
	d.checks = all;
	r.doctor = &d;
	r.done = true;
	send_reply(c, &r, NULL);
}

static void
answer_create(struct conn *c, const Persona__Control__Create *m)
{
	printf("create %s ram=%llu vcpus=%u cpu=%s kernel=%s initrd=%s "
	    "cmdline=%s start=%d\n", m->name,
	    (unsigned long long)m->ram_bytes, m->vcpus,
	    m->cpu_baseline != NULL ? m->cpu_baseline : "-", m->kernel,
	    m->initrd != NULL ? m->initrd : "-",
	    m->cmdline != NULL ? m->cmdline : "-", m->start);
	finish(c, 0, NULL);
}

static void
answer(struct conn *c, const Persona__Control__Request *q)
{
	switch (q->what_case) {
	case PERSONA__CONTROL__REQUEST__WHAT_DOCTOR:
		answer_doctor(c);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_CREATE:
		answer_create(c, q->create);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_LIST:
		answer_list(c);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_SHOW:
		answer_show(c, q->show->name);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_START:
	case PERSONA__CONTROL__REQUEST__WHAT_KILL:
	case PERSONA__CONTROL__REQUEST__WHAT_PAUSE:
	case PERSONA__CONTROL__REQUEST__WHAT_RESUME:
	case PERSONA__CONTROL__REQUEST__WHAT_DELETE:
	case PERSONA__CONTROL__REQUEST__WHAT_UNPAIR:
		printf("name %d %s\n", q->what_case, q->start->name);
		answer_name(c, q->start->name);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_STOP:
		printf("stop %s %u\n", q->stop->name, q->stop->timeout_ms);
		answer_name(c, q->stop->name);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_CONSOLE:
		answer_console(c);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_PEERS:
		answer_peers(c);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_PAIR:
		answer_pair(c, q->pair->peer);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_PAIR_WAIT:
		answer_pair(c, "alice");
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_PAIR_ANSWER:
		printf("answer %llu %d\n", (unsigned long long)
		    q->pair_answer->pairing_id, q->pair_answer->same);
		c->shared->answer = q->pair_answer->same ? 1 : 2;
		finish(c, 0, NULL);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_MOVE:
		printf("move %s %s budget=%u rate=%llu detach=%d\n",
		    q->move->name, q->move->peer, q->move->blackout_budget_ms,
		    (unsigned long long)q->move->bandwidth_limit,
		    q->move->detach);
		fflush(stdout);
		answer_move(c, q->move);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_STATUS:
		answer_status(c, q->status);
		break;
	case PERSONA__CONTROL__REQUEST__WHAT_CANCEL:
		printf("cancel %s\n", q->cancel->name);
		c->shared->cancelled = 1;
		finish(c, 0, NULL);
		break;
	default:
		finish(c, -ENOSYS, "not known");
	}
	fflush(stdout);
}

static void
serve(struct conn *c)
{
	static struct ipc_msg msg;
	Persona__Control__ControlMessage *m;
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	if (poll(&p, 1, 5000) <= 0 || ipc_recv(c->fd, &msg) != 1)
		return;
	m = persona__control__control_message__unpack(NULL, msg.len, msg.data);
	if (m == NULL)
		return;
	if (m->kind_case == PERSONA__CONTROL__CONTROL_MESSAGE__KIND_REQUEST)
		answer(c, m->request);
	persona__control__control_message__free_unpacked(m, NULL);
}

static int
listen_at(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(sun.sun_path))
		return -1;
	strcpy(sun.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
	    listen(fd, 16) < 0)
		return -1;
	return fd;
}

int
main(int argc, char **argv)
{
	struct conn c = { .fd = -1 };
	int fd;

	if (argc != 2 || (fd = listen_at(argv[1])) < 0) {
		fputs("usage: fake-personad SOCKET\n", stderr);
		return EXIT_FAILURE;
	}
	c.shared = mmap(NULL, sizeof(*c.shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c.shared == MAP_FAILED)
		return EXIT_FAILURE;
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		if ((c.fd = accept(fd, NULL, NULL)) < 0)
			continue;
		if (fork() == 0) {
			close(fd);
			alarm(30);	/* no test lasts that long */
			serve(&c);
			return EXIT_SUCCESS;
		}
		close(c.fd);
	}
}
