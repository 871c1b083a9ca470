/* SPDX-License-Identifier: ISC */
/* Callers are handed on; without a descriptor left they wait, and nobody spins. */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "acceptor.h"
#include "unit.h"

struct world {
	struct event_base	*base;
	struct acceptor		*acceptor;
	struct sockaddr_un	sun;
	socklen_t		sun_len;
	int			listen_fd;
	unsigned int		taken;
};

static void
taken(void *arg, int fd, const struct sockaddr_storage *from, socklen_t len)
{
	struct world *w = arg;

	(void)len;
	CU_ASSERT_EQUAL(from->ss_family, AF_UNIX);
	w->taken++;
	close(fd);
}

static void
world_open(struct world *w)
{
	*w = (struct world){ .sun.sun_family = AF_UNIX };
	/* An abstract name of the kernel's choice. */
	w->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL_FATAL(bind(w->listen_fd, (struct sockaddr *)&w->sun,
	    sizeof(sa_family_t)), 0);
	w->sun_len = sizeof(w->sun);
	CU_ASSERT_EQUAL_FATAL(getsockname(w->listen_fd,
	    (struct sockaddr *)&w->sun, &w->sun_len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(w->listen_fd, 8), 0);
	w->base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(acceptor_new(&w->acceptor, w->base,
	    w->listen_fd, "test", taken, w), 0);
}

static void
world_close(struct world *w)
{
	acceptor_free(w->acceptor);
	event_base_free(w->base);
	close(w->listen_fd);
}

static int
call(const struct world *w)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL_FATAL(connect(fd, (const struct sockaddr *)&w->sun,
	    w->sun_len), 0);
	return fd;
}

static void
callers_are_handed_on(void)
{
	struct world w;
	int a, b;

	world_open(&w);
	a = call(&w);
	b = call(&w);
	while (w.taken < 2)
		CU_ASSERT_EQUAL_FATAL(event_base_loop(w.base, EVLOOP_ONCE), 0);
	CU_ASSERT_FALSE(acceptor_rests(w.acceptor));
	close(a);
	close(b);
	world_close(&w);
}

static void
no_descriptor_means_rest(void)
{
	struct rlimit was, none;
	struct world w;
	int fd;

	world_open(&w);
	fd = call(&w);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	CU_ASSERT_EQUAL(event_base_loop(w.base, EVLOOP_NONBLOCK), 0);
	CU_ASSERT_TRUE(acceptor_rests(w.acceptor));
	CU_ASSERT_EQUAL(w.taken, 0);
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &was), 0);
	/* The rest ends by itself, and who waited is let in. */
	while (w.taken < 1)
		CU_ASSERT_EQUAL_FATAL(event_base_loop(w.base, EVLOOP_ONCE), 0);
	CU_ASSERT_FALSE(acceptor_rests(w.acceptor));
	close(fd);
	world_close(&w);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "callers are handed on", callers_are_handed_on },
		{ "no descriptor means a rest", no_descriptor_means_rest },
	};

	return unit_main("acceptor", tests, sizeof(tests) / sizeof(tests[0]));
}
