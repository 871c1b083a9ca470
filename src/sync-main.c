/* SPDX-License-Identifier: ISC */
/*
 * The program persona-sync: moves one persona's memory and state, as the source
 * (`send`) or the target (`receive`); saves it into files of this handset (`save`);
 * or moves its image to a file (`export`) or from one (`import`), and lets personad
 * decide the rest. Holds the streams to the
 * peer, or the file, and the persona; never /dev/kvm, never the registry.
 */
#include "config.h"

#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "number.h"
#include "sync-roles.h"

static const char usage[] =
"usage: persona-sync send|receive|save|export|import --ipc-fd N [--debug]\n"
"\n"
"Moves one running persona to or from a peer or saves it, or moves its image to\n"
"or from a file.\n"
"Started by personad, which holds the other end of the socket N and speaks\n"
"transfer.proto over it.\n"
"\n"
"  --ipc-fd N   the SOCK_SEQPACKET socket to personad\n"
"  --debug      tell the whole story on standard error\n"
"  --help       this text\n"
"  --version    the version\n";

static const struct worker_role *
find_role(const char *name)
{
	static const struct worker_role *const roles[] = {
		&role_send, &role_receive, &role_save, &role_export,
		&role_import,
	};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (name != NULL && strcmp(roles[i]->name, name) == 0)
			return roles[i];
	return NULL;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ipc-fd", required_argument, NULL, 'i' },
		{ "debug", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	enum log_level level = LOG_INFO;
	const struct worker_role *role;
	uint32_t uid, gid;
	uint64_t n;
	int32_t pid;
	int fd = -1, c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			if (number_parse(optarg, 0, INT_MAX, &n) == 0)
				fd = (int)n;
			break;
		case 'd':
			level = LOG_DEBUG;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("persona-sync " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	role = find_role(argv[optind]);
	if (role == NULL || argc - optind != 1 || fd < 0 ||
	    ipc_peer_cred(fd, &uid, &gid, &pid) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	log_init("persona-sync", level);
	return worker_run(role, fd);
}
