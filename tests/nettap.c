/* SPDX-License-Identifier: ISC */
/*
 * nettap TAP PROGRAM [ARG...]: run persona-net with its cable in descriptor 3, and
 * join that to a new TAP device: Linux's own network stack plays the guest's. The
 * program may be "ip netns exec" to put persona-net elsewhere. Knows no frame.
 * Ends with the program; kill it to cut the cable.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX	65536

static void __attribute__((noreturn))
die(const char *what)
{
	fprintf(stderr, "nettap: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int
open_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		die(name);
	return fd;
}

static void __attribute__((noreturn))
become(int cable, char **argv)
{
	if (cable == 3)
		(void)fcntl(3, F_SETFD, 0);
	else if (dup2(cable, 3) < 0)
		die("dup2");
	execvp(argv[0], argv);
	die(argv[0]);
}

/* Frames that find no room wait: only this direction does, as nobody else reads. */
static void
relay(int from, int to)
{
	static char frame[FRAME_MAX];
	ssize_t n = read(from, frame, sizeof(frame));

	if (n <= 0)
		exit(0);
	while (write(to, frame, (size_t)n) < 0) {
		struct pollfd p = { .fd = to, .events = POLLOUT };

		if (errno == EIO)	/* the device is down */
			return;
		if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
			exit(0);
		(void)poll(&p, 1, 100);
	}
}

int
main(int argc, char **argv)
{
	struct pollfd p[2];
	int tap, sv[2];

	if (argc < 3) {
		fputs("usage: nettap TAP PROGRAM [ARG...]\n", stderr);
		return 2;
	}
	tap = open_tap(argv[1]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		die("socketpair");
	switch (fork()) {
	case -1:
		die("fork");
	case 0:
		become(sv[1], argv + 2);
	default:
		close(sv[1]);
	}
	p[0] = (struct pollfd){ .fd = tap, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = sv[0], .events = POLLIN };
	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		if (p[0].revents != 0)
			relay(tap, sv[0]);
		if (p[1].revents != 0)
			relay(sv[0], tap);
	}
	die("poll");
}
