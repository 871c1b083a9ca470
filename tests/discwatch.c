/* SPDX-License-Identifier: ISC */
/*
 * Announces a made-up handset and prints who appears, changes and vanishes, one
 * line each: the discovery story's eyes. Knows no daemon.
 *
 *	discwatch NAME FINGERPRINT PORT [STATIC-NAME STATIC-HOST STATIC-PORT]
 */
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery.h"

static void
print(const char *what, const struct peer_hint *p)
{
	printf("%s %s %s v%u", what, p->name,
	    p->fingerprint[0] != '\0' ? p->fingerprint : "-", p->version);
	for (size_t i = 0; i < p->n_addresses; i++)
		printf(" %s,%u,%s", p->addresses[i].host, p->addresses[i].port,
		    p->addresses[i].interface);
	printf("\n");
	fflush(stdout);
}

static void
appeared(void *arg, const struct peer_hint *peer)
{
	(void)arg;
	print("appeared", peer);
}

static void
changed(void *arg, const struct peer_hint *peer)
{
	(void)arg;
	print("changed", peer);
}

static void
vanished(void *arg, const struct peer_hint *peer)
{
	(void)arg;
	print("vanished", peer);
}

static void
note(void *arg, bool problem, const char *text)
{
	(void)arg;
	printf("%s %s\n", problem ? "problem" : "note", text);
	fflush(stdout);
}

static void
stop_cb(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	event_base_loopbreak(arg);
}

int
main(int argc, char **argv)
{
	static const struct discovery_events events = {
		.appeared = appeared,
		.changed = changed,
		.vanished = vanished,
		.note = note,
	};
	struct discovery_config cfg = { .version = 1 };
	char program[PATH_MAX];
	struct discovery_static peer;
	struct event_base *base = event_base_new();
	struct event *term;
	struct discovery *d;

	if (base == NULL || (argc != 4 && argc != 7) ||
	    strchr(argv[0], '/') == NULL) {
		fprintf(stderr, "usage: discwatch NAME FINGERPRINT PORT "
		    "[STATIC-NAME STATIC-HOST STATIC-PORT]\n");
		return EXIT_FAILURE;
	}
	/* Programs lie one directory above the tests. */
	snprintf(program, sizeof(program), "%.*s../persona-mdns",
	    (int)(strrchr(argv[0], '/') + 1 - argv[0]), argv[0]);
	cfg.mdns_program = program;
	cfg.name = argv[1];
	cfg.fingerprint = argv[2];
	cfg.port = (uint16_t)atoi(argv[3]);
	if (argc == 7) {
		peer = (struct discovery_static){ .name = argv[4],
		    .host = argv[5], .port = (uint16_t)atoi(argv[6]) };
		cfg.statics = &peer;
		cfg.n_statics = 1;
	}
	term = evsignal_new(base, SIGTERM, stop_cb, base);
	if (term == NULL || event_add(term, NULL) < 0 ||
	    discovery_start(&d, base, &cfg, &events, NULL) < 0) {
		fprintf(stderr, "discwatch: cannot start\n");
		return EXIT_FAILURE;
	}
	event_base_dispatch(base);
	discovery_stop(d);
	event_free(term);
	event_base_free(base);
	return EXIT_SUCCESS;
}
