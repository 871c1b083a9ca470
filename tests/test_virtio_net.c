/* SPDX-License-Identifier: ISC */
/*
 * The network card moves frames both ways, keeps what does not fit for later,
 * leaves a stopped guest's memory alone, and shows a pulled cable after a load.
 */
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices.h"
#include "fakes/fake-driver.h"
#include "le.h"
#include "net-flows.h"
#include "unit.h"

#define RAM		(4u << 20)
#define HEADER		12u
#define NET_FEATURES	(1ULL << 3 | 1ULL << 5 | 1ULL << 16 | 1ULL << 17 | \
			    1ULL << 21)
#define REG_INT_STATUS	0x60u
#define REG_INT_ACK	0x64u
#define REG_STATUS	0x70u
#define REG_CONFIG	0x100u
#define INT_CONFIG	2u
#define LINK_UP		1u
#define ANNOUNCE	2u

enum { RX, TX, CTRL };

static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 1, 2, 3 };

static struct fake_env f;
static struct fake_driver drv;
static struct dev *d;
static int fd;
static const struct dev_ops *const ops = &dev_virtio_net_ops;

static void
plug(void)
{
	int sv[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
	    sv) == 0);
	if (fd >= 0)
		close(fd);
	fd = sv[1];
	CU_ASSERT(ops->attach(d, sv[0]) == 0);
}

static void
make(void)
{
	const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };
	static struct dev_net net;

	memcpy(net.mac, mac, sizeof(mac));
	fd = -1;
	fake_env_init(&f, RAM);
	f.env.net = &net;
	CU_ASSERT_FATAL(ops->create(&d, &f.env, &place) == 0);
}

static void
setup(void)
{
	make();
	plug();
	drv_start(&drv, &f, 3, NET_FEATURES);
	ops->start(d);
}

static void
teardown(void)
{
	if (fd >= 0)
		close(fd);
	ops->free(d);
	fake_env_fini(&f);
}

static uint32_t
link_status(void)
{
	return (uint32_t)bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + REG_CONFIG + 6,
	    2);
}

/* A buffer of len bytes behind descriptor i. */
static uint64_t
buffer(unsigned int i)
{
	return DRV_DATA + 0x1000 * (uint64_t)i;
}

static void
offer_rx(unsigned int i, uint32_t len)
{
	drv_desc(&drv, RX, i, buffer(i), len, DESC_WRITE, 0);
	drv_offer(&drv, RX, (uint16_t)i);
}

/* Header and frame in two descriptors, the second cut in the frame's middle. */
static void
offer_tx(unsigned int i, uint32_t frame_bytes, uint8_t fill)
{
	uint8_t bytes[2048];
	uint64_t at = buffer(8 + i);

	memset(bytes, 0, HEADER);
	memset(bytes + HEADER, fill, frame_bytes);
	gmem_write(f.env.gmem, at, bytes, HEADER + frame_bytes);
	drv_desc(&drv, TX, 2 * i, at, HEADER + 5, DESC_NEXT,
	    (uint16_t)(2 * i + 1));
	drv_desc(&drv, TX, 2 * i + 1, at + HEADER + 5, frame_bytes - 5, 0, 0);
	drv_offer(&drv, TX, (uint16_t)(2 * i));
}

/* Poll the loop until the used index of q is n, or a second is over. */
static bool
await_used(unsigned int q, uint16_t n)
{
	for (int i = 0; i < 1000 && drv_used(&drv, q) != n; i++)
		fake_env_run(&f);
	return drv_used(&drv, q) == n;
}

static void
configuration(void)
{
	uint64_t got = 0;

	setup();
	CU_ASSERT(drv_read(&drv, 0x8) == 1);
	for (unsigned int i = 0; i < 6; i++)
		got |= bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + REG_CONFIG + i,
		    1) << (8 * i);
	CU_ASSERT(got == (le_get32(mac) | (uint64_t)le_get16(mac + 4) << 32));
	CU_ASSERT(bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + REG_CONFIG + 10,
	    2) == 1500);
	CU_ASSERT(bus_read(f.env.bus, BUS_MMIO, DRV_SLOT + REG_CONFIG + 12,
	    4) == 0);
	/* A machine that has just been made finds its cable in. */
	CU_ASSERT(link_status() == LINK_UP);
	CU_ASSERT((drv_read(&drv, REG_INT_STATUS) & INT_CONFIG) == 0);
	teardown();
}

