/* SPDX-License-Identifier: ISC */
/*
 * The cable between persona-net and a guest's network card: one Ethernet frame a
 * datagram. What the guest does not take waits in a bounded queue. Knows no frame's
 * meaning and no libslirp.
 */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct net_wire;

struct net_wire_ops {
	/* A frame of the guest, 1 to NET_FRAME_MAX bytes. */
	void	(*frame)(void *arg, const uint8_t *frame, size_t len);
	/* The guest takes frames slower than they come (true), or is even again. */
	void	(*full)(void *arg, bool full);
	/* The other end is gone; nothing comes after. */
	void	(*gone)(void *arg);
};

/* Takes the socket, also on failure. 0 or -errno. */
int	net_wire_new(struct net_wire **wp, struct event_base *base, int fd,
	    const struct net_wire_ops *ops, void *arg);
void	net_wire_free(struct net_wire *w);

/* A frame for the guest. Dropped when the queue is full: that is Ethernet. */
void	net_wire_send(struct net_wire *w, const uint8_t *frame, size_t len);

/* Bytes of frames that have gone each way; frames that were dropped do not count. */
struct net_wire_count {
	uint64_t	to_guest, from_guest;
};
struct net_wire_count net_wire_counted(const struct net_wire *w);

#endif
