/* SPDX-License-Identifier: ISC */
/* Runs persona-vmm --probe and collects what it prints. Knows no verdict. */
#include "vmm-probe.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon.h"
#include "launcher.h"

#define OUTPUT_MAX	4096
#define TIMEOUT_S	10

struct vmm_probe {
	vmm_probe_fn	*done;
	void		*arg;
	int		fd;		/* its output */
	struct event	*ev;
	struct child	*child;
	char		out[OUTPUT_MAX];
	size_t		len;
};

void
vmm_probe_free(struct vmm_probe *p)
{
	if (p == NULL)
		return;
	child_forget(p->child);
	if (p->ev != NULL)
		event_free(p->ev);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

static void
output_cb(evutil_socket_t fd, short what, void *arg)
{
	struct vmm_probe *p = arg;
	ssize_t n = 0;

	if ((what & EV_TIMEOUT) == 0)
		n = read(fd, p->out + p->len, sizeof(p->out) - 1 - p->len);
	else
		child_kill(p->child, SIGKILL);
	if (n > 0) {
		p->len += (size_t)n;
		return;
	}
	if (n < 0 && errno == EAGAIN)
		return;
	p->out[p->len] = '\0';
	p->done(p->arg, p->out);
	vmm_probe_free(p);
}

static void
ended(void *arg, int status)
{
	(void)status;
	((struct vmm_probe *)arg)->child = NULL;
}

static int
run(struct vmm_probe *p, struct daemon *d)
{
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	char program[DAEMON_PROGRAM_MAX];
	char *argv[] = { (char *)(uintptr_t)"persona-vmm",
	    (char *)(uintptr_t)"--probe", NULL };
	struct launch_spec spec = { .argv = argv, .die_with_us = true };
	int fds[2], r;

	spec.path = daemon_program(d, "persona-vmm", program);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	spec.out_fd = fds[1];
	r = launcher_spawn(d->launcher, &spec, ended, p, &p->child);
	close(fds[1]);
	p->fd = fds[0];
	if (r < 0)
		return r;
	(void)evutil_make_socket_nonblocking(p->fd);
	p->ev = event_new(d->base, p->fd, EV_READ | EV_PERSIST, output_cb, p);
	if (p->ev == NULL || event_add(p->ev, &limit) < 0)
		return -ENOMEM;
	return 0;
}

int
vmm_probe_start(struct vmm_probe **pp, struct daemon *d, vmm_probe_fn *done,
    void *arg)
{
	struct vmm_probe *p = calloc(1, sizeof(*p));
	int r;

	if (p == NULL)
		return -ENOMEM;
	p->done = done;
	p->arg = arg;
	p->fd = -1;
	if ((r = run(p, d)) < 0) {
		vmm_probe_free(p);
		return r;
	}
	*pp = p;
	return 0;
}

/* --- reading it ----------------------------------------------------------- */

const char *
vmm_probe_line(const char *out, const char *label, char *buf, size_t size)
{
	const char *p = strstr(out, label);

	if (p == NULL)
		return NULL;
	p += strlen(label);
	snprintf(buf, size, "%.*s", (int)strcspn(p, "\n"), p);
	return buf;
}

bool
vmm_probe_has_baseline(const char *out, const char *baseline, char *highest,
    size_t size)
{
	char list[256], *save = NULL, *word;
	bool found = false;

	highest[0] = '\0';
	if (vmm_probe_line(out, "CPU baselines: ", list, sizeof(list)) == NULL)
		return false;
	for (word = strtok_r(list, ", ", &save); word != NULL;
	    word = strtok_r(NULL, ", ", &save)) {
		snprintf(highest, size, "%s", word);
		found |= strcmp(word, baseline) == 0;
	}
	return found;
}
