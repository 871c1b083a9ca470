/* SPDX-License-Identifier: ISC */
/*
 * persona-net's parts that need no network: forwards as text, the filter before
 * libslirp, and the cable with its queue.
 */
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "forward.h"
#include "net-filter.h"
#include "net-wire.h"
#include "unit.h"

static void
forwards_said(void)
{
	static const struct {
		const char *text, *back;
	} fine[] = {
		{ "8022:22", "127.0.0.1:8022:22" },
		{ "tcp:8022:22", "127.0.0.1:8022:22" },
		{ "0.0.0.0:80:8080", "0.0.0.0:80:8080" },
		{ "udp:192.0.2.1:53:5353", "udp:192.0.2.1:53:5353" },
		{ "udp:255.255.255.255:65535:65535",
		    "udp:255.255.255.255:65535:65535" },
	};
	char text[FORWARD_TEXT_MAX];
	struct forward f;
	const char *why;

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		CU_ASSERT(forward_parse(fine[i].text, &f, &why) == 0);
		forward_format(&f, text);
		CU_ASSERT(strcmp(text, fine[i].back) == 0);
	}
}

static void
forwards_refused(void)
{
	static const char *const wrong[] = {
		"", ":", "::", "22", "udp:22", "0:22", "22:0", "65536:22",
		"22:65536", "22:", ":22", " 22:22", "22:22 ", "-1:22",
		"22:22:22", "host:22:22", "[::1]:22:22", "1.2.3:22:22",
		"000022:22", "0.0.0.0:22", "udp:53:53", "udp:127.1.2.3:53:53",
		"1.2.3.4.5.6.7.8.9:22:22", "sctp:22:22",
	};
	struct forward f;
	const char *why;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		why = NULL;
		CU_ASSERT(forward_parse(wrong[i], &f, &why) < 0);
		CU_ASSERT(why != NULL && *why != '\0');
	}
}

static void
same_port(void)
{
	struct forward a, b;
	const char *why;

	CU_ASSERT(forward_parse("80:1", &a, &why) == 0);
	CU_ASSERT(forward_parse("127.0.0.1:80:2", &b, &why) == 0);
	CU_ASSERT(forward_same_host(&a, &b));
	CU_ASSERT(forward_parse("0.0.0.0:80:1", &b, &why) == 0);
	CU_ASSERT(!forward_same_host(&a, &b));
}

/* --- the filter ------------------------------------------------------------ */

static bool
ipv4_passes(const uint8_t to[4])
{
	uint8_t frame[34] = { 0 };

	frame[12] = 0x08;
	memcpy(frame + 30, to, 4);
	CU_ASSERT(!net_filter_passes(frame, sizeof(frame) - 1));
	return net_filter_passes(frame, sizeof(frame));
}

static bool
ipv6_passes(const uint8_t to[16])
{
	uint8_t frame[54] = { 0 };

	frame[12] = 0x86;
	frame[13] = 0xdd;
	memcpy(frame + 38, to, 16);
	CU_ASSERT(!net_filter_passes(frame, sizeof(frame) - 1));
	return net_filter_passes(frame, sizeof(frame));
}

