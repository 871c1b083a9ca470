/* SPDX-License-Identifier: ISC */
/*
 * libslirp on libevent. libslirp wants to be polled: before each sleep it lists
 * the descriptors it waits for, after it the events are handed back. A turn does
 * both; every event of ours leads to one. Deliberately knows no frame's meaning.
 */
#include "net-slirp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "clock.h"
#include "forward.h"
#include "log.h"
#include "net-filter.h"

#define DNS_AND_DHCP_NAME	"persona"

/* What libslirp waits for at one descriptor. */
struct watch {
	struct event	ev;
	struct net_slirp *net;
	int		fd;		/* -1: this place is unused */
	int		want;		/* SLIRP_POLL_* */
	short		got;		/* EV_* since the last turn */
};

struct net_slirp {
	struct net_slirp_config config;
	Slirp		*slirp;
	SlirpCb		ops;
	struct event	*turn_ev;	/* a turn is due; also the timeout */
	bool		held;
	struct watch	**watches;	/* in libslirp's order */
	int		n_watches;	/* of this turn */
	int		n_places;
};

/* --- what libslirp waits for ---------------------------------------------- */

static void
turn_soon(struct net_slirp *n)
{
	event_active(n->turn_ev, EV_TIMEOUT, 0);
}

static void
watch_drop(struct watch *w)
{
	if (w->fd >= 0)
		(void)event_del(&w->ev);
	w->fd = -1;
	w->want = 0;
	w->got = 0;
}

static void
watch_cb(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	w->got |= what;
	turn_soon(w->net);
}

static void
watch_set(struct watch *w, int fd, int want)
{
	short events = EV_PERSIST;

	if (w->fd == fd && w->want == want)
		return;
	watch_drop(w);
	if (want & (SLIRP_POLL_IN | SLIRP_POLL_HUP))
		events |= EV_READ;
	if (want & SLIRP_POLL_OUT)
		events |= EV_WRITE;
	if (event_assign(&w->ev, w->net->config.base, fd, events, watch_cb,
	    w) < 0 || event_add(&w->ev, NULL) < 0)
		return;		/* never reported: the connection times out */
	w->fd = fd;
	w->want = want;
}

/* One more place for a watch. 0 or -ENOMEM. */
static int
watches_grow(struct net_slirp *n)
{
	struct watch **all = reallocarray(n->watches,
	    (size_t)n->n_places + 1, sizeof(all[0]));
	struct watch *w;

	if (all == NULL)
		return -ENOMEM;
	n->watches = all;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return -ENOMEM;
	w->net = n;
	w->fd = -1;
	all[n->n_places++] = w;
	return 0;
}

static int
add_poll_cb(int fd, int events, void *arg)
{
	struct net_slirp *n = arg;

	if (n->n_watches == n->n_places && watches_grow(n) < 0)
		return -1;
	watch_set(n->watches[n->n_watches], fd, events);
	return n->n_watches++;
}

static int
get_revents_cb(int i, void *arg)
{
	struct net_slirp *n = arg;
	struct watch *w;
	int events = 0;

	if (i < 0 || i >= n->n_watches)
		return 0;
	w = n->watches[i];
	if (w->got & EV_READ)
		events |= SLIRP_POLL_IN;
	if (w->got & EV_WRITE)
		events |= SLIRP_POLL_OUT;
	w->got = 0;
	return events & w->want;
}

/*
 * A descriptor begins or ends. libevent keeps what it told epoll by number, so a
 * number must be forgotten before it is used again.
 */
static void
forget_fd_cb(int fd, void *arg)
{
	struct net_slirp *n = arg;

	for (int i = 0; i < n->n_places; i++)
		if (n->watches[i]->fd == fd)
			watch_drop(n->watches[i]);
}

static void
arm(struct net_slirp *n)
{
	uint32_t timeout_ms = UINT32_MAX;
	struct timeval tv;

	n->n_watches = 0;
	if (!n->held)
		slirp_pollfds_fill(n->slirp, &timeout_ms, add_poll_cb, n);
	for (int i = n->n_watches; i < n->n_places; i++)
		watch_drop(n->watches[i]);
	if (timeout_ms == UINT32_MAX)
		return;
	tv.tv_sec = timeout_ms / 1000;
	tv.tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000;
	(void)event_add(n->turn_ev, &tv);
}

static void
turn_cb(evutil_socket_t fd, short what, void *arg)
{
	struct net_slirp *n = arg;

	(void)fd;
	(void)what;
	if (!n->held)
		slirp_pollfds_poll(n->slirp, 0, get_revents_cb, n);
	arm(n);
}

/* --- what libslirp asks of us --------------------------------------------- */

static ssize_t
send_packet_cb(const void *buf, size_t len, void *arg)
{
	struct net_slirp *n = arg;

	n->config.frame(n->config.arg, buf, len);
	return (ssize_t)len;
}

/* The guest's mistakes are for debugging it, and it must not fill our log. */
static void
guest_error_cb(const char *text, void *arg)
{
	(void)arg;
	log_debug("guest: %s", text);
}

static int64_t
clock_ns_cb(void *arg)
{
	(void)arg;
	return (int64_t)clock_now_ns();
}

