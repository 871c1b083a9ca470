/* SPDX-License-Identifier: ISC */
/*
 * A small cache of connections: sets of a few places each, the place that was not
 * used for longest is given to a newcomer. Deliberately knows no TCP state: a
 * probe for a connection that has ended is answered with a reset and does no harm.
 */
#include "net-flows.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"

#define WAYS	4u
#define SETS	(NET_FLOWS_MAX / WAYS)

#define ETHER_BYTES	14u
#define ETHER_IPV4	0x0800u
#define ETHER_IPV6	0x86ddu
#define IPV4_BYTES	20u
#define IPV4_BYTES_MAX	60u
#define IPV6_BYTES	40u
#define TCP_BYTES	20u
#define TCP_RST		0x04u
#define TCP_ACK		0x10u

struct flow {
	uint64_t	used;		/* when, on the table's count; 0: free */
	uint32_t	addr_bytes;	/* 4 or 16 */
	uint32_t	next_seq;
	uint16_t	guest_port, peer_port;
	uint8_t		guest_addr[16], peer_addr[16];
};

struct net_flows {
	uint64_t	count;
	struct flow	flows[NET_FLOWS_MAX];
};

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

int
net_flows_new(struct net_flows **fp)
{
	*fp = calloc(1, sizeof(**fp));
	return *fp != NULL ? 0 : -ENOMEM;
}

void
net_flows_free(struct net_flows *f)
{
	free(f);
}

void
net_flows_clear(struct net_flows *f)
{
	memset(f, 0, sizeof(*f));
}

/* --- learning ------------------------------------------------------------- */

static bool
same(const struct flow *a, const struct flow *b)
{
	return a->used != 0 && a->addr_bytes == b->addr_bytes &&
	    a->guest_port == b->guest_port && a->peer_port == b->peer_port &&
	    memcmp(a->guest_addr, b->guest_addr, a->addr_bytes) == 0 &&
	    memcmp(a->peer_addr, b->peer_addr, a->addr_bytes) == 0;
}

/* The flow's place: its own, or the one of its set that is needed least. */
static struct flow *
place_of(struct net_flows *f, const struct flow *key)
{
	uint32_t hash = get32(key->peer_addr + key->addr_bytes - 4) ^
	    (uint32_t)key->guest_port << 16 ^ key->peer_port;
	struct flow *set, *best;

	hash *= 0x9e3779b1u;
	set = best = f->flows + (hash >> 16) % SETS * WAYS;
	for (unsigned int i = 0; i < WAYS; i++) {
		if (same(&set[i], key))
			return &set[i];
		if (set[i].used < best->used)
			best = &set[i];
	}
	return best;
}

static void
learn(struct net_flows *f, struct flow *flow, bool is_over)
{
	struct flow *place = place_of(f, flow);

	if (is_over) {
		if (same(place, flow))
			place->used = 0;
		return;
	}
	flow->used = ++f->count;
	*place = *flow;
}

/* The start of a TCP segment, below addresses that are in `flow` already. */
static void
see_tcp(struct net_flows *f, struct flow *flow, const uint8_t *p, size_t len)
{
	if (len < TCP_BYTES || !(p[13] & (TCP_ACK | TCP_RST)))
		return;
	flow->guest_port = get16(p);
	flow->peer_port = get16(p + 2);
	flow->next_seq = get32(p + 8);
	learn(f, flow, p[13] & TCP_RST);
}

static void
see_ipv4(struct net_flows *f, const uint8_t *p, size_t len)
{
	struct flow flow = { .addr_bytes = 4 };
	size_t header;

	if (len < IPV4_BYTES || p[0] >> 4 != 4 || p[9] != IPPROTO_TCP ||
	    (get16(p + 6) & 0x1fff) != 0)	/* not the first fragment */
		return;
	header = (size_t)(p[0] & 15) * 4;
	if (header < IPV4_BYTES || header > len)
		return;
	memcpy(flow.guest_addr, p + 12, 4);
	memcpy(flow.peer_addr, p + 16, 4);
	see_tcp(f, &flow, p + header, len - header);
}

static void
see_ipv6(struct net_flows *f, const uint8_t *p, size_t len)
{
	struct flow flow = { .addr_bytes = 16 };

	if (len < IPV6_BYTES || p[0] >> 4 != 6 || p[6] != IPPROTO_TCP)
		return;
	memcpy(flow.guest_addr, p + 8, 16);
	memcpy(flow.peer_addr, p + 24, 16);
	see_tcp(f, &flow, p + IPV6_BYTES, len - IPV6_BYTES);
}

void
net_flows_see(struct net_flows *f, const struct iovec *iov, size_t n_iov)
{
	uint8_t head[ETHER_BYTES + IPV4_BYTES_MAX + TCP_BYTES];
	size_t len = 0;

	/* Copied: what is looked at must not change while it is. */
	for (size_t i = 0; i < n_iov && len < sizeof(head); i++) {
		size_t n = iov[i].iov_len < sizeof(head) - len ?
		    iov[i].iov_len : sizeof(head) - len;

		memcpy(head + len, iov[i].iov_base, n);
		len += n;
	}
	if (len < ETHER_BYTES)
		return;
	if (get16(head + 12) == ETHER_IPV4)
		see_ipv4(f, head + ETHER_BYTES, len - ETHER_BYTES);
	else if (get16(head + 12) == ETHER_IPV6)
		see_ipv6(f, head + ETHER_BYTES, len - ETHER_BYTES);
}

/* --- probing -------------------------------------------------------------- */

/* Add big-endian words to a one's complement sum (RFC 1071); len is even. */
static uint32_t
sum(uint32_t s, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		s += get16(p + i);
	return s;
}

