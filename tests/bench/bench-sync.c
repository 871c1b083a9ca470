/* SPDX-License-Identifier: ISC */
/*
 * The sync engine between two processes over plain TCP, with a thread in place
 * of a guest: total, stop, bytes and CPU for one shape of memory. For tuning; it
 * has no SSH, no KVM and no personad, so it shows the engine alone.
 *
 *	bench-sync listen PORT
 *	bench-sync connect HOST PORT [MB [HOT_MB [DIRTY_MB_PER_S]]]
 *	bench-sync --quick	both of them, here, and too little to be kept
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fakes/fake-space.h"
#include "log.h"
#include "reason.h"
#include "stream.h"
#include "sync-receive.h"
#include "sync-send.h"

#define CHANNELS 4

/* Of one side's guest, in MB. */
struct shape {
	uint64_t	ram, hot, dirty_per_s;
};

struct bench {
	struct event_base	*base;
	struct event		*tick, *again;
	struct sync_send	*send;
	struct sync_receive	*receive;
	struct space		*ram;
	uint64_t		n_pages;
	uint64_t		*log, *dirty;
	uint64_t		hot_pages, dirty_rate;	/* pages a second */
	volatile bool		runs;
	bool			sends;
	bool			good;		/* the move is complete */
	uint64_t		begun_ns, stopped_ns;
};

static uint64_t
now_ns(void *arg)
{
	struct timespec t;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void
die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void
again(void *arg)
{
	static const struct timeval zero = { 0, 0 };

	event_add(((struct bench *)arg)->again, &zero);
}

static void
step_cb(evutil_socket_t fd, short what, void *arg)
{
	struct bench *b = arg;

	(void)fd;
	(void)what;
	if (b->sends)
		sync_send_step(b->send);
	else
		sync_receive_step(b->receive);
}

static void
tick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct bench *b = arg;

	(void)fd;
	(void)what;
	if (b->sends)
		sync_send_tick(b->send);
	else
		sync_receive_tick(b->receive);
}

static void
progress(void *arg, const struct sync_progress *p)
{
	struct bench *b = arg;

	if (b->sends)
		fprintf(stderr, "  %s round %u: %llu left, %llu KiB/s, eta "
		    "%llu ms, sent %llu KiB\n", sync_state_name(p->state),
		    p->round, (unsigned long long)p->pages_left,
		    (unsigned long long)(p->rate >> 10),
		    (unsigned long long)p->eta_ms,
		    (unsigned long long)(p->bytes >> 10));
}

static void
ended(void *arg, uint32_t reason, const char *text)
{
	struct bench *b = arg;
	struct sync_progress p;
	struct rusage u;

	b->good = reason == REASON_OK;
	getrusage(RUSAGE_SELF, &u);
	printf("%s: %s (%u); cpu %ld ms\n", b->sends ? "send" : "receive",
	    text, reason, u.ru_utime.tv_sec * 1000 + u.ru_utime.tv_usec / 1000 +
	    u.ru_stime.tv_sec * 1000 + u.ru_stime.tv_usec / 1000);
	if (b->sends) {
		sync_send_progress(b->send, &p);
		printf("total %llu ms, %llu MB sent, %u rounds; pages: zero "
		    "%llu known %llu delta %llu (%llu B) lz4 %llu (%llu MB) "
		    "raw %llu same %llu\n",
		    (unsigned long long)(now_ns(NULL) - b->begun_ns) / 1000000,
		    (unsigned long long)p.bytes / 1000000, p.round,
		    (unsigned long long)p.savings.zero_pages,
		    (unsigned long long)p.savings.known_pages,
		    (unsigned long long)p.savings.delta_pages,
		    (unsigned long long)p.savings.delta_bytes,
		    (unsigned long long)p.savings.lz4_pages,
		    (unsigned long long)p.savings.lz4_bytes / 1000000,
		    (unsigned long long)p.savings.raw_pages,
		    (unsigned long long)p.savings.unchanged_pages);
	}
	event_base_loopbreak(b->base);
}

/* --- the source ------------------------------------------------------------- */

static void *
guest(void *arg)
{
	struct bench *b = arg;
	uint64_t x = 88172645463325252ULL, first = b->n_pages / 2;

	while (b->runs) {
		for (uint64_t i = 0; i < b->dirty_rate / 1000; i++) {
			uint64_t pfn, w;

			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			pfn = first + x % b->hot_pages;
			memcpy(fake_page(b->ram, pfn) + x / 7 % 500 * 8, &x,
			    sizeof(x));
			memset(fake_page(b->ram, pfn) + x / 11 % 4000,
			    (int)x, 32);
			w = pfn / 64;
			__atomic_fetch_or(&b->log[w], 1ULL << pfn % 64,
			    __ATOMIC_SEQ_CST);
		}
		usleep(1000);
	}
	return NULL;
}

