/* SPDX-License-Identifier: ISC */
/*
 * The TCP connections that a guest was last seen to hold, learnt from the frames
 * it sends. When its network is another one (after a move, or when the process
 * behind its card was lost) nothing would ever arrive on them again; an idle one
 * would hang for hours. Each is sent a keep-alive probe then: the guest answers
 * it, the new network knows no such connection and resets it (RFC 9293, 3.5.2).
 * Knows no device and no socket.
 */
#ifndef NET_FLOWS_H
#define NET_FLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "state.pb-c.h"

struct net_flows;

#define NET_PROBE_MAX	74u	/* bytes: Ethernet, IPv6, TCP */

/* No connection is known. 0 or -ENOMEM; freeing NULL is fine. */
int	net_flows_new(struct net_flows **fp);
void	net_flows_free(struct net_flows *f);

/* Forget every connection. */
void	net_flows_clear(struct net_flows *f);

/* The guest sends this frame; it may change meanwhile, and be anything. */
void	net_flows_see(struct net_flows *f, const struct iovec *iov,
	    size_t n_iov);

/*
 * Send each connection its probe, to the card's address `mac`, until `send` says
 * false; then forget them all. How many were sent.
 */
unsigned int	net_flows_probe(struct net_flows *f, const uint8_t mac[6],
		    bool (*send)(void *arg, const uint8_t *frame, size_t len),
		    void *arg);

/* As in dev_ops; the children of `out` are the protobuf library's to free. */
int	net_flows_save(const struct net_flows *f,
	    Persona__State__VirtioNet *out);
int	net_flows_check(const Persona__State__VirtioNet *in);
void	net_flows_load(struct net_flows *f,
	    const Persona__State__VirtioNet *in);

#endif