static void
absent(void)
{
	const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };
	Persona__State__DeviceState s;

	fake_env_init(&f, RAM);
	CU_ASSERT_FATAL(ops->create(&d, &f.env, &place) == 0);
	drv.f = &f;
	CU_ASSERT(drv_read(&drv, 0) == 0x74726976);
	CU_ASSERT(drv_read(&drv, 0x8) == 0);
	CU_ASSERT(ops->attach(d, dup(0)) == -ENODEV);
	ops->start(d);
	ops->stop(d);
	persona__state__device_state__init(&s);
	CU_ASSERT(ops->save(d, &s) == 0 && s.net == NULL);
	CU_ASSERT(ops->check(d, &s) == 0);
	ops->free(d);
	fake_env_fini(&f);

	/* A card's state does not fit an empty slot, nor the other way round. */
	make();
	CU_ASSERT(ops->check(d, &s) == -EINVAL);
	free(s.virtio);
	teardown();
}

static void
transmit(void)
{
	uint8_t got[2048];

	setup();
	offer_tx(0, 60, 0xaa);
	offer_tx(1, 1514, 0xbb);
	drv_kick(&drv, TX);
	/* Not on the vCPU's time. */
	CU_ASSERT(drv_used(&drv, TX) == 0);
	CU_ASSERT(await_used(TX, 2));
	CU_ASSERT(f.line[DRV_GSI]);
	CU_ASSERT(read(fd, got, sizeof(got)) == 60 && got[0] == 0xaa &&
	    got[59] == 0xaa);
	CU_ASSERT(read(fd, got, sizeof(got)) == 1514 && got[1513] == 0xbb);
	teardown();
}

static void
receive(void)
{
	uint8_t frame[1514], got[HEADER + 1514];

	setup();
	memset(frame, 0x5a, sizeof(frame));
	/* Sent before there is a buffer: the socket keeps it. */
	CU_ASSERT(write(fd, frame, sizeof(frame)) == sizeof(frame));
	fake_env_run(&f);
	CU_ASSERT(drv_used(&drv, RX) == 0);
	offer_rx(0, 2048);
	drv_kick(&drv, RX);
	CU_ASSERT(await_used(RX, 1));
	CU_ASSERT(drv_used_len(&drv, RX, 0) == HEADER + 1514);
	gmem_read(f.env.gmem, buffer(0), got, sizeof(got));
	CU_ASSERT(le_get16(got + 10) == 1);	/* num_buffers */
	CU_ASSERT(memcmp(got + HEADER, frame, sizeof(frame)) == 0);
	/* Too long for its buffer: lost; the buffer serves the next. */
	offer_rx(1, 200);
	drv_kick(&drv, RX);
	CU_ASSERT(write(fd, frame, 1000) == 1000);
	CU_ASSERT(write(fd, frame, 100) == 100);
	CU_ASSERT(await_used(RX, 2));
	CU_ASSERT(drv_used_id(&drv, RX, 1) == 1 &&
	    drv_used_len(&drv, RX, 1) == HEADER + 100);
	teardown();
}

/* A full socket holds frames back, and drops none. */
static void
back_pressure(void)
{
	unsigned int sent = 0, got = 0;
	uint8_t bytes[2048];

	setup();
	while (sent < 4000 && drv_used(&drv, TX) == (uint16_t)sent) {
		offer_tx(sent % 4, 1500, (uint8_t)sent);
		drv_kick(&drv, TX);
		fake_env_run(&f);
		sent++;
	}
	CU_ASSERT(sent > 4 && sent < 4000);
	for (int i = 0; i < 10000 && got < sent; i++) {
		if (read(fd, bytes, sizeof(bytes)) == 1500) {
			CU_ASSERT(bytes[0] == (uint8_t)got);
			got++;
		}
		fake_env_run(&f);
	}
	CU_ASSERT(got == sent);
	CU_ASSERT(drv_used(&drv, TX) == (uint16_t)sent);
	teardown();
}

static void
stopped(void)
{
	uint8_t frame[60] = { 1 };

	setup();
	offer_rx(0, 2048);
	drv_kick(&drv, RX);
	offer_tx(0, 60, 0xaa);
	drv_kick(&drv, TX);
	ops->stop(d);
	CU_ASSERT(write(fd, frame, sizeof(frame)) == sizeof(frame));
	fake_env_run(&f);
	CU_ASSERT(drv_used(&drv, RX) == 0 && drv_used(&drv, TX) == 0);
	ops->start(d);
	CU_ASSERT(await_used(RX, 1) && await_used(TX, 1));
	teardown();
}

/* Run the loop for up to two seconds, until the link says `want`. */
static bool
await_link(uint32_t want)
{
	const struct timeval tick = { .tv_usec = 20000 };

	for (int i = 0; i < 100 && link_status() != want; i++) {
		event_base_loopexit(f.env.base, &tick);
		event_base_dispatch(f.env.base);
	}
	return link_status() == want;
}

