/* SPDX-License-Identifier: ISC */
/*
 * The listener: who calls, how many of them, and what their first four bytes ask
 * for. Those bytes are only looked at (MSG_PEEK); sshd or the pairing worker
 * reads them. Knows no keys.
 */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acceptor.h"
#include "greeting.h"
#include "log.h"

#define FIRST_BYTES		4
#define FIRST_BYTES_TIMEOUT_S	10
#define BACKLOG			32
/* Without a word from the caller's kernel; it has a beat to acknowledge each second. */
#define UNANSWERED_MS		6000
#define SOCKETS_MAX		16u
#define ADDRESS_MAX		(INET6_ADDRSTRLEN + 16u)	/* with %scope */
/* sshd as root insists on this empty directory; distributions make it late. */
#define SSHD_PRIVSEP_DIR	"/run/sshd"

enum caller_state {
	CALLER_SILENT,	/* has not said what it wants; holds fd and event */
	CALLER_SSHD,	/* an sshd talks to it; counted until it is reaped */
};

struct caller {
	struct listener		*listener;
	enum caller_state	state;
	struct in6_addr		net;	/* who it is, for the limits */
	char			address[ADDRESS_MAX];
	struct event		*event;
	int			fd;
	pid_t			pid;
	TAILQ_ENTRY(caller)	entry;
};

struct listener {
	struct event_base	*base;
	struct listener_config	cfg;	/* hosts are not kept */
	char			*sshd_config;
	char			greeting[GREETING_LINE_MAX];
	struct acceptor		*acceptor[SOCKETS_MAX];
	int			fd[SOCKETS_MAX];
	size_t			n_sockets;
	uint16_t		port;
	TAILQ_HEAD(, caller)	callers;
	size_t			n_callers;
};

static void
caller_free(struct caller *c)
{
	TAILQ_REMOVE(&c->listener->callers, c, entry);
	c->listener->n_callers--;
	if (c->event != NULL)
		event_free(c->event);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

/* In the child: the socket as standard input and output, nothing else open. */
static void
exec_sshd(const char *config, int fd)
{
	const char *argv[] = { PERSONA_SSHD, "-i", "-e", "-f",
	    config, NULL };
	const char *envp[] = { "PATH=/usr/local/bin:/usr/bin:/bin", NULL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (setsid() < 0 || dup2(fd, STDIN_FILENO) < 0 ||
	    dup2(fd, STDOUT_FILENO) < 0 || close_range(3, ~0U, 0) < 0)
		_exit(127);
	execve(argv[0], (char *const *)argv, (char *const *)envp);
	_exit(127);
}

/*
 * sshd wants a blocking socket that wakes for every byte; what it sends are
 * answers and acknowledgements, which must not wait for each other.
 */
static void
prepare_socket(int fd)
{
	const int one = 1;
	const unsigned int timeout_ms = UNANSWERED_MS;

	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
	    sizeof(timeout_ms));
}

static int
start_sshd(struct caller *c)
{
	struct listener *l = c->listener;
	const size_t len = strlen(l->greeting);

	/* The socket is fresh: its buffer has room for one line. */
	if (send(c->fd, l->greeting, len, MSG_NOSIGNAL) != (ssize_t)len)
		return -EPIPE;
	prepare_socket(c->fd);
	if (geteuid() == 0 && mkdir(SSHD_PRIVSEP_DIR, 0755) < 0 &&
	    errno != EEXIST)
		log_warn_r(-errno, "listen: no %s", SSHD_PRIVSEP_DIR);
	if ((c->pid = fork()) < 0)
		return -errno;
	if (c->pid == 0)
		exec_sshd(l->sshd_config, c->fd);
	log_debug("listen: %s: sshd is process %d", c->address, (int)c->pid);
	return 0;
}

/* The caller becomes an sshd's; the entry stays for the limits. */
static void
serve_ssh(struct caller *c)
{
	struct listener *l = c->listener;
	int r;

	if ((r = start_sshd(c)) < 0) {
		log_warn_r(r, "listen: %s: no sshd", c->address);
		caller_free(c);
		return;
	}
	event_free(c->event);
	c->event = NULL;
	close(c->fd);
	c->fd = -1;
	c->state = CALLER_SSHD;
	l->cfg.spawned(l->cfg.arg, c->pid);
}

static void
serve_pairing(struct caller *c)
{
	struct listener *l = c->listener;
	char address[ADDRESS_MAX];
	const int one = 1;
	int fd = c->fd;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	strcpy(address, c->address);
	c->fd = -1;
	caller_free(c);
	if (l->cfg.pair != NULL)
		l->cfg.pair(l->cfg.arg, fd, address);
	else
		close(fd);
}

/* Four bytes are there, or there will never be four, or time is up. */
static void
first_bytes_cb(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	char first[FIRST_BYTES];
	ssize_t n = -1;

	if (what & EV_READ)
		n = recv(fd, first, sizeof(first), MSG_PEEK);
	if (n == FIRST_BYTES && memcmp(first, "SSH-", FIRST_BYTES) == 0) {
		serve_ssh(c);
	} else if (n == FIRST_BYTES &&
	    memcmp(first, "PAIR", FIRST_BYTES) == 0) {
		serve_pairing(c);
	} else {
		log_debug("listen: %s: %s", c->address, what & EV_TIMEOUT ?
		    "said nothing" : "neither SSH nor pairing");
		caller_free(c);
	}
}

/* Who it is, for the limits: IPv4 mapped into IPv6, of IPv6 the /64. */
static void
caller_net(const struct sockaddr_storage *ss, struct in6_addr *net)
{
	memset(net, 0, sizeof(*net));
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *sin = (const void *)ss;

		memset(&net->s6_addr[10], 0xff, 2);
		memcpy(&net->s6_addr[12], &sin->sin_addr, 4);
	} else {
		const struct sockaddr_in6 *sin6 = (const void *)ss;

		memcpy(net->s6_addr, &sin6->sin6_addr, 8);
	}
}

