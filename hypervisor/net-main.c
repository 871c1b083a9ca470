/* SPDX-License-Identifier: ISC */
/*
 * persona-net: one persona's way to the network, as a process that can be lost
 * without losing the persona. Holds the cable to the guest's card and Internet
 * sockets; never guest memory, /dev/kvm, keys or files. Leaves when the cable is
 * cut.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "confine.h"
#include "forward.h"
#include "log.h"
#include "net-control.h"
#include "net-sandbox.h"
#include "net-slirp.h"
#include "net-wire.h"
#include "program.h"

#define NAMES_CHECK_MS	2000u	/* between looks at resolv.conf */

struct options {
	int		frame_fd, listen_fd;
	bool		host_loopback, sandbox;
	uid_t		user;		/* to become; 0: nobody else */
	enum log_level	level;
	size_t		n_forwards;
	struct forward	forwards[FORWARDS_MAX];
};

struct net {
	struct event_base *base;
	struct net_slirp *slirp;
	struct net_wire	*wire;
	struct net_control *control;
	struct net_names names;
	struct event	*names_ev;
};

enum { OPT_FRAME = 256, OPT_LISTEN, OPT_FORWARD, OPT_HOST_LOOPBACK,
    OPT_NO_SANDBOX, OPT_USER };

static const struct option long_options[] = {
	{ "frame-fd", required_argument, NULL, OPT_FRAME },
	{ "listen-fd", required_argument, NULL, OPT_LISTEN },
	{ "forward", required_argument, NULL, OPT_FORWARD },
	{ "host-loopback", no_argument, NULL, OPT_HOST_LOOPBACK },
	{ "user", required_argument, NULL, OPT_USER },
	{ "no-sandbox", no_argument, NULL, OPT_NO_SANDBOX },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
    "persona-net - one persona's way to the network; started by "
    "personad\n"
    "\n"
    "  --frame-fd N      socket to the guest's network card\n"
    "  --listen-fd N     socket where personad connects\n"
    "  --forward [udp:][ADDR:]HOSTPORT:GUESTPORT\n"
    "                    a port of this handset that leads into the "
    "guest\n"
    "  --host-loopback   let the guest reach this handset's own local\n"
    "                    services at 10.0.2.2\n"
    "  --user N          become this user number, when started by root\n"
    "  --no-sandbox      without the system call filter, to debug\n"
    "  -v, --verbose     log more\n"
    "  -h, --help        this text\n"
    "  -V, --version     the version\n";

/* --- options -------------------------------------------------------------- */

static int
parse_forward(struct options *o, const char *text)
{
	const char *why = "there are too many forwards";

	if (o->n_forwards < FORWARDS_MAX &&
	    forward_parse(text, &o->forwards[o->n_forwards], &why) == 0) {
		o->n_forwards++;
		return 0;
	}
	fprintf(stderr, "persona-net: --forward %s: %s\n", text, why);
	return -EINVAL;
}

static int
parse_one(const struct program *p, void *arg, int opt, const char *value)
{
	struct options *o = arg;
	uint64_t n = 0;
	int r;

	switch (opt) {
	case OPT_FRAME:
		return program_fd(p, "--frame-fd", value, &o->frame_fd);
	case OPT_LISTEN:
		return program_fd(p, "--listen-fd", value, &o->listen_fd);
	case OPT_FORWARD:
		return parse_forward(o, value);
	case OPT_HOST_LOOPBACK:
		o->host_loopback = true;
		return 0;
	case OPT_USER:
		r = program_number(p, "--user", value, 1, INT32_MAX, &n);
		o->user = (uid_t)n;
		return r;
	case OPT_NO_SANDBOX:
		o->sandbox = false;
		return 0;
	case 'v':
		o->level = LOG_DEBUG;
		return 0;
	default:
		return -EINVAL;
	}
}

/* --- the parts, joined ---------------------------------------------------- */

static void
from_guest(void *arg, const uint8_t *frame, size_t len)
{
	struct net *n = arg;

	net_slirp_input(n->slirp, frame, len);
}

static void
to_guest(void *arg, const uint8_t *frame, size_t len)
{
	struct net *n = arg;

	if (n->wire != NULL)
		net_wire_send(n->wire, frame, len);
}

static void
guest_full(void *arg, bool full)
{
	struct net *n = arg;

	net_slirp_hold(n->slirp, full);
}

static void
guest_gone(void *arg)
{
	struct net *n = arg;

	event_base_loopbreak(n->base);
}

static const struct net_wire_ops wire_ops = {
	.frame = from_guest,
	.full = guest_full,
	.gone = guest_gone,
};

/* The names of another network, in a file we may not open: personad starts us
 * anew, and the guest sees its cable pulled, as its connections are lost anyway. */
static void
names_cb(evutil_socket_t fd, short what, void *arg)
{
	struct net *n = arg;

	(void)fd;
	(void)what;
	if (!net_names_outdated(&n->names))
		return;
	log_info("resolv.conf was replaced: leaving, to be started anew");
	event_base_loopbreak(n->base);
}

static int
watch_names(struct net *n)
{
	const struct timeval tv = { .tv_sec = NAMES_CHECK_MS / 1000 };

	n->names_ev = event_new(n->base, -1, EV_PERSIST, names_cb, n);
	return n->names_ev != NULL && event_add(n->names_ev, &tv) == 0 ?
	    0 : -ENOMEM;
}

static int
open_forwards(struct net *n, const struct options *o)
{
	for (size_t i = 0; i < o->n_forwards; i++) {
		char text[FORWARD_TEXT_MAX];
		int r = net_control_add(n->control, &o->forwards[i]);

		forward_format(&o->forwards[i], text);
		if (r < 0)
			log_warn_r(r, "forward %s", text);
	}
	return 0;
}

static int
enter_sandbox(struct net *n, const struct options *o)
{
	const struct confine around = { .uid = o->user, .keep_host = true };
	int r;

	if (!o->sandbox) {
		log_warn("running without the sandbox");
		return 0;
	}
	if ((r = confine_enter(&around)) < 0)
		return r;
	if ((r = net_sandbox_enter(&n->names)) < 0)
		log_err("the sandbox cannot be entered: %s", strerror(-r));
	else
		r = watch_names(n);
	return r;
}

static int
run(struct net *n, const struct options *o)
{
	const struct net_slirp_config config = {
		.base = n->base,
		.host_loopback = o->host_loopback,
		.frame = to_guest,
		.arg = n,
	};
	int r;

	if ((r = net_slirp_new(&n->slirp, &config)) < 0 ||
	    (r = net_control_new(&n->control, n->base, n->slirp,
	    o->listen_fd)) < 0 ||
	    (r = enter_sandbox(n, o)) < 0 ||
	    (r = open_forwards(n, o)) < 0)
		return r;
	/* From here on a stranger is heard. */
	if ((r = net_wire_new(&n->wire, n->base, o->frame_fd, &wire_ops,
	    n)) < 0)
		return r;
	net_control_count(n->control, n->wire);
	return event_base_dispatch(n->base) < 0 ? -EIO : 0;
}

static int
run_options(const struct options *o)
{
	struct net n = { .base = event_base_new() };
	int r = -ENOMEM;

	signal(SIGPIPE, SIG_IGN);
	if (n.base != NULL && (r = run(&n, o)) < 0)
		log_err("cannot go on: %s", strerror(-r));
	net_control_free(n.control);
	net_slirp_free(n.slirp);
	net_wire_free(n.wire);
	if (n.names_ev != NULL)
		event_free(n.names_ev);
	if (n.base != NULL)
		event_base_free(n.base);
	return r < 0 ? 1 : 0;
}

static const struct program program = {
	.name = "persona-net",
	.usage = usage,
	.options = long_options,
	.take = parse_one,
};

int
main(int argc, char **argv)
{
	struct options o = { .frame_fd = -1, .listen_fd = -1,
	    .sandbox = true, .level = LOG_INFO };
	int status = program_options(&program, &o, argc, argv);

	if (status >= 0)
		return status;
	if (o.frame_fd < 0) {
		fputs(usage, stderr);
		return 2;
	}
	log_init(program.name, o.level);
	return run_options(&o);
}