/* persona-net died; another takes its place. */
static void
lost_and_found(void)
{
	setup();
	close(fd);
	fd = -1;
	offer_rx(0, 2048);
	drv_kick(&drv, RX);
	CU_ASSERT(await_link(0));
	CU_ASSERT(drv_read(&drv, REG_INT_STATUS) & INT_CONFIG);
	/* What is sent meanwhile is lost, as on a wire; the guest goes on. */
	offer_tx(0, 60, 1);
	drv_kick(&drv, TX);
	CU_ASSERT(await_used(TX, 1));
	drv_write(&drv, REG_INT_ACK, 3);
	plug();
	CU_ASSERT(link_status() == 0);
	CU_ASSERT(await_link(LINK_UP | ANNOUNCE));
	CU_ASSERT(drv_read(&drv, REG_INT_STATUS) & INT_CONFIG);
	teardown();
}

static void
announce(void)
{
	const uint8_t ask[2] = { 3, 0 }, other[2] = { 1, 0 };
	uint8_t ack = 0xff;

	setup();
	plug();			/* another cable in a running machine */
	CU_ASSERT(await_link(LINK_UP | ANNOUNCE));
	gmem_write(f.env.gmem, buffer(0), ask, 2);
	drv_desc(&drv, CTRL, 0, buffer(0), 2, DESC_NEXT, 1);
	drv_desc(&drv, CTRL, 1, buffer(1), 1, DESC_WRITE, 0);
	drv_offer(&drv, CTRL, 0);
	drv_kick(&drv, CTRL);
	gmem_read(f.env.gmem, buffer(1), &ack, 1);
	CU_ASSERT(drv_used(&drv, CTRL) == 1 && ack == 0);
	CU_ASSERT(link_status() == LINK_UP);
	/* What we do not offer is answered with an error. */
	gmem_write(f.env.gmem, buffer(0), other, 2);
	drv_offer(&drv, CTRL, 0);
	drv_kick(&drv, CTRL);
	gmem_read(f.env.gmem, buffer(1), &ack, 1);
	CU_ASSERT(drv_used(&drv, CTRL) == 2 && ack == 1);
	teardown();
}

/* An IPv4 TCP segment of the guest's: 10.0.2.15:40000 to 192.0.2.7:80. */
static void
offer_segment(unsigned int i, uint32_t ack, uint8_t flags)
{
	const uint8_t ip[] = { 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0,
	    10, 0, 2, 15, 192, 0, 2, 7 };
	uint8_t b[HEADER + 54] = { 0 }, *tcp = b + HEADER + 34;
	uint64_t at = buffer(8 + i);

	b[HEADER + 12] = 8;
	memcpy(b + HEADER + 14, ip, sizeof(ip));
	tcp[0] = 40000 >> 8;
	tcp[1] = 40000 & 0xff;
	tcp[3] = 80;
	for (int n = 0; n < 4; n++)
		tcp[8 + n] = (uint8_t)(ack >> (24 - 8 * n));
	tcp[12] = 0x50;
	tcp[13] = flags;
	gmem_write(f.env.gmem, at, b, sizeof(b));
	drv_desc(&drv, TX, i, at, sizeof(b), 0, 0);
	drv_offer(&drv, TX, (uint16_t)i);
	drv_kick(&drv, TX);
}

