/* SPDX-License-Identifier: ISC */
/*
 * Children by fork, close_range and exec; their ends by pidfd, so that adopted
 * processes and our own are watched the same way. Knows no child's purpose.
 */
#include "launcher.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

struct child {
	TAILQ_ENTRY(child)	entry;
	struct launcher		*launcher;
	pid_t			pid;
	int			pidfd;
	struct event		*ev;
	child_end_fn		*ended;		/* NULL: forgotten */
	void			*arg;
	bool			ours;		/* our child, which we reap */
	bool			die_with_us;
	uid_t			uid;		/* 0: ours */
};

struct launcher {
	struct event_base		*base;
	TAILQ_HEAD(, child)		children;
};

/* glibc 2.36 has wrappers, older ones do not; the numbers are everywhere. */
static int
pidfd_open_pid(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int
launcher_new(struct launcher **lp, struct event_base *base)
{
	if ((*lp = calloc(1, sizeof(**lp))) == NULL)
		return -ENOMEM;
	(*lp)->base = base;
	TAILQ_INIT(&(*lp)->children);
	return 0;
}

static void
child_free(struct child *c)
{
	TAILQ_REMOVE(&c->launcher->children, c, entry);
	if (c->ev != NULL)
		event_free(c->ev);
	if (c->pidfd >= 0)
		close(c->pidfd);
	free(c);
}

void
launcher_free(struct launcher *l)
{
	struct child *c;

	if (l == NULL)
		return;
	while ((c = TAILQ_FIRST(&l->children)) != NULL) {
		if (c->die_with_us)
			child_kill(c, SIGKILL);
		child_free(c);
	}
	free(l);
}

static void
child_ended_cb(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;
	int status = -1;

	(void)fd;
	(void)what;
	if (!c->ours || waitpid(c->pid, &status, WNOHANG) != c->pid)
		status = -1;	/* somebody else reaps it */
	if (c->ended != NULL)
		c->ended(c->arg, status);
	child_free(c);
}

static int
watch(struct launcher *l, pid_t pid, child_end_fn *ended, void *arg,
    struct child **cp)
{
	struct child *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->launcher = l;
	c->pid = pid;
	c->ended = ended;
	c->arg = arg;
	TAILQ_INSERT_TAIL(&l->children, c, entry);
	if ((r = c->pidfd = pidfd_open_pid(pid)) < 0)
		goto fail;
	r = -ENOMEM;
	c->ev = event_new(l->base, c->pidfd, EV_READ, child_ended_cb, c);
	if (c->ev == NULL || event_add(c->ev, NULL) < 0)
		goto fail;
	*cp = c;
	return 0;
fail:
	child_free(c);
	return r;
}

/*
 * Between fork and exec: only async-signal-safe calls. First every descriptor
 * moves above the range it will land in, so that none overwrites another.
 */
static void
place_fds(const struct launch_spec *spec)
{
	int high[LAUNCH_FDS_MAX];

	for (size_t i = 0; i < spec->n_fds; i++)
		if ((high[i] = fcntl(spec->fds[i], F_DUPFD,
		    LAUNCH_FD_BASE + LAUNCH_FDS_MAX)) < 0)
			_exit(126);
	for (size_t i = 0; i < spec->n_fds; i++)
		if (dup2(high[i], LAUNCH_FD_BASE + (int)i) < 0)
			_exit(126);
}

/*
 * The child's side of the fork. Standard input is /dev/null; standard output
 * is for people, so it becomes standard error, where children log.
 */
static void __attribute__((noreturn))
become(const struct launch_spec *spec, pid_t parent, int report_fd)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;
	int e, low = LAUNCH_FD_BASE + (int)spec->n_fds;

	/* Out of the way of the descriptors that are about to be placed. */
	if ((report_fd = fcntl(report_fd, F_DUPFD,
	    LAUNCH_FD_BASE + LAUNCH_FDS_MAX)) < 0)
		_exit(126);

	/* Our own Ctrl-C and terminal are not the guests'. */
	if (!spec->die_with_us)
		(void)setsid();
	else if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
	/* SIGPIPE stays ignored: a closed log must not end a guest. */
	(void)sigaction(SIGINT, &dfl, NULL);
	(void)sigaction(SIGTERM, &dfl, NULL);
	(void)sigaction(SIGHUP, &dfl, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)dup2(spec->out_fd > 0 ? spec->out_fd : STDERR_FILENO,
	    STDOUT_FILENO);
	if ((e = open("/dev/null", O_RDONLY)) >= 0)
		(void)dup2(e, STDIN_FILENO);
	place_fds(spec);
	if (dup2(report_fd, low) < 0 ||
	    fcntl(low, F_SETFD, FD_CLOEXEC) < 0 ||
	    syscall(SYS_close_range, low + 1, ~0U, 0) < 0)
		_exit(126);
	execv(spec->path, spec->argv);
	e = errno;
	if (write(low, &e, sizeof(e)) < 0)
		_exit(125);
	_exit(127);
}

