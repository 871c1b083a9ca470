/* SPDX-License-Identifier: ISC */
/*
 * Run commands on an emulated handset from a story outside of it: input, output,
 * errors and exit status pass as if the command ran here. Knows one TCP connection
 * a command; knows nothing of handsets, and trusts whoever reaches it.
 *
 *   reach serve PORT             in the handset, until it is killed
 *   reach PORT COMMAND [ARG...]  outside, 127.0.0.1; 255 when nobody answers
 *
 * A command whose caller is gone is ended with all of its process group. One that
 * reads none of its input while it is asked for its output may stand still.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAME_MAX_BYTES	16384u
#define ARGS_MAX	256u
#define HELLO_MS	5000

/* What a frame carries; it is its first byte, two bytes of length follow. */
enum kind {
	HELLO = 'h',	/* the server is there */
	ARG = 'a',	/* one word of the command */
	GO = 'g',	/* that was the last word */
	IN = 'i',
	IN_END = 'e',
	OUT = 'o',
	ERR = 'r',
	STATUS = 's',	/* one byte, the last frame */
};

struct frame {
	uint8_t		kind;
	uint16_t	len_bytes;
	uint8_t		bytes[FRAME_MAX_BYTES];
};

static int
write_all(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
read_all(int fd, void *bytes, size_t len)
{
	uint8_t *at = bytes;

	while (len > 0) {
		ssize_t n = read(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -ECONNRESET;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
frame_put(int fd, enum kind kind, const void *bytes, size_t len)
{
	uint8_t whole[3 + FRAME_MAX_BYTES];

	if (len > FRAME_MAX_BYTES)
		return -E2BIG;
	whole[0] = (uint8_t)kind;
	whole[1] = (uint8_t)len;
	whole[2] = (uint8_t)(len >> 8);
	if (len > 0)
		memcpy(whole + 3, bytes, len);
	return write_all(fd, whole, 3 + len);
}

static int
frame_get(int fd, struct frame *f)
{
	uint8_t head[3];

	if (read_all(fd, head, sizeof(head)) < 0)
		return -ECONNRESET;
	f->kind = head[0];
	f->len_bytes = (uint16_t)(head[1] | head[2] << 8);
	if (f->len_bytes > FRAME_MAX_BYTES)
		return -E2BIG;
	return read_all(fd, f->bytes, f->len_bytes);
}

/* What is ready on *FD becomes one frame; at its end *FD is closed, -1. */
static int
pump(int *fd, int to, enum kind kind)
{
	uint8_t bytes[FRAME_MAX_BYTES];
	ssize_t n = read(*fd, bytes, sizeof(bytes));

	if (n > 0)
		return frame_put(to, kind, bytes, (size_t)n);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	close(*fd);
	*fd = -1;
	return 0;
}

/* --- in the handset -------------------------------------------------------- */

struct job {
	int	conn, in, out, err;	/* in.. our ends of the command's pipes */
	int	pidfd;
	pid_t	pid;
};

static void
become(char **args, int in, int out, int err)
{
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	closefrom(3);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	execvp(args[0], args);
	dprintf(2, "reach: %s: %s\n", args[0], strerror(errno));
	_exit(127);
}

static int
job_start(struct job *j, char **args)
{
	int in[2], out[2], err[2];

	if (pipe(in) < 0 || pipe(out) < 0 || pipe(err) < 0)
		return -errno;
	if ((j->pid = fork()) == 0)
		become(args, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	j->in = in[1];
	j->out = out[0];
	j->err = err[0];
	if (j->pid < 0 || (j->pidfd = pidfd_open(j->pid, 0)) < 0)
		return -errno;
	return 0;
}

static int
job_hear(struct job *j)
{
	struct frame f;

	if (frame_get(j->conn, &f) < 0)
		return -ECONNRESET;
	/* A command that closed its input loses what is said to it. */
	if (f.kind == IN && j->in >= 0 &&
	    write_all(j->in, f.bytes, f.len_bytes) < 0)
		f.kind = IN_END;
	if (f.kind == IN_END && j->in >= 0) {
		close(j->in);
		j->in = -1;
	}
	return 0;
}

/* Until the command has ended; what it left in its pipes goes out as well, but a
 * process it left behind is not waited for. */
static int
job_attend(struct job *j)
{
	int r = 0, ended = 0;

	while (r == 0) {
		struct pollfd p[] = {
			{ .fd = j->out, .events = POLLIN },
			{ .fd = j->err, .events = POLLIN },
			{ .fd = j->conn, .events = POLLIN },
			{ .fd = ended ? -1 : j->pidfd, .events = POLLIN },
		};

		int n = poll(p, 4, ended ? 0 : -1);

		if (n == 0)
			return 0;
		if (n < 0)
			continue;
		if (p[0].revents != 0)
			r = pump(&j->out, j->conn, OUT);
		if (r == 0 && p[1].revents != 0)
			r = pump(&j->err, j->conn, ERR);
		if (r == 0 && p[2].revents != 0)
			r = job_hear(j);
		if (p[3].revents != 0)
			ended = 1;
	}
	return r;
}

static void
serve_one(int conn)
{
	struct job j = { .conn = conn, .in = -1, .out = -1, .err = -1 };
	char *args[ARGS_MAX + 1] = { NULL };
	struct frame f;
	size_t n = 0;
	int status;
	uint8_t code;

	if (frame_put(conn, HELLO, NULL, 0) < 0)
		return;
	for (;;) {
		if (frame_get(conn, &f) < 0)
			return;
		if (f.kind != ARG || n == ARGS_MAX)
			break;
		args[n++] = strndup((char *)f.bytes, f.len_bytes);
	}
	if (f.kind != GO || n == 0 || job_start(&j, args) < 0)
		return;
	if (job_attend(&j) < 0)
		kill(-j.pid, SIGTERM);
	while (waitpid(j.pid, &status, 0) < 0 && errno == EINTR)
		;
	code = (uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status));
	frame_put(conn, STATUS, &code, 1);
}

static int
serve(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (s < 0 || bind(s, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(s, 64) < 0) {
		perror("reach");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int conn = accept(s, NULL, NULL);

		if (conn < 0)
			continue;
		setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		signal(SIGCHLD, SIG_IGN);
		if (fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			serve_one(conn);
			_exit(0);
		}
		close(conn);
	}
}

/* --- outside --------------------------------------------------------------- */

static int
dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct pollfd p = { .fd = s, .events = POLLIN };
	struct frame f;

	/* The forwarder answers for a machine that is not up: ask for a word. */
	if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    poll(&p, 1, HELLO_MS) != 1 || frame_get(s, &f) < 0 ||
	    f.kind != HELLO)
		return -1;
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return s;
}

/* One frame from the handset; the exit status, or -1 to go on. */
static int
call_hear(int conn)
{
	struct frame f;

	if (frame_get(conn, &f) < 0)
		return 255;
	if (f.kind == OUT && write_all(1, f.bytes, f.len_bytes) < 0)
		return 255;
	if (f.kind == ERR)
		write_all(2, f.bytes, f.len_bytes);
	return f.kind == STATUS && f.len_bytes == 1 ? f.bytes[0] : -1;
}

static int
call(uint16_t port, char **args)
{
	int conn = dial(port), in = 0, status = -1;

	if (conn < 0) {
		fprintf(stderr, "reach: nobody answers at port %u\n", port);
		return 255;
	}
	for (; *args != NULL; args++)
		if (frame_put(conn, ARG, *args, strlen(*args)) < 0)
			return 255;
	if (frame_put(conn, GO, NULL, 0) < 0)
		return 255;
	while (status < 0) {
		struct pollfd p[] = {
			{ .fd = in, .events = POLLIN },
			{ .fd = conn, .events = POLLIN },
		};

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents != 0)
			status = call_hear(conn);
		else if (p[0].revents != 0 && (pump(&in, conn, IN) < 0 ||
		    (in < 0 && frame_put(conn, IN_END, NULL, 0) < 0)))
			status = 255;
	}
	return status;
}

int
main(int argc, char **argv)
{
	int serving = argc == 3 && strcmp(argv[1], "serve") == 0;
	long port = argc < 3 ? 0 : strtol(argv[serving ? 2 : 1], NULL, 10);

	if (port < 1 || port > 65535) {
		fputs("usage: reach serve PORT | PORT COMMAND [ARG...]\n",
		    stderr);
		return 2;
	}
	return serving ? serve((uint16_t)port) :
	    call((uint16_t)port, argv + 2);
}
