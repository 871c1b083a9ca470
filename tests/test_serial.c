/* SPDX-License-Identifier: ISC */
/* The serial port behaves as drivers expect, and its console never blocks. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bounds.h"
#include "devices.h"
#include "fakes/fake-env.h"
#include "unit.h"

#define PORT	0x3f8
#define GSI	4

static struct fake_env f;
static struct dev *d;

static void
setup(void)
{
	const struct dev_place place = { PORT, GSI, 0 };

	fake_env_init(&f, 1 << 20);
	CU_ASSERT_FATAL(dev_serial_ops.create(&d, &f.env, &place) == 0);
	dev_serial_ops.start(d);
}

static void
teardown(void)
{
	dev_serial_ops.free(d);
	fake_env_fini(&f);
}

static uint8_t
in(unsigned int reg)
{
	return (uint8_t)bus_read(f.env.bus, BUS_PIO, PORT + reg, 1);
}

static void
out(unsigned int reg, uint8_t value)
{
	bus_write(f.env.bus, BUS_PIO, PORT + reg, 1, value);
}

/* Attach a socket pair; ours is returned, non-blocking. */
static int
attach(void)
{
	int sv[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    sv) == 0);
	CU_ASSERT(dev_serial_ops.attach(d, sv[0]) == 0);
	return sv[1];
}

static void
output(void)
{
	char buf[16] = "";
	int fd;

	setup();
	out(0, 'o');	/* before anybody listens */
	out(0, 'k');
	fd = attach();
	fake_env_run(&f);
	CU_ASSERT(read(fd, buf, sizeof(buf)) == 2);
	CU_ASSERT(memcmp(buf, "ok", 2) == 0);
	out(0, '!');
	fake_env_run(&f);
	CU_ASSERT(read(fd, buf, sizeof(buf)) == 1 && buf[0] == '!');
	CU_ASSERT(in(5) == 0x60);
	close(fd);
	fake_env_run(&f);
	out(0, '?');	/* the reader has gone: nothing happens */
	fake_env_run(&f);
	teardown();
}

static void
flood(void)
{
	static char buf[2 * CONSOLE_RING_BYTES];
	size_t got = 0;
	ssize_t n;
	int fd;

	setup();
	for (unsigned int i = 0; i < CONSOLE_RING_BYTES + 100; i++)
		out(0, i < 100 ? 'x' : (uint8_t)('a' + i % 26));
	fd = attach();
	for (int i = 0; i < 100; i++) {
		fake_env_run(&f);
		if ((n = read(fd, buf + got, sizeof(buf) - got)) > 0)
			got += (size_t)n;
	}
	CU_ASSERT(got == CONSOLE_RING_BYTES);
	CU_ASSERT(buf[0] == 'a' + 100 % 26);
	CU_ASSERT(memchr(buf, 'x', 1) == NULL);
	close(fd);
	teardown();
}

static void
input_polled(void)
{
	static const char text[] = "the quick brown fox jumps";
	char got[64] = "";
	size_t n = 0;
	int fd;

	setup();
	fd = attach();
	CU_ASSERT(write(fd, text, sizeof(text)) == sizeof(text));
	fake_env_run(&f);
	while (in(5) & 1) {
		got[n++] = (char)in(0);
		fake_env_run(&f);
		if (n == sizeof(got))
			break;
	}
	CU_ASSERT(n == sizeof(text) && strcmp(got, text) == 0);
	CU_ASSERT(in(0) == 0);
	CU_ASSERT(!f.line[GSI]);	/* nobody enabled it */
	close(fd);
	teardown();
}

static void
receive_interrupt(void)
{
	int fd;

	setup();
	fd = attach();
	out(2, 0x81);	/* FIFO, trigger 8 */
	out(1, 0x01);
	CU_ASSERT(in(2) == 0xc1 && !f.line[GSI]);
	CU_ASSERT(write(fd, "abc", 3) == 3);
	fake_env_run(&f);
	CU_ASSERT(f.line[GSI] && in(2) == 0xcc);
	CU_ASSERT(write(fd, "defgh", 5) == 5);
	fake_env_run(&f);
	CU_ASSERT(in(2) == 0xc4);
	for (int i = 0; i < 8; i++) {
		CU_ASSERT(f.line[GSI]);
		CU_ASSERT(in(0) == 'a' + i);
	}
	CU_ASSERT(!f.line[GSI] && in(2) == 0xc1);
	close(fd);
	teardown();
}