static void
filter(void)
{
	uint8_t arp[42] = { [12] = 0x08, [13] = 0x06 };
	uint8_t vlan[64] = { [12] = 0x81 };

	CU_ASSERT(ipv4_passes((uint8_t[]){ 192, 0, 2, 1 }));
	CU_ASSERT(ipv4_passes((uint8_t[]){ 10, 0, 2, 3 }));
	CU_ASSERT(ipv4_passes((uint8_t[]){ 255, 255, 255, 255 }));
	CU_ASSERT(!ipv4_passes((uint8_t[]){ 127, 0, 0, 1 }));
	CU_ASSERT(!ipv4_passes((uint8_t[]){ 127, 255, 0, 53 }));
	CU_ASSERT(!ipv4_passes((uint8_t[]){ 0, 0, 0, 0 }));
	CU_ASSERT(ipv6_passes((uint8_t[16]){ 0x20, 1, 0xd, 0xb8 }));
	CU_ASSERT(ipv6_passes((uint8_t[16]){ 0xff, 2, [15] = 1 }));
	CU_ASSERT(!ipv6_passes((uint8_t[16]){ 0 }));
	CU_ASSERT(!ipv6_passes((uint8_t[16]){ [15] = 1 }));
	CU_ASSERT(!ipv6_passes((uint8_t[16]){ [10] = 0xff, [11] = 0xff,
	    [12] = 127, [15] = 1 }));
	CU_ASSERT(!ipv6_passes((uint8_t[16]){ [12] = 127, [15] = 1 }));
	CU_ASSERT(net_filter_passes(arp, sizeof(arp)));
	CU_ASSERT(!net_filter_passes(vlan, sizeof(vlan)));
	CU_ASSERT(!net_filter_passes(arp, 13));
}

/* --- the cable ------------------------------------------------------------- */

struct seen {
	unsigned int	frames, full, even, gone;
	size_t		last_len;
};

static void
saw_frame(void *arg, const uint8_t *frame, size_t len)
{
	struct seen *s = arg;

	(void)frame;
	s->frames++;
	s->last_len = len;
}

static void
saw_full(void *arg, bool full)
{
	struct seen *s = arg;

	*(full ? &s->full : &s->even) += 1;
}

static void
saw_gone(void *arg)
{
	struct seen *s = arg;

	s->gone++;
}

static const struct net_wire_ops ops = { saw_frame, saw_full, saw_gone };

static void
cable(void)
{
	struct event_base *base = event_base_new();
	static uint8_t big[100000];
	struct seen seen = { 0 };
	unsigned int got = 0;
	struct net_wire *w;
	uint8_t frame[1514];
	int sv[2];

	CU_ASSERT_FATAL(base != NULL && socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv) == 0);
	CU_ASSERT_FATAL(net_wire_new(&w, base, sv[0], &ops, &seen) == 0);
	CU_ASSERT(write(sv[1], frame, 60) == 60);
	CU_ASSERT(write(sv[1], big, sizeof(big)) == sizeof(big));
	event_base_loop(base, EVLOOP_NONBLOCK);
	CU_ASSERT(seen.frames == 1 && seen.last_len == 60);

	/* The guest does not read: ask for a pause, keep order, then drop. */
	for (unsigned int i = 0; i < 5000; i++) {
		memset(frame, (int)i, sizeof(frame));
		memcpy(frame, &i, sizeof(i));
		net_wire_send(w, frame, sizeof(frame));
	}
	CU_ASSERT(seen.full == 1 && seen.even == 0);
	for (int i = 0; i < 5000 && seen.even == 0; i++) {
		while (read(sv[1], frame, sizeof(frame)) == sizeof(frame)) {
			CU_ASSERT(memcmp(frame, &got, sizeof(got)) == 0);
			got++;
		}
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	while (read(sv[1], frame, sizeof(frame)) == sizeof(frame))
		got++;
	CU_ASSERT(got >= 512 && got < 5000);
	CU_ASSERT(seen.full == 1 && seen.even == 1 && seen.gone == 0);
	/* What went over it is counted, what was dropped is not. */
	CU_ASSERT_EQUAL(net_wire_counted(w).from_guest, 60);
	CU_ASSERT_EQUAL(net_wire_counted(w).to_guest, got * sizeof(frame));
	close(sv[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	CU_ASSERT(seen.gone == 1);
	net_wire_free(w);
	event_base_free(base);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "forwards as people write them", forwards_said },
		{ "forwards that make no sense", forwards_refused },
		{ "two forwards of one port", same_port },
		{ "this very host is no destination", filter },
		{ "the cable keeps order and says when it is full", cable },
	};

	return unit_main("net", tests, sizeof(tests) / sizeof(tests[0]));
}
