/* SPDX-License-Identifier: ISC */
/*
 * Frames between a socket and guest memory, without a copy of ours. Knows no queue:
 * who calls has the chain.
 */
#include "net-cable.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gmem.h"
#include "net-flows.h"

#define FRAME_MIN	14u		/* an Ethernet header */

/* --- the socket ----------------------------------------------------------- */

void
net_cable_unplug(struct net_cable *c)
{
	if (c->read_ev != NULL)
		event_free(c->read_ev);
	if (c->write_ev != NULL)
		event_free(c->write_ev);
	c->read_ev = c->write_ev = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int
net_cable_plug(struct net_cable *c, struct event_base *base, int fd,
    event_callback_fn readable, event_callback_fn writable, void *arg)
{
	net_cable_unplug(c);
	if ((c->fd = fd) < 0)
		return 0;
	c->read_ev = event_new(base, fd, EV_READ | EV_PERSIST, readable, arg);
	c->write_ev = event_new(base, fd, EV_WRITE, writable, arg);
	if (c->read_ev != NULL && c->write_ev != NULL)
		return 0;
	net_cable_unplug(c);
	return -ENOMEM;
}

static void
wait_for(struct event *ev, bool wanted)
{
	if (wanted)
		(void)event_add(ev, NULL);
	else
		(void)event_del(ev);
}

void
net_cable_wait(struct net_cable *c, bool readable, bool writable)
{
	if (c->fd < 0)
		return;
	wait_for(c->read_ev, readable);
	wait_for(c->write_ev, writable);
}

static bool
is_transient(int e)
{
	return e == EAGAIN || e == EINTR || e == ENOBUFS || e == ENOMEM;
}

/* --- chains --------------------------------------------------------------- */

/* Where a chain's bytes lie, behind the header. */
static size_t
iov_of(const struct virtq_buf *bufs, unsigned int n,
    struct iovec iov[VIRTQ_NUM_MAX])
{
	uint32_t skip = NET_HEADER_BYTES;
	size_t n_iov = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t off = skip < bufs[i].len ? skip : bufs[i].len;

		skip -= off;
		if (bufs[i].len > off)
			iov[n_iov++] = (struct iovec){ bufs[i].ptr + off,
			    bufs[i].len - off };
	}
	return n_iov;
}

int
net_cable_send(struct net_cable *c, const struct virtq_chain *chain,
    struct net_flows *flows)
{
	struct iovec iov[VIRTQ_NUM_MAX];
	struct msghdr m = { .msg_iov = iov };

	if (c->fd < 0 || chain->read_bytes < NET_HEADER_BYTES + FRAME_MIN)
		return 0;
	m.msg_iovlen = iov_of(chain->bufs, chain->n_read, iov);
	net_flows_see(flows, iov, m.msg_iovlen);
	if (sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
	    errno == EMSGSIZE)
		return 0;
	return is_transient(errno) ? -EAGAIN : -EPIPE;
}

static void
mark_dirty(struct virtio *v, const struct virtq_chain *chain, uint32_t len)
{
	for (unsigned int i = chain->n_read;
	    i < chain->n_read + chain->n_write && len > 0; i++) {
		uint32_t n = chain->bufs[i].len < len ?
		    chain->bufs[i].len : len;

		gmem_mark_dirty(v->gmem, chain->bufs[i].gpa, n);
		len -= n;
	}
}

int
net_cable_receive(struct net_cable *c, struct virtio *v,
    const struct virtq_chain *chain)
{
	static const uint8_t header[NET_HEADER_BYTES] = NET_HEADER_ONE_CHAIN;
	struct iovec iov[VIRTQ_NUM_MAX];
	struct msghdr m = { .msg_iov = iov };
	ssize_t n;

	if (chain->write_bytes < NET_HEADER_BYTES + FRAME_MIN)
		return 0;
	m.msg_iovlen = iov_of(chain->bufs + chain->n_read, chain->n_write,
	    iov);
	n = recvmsg(c->fd, &m, MSG_DONTWAIT);
	if (n < 0)
		return is_transient(errno) ? -EAGAIN : -EPIPE;
	if (n == 0)
		return -EPIPE;
	mark_dirty(v, chain, NET_HEADER_BYTES + (uint32_t)n);
	if ((m.msg_flags & MSG_TRUNC) || n < (ssize_t)FRAME_MIN)
		return -EMSGSIZE;
	(void)virtq_fill(v, chain, header, sizeof(header));
	return (int)(NET_HEADER_BYTES + n);
}