static pthread_t guest_thread;

static void
harvest(void *arg, bool start)
{
	struct bench *b = arg;

	(void)start;
	for (uint64_t i = 0; i < b->n_pages / 64; i++)
		b->dirty[i] |= __atomic_exchange_n(&b->log[i], 0,
		    __ATOMIC_SEQ_CST);
	sync_send_harvested(b->send);
}

static void
throttle(void *arg, unsigned int percent)
{
	(void)arg;
	printf("throttle %u %%\n", percent);
}

static void
want_stop(void *arg)
{
	struct bench *b = arg;
	static uint8_t state[20000];

	b->stopped_ns = now_ns(NULL);
	b->runs = false;
	pthread_join(guest_thread, NULL);
	sync_send_stopped(b->send, state, sizeof(state), b->stopped_ns);
}

static void
prepared(void *arg, uint64_t tenure)
{
	sync_send_release(((struct bench *)arg)->send, tenure);
}

static void
running(void *arg, uint64_t tenure, const struct blackout *blackout)
{
	struct bench *b = arg;

	(void)tenure;
	(void)blackout;
	printf("stopped for %.2f ms\n",
	    (double)(now_ns(NULL) - b->stopped_ns) / 1e6);
}

static void
fill(struct bench *b)
{
	static const char *const words[] = { "persona ", "moves ", "the ",
	    "handset ", "while ", "memory ", "is ", "copied, ", "page ",
	    "after ", "round; ", "state = ", "{\n\t", "return ", "(void)",
	    "if (" };
	uint64_t x = 1234567;

	for (uint64_t pfn = 0; pfn < b->n_pages; pfn++) {
		uint8_t *page = fake_page(b->ram, pfn);
		size_t at = 0;

		switch (pfn / 64 % 4) {
		case 0:
			break;
		case 1:
			while (at + 24 < PAGE_BYTES) {
				x = x * 6364136223846793005ULL + 1442695;
				at += (size_t)sprintf((char *)page + at, "%s%u",
				    words[x >> 60], (unsigned int)(x >> 40) %
				    1000);
			}
			break;
		case 2:
			memset(page, (int)(pfn % 7) + 1, PAGE_BYTES);
			break;
		default:
			for (; at < PAGE_BYTES; at += 8) {
				x = x * 6364136223846793005ULL + 1442695;
				memcpy(page + at + 4, &(uint32_t){ (uint32_t)
				    (x >> 32) }, 4);
				x = x * 6364136223846793005ULL + 1442695;
				memcpy(page + at, &(uint32_t){ (uint32_t)
				    (x >> 32) }, 4);
			}
		}
	}
}

static void
map_ram(struct bench *b, uint64_t bytes)
{
	b->ram = fake_ram(bytes / PAGE_BYTES);
	b->n_pages = bytes / PAGE_BYTES;
}

static struct stream *
wrap(struct bench *b, int fd)
{
	const int one = 1;
	struct stream *s;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (stream_fd_open(&s, b->base, fd, fd) < 0)
		die("stream");
	return s;
}

static int
dial(struct sockaddr_in *to)
{
	const int size = 128 << 10;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (connect(fd, (struct sockaddr *)to, sizeof(*to)) < 0)
		die("connect");
	return fd;
}

static void
run_send(struct bench *b, struct sockaddr_in *to, const struct shape *shape)
{
	static const struct sync_send_ops ops = {
		.now_ns = now_ns, .again = again, .harvest = harvest,
		.throttle = throttle, .want_stop = want_stop,
		.prepared = prepared, .running = running,
		.progress = progress, .ended = ended,
	};
	Persona__Transfer__Persona persona = PERSONA__TRANSFER__PERSONA__INIT;
	struct sync_send_config cfg = { .persona = &persona, .attempt = 1,
	    .blackout_budget_ms = 100, .allow_throttle = true };

	b->sends = true;
	map_ram(b, shape->ram << 20);
	fill(b);
	b->log = calloc(b->n_pages / 64, 8);
	b->dirty = calloc(b->n_pages / 64, 8);
	b->hot_pages = shape->hot * 256;
	b->dirty_rate = shape->dirty_per_s * 256;
	persona.id = (char *)(uintptr_t)"0123456789abcdef0123456789abcdef";
	persona.name = (char *)(uintptr_t)"bench";
	persona.ram_bytes = shape->ram << 20;
	persona.vcpus = 1;
	persona.cpu_baseline = (char *)(uintptr_t)"x86-64-v2";
	if (sync_send_new(&b->send, &cfg, &ops, b) < 0)
		die("engine");
	for (int i = 0; i < CHANNELS; i++)
		sync_send_add_stream(b->send, wrap(b, dial(to)));
	b->runs = true;
	if (shape->hot > 0)
		pthread_create(&guest_thread, NULL, guest, b);
	b->begun_ns = now_ns(NULL);
	if (sync_send_start(b->send, b->ram, b->dirty) < 0)
		die("start");
}

