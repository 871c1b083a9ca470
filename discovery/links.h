/* SPDX-License-Identifier: ISC */
/*
 * The network interfaces of this handset: what kind each is, whether it carries
 * traffic, how fast it says it is; reported as they come, change and go
 * (rtnetlink(7)). Knows no addresses and no peers.
 */
#ifndef LINKS_H
#define LINKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct links;

/* In order of preference for a move, best first. */
enum link_kind {
	LINK_LOOPBACK,
	LINK_USB,	/* tether or gadget */
	LINK_ETHERNET,
	LINK_WIFI,
	LINK_VIRTUAL,	/* veth, bridge, tunnel: what is below is not known */
	LINK_OTHER,
	LINK_BLUETOOTH,	/* bnep: works, slowly */
	LINK_MOBILE,	/* costs money */
};

struct link_info {
	unsigned int	ifindex;
	char		name[IF_NAMESIZE];
	enum link_kind	kind;		/* a guess */
	bool		running;	/* up, with a carrier */
	uint32_t	speed_mbit;	/* as the driver says; 0: it does not */
};

struct links_events {
	void	(*changed)(void *arg, const struct link_info *link); /* or came */
	void	(*gone)(void *arg, const struct link_info *link);
};

/* Begin to watch. What is there now is reported before this returns. */
int	links_start(struct links **lp, struct event_base *base,
	    const struct links_events *events, void *arg);
void	links_stop(struct links *l);	/* NULL is fine */

/* The interface of that index, or NULL. Valid until the loop runs again. */
const struct link_info *links_find(const struct links *l, unsigned int ifindex);

/*
 * Guess the kind from sysfs. `net_dir` is /sys/class/net (or a test's picture of
 * it); arphrd is the hardware type that the kernel reports (if_arp.h).
 */
enum link_kind	links_guess_kind(const char *net_dir, const char *name,
	    unsigned int arphrd);

#endif
