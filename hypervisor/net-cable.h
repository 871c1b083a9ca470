/* SPDX-License-Identifier: ISC */
/*
 * The network card's end of its socket: one Ethernet frame a datagram, straight
 * between the socket and the buffers of a virtio chain. Knows no feature, no link
 * state and nothing of what is at the socket's other end.
 */
#ifndef NET_CABLE_H
#define NET_CABLE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio.h"

struct net_flows;

/* struct virtio_net_hdr (VIRTIO 1.2, 5.1.6); no offload is offered, so it says
 * nothing but that a frame lies in one chain. */
#define NET_HEADER_BYTES	12u
#define NET_HEADER_ONE_CHAIN	{ [10] = 1 }	/* num_buffers, le16 */

struct net_cable {
	int		fd;		/* the socket; -1: unplugged */
	struct event	*read_ev, *write_ev;
};

/*
 * Plug in a socket (taken, also on failure) in place of the one that was; -1 for
 * none. Neither event waits for anything yet. 0 or -ENOMEM, then unplugged.
 */
int	net_cable_plug(struct net_cable *c, struct event_base *base, int fd,
	    event_callback_fn readable, event_callback_fn writable,
	    void *arg);
void	net_cable_unplug(struct net_cable *c);

/* What its events wait for from now on; of no effect while it is unplugged. */
void	net_cable_wait(struct net_cable *c, bool readable, bool writable);

/*
 * Send the frame that a chain holds, and let the flows see it. 0 when the chain is
 * done with, also when there was no frame or nobody takes it, as on a wire; -EAGAIN
 * when there is no room; -EPIPE when the other end is gone.
 */
int	net_cable_send(struct net_cable *c, const struct virtq_chain *chain,
	    struct net_flows *flows);

/*
 * Receive a frame into a chain of v. The bytes used; 0 when the chain is too small
 * for any; -EAGAIN when there is no frame; -EMSGSIZE when it did not fit and is
 * gone; -EPIPE when the other end is.
 */
int	net_cable_receive(struct net_cable *c, struct virtio *v,
	    const struct virtq_chain *chain);

#endif
