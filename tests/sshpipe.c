/* SPDX-License-Identifier: ISC */
/*
 * The transport by itself, for it_transport.sh: one end that accepts as personad
 * does, one that calls as persona-sync does, and a known flood of bytes both ways
 * on every channel. Knows no frames and no personas.
 *
 *   sshpipe serve --dir D --gate PROGRAM --bytes N [--keys FILE]
 *   sshpipe call  --dir D --host H --port P --peer-key K --bytes N
 *                 [--channels N] [--transfer T] [--timeout-ms T] [--seed S]
 *
 * serve writes D/port and D/key when it is ready, reads the paired keys from FILE
 * (again on SIGHUP), and appends what happened to D/events.
 * call exits 0, or with the errno of the failure, which it names.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate-server.h"
#include "identity.h"
#include "listen.h"
#include "log.h"
#include "pubkey.h"
#include "greeting.h"
#include "sshd-conf.h"
#include "stream.h"

#define CHUNK_MAX	(128u << 10)
#define TURN_BYTES	(1u << 20)	/* written before the others' turn */
#define KEYS_MAX	8u

static struct options {
	const char	*dir, *gate, *host, *peer_key, *transfer, *keys;
	uint16_t	port;
	unsigned int	channels;
	uint32_t	timeout_ms, seed;
	uint64_t	bytes;		/* per channel and direction */
} opt = {
	.transfer = "00112233445566778899aabbccddeeff",
	.channels = 4, .bytes = 1 << 20, .timeout_ms = 5000, .seed = 1,
};

/* --- one end of a flood ----------------------------------------------------- */

struct flood {
	struct stream	*stream;
	uint32_t	random;
	uint64_t	out_seed, in_seed;
	uint64_t	sent, got;
	bool		all_got;
	int		gate_fd;	/* -1 on the calling side */
	void		(*ended)(struct flood *f, int r);
	uint8_t		buf[CHUNK_MAX];
};

static uint8_t
pattern(uint64_t seed, uint64_t at)
{
	return (uint8_t)(((at + seed) * 0x9e3779b97f4a7c15ULL) >> 53);
}

static size_t
random_chunk(struct flood *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 17;
	f->random ^= f->random << 5;
	/* Small ones, large ones, seldom anything else. */
	return 1 + f->random % (f->random & 0x10000 ? CHUNK_MAX - 1 : 999);
}

/*
 * Everything, then one byte more that says "I have all of yours". In turns: sshd
 * throws away what comes for a reader that has died, as fast as it comes, so that
 * a write never has to wait and the channels' ends would never be read.
 */
static int
flood_write(struct flood *f)
{
	uint64_t goal = opt.bytes + (f->all_got ? 1 : 0);
	ssize_t n;

	if (goal > f->sent + TURN_BYTES)
		goal = f->sent + TURN_BYTES;
	while (f->sent < goal) {
		size_t len = random_chunk(f);

		if (len > goal - f->sent)
			len = goal - f->sent;
		for (size_t i = 0; i < len; i++)
			f->buf[i] = pattern(f->out_seed, f->sent + i);
		if ((n = stream_write(f->stream, f->buf, len)) < 0)
			return n == -EAGAIN ? 0 : (int)n;
		f->sent += (uint64_t)n;
	}
	return 0;
}

static int
flood_read(struct flood *f)
{
	ssize_t n;

	for (;;) {
		n = stream_read(f->stream, f->buf, random_chunk(f));
		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return n == 0 ? -EPIPE : (int)n;
		for (ssize_t i = 0; i < n; i++)
			if (f->buf[i] != pattern(f->in_seed, f->got++))
				return -EBADMSG;
		f->all_got |= f->got >= opt.bytes;
	}
}

static void
flood_ready(struct stream *s, void *arg)
{
	struct flood *f = arg;
	int r = flood_read(f);

	/* The other end may leave once it has said that it has everything. */
	if (r == -EPIPE && f->got == opt.bytes + 1)
		r = 0;
	if (r == 0)
		r = flood_write(f);
	if (r == 0 && !(f->got == opt.bytes + 1 &&
	    f->sent == opt.bytes + 1)) {
		stream_want(s, f->sent < opt.bytes + (f->all_got ? 1 : 0));
		return;
	}
	f->ended(f, r);
}

static void
flood_start(struct flood *f, struct stream *s, unsigned int channel,
    bool caller, void (*ended)(struct flood *, int))
{
	f->stream = s;
	f->random = opt.seed * 2654435761u + channel * 2 + caller + 1;
	f->out_seed = channel * 1000003ULL + (caller ? 0 : 77777);
	f->in_seed = channel * 1000003ULL + (caller ? 77777 : 0);
	f->ended = ended;
	f->gate_fd = -1;
	stream_set_ready(s, flood_ready, f);
	stream_want(s, true);
}