static uint32_t
fold(uint32_t s)
{
	while (s >> 16 != 0)
		s = (s & 0xffff) + (s >> 16);
	return ~s & 0xffff;
}

static size_t
put_ipv4(uint8_t *p, const struct flow *flow)
{
	p[0] = 0x45;
	put16(p + 2, IPV4_BYTES + TCP_BYTES);
	p[8] = 64;			/* hops */
	p[9] = IPPROTO_TCP;
	memcpy(p + 12, flow->peer_addr, 4);
	memcpy(p + 16, flow->guest_addr, 4);
	put16(p + 10, fold(sum(0, p, IPV4_BYTES)));
	return IPV4_BYTES;
}

static size_t
put_ipv6(uint8_t *p, const struct flow *flow)
{
	p[0] = 0x60;
	put16(p + 4, TCP_BYTES);
	p[6] = IPPROTO_TCP;
	p[7] = 64;
	memcpy(p + 8, flow->peer_addr, 16);
	memcpy(p + 24, flow->guest_addr, 16);
	return IPV6_BYTES;
}

/* A bare ACK of what the peer has acknowledged already (RFC 9293, 3.8.4). */
static void
put_tcp(uint8_t *p, const struct flow *flow)
{
	uint32_t s = IPPROTO_TCP + TCP_BYTES;

	put16(p, flow->peer_port);
	put16(p + 2, flow->guest_port);
	put32(p + 4, flow->next_seq - 1);
	p[12] = TCP_BYTES / 4 << 4;
	p[13] = TCP_ACK;
	put16(p + 14, 0xffff);		/* window */
	s = sum(s, flow->peer_addr, flow->addr_bytes);
	s = sum(s, flow->guest_addr, flow->addr_bytes);
	put16(p + 16, fold(sum(s, p, TCP_BYTES)));
}

static size_t
make_probe(const struct flow *flow, const uint8_t mac[6],
    uint8_t frame[NET_PROBE_MAX])
{
	static const uint8_t from[6] = { 0x02, 0, 0, 0, 0, 0x01 };
	uint8_t *ip = frame + ETHER_BYTES;
	size_t ip_bytes;

	memset(frame, 0, NET_PROBE_MAX);
	memcpy(frame, mac, 6);
	memcpy(frame + 6, from, sizeof(from));
	put16(frame + 12, flow->addr_bytes == 4 ? ETHER_IPV4 : ETHER_IPV6);
	ip_bytes = flow->addr_bytes == 4 ? put_ipv4(ip, flow) :
	    put_ipv6(ip, flow);
	put_tcp(ip + ip_bytes, flow);
	return ETHER_BYTES + ip_bytes + TCP_BYTES;
}

unsigned int
net_flows_probe(struct net_flows *f, const uint8_t mac[6],
    bool (*send)(void *arg, const uint8_t *frame, size_t len), void *arg)
{
	uint8_t frame[NET_PROBE_MAX];
	unsigned int n = 0;

	for (size_t i = 0; i < NET_FLOWS_MAX; i++) {
		if (f->flows[i].used == 0)
			continue;
		if (!send(arg, frame, make_probe(&f->flows[i], mac, frame)))
			break;
		n++;
	}
	net_flows_clear(f);
	return n;
}

/* --- state ---------------------------------------------------------------- */

static int
save_addr(ProtobufCBinaryData *out, const uint8_t *addr, size_t n_bytes)
{
	if ((out->data = malloc(n_bytes)) == NULL)
		return -ENOMEM;
	memcpy(out->data, addr, n_bytes);
	out->len = n_bytes;
	return 0;
}

static int
save_flow(const struct flow *flow, Persona__State__NetFlow **out)
{
	Persona__State__NetFlow *s;

	if ((*out = s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__net_flow__init(s);
	s->guest_port = flow->guest_port;
	s->peer_port = flow->peer_port;
	s->next_seq = flow->next_seq;
	if (save_addr(&s->guest_addr, flow->guest_addr, flow->addr_bytes) < 0)
		return -ENOMEM;
	return save_addr(&s->peer_addr, flow->peer_addr, flow->addr_bytes);
}

int
net_flows_save(const struct net_flows *f, Persona__State__VirtioNet *out)
{
	out->flows = calloc(NET_FLOWS_MAX, sizeof(out->flows[0]));
	if (out->flows == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < NET_FLOWS_MAX; i++) {
		int r;

		if (f->flows[i].used == 0)
			continue;
		r = save_flow(&f->flows[i], &out->flows[out->n_flows]);
		if (out->flows[out->n_flows] != NULL)
			out->n_flows++;
		if (r < 0)
			return r;
	}
	return 0;
}

int
net_flows_check(const Persona__State__VirtioNet *in)
{
	if (in->n_flows > NET_FLOWS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < in->n_flows; i++) {
		const Persona__State__NetFlow *s = in->flows[i];

		if ((s->guest_addr.len != 4 && s->guest_addr.len != 16) ||
		    s->peer_addr.len != s->guest_addr.len ||
		    s->guest_port > UINT16_MAX || s->peer_port > UINT16_MAX)
			return -EINVAL;
	}
	return 0;
}

void
net_flows_load(struct net_flows *f, const Persona__State__VirtioNet *in)
{
	net_flows_clear(f);
	for (size_t i = 0; i < in->n_flows; i++) {
		const Persona__State__NetFlow *s = in->flows[i];
		struct flow flow = {
			.addr_bytes = (uint32_t)s->guest_addr.len,
			.next_seq = s->next_seq,
			.guest_port = (uint16_t)s->guest_port,
			.peer_port = (uint16_t)s->peer_port,
		};

		memcpy(flow.guest_addr, s->guest_addr.data, flow.addr_bytes);
		memcpy(flow.peer_addr, s->peer_addr.data, flow.addr_bytes);
		learn(f, &flow, false);
	}
}
