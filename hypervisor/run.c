/* SPDX-License-Identifier: ISC */
/*
 * Standalone guest: memory of its own, serial port relayed to the terminal.
 * Deliberately knows no personad and moves nothing.
 */
#include "run.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "boot.h"
#include "hv.h"
#include "log.h"

#define END_KEY		0x1d	/* Ctrl-] */

struct run {
	struct event_base *base;
	struct hv	*hv;
	int		serial_fd;	/* our end of the serial stream */
	struct event	*from_guest, *from_user;
	struct termios	saved;
	bool		raw;
	int		status;
};

static void
ended(void *arg)
{
	struct run *r = arg;
	const char *text;

	r->status = hv_end(r->hv, &text) == HV_END_POWER_OFF ? 0 : 1;
	log_info("guest: %s", text);
	event_base_loopexit(r->base, NULL);
}

static void
write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void
from_guest_cb(evutil_socket_t fd, short what, void *arg)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)what;
	(void)arg;
	if (n > 0)
		write_all(STDOUT_FILENO, buf, (size_t)n);
}

static void
from_user_cb(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	char buf[256];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)what;
	if (n <= 0) {			/* a closed input is not an end */
		event_del(r->from_user);
		return;
	}
	if (r->raw && memchr(buf, END_KEY, (size_t)n) != NULL) {
		hv_stop(r->hv);
		return;
	}
	write_all(r->serial_fd, buf, (size_t)n);
}

static void
terminal_raw(struct run *r)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &r->saved) < 0)
		return;
	t = r->saved;
	cfmakeraw(&t);
	t.c_oflag |= OPOST;		/* our own log lines stay readable */
	if (tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0)
		r->raw = true;
}

static int
relay_start(struct run *r)
{
	int sv[2], e;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	r->serial_fd = sv[0];
	if ((e = hv_attach(r->hv, "serial0", sv[1])) < 0)
		return e;
	r->from_guest = event_new(r->base, r->serial_fd,
	    EV_READ | EV_PERSIST, from_guest_cb, r);
	if (r->from_guest == NULL || event_add(r->from_guest, NULL) < 0)
		return -ENOMEM;
	/* A regular file or /dev/null as input cannot be polled: no input. */
	r->from_user = event_new(r->base, STDIN_FILENO, EV_READ | EV_PERSIST,
	    from_user_cb, r);
	if (r->from_user != NULL)
		(void)event_add(r->from_user, NULL);
	terminal_raw(r);
	return 0;
}

/* What the guest printed last may still be on its way through the relay. */
static void
relay_stop(struct run *r)
{
	char buf[4096];
	ssize_t n;

	if (r->serial_fd >= 0)
		while ((n = recv(r->serial_fd, buf, sizeof(buf),
		    MSG_DONTWAIT)) > 0)
			write_all(STDOUT_FILENO, buf, (size_t)n);
	if (r->raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &r->saved);
	if (r->from_guest != NULL)
		event_free(r->from_guest);
	if (r->from_user != NULL)
		event_free(r->from_user);
	if (r->serial_fd >= 0)
		close(r->serial_fd);
}

static int
start(struct run *r, struct hv_host *host, const struct run_config *c,
    int ram_fd)
{
	const struct hv_config config = {
		.host = host,
		.ram_bytes = c->ram_bytes,
		.ram_fd = ram_fd,
		.vcpus = c->vcpus,
		.cpu_baseline = c->cpu_baseline,
		.base = r->base,
		.ended = ended,
		.arg = r,
	};
	const struct boot_config kernel = {
		.kernel_fd = c->kernel_fd,
		.initrd_fd = c->initrd_fd,
		.cmdline = c->cmdline,
		.vcpus = c->vcpus,
	};
	char why[HV_WHY_MAX];
	int e;

	if ((e = hv_new(&r->hv, &config, why)) < 0 ||
	    (e = hv_boot(r->hv, &kernel, why)) < 0) {
		log_err("%s", why);
		return e;
	}
	if ((e = relay_start(r)) < 0)
		return e;
	return hv_resume(r->hv, false, 0);
}

int
run_guest(struct event_base *base, struct hv_host *host,
    const struct run_config *c)
{
	struct run r = { .base = base, .serial_fd = -1, .status = 1 };
	int ram_fd = memfd_create("persona-ram", MFD_CLOEXEC);

	if (ram_fd < 0 || ftruncate(ram_fd, (off_t)c->ram_bytes) < 0)
		log_err("guest memory: %s", strerror(errno));
	else if (start(&r, host, c, ram_fd) == 0)
		event_base_dispatch(base);
	relay_stop(&r);
	hv_free(r.hv);
	if (ram_fd >= 0)
		close(ram_fd);
	return r.status;
}
