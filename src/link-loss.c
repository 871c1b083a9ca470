/* SPDX-License-Identifier: ISC */
/*
 * See link-loss.h. The only file that knows TCP_INFO and congestion controls by name;
 * it knows no SSH and decides nothing about a transfer.
 */
#include "link-loss.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_MS		500
#define SENT_MIN	150u	/* fewer segments say nothing of half a percent */
#define NOISE_PERMILLE	4u
#define QUEUE_US	10000u	/* a queue that is this short drops nothing */

static const char calm[] = "bbr";

struct link_loss {
	int		fd;
	struct event	*timer;
	struct link_count then;
};

bool
link_loss_is_noise(const struct link_count *then, const struct link_count *now)
{
	uint32_t sent = now->sent - then->sent;
	uint32_t again = now->again - then->again;

	return sent >= SENT_MIN &&
	    (uint64_t)again * 1000 >= (uint64_t)sent * NOISE_PERMILLE &&
	    now->rtt_us < now->rtt_min_us + now->rtt_min_us / 2 + QUEUE_US;
}

static int
calm_down(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, calm,
	    sizeof(calm) - 1) < 0 ? -errno : 0;
}

void
link_loss_prepare(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	(void)calm_down(fd);
	close(fd);
}

static int
count(int fd, struct link_count *c)
{
	struct tcp_info i = { 0 };
	socklen_t len = sizeof(i);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) < 0)
		return -errno;
	if (len < offsetof(struct tcp_info, tcpi_data_segs_out) +
	    sizeof(i.tcpi_data_segs_out))
		return -ENOTSUP;
	*c = (struct link_count){ .sent = i.tcpi_data_segs_out,
	    .again = i.tcpi_total_retrans, .rtt_us = i.tcpi_rtt,
	    .rtt_min_us = i.tcpi_min_rtt };
	return 0;
}

/* Once calmed, or where nothing can be asked or done, it need not look again. */
static void
look_cb(evutil_socket_t fd, short what, void *arg)
{
	struct link_loss *l = arg;
	struct link_count now;

	(void)fd;
	(void)what;
	if (count(l->fd, &now) < 0) {
		event_del(l->timer);
		return;
	}
	if (link_loss_is_noise(&l->then, &now)) {
		event_del(l->timer);
		(void)calm_down(l->fd);
	} else if (now.sent - l->then.sent >= SENT_MIN) {
		l->then = now;
	}
}

int
link_loss_watch(struct link_loss **lp, struct event_base *base, int fd)
{
	const struct timeval every = { 0, LOOK_MS * 1000 };
	struct link_count now;
	struct link_loss *l;
	int r;

	if ((r = count(fd, &now)) < 0)
		return r;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return -ENOMEM;
	l->then = now;
	l->fd = fd;
	l->timer = event_new(base, -1, EV_PERSIST, look_cb, l);
	if (l->timer == NULL || event_add(l->timer, &every) < 0) {
		link_loss_end(l);
		return -ENOMEM;
	}
	*lp = l;
	return 0;
}

void
link_loss_end(struct link_loss *l)
{
	if (l == NULL)
		return;
	if (l->timer != NULL)
		event_free(l->timer);
	free(l);
}
