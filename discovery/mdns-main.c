/* SPDX-License-Identifier: ISC */
/*
 * persona-mdns: the handset's client of the Avahi daemon, in a process of its own,
 * because libavahi-client waits for answers over D-Bus and a daemon that hangs would
 * hold up whoever calls it. Tells what it sees to the socket it was given and ends
 * with it. Keeps that socket and a connection to the bus, behind a system call filter;
 * holds no key, no guest.
 */
#include "config.h"

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mdns-sandbox.h"
#include "mdns-wire.h"

struct mdns {
	struct event_base	*base;
	struct source		*avahi;
};

/* --- telling ---------------------------------------------------------------- */

/* May wait: the other end reads, or is gone and takes us with it. */
static void
tell(struct mdns *m, const struct mdns_message *msg)
{
	if (send(MDNS_FD, msg, sizeof(*msg), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(*msg))
		event_base_loopbreak(m->base);
}

static void
tell_state(struct mdns *m)
{
	struct mdns_message msg = { .kind = MDNS_STATE };
	const char *why;

	if (m->avahi == NULL)
		return;		/* it speaks before it has been started */
	msg.flag = avahi_source.ok(m->avahi, &why);
	snprintf(msg.text, sizeof(msg.text), "%s", why);
	tell(m, &msg);
}

static void
seen(void *arg, const struct sighting *s)
{
	struct mdns_message msg = { .kind = MDNS_SEEN, .sighting = *s };

	tell(arg, &msg);
}

static void
lost(void *arg, const char *key)
{
	struct mdns_message msg = { .kind = MDNS_LOST };

	snprintf(msg.sighting.key, sizeof(msg.sighting.key), "%s", key);
	tell(arg, &msg);
}

static void
doubt(void *arg)
{
	struct mdns_message msg = { .kind = MDNS_DOUBT };

	tell(arg, &msg);
}

static void
note(void *arg, bool problem, const char *text)
{
	struct mdns_message msg = { .kind = MDNS_NOTE, .flag = problem };

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	tell(arg, &msg);
	tell_state(arg);
}

/* --- the loop --------------------------------------------------------------- */

static void
state_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell_state(arg);
}

/* Nothing is ever said to us: this is the end of the other end. */
static void
ended_cb(evutil_socket_t fd, short what, void *arg)
{
	struct mdns *m = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(m->base);
}

static int
run(const struct discovery_config *cfg)
{
	const struct timeval every = { MDNS_STATE_MS / 1000,
	    MDNS_STATE_MS % 1000 * 1000 };
	struct mdns m = { .base = event_base_new() };
	const struct source_sink sink = { .arg = &m, .seen = seen,
	    .lost = lost, .doubt = doubt, .note = note };
	struct event *tick = NULL, *end = NULL;
	int r = EXIT_FAILURE;

	if (m.base == NULL ||
	    (tick = event_new(m.base, -1, EV_PERSIST, state_cb, &m)) == NULL ||
	    (end = event_new(m.base, MDNS_FD, EV_READ, ended_cb, &m)) == NULL ||
	    event_add(tick, &every) < 0 || event_add(end, NULL) < 0 ||
	    avahi_source.start(&m.avahi, m.base, cfg, &sink) < 0)
		goto out;
	tell_state(&m);
	event_base_dispatch(m.base);
	r = EXIT_SUCCESS;
out:
	/* The bus tells Avahi that we have left, which withdraws what was
	 * announced; saying it ourselves would wait for an answer. */
	if (tick != NULL)
		event_free(tick);
	if (end != NULL)
		event_free(end);
	if (m.base != NULL)
		event_base_free(m.base);
	return r;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "fingerprint", required_argument, NULL, 'f' },
		{ "port", required_argument, NULL, 'p' },
		{ "protocol", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct discovery_config cfg = { 0 };
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			cfg.name = optarg;
			break;
		case 'f':
			cfg.fingerprint = optarg;
			break;
		case 'p':
			cfg.port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'v':
			cfg.version = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'h':
			printf("usage: persona-mdns --name NAME --fingerprint FP "
			    "--port N --protocol N\n"
			    "Started by personad(8), not by hand.\n");
			return EXIT_SUCCESS;
		case 'V':
			printf("persona-mdns " PACKAGE_VERSION "\n");
			return EXIT_SUCCESS;
		default:
			return EXIT_FAILURE;
		}
	}
	if (optind != argc || cfg.name == NULL || cfg.fingerprint == NULL ||
	    cfg.port == 0) {
		fprintf(stderr, "persona-mdns: started by personad(8), not by "
		    "hand; see --help\n");
		return EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN);
	if ((r = mdns_sandbox_enter()) < 0) {
		fprintf(stderr, "persona-mdns: privileges cannot be given up: "
		    "%s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	return run(&cfg);
}