/* --- the accepting end ------------------------------------------------------ */

struct server {
	struct event_base	*base;
	struct listener		*listener;
	struct gate_server	*gates;
	struct identity		*identity;
	FILE			*events;
};

static struct server server;

static void
event_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
event_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(server.events, fmt, ap);
	va_end(ap);
	fputc('\n', server.events);
	fflush(server.events);
}

static void
served(struct flood *f, int r)
{
	event_line("stream ended: %s, %llu bytes", r == 0 ? "well" :
	    strerror(-r), (unsigned long long)f->got);
	stream_close(f->stream);
	close(f->gate_fd);
	free(f);
}

static void
stream_arrived(void *arg, const struct gate_stream *gs)
{
	struct flood *f = calloc(1, sizeof(*f));
	struct stream *s;

	(void)arg;
	event_line("stream %s %u of %s", gs->transfer, gs->channel,
	    gs->fingerprint);
	if (f == NULL || stream_fd_open(&s, server.base, gs->rfd, gs->wfd) <
	    0)
		fatal("no stream");
	flood_start(f, s, gs->channel, false, served);
	f->gate_fd = gs->gate_fd;
}

static void
sshd_spawned(void *arg, pid_t pid)
{
	(void)arg;
	event_line("sshd %d", (int)pid);
}

static void
pairing_called(void *arg, int fd, const char *address)
{
	char first[4] = "";

	(void)arg;
	event_line("pairing from %s: %.*s", address,
	    (int)read(fd, first, sizeof(first)), first);
	close(fd);
}

static void
child_cb(evutil_socket_t fd, short what, void *arg)
{
	pid_t pid;

	(void)fd;
	(void)what;
	(void)arg;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		listener_child_ended(server.listener, pid);
		event_line("sshd %d ended", (int)pid);
	}
}

static void
write_file(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", opt.dir, name);
	if ((f = fopen(path, "w")) == NULL || fputs(text, f) < 0 ||
	    fclose(f) != 0)
		fatal("%s: %s", path, strerror(errno));
}

static void
write_conf(void)
{
	static char lines[KEYS_MAX][PUBKEY_TEXT_LEN + 2];
	const char *keys[KEYS_MAX];
	char socket[PATH_MAX], user[GREETING_USER_MAX + 1];
	struct sshd_conf conf = { .dir = opt.dir, .gate = opt.gate,
	    .gate_socket = socket, .user = user };
	size_t n = 0;
	FILE *f;
	int r;

	if (opt.keys != NULL && (f = fopen(opt.keys, "r")) != NULL) {
		while (n < KEYS_MAX &&
		    fgets(lines[n], sizeof(lines[n]), f) != NULL) {
			lines[n][strcspn(lines[n], "\n")] = '\0';
			keys[n] = lines[n];
			n++;
		}
		fclose(f);
	}
	snprintf(socket, sizeof(socket), "%s/gate.sock", opt.dir);
	conf.identity = identity_path(server.identity);
	if ((r = sshd_conf_user(user, sizeof(user))) < 0 ||
	    (r = sshd_conf_write(&conf, keys, n)) < 0)
		fatal("sshd configuration: %s", strerror(-r));
}

static void
hangup_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	write_conf();
	event_line("keys read again");
}

static void
stop_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static void
open_server(struct event_base *base)
{
	char path[PATH_MAX], conf[PATH_MAX], user[GREETING_USER_MAX + 1];
	struct listener_config lc = { .sshd_config = conf, .user = user,
	    .spawned = sshd_spawned, .pair = pairing_called };
	int r;

	server.base = base;
	snprintf(path, sizeof(path), "%s/events", opt.dir);
	if ((server.events = fopen(path, "we")) == NULL)
		fatal("%s: %s", path, strerror(errno));
	if ((r = identity_open(&server.identity, opt.dir)) < 0)
		fatal("identity: %s", strerror(-r));
	write_conf();
	snprintf(path, sizeof(path), "%s/gate.sock", opt.dir);
	if ((r = gate_server_open(&server.gates, base, path, stream_arrived,
	    NULL)) < 0)
		fatal("%s: %s", path, strerror(-r));
	snprintf(conf, sizeof(conf), "%s/" SSHD_CONF_NAME, opt.dir);
	if ((r = sshd_conf_user(user, sizeof(user))) < 0 ||
	    (r = listener_open(&server.listener, base, &lc)) < 0)
		fatal("listener: %s", strerror(-r));
}

