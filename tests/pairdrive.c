/* SPDX-License-Identifier: ISC */
/*
 * Plays both personads and both persons over two real persona-pair processes on
 * the loopback, one story a run, and checks how it ends on both sides.
 *
 *	pairdrive PERSONA-PAIR same|differ|cancel|late|gone|dead
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc.h"
#include "pairing.pb-c.h"

#define STORY_MS	10000
#define IPC_FD		"3"

#define END(e)	PERSONA__PAIRING__RESULT__END__##e

/* One persona-pair and its personad's view of it. */
struct side {
	const char	*name;
	const char	*key;
	int		ipc;
	pid_t		pid;
	char		digits[8];
	bool		not_ready;
	bool		ended;
	int		end;
	char		peer_key[128];
};

static const char key_a[] = "ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";
static const char key_b[] = "ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";

static void
die(const char *what)
{
	fprintf(stderr, "pairdrive: %s\n", what);
	exit(EXIT_FAILURE);
}

static void
spawn(struct side *s, const char *path)
{
	int sv[2];

	if (ipc_pair(sv) < 0)
		die("no socket pair");
	if ((s->pid = fork()) < 0)
		die("no fork");
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dup2(sv[1], 3) < 0)
			_exit(127);
		execl(path, "persona-pair", "--ipc-fd", IPC_FD, (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	s->ipc = sv[0];
}

static void
tell(struct side *s, Persona__Pairing__PairMessage *m, int fd)
{
	if (ipc_send(s->ipc, &m->base, &fd, fd >= 0 ? 1 : 0, 1000) < 0)
		die("persona-pair does not listen");
}

static void
setup(struct side *s, Persona__Pairing__PairSetup__Role role, uint16_t port,
    int fd)
{
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;
	Persona__Pairing__PairSetup set = PERSONA__PAIRING__PAIR_SETUP__INIT;
	Persona__Pairing__PairAddress to[2] = {
		PERSONA__PAIRING__PAIR_ADDRESS__INIT,
		PERSONA__PAIRING__PAIR_ADDRESS__INIT,
	};
	Persona__Pairing__PairAddress *list[2] = { &to[0], &to[1] };

	/* The first leads nowhere: an interface that is not there. */
	to[0].host = (char *)"fe80::1%persona-none";
	to[0].port = port;
	to[1].host = (char *)"127.0.0.1";
	to[1].port = port;
	set.role = role;
	set.own_key = (char *)s->key;
	set.own_name = (char *)s->name;
	set.has_own_port = true;
	set.own_port = 7007;
	set.has_turn_away = role == PERSONA__PAIRING__PAIR_SETUP__ROLE__TURN_AWAY;
	set.turn_away = PERSONA__PAIRING__REFUSE__WHY__NOT_WAITING;
	if (role == PERSONA__PAIRING__PAIR_SETUP__ROLE__OFFER) {
		set.addresses = list;
		set.n_addresses = 2;
	}
	m.kind_case = PERSONA__PAIRING__PAIR_MESSAGE__KIND_SETUP;
	m.setup = &set;
	tell(s, &m, fd);
}

static void
answer(struct side *s, bool same)
{
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;
	Persona__Pairing__Answer a = PERSONA__PAIRING__ANSWER__INIT;

	a.same = same;
	m.kind_case = PERSONA__PAIRING__PAIR_MESSAGE__KIND_ANSWER;
	m.answer = &a;
	tell(s, &m, -1);
}

static void
cancel(struct side *s)
{
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;
	Persona__Pairing__Cancel c = PERSONA__PAIRING__CANCEL__INIT;

	m.kind_case = PERSONA__PAIRING__PAIR_MESSAGE__KIND_CANCEL;
	m.cancel = &c;
	tell(s, &m, -1);
}

static void
note(struct side *s, const Persona__Pairing__PairMessage *m)
{
	switch (m->kind_case) {
	case PERSONA__PAIRING__PAIR_MESSAGE__KIND_STEP:
		s->not_ready |= m->step->what ==
		    PERSONA__PAIRING__STEP__WHAT__PEER_NOT_READY;
		break;
	case PERSONA__PAIRING__PAIR_MESSAGE__KIND_COMPARE:
		snprintf(s->digits, sizeof(s->digits), "%s",
		    m->compare->digits);
		printf("%s shows %s for %s\n", s->name, s->digits,
		    m->compare->peer_name);
		break;
	case PERSONA__PAIRING__PAIR_MESSAGE__KIND_RESULT:
		s->ended = true;
		s->end = (int)m->result->end;
		snprintf(s->peer_key, sizeof(s->peer_key), "%s",
		    m->result->peer_key != NULL ? m->result->peer_key : "");
		printf("%s: %s\n", s->name, m->result->message);
		break;
	default:
		die("a message that no worker sends");
	}
}

/* Read on until `done` holds for the side, or the story takes too long. */
static void
until(struct side *s, bool (*done)(const struct side *s))
{
	static struct ipc_msg in;
	struct pollfd pfd = { .fd = s->ipc, .events = POLLIN };
	Persona__Pairing__PairMessage *m;
	int r;

	while (!done(s)) {
		if (poll(&pfd, 1, STORY_MS) <= 0)
			die("waited too long");
		if ((r = ipc_recv(s->ipc, &in)) == -EAGAIN)
			continue;
		if (r != 1)
			die("persona-pair went away without a result");
		m = persona__pairing__pair_message__unpack(NULL, in.len,
		    in.data);
		if (m == NULL)
			die("a malformed message");
		note(s, m);
		persona__pairing__pair_message__free_unpacked(m, NULL);
	}
}

static bool
has_digits(const struct side *s)
{
	return s->digits[0] != '\0';
}

static bool
is_turned_away(const struct side *s)
{
	return s->not_ready;
}

static bool
has_ended(const struct side *s)
{
	return s->ended;
}

static void
expect(struct side *s, int end, const char *peer_key)
{
	int status;

	until(s, has_ended);
	if (s->end != end)
		die("another end than expected");
	if (strcmp(s->peer_key, peer_key) != 0)
		die("another key than expected");
	if (waitpid(s->pid, &status, 0) != s->pid || status != 0)
		die("persona-pair did not leave in order");
}

static int
listen_on_loopback(uint16_t *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 4) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		die("cannot listen");
	*port = ntohs(sa.sin_port);
	return fd;
}

