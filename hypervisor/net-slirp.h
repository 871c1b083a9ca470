/* SPDX-License-Identifier: ISC */
/*
 * A guest's way out: user-mode NAT with DHCP, DNS and IPv6, which needs no root on
 * the handset. Frames in, frames out, sockets of this process in between. The one
 * front door to libslirp; knows no device and no persona.
 *
 * The guest's network is the same on every handset, so that an address it was
 * given stays true: 10.0.2.0/24 with the gateway at .2, names at .3 and the guest
 * at .15; fd00:7065:7273:6f6e::/64 with the gateway at ::2 and names at ::3.
 */
#ifndef NET_SLIRP_H
#define NET_SLIRP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct forward;
struct net_slirp;

#define NET_SLIRP_MTU	1500u

struct net_slirp_config {
	struct event_base *base;
	bool	host_loopback;	/* let the gateway's address be the handset's own
				 * loopback: its local services */
	/* A frame for the guest; from the loop or from within a call. */
	void	(*frame)(void *arg, const uint8_t *frame, size_t len);
	void	*arg;
};

/* 0 or -ENOMEM. */
int	net_slirp_new(struct net_slirp **np,
	    const struct net_slirp_config *config);
void	net_slirp_free(struct net_slirp *n);

/*
 * A frame of the guest. Anything may be in it; one that would reach the handset
 * itself by its address is dropped.
 */
void	net_slirp_input(struct net_slirp *n, const uint8_t *frame, size_t len);

/*
 * Stop reading from the network (it then holds its data back), or go on: while the
 * guest does not take what it is sent.
 */
void	net_slirp_hold(struct net_slirp *n, bool hold);

/* Open or close a port of the handset. 0 or -errno of bind(2). */
int	net_slirp_forward(struct net_slirp *n, const struct forward *f);
void	net_slirp_unforward(struct net_slirp *n, const struct forward *f);

#endif
