/* SPDX-License-Identifier: ISC */
/*
 * Notices that a TCP link loses segments though it is not full, as radio does, and
 * then asks the kernel to stop taking loss for congestion: with 40 ms of round trip
 * and 1 % of loss the usual congestion control carries a few Mbit/s over any link.
 * Knows one socket; knows nothing of what goes over it.
 */
#ifndef LINK_LOSS_H
#define LINK_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct link_loss;

/* What the kernel has counted for a socket up to some moment. */
struct link_count {
	uint32_t	sent, again;	/* segments with data; of them, repeated */
	uint32_t	rtt_us;		/* now, smoothed */
	uint32_t	rtt_min_us;	/* of an empty link */
};

/*
 * Have segments been lost between two counts that no full queue has dropped? A full
 * queue shows in the round trip. False while too few were sent to say.
 */
bool	link_loss_is_noise(const struct link_count *then,
	    const struct link_count *now);

/*
 * Once, while privileged: have the kernel load what an unprivileged process may
 * then ask for. Where there is nothing to load, links stay as they are.
 */
void	link_loss_prepare(void);

/*
 * Watch fd, a TCP socket that stays the caller's and must outlive the watch, until
 * link_loss_end, which accepts NULL. 0; -ENOMEM; what getsockopt says where fd is
 * not TCP; -ENOTSUP on a kernel that counts too little.
 */
int	link_loss_watch(struct link_loss **lp, struct event_base *base, int fd);
void	link_loss_end(struct link_loss *l);

#endif