static uint32_t
checksum(const uint8_t *p, size_t len, uint32_t s)
{
	for (size_t i = 0; i < len; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

/*
 * Saved, loaded into another machine and started: cable pulled, cable in, and the
 * connection the guest held is probed with one number before the one it expects.
 */
static void
moved(void)
{
	const uint32_t seq = 0x01020304 - 1;
	Persona__State__DeviceState s;
	uint8_t *ram, got[54];

	setup();
	offer_segment(0, 0x01020304, 0x10);
	CU_ASSERT(await_used(TX, 1));
	offer_rx(0, 2048);
	drv_kick(&drv, RX);
	ops->stop(d);
	persona__state__device_state__init(&s);
	CU_ASSERT_FATAL(ops->save(d, &s) == 0);
	ram = malloc(RAM);
	CU_ASSERT_FATAL(ram != NULL);
	gmem_read(f.env.gmem, 0, ram, RAM);
	teardown();

	make();
	plug();
	drv.f = &f;
	gmem_write(f.env.gmem, 0, ram, RAM);
	free(ram);
	CU_ASSERT(ops->check(d, &s) == 0);
	ops->load(d, &s);
	CU_ASSERT(link_status() == 0);
	ops->start(d);
	CU_ASSERT(link_status() == 0);
	CU_ASSERT(drv_read(&drv, REG_INT_STATUS) & INT_CONFIG);
	CU_ASSERT(await_link(LINK_UP | ANNOUNCE));
	CU_ASSERT(drv_used(&drv, RX) == 1 &&
	    drv_used_len(&drv, RX, 0) == HEADER + sizeof(got));
	gmem_read(f.env.gmem, buffer(0) + HEADER, got, sizeof(got));
	CU_ASSERT(memcmp(got, mac, 6) == 0);
	CU_ASSERT(got[26] == 192 && got[33] == 15);
	CU_ASSERT(got[35] == 80 && got[36] == 40000 >> 8);
	for (int n = 0; n < 4; n++)
		CU_ASSERT(got[38 + n] == (uint8_t)(seq >> (24 - 8 * n)));
	CU_ASSERT(got[47] == 0x10);
	CU_ASSERT(checksum(got + 14, 20, 0) == 0xffff);
	CU_ASSERT(checksum(got + 26, 28, 6 + 20) == 0xffff);

	/* Another card's state, and one with an impossible connection. */
	s.net->mac.data[5] ^= 1;
	CU_ASSERT(ops->check(d, &s) == -EINVAL);
	s.net->mac.data[5] ^= 1;
	CU_ASSERT_FATAL(s.net->n_flows == 1);
	s.net->flows[0]->peer_addr.len = 3;
	CU_ASSERT(ops->check(d, &s) == -EINVAL);
	s.net->flows[0]->peer_addr.len = 4;
	for (size_t i = 0; i < s.virtio->n_queues; i++)
		free(s.virtio->queues[i]);
	free(s.virtio->queues);
	free(s.virtio);
	persona__state__virtio_net__free_unpacked(s.net, NULL);
	teardown();
}

static void
reset_forgets(void)
{
	setup();
	offer_segment(0, 5, 0x10);
	offer_segment(1, 6, 0x14);	/* the guest itself resets it */
	CU_ASSERT(await_used(TX, 2));
	offer_rx(0, 2048);
	drv_kick(&drv, RX);
	plug();
	CU_ASSERT(await_link(LINK_UP | ANNOUNCE));
	CU_ASSERT(drv_used(&drv, RX) == 0);
	teardown();
}

static void
odd_chains(void)
{
	uint8_t frame[60] = { 1 };

	setup();
	/* Half a header; a header and no frame; nothing at all. */
	drv_desc(&drv, TX, 0, buffer(0), 5, 0, 0);
	drv_desc(&drv, TX, 1, buffer(0), HEADER, 0, 0);
	drv_desc(&drv, TX, 2, buffer(0), 0, 0, 0);
	drv_desc(&drv, TX, 3, buffer(0), 100, DESC_WRITE, 0);
	for (uint16_t i = 0; i < 4; i++)
		drv_offer(&drv, TX, i);
	drv_kick(&drv, TX);
	CU_ASSERT(await_used(TX, 4));
	CU_ASSERT(read(fd, frame, sizeof(frame)) < 0);
	/* A buffer without room is handed back empty. */
	drv_desc(&drv, RX, 0, buffer(0), HEADER, DESC_WRITE, 0);
	drv_desc(&drv, RX, 1, buffer(1), 100, 0, 0);
	drv_offer(&drv, RX, 0);
	drv_offer(&drv, RX, 1);
	offer_rx(2, 100);
	drv_kick(&drv, RX);
	CU_ASSERT(write(fd, frame, sizeof(frame)) == sizeof(frame));
	CU_ASSERT(await_used(RX, 3));
	CU_ASSERT(drv_used_len(&drv, RX, 1) == 0 &&
	    drv_used_len(&drv, RX, 2) == HEADER + sizeof(frame));
	CU_ASSERT(drv_read(&drv, REG_STATUS) == 15);
	/* More than any frame. */
	drv_desc(&drv, TX, 0, 0, (64 << 10) + HEADER + 1, 0, 0);
	drv_offer(&drv, TX, 0);
	drv_kick(&drv, TX);
	fake_env_run(&f);
	CU_ASSERT(drv_read(&drv, REG_STATUS) & 0x40);
	teardown();
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "address, link and MTU are in the configuration",
		    configuration },
		{ "a persona without a card has an empty slot", absent },
		{ "frames leave, off the vCPU", transmit },
		{ "frames arrive, whole or not at all", receive },
		{ "a full socket holds frames back", back_pressure },
		{ "a stopped card leaves memory alone", stopped },
		{ "a lost network is a pulled cable", lost_and_found },
		{ "the guest announces itself once", announce },
		{ "after a move the guest is told", moved },
		{ "connections that ended are not probed", reset_forgets },
		{ "odd chains do no harm", odd_chains },
	};

	return unit_main("virtio_net", tests, sizeof(tests) / sizeof(tests[0]));
}
