/* SPDX-License-Identifier: ISC */
/*
 * The source of hints that is mDNS, as the loop sees it: starts persona-mdns, hears
 * what it tells, starts it again when it has ended. Never waits for it. Knows no
 * Avahi (mdns-main.c does) and believes nothing of what it hears.
 */
#include "mdns-wire.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "text.h"

#define RETRY_FIRST_MS	500u
#define RETRY_MOST_MS	30000u
/* Without a sign of life for so long it waits for an answer of Avahi's. */
#define HANGS_MS	(5 * MDNS_STATE_MS)
#define AT_ONCE		64	/* messages, before others have their turn */

struct source {
	struct event_base		*base;
	const struct discovery_config	*cfg;
	const struct source_sink	*sink;
	pid_t				pid;	/* -1: none runs */
	int				fd;
	struct event			*readable;
	struct event			*timer;	/* it hangs, or: start it again */
	unsigned int			retry_ms;
	bool				complained;	/* about its end */
	bool				hangs, works;
	char				why[MDNS_TEXT_MAX + 1];
};

static void	start_program(struct source *s);

static void
set_state(struct source *s, bool works, const char *why)
{
	s->works = works;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

static void
set_timer(struct source *s, unsigned int ms)
{
	const struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(s->timer, &tv);
}

/* --- what it tells ---------------------------------------------------------- */

/* Texts end, and are fit to be shown: whoever sent them was parsing strangers. */
static bool
sane(struct mdns_message *m)
{
	struct sighting *s = &m->sighting;

	s->key[sizeof(s->key) - 1] = s->name[sizeof(s->name) - 1] = '\0';
	s->fingerprint[sizeof(s->fingerprint) - 1] = '\0';
	s->address.host[sizeof(s->address.host) - 1] = '\0';
	s->address.interface[sizeof(s->address.interface) - 1] = '\0';
	m->text[sizeof(m->text) - 1] = '\0';
	if (m->kind == MDNS_NOTE || m->kind == MDNS_STATE)
		return text_is_line(m->text, strlen(m->text), MDNS_TEXT_MAX);
	if (m->kind != MDNS_SEEN)
		return true;
	return text_is_line(s->name, strlen(s->name), HINT_NAME_MAX) &&
	    (s->fingerprint[0] == '\0' ||
	    text_is_fingerprint(s->fingerprint, strlen(s->fingerprint))) &&
	    text_is_line(s->address.host, strlen(s->address.host),
	    HINT_HOST_MAX);
}

static void
take_state(struct source *s, const struct mdns_message *m)
{
	if (s->hangs)
		s->sink->note(s->sink->arg, false, "avahi: answers again");
	s->hangs = false;
	s->complained = false;
	s->retry_ms = RETRY_FIRST_MS;
	set_state(s, m->flag, m->text);
	set_timer(s, HANGS_MS);
}

static void
take_message(struct source *s, struct mdns_message *m)
{
	const struct source_sink *sink = s->sink;

	if (!sane(m))
		return;
	switch (m->kind) {
	case MDNS_SEEN:
		sink->seen(sink->arg, &m->sighting);
		break;
	case MDNS_LOST:
		sink->lost(sink->arg, m->sighting.key);
		break;
	case MDNS_DOUBT:
		sink->doubt(sink->arg);
		break;
	case MDNS_NOTE:
		sink->note(sink->arg, m->flag, m->text);
		break;
	case MDNS_STATE:
		take_state(s, m);
		break;
	}
}

/* It is gone or is sent away; a killed process does not keep us waiting. */
static void
drop_program(struct source *s)
{
	if (s->readable != NULL)
		event_free(s->readable);
	s->readable = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	s->pid = -1;
	s->hangs = false;
}

static void
program_ended(struct source *s)
{
	drop_program(s);
	s->sink->doubt(s->sink->arg);
	set_state(s, false, "persona-mdns does not run");
	if (!s->complained)
		s->sink->note(s->sink->arg, true, "persona-mdns ended; it is "
		    "started again");
	s->complained = true;
	set_timer(s, s->retry_ms);
	s->retry_ms *= 2;
	if (s->retry_ms > RETRY_MOST_MS)
		s->retry_ms = RETRY_MOST_MS;
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct source *s = arg;
	struct mdns_message m;

	(void)what;
	for (int i = 0; i < AT_ONCE; i++) {
		ssize_t n = recv(fd, &m, sizeof(m), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			program_ended(s);
			return;
		}
		if (n == (ssize_t)sizeof(m))
			take_message(s, &m);
	}
}

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct source *s = arg;

	(void)fd;
	(void)what;
	if (s->pid < 0) {
		start_program(s);
		return;
	}
	/* What it has seen may still be true, and it goes on by itself. */
	s->hangs = true;
	set_state(s, false, "avahi-daemon does not answer");
	s->sink->note(s->sink->arg, true, "avahi: the daemon does not answer; "
	    "waiting for it");
}