static void
transmit_interrupt(void)
{
	setup();
	out(1, 0x02);	/* the transmitter is empty: raised at once */
	CU_ASSERT(f.line[GSI]);
	CU_ASSERT(in(2) == 0x02);
	CU_ASSERT(!f.line[GSI] && in(2) == 0x01);	/* seen: gone */
	out(0, 'x');
	CU_ASSERT(f.line[GSI] && in(2) == 0x02);
	out(1, 0);
	out(1, 0x02);	/* Linux tests for ports that fail to raise it again */
	CU_ASSERT(f.line[GSI] && in(2) == 0x02 && f.raised[GSI] == 3);
	out(0, 'y');
	out(1, 0);
	CU_ASSERT(!f.line[GSI]);
	teardown();
}

static void
registers(void)
{
	setup();
	out(7, 0x5a);
	CU_ASSERT(in(7) == 0x5a);
	out(3, 0x83);	/* DLAB */
	out(0, 0x0c);
	out(1, 0x01);
	CU_ASSERT(in(0) == 0x0c && in(1) == 0x01);
	out(3, 0x03);
	CU_ASSERT(in(1) == 0 && in(3) == 0x03);
	CU_ASSERT(in(6) == 0xb0);
	out(4, 0x1a);	/* loopback, OUT2, RTS: how Linux finds the chip */
	CU_ASSERT((in(6) & 0xf0) == 0x90);
	out(0, 'L');
	CU_ASSERT((in(5) & 1) && in(0) == 'L');
	for (int i = 0; i < 100; i++)	/* more than fits: dropped */
		out(0, 'M');
	out(4, 0);
	out(2, 0x07);
	CU_ASSERT(!(in(5) & 1));
	CU_ASSERT((in(2) & 0xc0) == 0xc0);
	/* A wide access at the end straddles; inside it is bytes. */
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, PORT + 6, 4) == 0xffffffff);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, PORT + 6, 2) == 0x5ab0);
	teardown();
}

static void
stopped(void)
{
	int fd;

	setup();
	fd = attach();
	dev_serial_ops.stop(d);
	CU_ASSERT(write(fd, "z", 1) == 1);
	fake_env_run(&f);
	CU_ASSERT(!(in(5) & 1));	/* held back while saved */
	dev_serial_ops.start(d);
	fake_env_run(&f);
	CU_ASSERT((in(5) & 1) && in(0) == 'z');
	close(fd);
	teardown();
}

static void
liars(void)
{
	Persona__State__DeviceState s = PERSONA__STATE__DEVICE_STATE__INIT;
	Persona__State__Serial8250 m = PERSONA__STATE__SERIAL8250__INIT;
	uint8_t rx[17] = { 'a' };

	setup();
	CU_ASSERT(dev_serial_ops.check(d, &s) == -EINVAL);
	s.kind_case = PERSONA__STATE__DEVICE_STATE__KIND_SERIAL;
	s.serial = &m;
	m.fcr = 1;
	m.rx.data = rx;
	m.rx.len = 16;
	CU_ASSERT(dev_serial_ops.check(d, &s) == 0);
	m.rx.len = 17;
	CU_ASSERT(dev_serial_ops.check(d, &s) == -EINVAL);
	m.rx.len = 2;
	m.fcr = 0;
	CU_ASSERT(dev_serial_ops.check(d, &s) == -EINVAL);
	m.rx.len = 1;
	CU_ASSERT(dev_serial_ops.check(d, &s) == 0);
	m.ier = 0x10;
	CU_ASSERT(dev_serial_ops.check(d, &s) == -EINVAL);
	m.ier = 1;
	m.divisor = 0x10000;
	CU_ASSERT(dev_serial_ops.check(d, &s) == -EINVAL);
	m.divisor = 1;
	dev_serial_ops.load(d, &s);
	CU_ASSERT(f.line[GSI] && in(0) == 'a' && !f.line[GSI]);
	teardown();
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "output reaches an early and a late reader", output },
		{ "nobody reading costs only the oldest output", flood },
		{ "polled input arrives whole, however long", input_polled },
		{ "received data interrupts, by the FIFO's rules",
		    receive_interrupt },
		{ "an empty transmitter interrupts, by the book",
		    transmit_interrupt },
		{ "divisor, scratch, modem and loopback work", registers },
		{ "a stopped port takes no input", stopped },
		{ "an impossible state is refused", liars },
	};

	return unit_main("serial", tests, sizeof(tests) / sizeof(tests[0]));
}