static int
serve(struct event_base *base)
{
	struct event *child, *hangup, *term;
	char port[16];

	child = evsignal_new(base, SIGCHLD, child_cb, NULL);
	hangup = evsignal_new(base, SIGHUP, hangup_cb, NULL);
	term = evsignal_new(base, SIGTERM, stop_cb, base);
	open_server(base);
	event_add(child, NULL);
	event_add(hangup, NULL);
	event_add(term, NULL);
	snprintf(port, sizeof(port), "%u",
	    (unsigned int)listener_port(server.listener));
	write_file("key", identity_key(server.identity));
	write_file("port", port);
	event_base_dispatch(base);
	listener_close(server.listener);
	gate_server_close(server.gates);
	identity_free(server.identity);
	event_free(child);
	event_free(hangup);
	event_free(term);
	fclose(server.events);
	return 0;
}

/* --- the calling end -------------------------------------------------------- */

struct call {
	struct event_base	*base;
	unsigned int		running;
	int			r;
};

static struct call call;

static void
called(struct flood *f, int r)
{
	stream_close(f->stream);
	free(f);
	if (r < 0 && call.r == 0)
		call.r = r;
	if (--call.running == 0)
		event_base_loopbreak(call.base);
}

static void
connected(void *arg, int r, const char *why, struct stream **streams, size_t n)
{
	(void)arg;
	if (r < 0) {
		printf("%s (%s)\n", why, strerror(-r));
		call.r = r;
		event_base_loopbreak(call.base);
		return;
	}
	printf("connected\n");
	fflush(stdout);
	call.running = (unsigned int)n;
	for (unsigned int i = 0; i < n; i++) {
		struct flood *f = calloc(1, sizeof(*f));

		if (f == NULL)
			fatal("no memory");
		flood_start(f, streams[i], i, true, called);
	}
}

static size_t
read_private_key(const struct identity *id, char *pem, size_t size)
{
	int fd = identity_private_fd(id);
	ssize_t n = fd < 0 ? -1 : read(fd, pem, size);

	if (n <= 0)
		fatal("no private key");
	close(fd);
	return (size_t)n;
}

static int
make_call(struct event_base *base)
{
	struct identity *id = NULL;
	struct ssh_conn *c;
	char pem[4096];
	struct ssh_config cfg = { .host = opt.host, .port = opt.port,
	    .peer_key = opt.peer_key, .private_pem = pem,
	    .transfer_id = opt.transfer, .channels = opt.channels,
	    .timeout_ms = opt.timeout_ms };
	int r;

	if ((r = identity_open(&id, opt.dir)) < 0)
		fatal("identity: %s", strerror(-r));
	if (opt.host == NULL) {		/* only make the key */
		write_file("key", identity_key(id));
		identity_free(id);
		return 0;
	}
	cfg.own_key = identity_key(id);
	cfg.private_len = read_private_key(id, pem, sizeof(pem));
	call.base = base;
	call.r = ssh_connect(&c, base, &cfg, connected, NULL);
	if (call.r == 0)
		event_base_dispatch(base);
	identity_free(id);
	if (call.r < 0)
		printf("ended: %s\n", strerror(-call.r));
	return -call.r;
}

static void
parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "gate", required_argument, NULL, 'g' },
		{ "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' },
		{ "peer-key", required_argument, NULL, 'k' },
		{ "keys", required_argument, NULL, 'K' },
		{ "transfer", required_argument, NULL, 't' },
		{ "channels", required_argument, NULL, 'c' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "timeout-ms", required_argument, NULL, 'T' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd': opt.dir = optarg; break;
		case 'g': opt.gate = optarg; break;
		case 'h': opt.host = optarg; break;
		case 'p': opt.port = (uint16_t)atoi(optarg); break;
		case 'k': opt.peer_key = optarg; break;
		case 'K': opt.keys = optarg; break;
		case 't': opt.transfer = optarg; break;
		case 'c': opt.channels = (unsigned int)atoi(optarg); break;
		case 'b': opt.bytes = strtoull(optarg, NULL, 10); break;
		case 'T': opt.timeout_ms = (uint32_t)atoi(optarg); break;
		case 's': opt.seed = (uint32_t)atoi(optarg); break;
		default: exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	int r = 2;

	log_init("sshpipe", LOG_DEBUG);
	signal(SIGPIPE, SIG_IGN);
	parse(argc, argv);
	if (base == NULL || optind + 1 != argc || opt.dir == NULL)
		fatal("usage: sshpipe serve|call --dir D ...");
	if (strcmp(argv[optind], "serve") == 0 && opt.gate != NULL)
		r = serve(base);
	else if (strcmp(argv[optind], "call") == 0)
		r = make_call(base);
	event_base_free(base);
	return r;
}
