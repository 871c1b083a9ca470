/* SPDX-License-Identifier: ISC */
/*
 * What personad says to persona-net while it runs (net.proto): which ports lead
 * into the guest, and how much has gone over its cable? Knows forwards and their opener, no frame.
 */
#ifndef NET_CONTROL_H
#define NET_CONTROL_H

struct event_base;
struct forward;
struct net_control;
struct net_slirp;
struct net_wire;

/*
 * Serve connections to `listen_fd` (taken, also on failure; -1: none, the forwards
 * below are all there ever are). 0 or -errno.
 */
int	net_control_new(struct net_control **cp, struct event_base *base,
	    struct net_slirp *net, int listen_fd);
void	net_control_free(struct net_control *c);

/* Open one more, beside those a Configure will name. 0 or -errno. */
int	net_control_add(struct net_control *c, const struct forward *f);

/* The cable whose traffic is told when asked; it outlives the control. */
void	net_control_count(struct net_control *c, const struct net_wire *wire);

#endif