/* b's personad hands the next caller to a persona-pair. */
static void
take_caller(struct side *b, const char *path, int listener,
    Persona__Pairing__PairSetup__Role role)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };
	int fd = -1;

	if (poll(&pfd, 1, STORY_MS) <= 0 ||
	    (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		die("nobody calls");
	spawn(b, path);
	setup(b, role, 0, fd);
	close(fd);
}

/* Both show the same digits. */
static void
meet(struct side *a, struct side *b, const char *path, int listener)
{
	take_caller(b, path, listener,
	    PERSONA__PAIRING__PAIR_SETUP__ROLE__ACCEPT);
	until(a, has_digits);
	until(b, has_digits);
	if (strcmp(a->digits, b->digits) != 0)
		die("the digits differ");
}

int
main(int argc, char **argv)
{
	struct side a = { .name = "phone-a", .key = key_a };
	struct side b = { .name = "phone-b", .key = key_b };
	struct side early = { .name = "phone-b", .key = key_b };
	const char *path = argv[1], *story = argv[2];
	uint16_t port;
	int listener;

	if (argc != 3)
		die("usage: pairdrive PERSONA-PAIR STORY");
	signal(SIGPIPE, SIG_IGN);
	listener = listen_on_loopback(&port);
	spawn(&a, path);
	setup(&a, PERSONA__PAIRING__PAIR_SETUP__ROLE__OFFER, port, -1);

	if (strcmp(story, "late") == 0) {
		take_caller(&early, path, listener,
		    PERSONA__PAIRING__PAIR_SETUP__ROLE__TURN_AWAY);
		expect(&early, END(REFUSED), "");
		until(&a, is_turned_away);
	}
	meet(&a, &b, path, listener);
	if (strcmp(story, "same") == 0 || strcmp(story, "late") == 0) {
		answer(&a, true);
		answer(&b, true);
		expect(&a, END(PAIRED), key_b);
		expect(&b, END(PAIRED), key_a);
	} else if (strcmp(story, "differ") == 0) {
		answer(&a, true);
		answer(&b, false);
		expect(&a, END(REFUSED), "");
		expect(&b, END(REFUSED), "");
	} else if (strcmp(story, "cancel") == 0) {
		cancel(&a);
		expect(&a, END(REFUSED), "");
		expect(&b, END(REFUSED), "");
	} else if (strcmp(story, "gone") == 0) {
		/* a's personad is gone: nobody could pin, so b must not. */
		answer(&b, true);
		close(a.ipc);
		expect(&b, END(REFUSED), "");
	} else if (strcmp(story, "dead") == 0) {
		answer(&b, true);
		kill(a.pid, SIGKILL);
		expect(&b, END(FAILED), "");
	} else {
		die("no such story");
	}
	return EXIT_SUCCESS;
}