/* --- the target ------------------------------------------------------------- */

static void
offered(void *arg, uint64_t attempt, const Persona__Transfer__Persona *persona)
{
	struct bench *b = arg;

	(void)attempt;
	map_ram(b, persona->ram_bytes);
	sync_receive_accept(b->receive, b->ram);
}

static void
verified(void *arg, const void *state, size_t len)
{
	(void)state;
	(void)len;
	sync_receive_prepared(((struct bench *)arg)->receive, 1);
}

static void
released(void *arg, uint64_t tenure, uint64_t stopped_for_ns)
{
	sync_receive_running(((struct bench *)arg)->receive, tenure,
	    &(struct blackout){ .ns = stopped_for_ns });
}

/* *at becomes where, if it said any port. */
static int
listen_at(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(*at);
	const int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)at, sizeof(*at)) < 0 ||
	    listen(fd, CHANNELS) < 0 ||
	    getsockname(fd, (struct sockaddr *)at, &len) < 0)
		die("listen");
	return fd;
}

/* Takes the socket that listens. */
static void
run_receive(struct bench *b, int fd)
{
	static const struct sync_receive_ops ops = {
		.now_ns = now_ns, .again = again, .offered = offered,
		.verified = verified, .released = released,
		.progress = progress, .ended = ended,
	};

	if (sync_receive_new(&b->receive, &ops, b) < 0)
		die("engine");
	for (int i = 0; i < CHANNELS; i++) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			die("accept");
		sync_receive_add_stream(b->receive, wrap(b, c));
	}
	close(fd);
}

static void
bench_init(struct bench *b)
{
	static const struct timeval tick = { .tv_usec = 10000 };

	memset(b, 0, sizeof(*b));
	b->base = event_base_new();
	b->tick = event_new(b->base, -1, EV_PERSIST, tick_cb, b);
	b->again = event_new(b->base, -1, 0, step_cb, b);
	event_add(b->tick, &tick);
}

/* Whether it ended well; nothing of it is left. */
static bool
bench_run(struct bench *b)
{
	event_base_dispatch(b->base);
	if (b->sends)
		sync_send_free(b->send);
	else
		sync_receive_free(b->receive);
	space_free(b->ram);
	free(b->log);
	free(b->dirty);
	event_free(b->tick);
	event_free(b->again);
	event_base_free(b->base);
	return b->good;
}

static bool
quick(void)
{
	const struct shape small = { .ram = 64, .hot = 1, .dirty_per_s = 1 };
	struct sockaddr_in at = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = listen_at(&at), status = -1;
	struct bench b;
	bool sent;
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	bench_init(&b);		/* an event base is no child's to inherit */
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_receive(&b, fd);
		exit(bench_run(&b) ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(fd);
	run_send(&b, &at, &small);
	sent = bench_run(&b);
	return waitpid(pid, &status, 0) == pid && status == 0 && sent;
}

static uint64_t
number(char **argv, int argc, int at, uint64_t otherwise)
{
	return argc > at ? strtoull(argv[at], NULL, 10) : otherwise;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct bench b;

	log_init("bench-sync", getenv("DEBUG") ? LOG_DEBUG : LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "--quick") == 0)
		return quick() ? EXIT_SUCCESS : EXIT_FAILURE;
	bench_init(&b);
	if (argc >= 4 && strcmp(argv[1], "connect") == 0) {
		const struct shape shape = {
			.ram = number(argv, argc, 4, 512),
			.hot = number(argv, argc, 5, 32),
			.dirty_per_s = number(argv, argc, 6, 10),
		};

		at.sin_port = htons((uint16_t)atoi(argv[3]));
		inet_pton(AF_INET, argv[2], &at.sin_addr);
		run_send(&b, &at, &shape);
	} else if (argc == 3 && strcmp(argv[1], "listen") == 0) {
		at.sin_port = htons((uint16_t)atoi(argv[2]));
		run_receive(&b, listen_at(&at));
	} else
		return 2;
	return bench_run(&b) ? EXIT_SUCCESS : EXIT_FAILURE;
}