struct timer {
	struct event	ev;
	SlirpTimerCb	cb;
	void		*arg;
};

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->cb(t->arg);
}

static void *
timer_new_cb(SlirpTimerCb cb, void *cb_arg, void *arg)
{
	struct net_slirp *n = arg;
	struct timer *t = calloc(1, sizeof(*t));

	/* Made while libslirp starts, which has no way to hear of a failure. */
	if (t == NULL || evtimer_assign(&t->ev, n->config.base, timer_cb,
	    t) < 0)
		fatal("no memory for a timer");
	t->cb = cb;
	t->arg = cb_arg;
	return t;
}

static void
timer_free_cb(void *timer, void *arg)
{
	struct timer *t = timer;

	(void)arg;
	(void)evtimer_del(&t->ev);
	free(t);
}

static void
timer_mod_cb(void *timer, int64_t expire_ms, void *arg)
{
	int64_t in_ms = expire_ms - (int64_t)clock_now_ms();
	struct timer *t = timer;
	struct timeval tv = { 0 };

	(void)arg;
	if (in_ms > 0) {
		tv.tv_sec = in_ms / 1000;
		tv.tv_usec = (suseconds_t)(in_ms % 1000) * 1000;
	}
	(void)evtimer_add(&t->ev, &tv);
}

static void
notify_cb(void *arg)
{
	turn_soon(arg);
}

/* --- the front door ------------------------------------------------------- */

static void
addresses(SlirpConfig *c)
{
	const uint8_t prefix[16] = { 0xfd, 0, 0x70, 0x65, 0x72, 0x73, 0x6f,
	    0x6e };

	c->in_enabled = true;
	c->vnetwork.s_addr = htonl(0x0a000200);
	c->vnetmask.s_addr = htonl(0xffffff00);
	c->vhost.s_addr = htonl(0x0a000202);
	c->vnameserver.s_addr = htonl(0x0a000203);
	c->vdhcp_start.s_addr = htonl(0x0a00020f);
	c->in6_enabled = true;
	memcpy(&c->vprefix_addr6, prefix, sizeof(prefix));
	c->vprefix_len = 64;
	c->vhost6 = c->vnameserver6 = c->vprefix_addr6;
	c->vhost6.s6_addr[15] = 2;
	c->vnameserver6.s6_addr[15] = 3;
}

int
net_slirp_new(struct net_slirp **np, const struct net_slirp_config *config)
{
	SlirpConfig c = { .version = 4 };	/* the newest whose meaning we know */
	struct net_slirp *n;

	if ((n = calloc(1, sizeof(*n))) == NULL)
		return -ENOMEM;
	n->config = *config;
	n->turn_ev = evtimer_new(config->base, turn_cb, n);
	if (n->turn_ev == NULL)
		goto fail;
	n->ops = (SlirpCb){
		.send_packet = send_packet_cb,
		.guest_error = guest_error_cb,
		.clock_get_ns = clock_ns_cb,
		.timer_new = timer_new_cb,
		.timer_free = timer_free_cb,
		.timer_mod = timer_mod_cb,
		.register_poll_fd = forget_fd_cb,
		.unregister_poll_fd = forget_fd_cb,
		.notify = notify_cb,
	};
	addresses(&c);
	c.vhostname = DNS_AND_DHCP_NAME;
	c.if_mtu = c.if_mru = NET_SLIRP_MTU;
	c.disable_host_loopback = !config->host_loopback;
	if ((n->slirp = slirp_new(&c, &n->ops, n)) == NULL)
		goto fail;
	turn_soon(n);
	*np = n;
	return 0;
fail:
	net_slirp_free(n);
	return -ENOMEM;
}

void
net_slirp_free(struct net_slirp *n)
{
	if (n == NULL)
		return;
	if (n->slirp != NULL)
		slirp_cleanup(n->slirp);
	for (int i = 0; i < n->n_places; i++) {
		watch_drop(n->watches[i]);
		free(n->watches[i]);
	}
	free(n->watches);
	if (n->turn_ev != NULL)
		event_free(n->turn_ev);
	free(n);
}

void
net_slirp_input(struct net_slirp *n, const uint8_t *frame, size_t len)
{
	if (len > NET_FRAME_MAX || !net_filter_passes(frame, len))
		return;
	slirp_input(n->slirp, frame, (int)len);
	turn_soon(n);
}

void
net_slirp_hold(struct net_slirp *n, bool hold)
{
	if (n->held == hold)
		return;
	n->held = hold;
	turn_soon(n);
}

int
net_slirp_forward(struct net_slirp *n, const struct forward *f)
{
	const struct in_addr guest = { 0 };	/* whoever was given .15 */

	errno = EADDRINUSE;
	if (slirp_add_hostfwd(n->slirp, f->udp, f->host, f->host_port, guest,
	    f->guest_port) < 0)
		return errno > 0 ? -errno : -EADDRINUSE;
	turn_soon(n);
	return 0;
}

void
net_slirp_unforward(struct net_slirp *n, const struct forward *f)
{
	(void)slirp_remove_hostfwd(n->slirp, f->udp, f->host, f->host_port);
	turn_soon(n);
}