/* Nothing arrives when exec worked: the pipe is close-on-exec. */
static int
exec_result(int fd)
{
	ssize_t n;
	int e = 0;

	do
		n = read(fd, &e, sizeof(e));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(e) ? -e : 0;
}

int
launcher_spawn(struct launcher *l, const struct launch_spec *spec,
    child_end_fn *ended, void *arg, struct child **cp)
{
	pid_t parent = getpid(), pid;
	int report[2], r;

	if (spec->n_fds > LAUNCH_FDS_MAX)
		return -E2BIG;
	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	if ((pid = fork()) < 0) {
		r = -errno;
		close(report[0]);
		close(report[1]);
		return r;
	}
	if (pid == 0)
		become(spec, parent, report[1]);
	close(report[1]);
	r = exec_result(report[0]);
	close(report[0]);
	if (r == 0)
		r = watch(l, pid, ended, arg, cp);
	if (r < 0) {
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	(*cp)->ours = true;
	(*cp)->die_with_us = spec->die_with_us;
	(*cp)->uid = spec->uid;
	return 0;
}

/* Who a process is; 0 when that cannot be told. */
static uid_t
uid_of(pid_t pid)
{
	char path[32], line[128];
	unsigned int uid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Uid: %u", &uid) == 1)
			break;
	fclose(f);
	return uid;
}

int
launcher_take(struct launcher *l, pid_t pid, child_end_fn *ended, void *arg,
    struct child **cp)
{
	int r = watch(l, pid, ended, arg, cp);

	if (r == 0)
		(*cp)->ours = true;
	return r;
}

int
launcher_watch(struct launcher *l, pid_t pid, uint64_t start_ticks,
    child_end_fn *ended, void *arg, struct child **cp)
{
	int r;

	if (pid <= 1)
		return -ESRCH;
	if ((r = watch(l, pid, ended, arg, cp)) < 0)
		return r;
	/* Asked after the pidfd is open: from here the pid cannot change hands. */
	if (start_ticks != 0 && child_start_ticks(pid) != start_ticks) {
		child_free(*cp);
		*cp = NULL;
		return -ESRCH;
	}
	(*cp)->uid = uid_of(pid);
	return 0;
}

uid_t
launcher_free_uid(const struct launcher *l, uid_t first, uint32_t n)
{
	const struct child *c;

	for (uid_t uid = first; uid - first < n; uid++) {
		TAILQ_FOREACH(c, &l->children, entry)
			if (c->uid == uid)
				break;
		if (c == NULL)
			return uid;
	}
	return 0;
}

bool
launcher_watches(const struct launcher *l, pid_t pid)
{
	const struct child *c;

	TAILQ_FOREACH(c, &l->children, entry)
		if (c->pid == pid)
			return true;
	return false;
}

pid_t
child_pid(const struct child *c)
{
	return c == NULL ? 0 : c->pid;
}

uint64_t
child_start_ticks(pid_t pid)
{
	char path[32], text[1024], *p;
	unsigned long long ticks = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* proc(5): the name may hold anything, so count from its last ')'. */
	if ((p = strrchr(text, ')')) == NULL)
		return 0;
	for (int field = 2; field < 22 && p != NULL; field++)
		if ((p = strchr(p, ' ')) != NULL)
			p++;
	if (p == NULL || sscanf(p, "%llu", &ticks) != 1)
		return 0;
	return ticks;
}

void
child_kill(struct child *c, int sig)
{
	if (c != NULL && c->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, c->pidfd, sig, NULL, 0);
}

void
child_forget(struct child *c)
{
	if (c != NULL)
		c->ended = NULL;
}

const char *
child_status_text(int status, char *buf, size_t size)
{
	if (status == -1)
		snprintf(buf, size, "ended unexpectedly");
	else if (WIFSIGNALED(status))
		snprintf(buf, size, "was killed by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(buf, size, "ended with status %d",
		    WEXITSTATUS(status));
	return buf;
}