/* --- starting it ------------------------------------------------------------ */

/* Between fork and exec: only async-signal-safe calls. */
static void __attribute__((noreturn))
become(const char *program, char *const *argv, int fd, pid_t parent)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
	(void)sigaction(SIGINT, &dfl, NULL);
	(void)sigaction(SIGTERM, &dfl, NULL);
	(void)sigaction(SIGHUP, &dfl, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
	    (fd == MDNS_FD ? fcntl(fd, F_SETFD, 0) : dup2(fd, MDNS_FD)) < 0 ||
	    syscall(SYS_close_range, MDNS_FD + 1, ~0U, 0) < 0)
		_exit(126);
	execv(program, argv);
	_exit(127);
}

static int
spawn(struct source *s, int fd)
{
	const struct discovery_config *cfg = s->cfg;
	char port[16], version[16];
	const char *argv[] = { "persona-mdns", "--name", cfg->name,
	    "--fingerprint", cfg->fingerprint, "--port", port, "--protocol",
	    version, NULL };
	pid_t parent = getpid(), pid;

	snprintf(port, sizeof(port), "%u", (unsigned int)cfg->port);
	snprintf(version, sizeof(version), "%u", (unsigned int)cfg->version);
	if ((pid = fork()) < 0)
		return -errno;
	if (pid == 0)
		become(cfg->mdns_program, (char *const *)(uintptr_t)argv, fd,
		    parent);
	s->pid = pid;
	return 0;
}

/* Whatever fails here is tried again by the timer. */
static void
start_program(struct source *s)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0) {
		program_ended(s);
		return;
	}
	s->fd = sv[0];
	s->readable = event_new(s->base, s->fd, EV_READ | EV_PERSIST,
	    readable_cb, s);
	if (s->readable == NULL || event_add(s->readable, NULL) < 0 ||
	    spawn(s, sv[1]) < 0)
		program_ended(s);
	else
		set_timer(s, HANGS_MS);
	close(sv[1]);
}

/* --- the source ------------------------------------------------------------- */

static void
mdns_stop(struct source *s)
{
	if (s == NULL)
		return;
	drop_program(s);
	if (s->timer != NULL)
		event_free(s->timer);
	free(s);
}

static int
mdns_start(struct source **sp, struct event_base *base,
    const struct discovery_config *cfg, const struct source_sink *sink)
{
	struct source *s;

	*sp = NULL;
	if (cfg->mdns_program == NULL)
		return 0;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->base = base;
	s->cfg = cfg;
	s->sink = sink;
	s->pid = -1;
	s->fd = -1;
	s->retry_ms = RETRY_FIRST_MS;
	set_state(s, false, "mDNS is being set up");
	if ((s->timer = evtimer_new(base, timer_cb, s)) == NULL) {
		mdns_stop(s);
		return -ENOMEM;
	}
	start_program(s);
	*sp = s;
	return 0;
}

static bool
mdns_ok(struct source *s, const char **why)
{
	*why = s != NULL ? s->why : "mDNS is turned off in the configuration";
	return s != NULL && s->works;
}

const struct source_ops mdns_source = {
	.kind = "mdns",
	.start = mdns_start,
	.stop = mdns_stop,
	.ok = mdns_ok,
};