static bool
too_many(const struct listener *l, const struct in6_addr *net)
{
	const struct caller *c;
	unsigned int n = 0;

	TAILQ_FOREACH(c, &l->callers, entry)
		n += memcmp(&c->net, net, sizeof(*net)) == 0;
	return n >= LISTENER_PER_ADDRESS || l->n_callers >= LISTENER_MAX;
}

/* Wait for the first bytes; takes fd. 0 or -errno. */
static int
caller_new(struct listener *l, int fd, const struct sockaddr_storage *ss,
    socklen_t ss_len, const struct in6_addr *net)
{
	const struct timeval tv = { FIRST_BYTES_TIMEOUT_S, 0 };
	const int low = FIRST_BYTES;
	struct caller *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	c->listener = l;
	c->state = CALLER_SILENT;
	c->net = *net;
	c->fd = fd;
	TAILQ_INSERT_TAIL(&l->callers, c, entry);
	l->n_callers++;
	if (getnameinfo((const struct sockaddr *)ss, ss_len, c->address,
	    sizeof(c->address), NULL, 0, NI_NUMERICHOST) != 0)
		strcpy(c->address, "?");
	/* Readable means: all four bytes, or the end. No waking for less. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) < 0 ||
	    (c->event = event_new(l->base, fd, EV_READ, first_bytes_cb, c)) ==
	    NULL || event_add(c->event, &tv) < 0) {
		caller_free(c);
		return -ENOMEM;
	}
	return 0;
}

static void
called(void *arg, int fd, const struct sockaddr_storage *ss, socklen_t ss_len)
{
	struct listener *l = arg;
	struct in6_addr net;
	int r;

	caller_net(ss, &net);
	if (too_many(l, &net)) {
		log_debug("listen: too many callers, one was turned away");
		close(fd);
		return;
	}
	if ((r = caller_new(l, fd, ss, ss_len, &net)) < 0)
		log_warn_r(r, "listen: a caller was lost");
}

static int
bind_one(const struct addrinfo *ai, int *fdp)
{
	const int one = 1;
	int fd, r;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one,
		    sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

static uint16_t
bound_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	if (ss.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)(void *)&ss)->sin_port);
	return ntohs(((struct sockaddr_in6 *)(void *)&ss)->sin6_port);
}

/* The first socket fixes the port of the others. */
static int
listen_on(struct listener *l, const char *host)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *ai = NULL;
	size_t i = l->n_sockets;
	char port[8];
	int r;

	if (i >= SOCKETS_MAX)
		return -E2BIG;
	snprintf(port, sizeof(port), "%u", (unsigned int)l->port);
	if (getaddrinfo(host, port, &hints, &ai) != 0)
		return -EINVAL;
	r = bind_one(ai, &l->fd[i]);
	freeaddrinfo(ai);
	if (r < 0)
		return r;
	l->n_sockets++;
	l->port = bound_port(l->fd[i]);
	return acceptor_new(&l->acceptor[i], l->base, l->fd[i], "listen",
	    called, l);
}

/* Both families; a kernel that lacks one of them is fine. */
static int
listen_everywhere(struct listener *l)
{
	int r4, r6;

	r4 = listen_on(l, "0.0.0.0");
	if (r4 < 0 && r4 != -EAFNOSUPPORT && r4 != -EADDRNOTAVAIL)
		return r4;
	r6 = listen_on(l, "::");
	if (r6 < 0 && r6 != -EAFNOSUPPORT && r6 != -EADDRNOTAVAIL)
		return r6;
	return r4 == 0 || r6 == 0 ? 0 : r4;
}

int
listener_open(struct listener **lp, struct event_base *base,
    const struct listener_config *cfg)
{
	struct listener *l;
	int r = -ENOMEM;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return -ENOMEM;
	l->base = base;
	l->cfg = *cfg;
	l->port = cfg->port;
	TAILQ_INIT(&l->callers);
	if ((l->sshd_config = strdup(cfg->sshd_config)) == NULL)
		goto fail;
	if ((r = greeting_format(l->greeting, cfg->user)) < 0)
		goto fail;
	r = cfg->n_hosts == 0 ? listen_everywhere(l) : 0;
	for (size_t i = 0; i < cfg->n_hosts && r == 0; i++)
		r = listen_on(l, cfg->hosts[i]);
	if (r < 0)
		goto fail;
	*lp = l;
	return 0;
fail:
	listener_close(l);
	return r;
}

uint16_t
listener_port(const struct listener *l)
{
	return l->port;
}

void
listener_child_ended(struct listener *l, pid_t pid)
{
	struct caller *c;

	TAILQ_FOREACH(c, &l->callers, entry)
		if (c->state == CALLER_SSHD && c->pid == pid) {
			caller_free(c);
			return;
		}
}

void
listener_close(struct listener *l)
{
	struct caller *c;

	if (l == NULL)
		return;
	while ((c = TAILQ_FIRST(&l->callers)) != NULL)
		caller_free(c);
	for (size_t i = 0; i < l->n_sockets; i++) {
		acceptor_free(l->acceptor[i]);
		close(l->fd[i]);
	}
	free(l->sshd_config);
	free(l);
}
