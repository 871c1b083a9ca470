/* SPDX-License-Identifier: ISC */
/*
 * The interfaces of this handset by rtnetlink(7), their kinds by sysfs. Knows no
 * addresses, no peers, and sets nothing.
 */
#include "links.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "links-sysfs.h"

#define NET_DIR		"/sys/class/net"
#define LINKS_MAX	256
#define RECEIVE_BYTES	32768

struct links {
	struct link_info	all[LINKS_MAX];
	size_t			n;
	struct links_events	events;
	void			*arg;
	int			fd;
	struct event		*ev;
	uint8_t			buf[RECEIVE_BYTES]
				    __attribute__((aligned(NLMSG_ALIGNTO)));
};

const struct link_info *
links_find(const struct links *l, unsigned int ifindex)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->all[i].ifindex == ifindex)
			return &l->all[i];
	return NULL;
}

static struct link_info *
find(struct links *l, unsigned int ifindex)
{
	return (struct link_info *)links_find(l, ifindex);
}

static void
link_came(struct links *l, const struct link_info *now)
{
	struct link_info *was = find(l, now->ifindex);

	if (was == NULL) {
		if (l->n == LINKS_MAX)
			return;
		was = &l->all[l->n++];
	} else if (strcmp(was->name, now->name) == 0 &&
	    was->kind == now->kind && was->running == now->running &&
	    was->speed_mbit == now->speed_mbit) {
		return;
	}
	*was = *now;
	l->events.changed(l->arg, now);
}

static void
link_went(struct links *l, unsigned int ifindex)
{
	struct link_info *was = find(l, ifindex), gone;

	if (was == NULL)
		return;
	gone = *was;
	*was = l->all[--l->n];
	l->events.gone(l->arg, &gone);
}

/* One RTM_NEWLINK or RTM_DELLINK; the kernel wrote it. */
static void
take_message(struct links *l, const struct nlmsghdr *nh)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(nh);
	struct link_info now = { 0 };
	int left = (int)IFLA_PAYLOAD(nh);

	if (nh->nlmsg_len < NLMSG_LENGTH(sizeof(*ifi)) || ifi->ifi_index <= 0)
		return;
	now.ifindex = (unsigned int)ifi->ifi_index;
	if (nh->nlmsg_type == RTM_DELLINK) {
		link_went(l, now.ifindex);
		return;
	}
	for (const struct rtattr *a = IFLA_RTA(ifi); RTA_OK(a, left);
	    a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_IFNAME)
			snprintf(now.name, sizeof(now.name), "%.*s",
			    (int)RTA_PAYLOAD(a), (const char *)RTA_DATA(a));
	now.running = (ifi->ifi_flags & IFF_UP) &&
	    (ifi->ifi_flags & IFF_RUNNING);
	now.kind = links_guess_kind(NET_DIR, now.name, ifi->ifi_type);
	now.speed_mbit = links_read_speed(NET_DIR, now.name);
	link_came(l, &now);
}

/* Ask for all links. The answers are not told from later news, nor need be. */
static int
request_dump(struct links *l)
{
	struct {
		struct nlmsghdr		nh;
		struct ifinfomsg	ifi;
	} req = {
		.nh = { .nlmsg_len = sizeof(req), .nlmsg_type = RTM_GETLINK,
		    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
	};

	return send(l->fd, &req, sizeof(req), 0) < 0 ? -errno : 0;
}

/*
 * Read one datagram. 1 more may follow, 0 the end of a dump, -EAGAIN none, else
 * -errno.
 */
static int
read_some(struct links *l, int flags)
{
	const struct nlmsghdr *nh;
	ssize_t n;

	do
		n = recv(l->fd, l->buf, sizeof(l->buf), flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (size_t at = 0, len = (size_t)n; at + sizeof(*nh) <= len;
	    at += NLMSG_ALIGN(nh->nlmsg_len)) {
		nh = (const struct nlmsghdr *)(const void *)(l->buf + at);
		if (nh->nlmsg_len < sizeof(*nh) || nh->nlmsg_len > len - at)
			break;
		if (nh->nlmsg_type == NLMSG_DONE)
			return 0;
		if (nh->nlmsg_type == RTM_NEWLINK ||
		    nh->nlmsg_type == RTM_DELLINK)
			take_message(l, nh);
	}
	return 1;
}

/* News were lost when the socket's buffer was full: look at everything again. */
static void
start_over(struct links *l)
{
	for (size_t i = l->n; i-- > 0;)
		if (if_indextoname(l->all[i].ifindex, (char[IF_NAMESIZE]){ 0 })
		    == NULL)
			link_went(l, l->all[i].ifindex);
	(void)request_dump(l);
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct links *l = arg;
	int r;

	(void)fd;
	(void)what;
	while ((r = read_some(l, MSG_DONTWAIT)) >= 0)
		;
	if (r == -ENOBUFS)
		start_over(l);
}

static int
open_netlink(void)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_LINK };
	int fd, r;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int
links_start(struct links **lp, struct event_base *base,
    const struct links_events *events, void *arg)
{
	struct links *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	*lp = NULL;
	if (l == NULL)
		return -ENOMEM;
	l->events = *events;
	l->arg = arg;
	if ((r = l->fd = open_netlink()) < 0)
		goto out;
	if ((r = request_dump(l)) < 0)
		goto out;
	while ((r = read_some(l, 0)) > 0)	/* the kernel answers at once */
		;
	if (r < 0)
		goto out;
	r = -ENOMEM;
	l->ev = event_new(base, l->fd, EV_READ | EV_PERSIST, readable_cb, l);
	if (l->ev == NULL || event_add(l->ev, NULL) < 0)
		goto out;
	*lp = l;
	l = NULL;
	r = 0;
out:
	links_stop(l);
	return r;
}

void
links_stop(struct links *l)
{
	if (l == NULL)
		return;
	if (l->ev != NULL)
		event_free(l->ev);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}
