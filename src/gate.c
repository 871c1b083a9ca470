/* SPDX-License-Identifier: ISC */
/*
 * persona-gate: the one program a paired handset can reach through sshd. It checks
 * the command, hands its two ends of the SSH channel to personad, and waits. It
 * holds no key, no registry and no memory of anyone, and never reads the stream.
 *
 * It has to stay: when a forced command exits, sshd ends the channel.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "gate-command.h"
#include "ipc.h"
#include "log.h"
#include "pubkey.h"
#include "sandbox.h"
#include "transfer.pb-c.h"

#define HELLO_TIMEOUT_MS	5000

struct gate_args {
	const char	*socket;
	const char	*fingerprint;
};

static int
parse_args(int argc, char **argv, struct gate_args *args)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "fingerprint", required_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			args->socket = optarg;
			break;
		case 'f':
			args->fingerprint = optarg;
			break;
		case 'h':
			printf("usage: persona-gate --socket PATH "
			    "--fingerprint SHA256:...\n"
			    "Started by sshd for personad(8), not by hand.\n");
			exit(EXIT_SUCCESS);
		case 'V':
			printf("persona-gate " PACKAGE_VERSION "\n");
			exit(EXIT_SUCCESS);
		default:
			return -EINVAL;
		}
	}
	if (optind != argc || args->socket == NULL ||
	    args->fingerprint == NULL ||
	    !pubkey_is_fingerprint(args->fingerprint))
		return -EINVAL;
	return 0;
}

static int
connect_to(const char *path, int *fdp)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

static int
say_hello(int fd, const char *fingerprint, char *transfer,
    unsigned int channel)
{
	Persona__Transfer__GateHello hello =
	    PERSONA__TRANSFER__GATE_HELLO__INIT;
	const int stdio[] = { STDIN_FILENO, STDOUT_FILENO };

	hello.fingerprint = (char *)fingerprint;
	hello.transfer = transfer;
	hello.channel = channel;
	return ipc_send(fd, &hello.base, stdio, 2, HELLO_TIMEOUT_MS);
}

/*
 * Let go of our own copies of the stream: when the other holder dies, sshd must
 * see it at once, not when we leave.
 */
static int
let_go(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 ||
	    dup2(fd, STDOUT_FILENO) < 0)
		return -errno;
	close(fd);
	return 0;
}

/* Nobody talks to us after the hello: any event is the end. */
static void
wait_for_end(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
}

int
main(int argc, char **argv)
{
	char transfer[GATE_TRANSFER_LEN + 1];
	struct gate_args args = { 0 };
	unsigned int channel;
	const char *command;
	int fd = -1, r;

	log_init("persona-gate", LOG_INFO);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	if (parse_args(argc, argv, &args) < 0)
		fatal("usage: persona-gate --socket PATH --fingerprint FP");
	command = getenv("SSH_ORIGINAL_COMMAND");
	if (command == NULL ||
	    gate_command_parse(command, transfer, &channel) < 0)
		fatal("only persona streams are served here");
	if ((r = connect_to(args.socket, &fd)) < 0)
		fatal("no personad to hand this stream to: %s", strerror(-r));
	r = say_hello(fd, args.fingerprint, transfer, channel);
	if (r < 0 || (r = let_go()) < 0)
		fatal("personad did not take the stream: %s", strerror(-r));
	if ((r = sandbox_enter(SANDBOX_GATE)) < 0)
		fatal("cannot give up privileges: %s", strerror(-r));
	wait_for_end(fd);
	return EXIT_SUCCESS;
}
