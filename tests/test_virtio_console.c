/* SPDX-License-Identifier: ISC */
/* The virtio console carries bytes both ways; the rng gives what it should. */
#include <sys/socket.h>
#include <unistd.h>

#include "devices.h"
#include "fakes/fake-driver.h"
#include "unit.h"

#define RAM	(4u << 20)
enum { RX, TX };

static struct fake_env f;
static struct fake_driver drv;
static struct dev *d;
static const struct dev_ops *ops;
static int fd;

static void
setup(const struct dev_ops *kind, unsigned int n_queues)
{
	const struct dev_place place = { DRV_SLOT, DRV_GSI, 0 };
	int sv[2];

	ops = kind;
	fd = -1;
	fake_env_init(&f, RAM);
	CU_ASSERT_FATAL(ops->create(&d, &f.env, &place) == 0);
	drv_start(&drv, &f, n_queues, 0);
	if (ops->attach == NULL)
		return;
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    sv) == 0);
	CU_ASSERT(ops->attach(d, sv[0]) == 0);
	fd = sv[1];
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

static void
output(void)
{
	char buf[32] = "";

	setup(&dev_virtio_console_ops, 2);
	CU_ASSERT(drv_read(&drv, 0x8) == 3);
	gmem_write(f.env.gmem, DRV_DATA, "hello, ", 7);
	gmem_write(f.env.gmem, DRV_DATA + 100, "world", 5);
	drv_desc(&drv, TX, 0, DRV_DATA, 7, DESC_NEXT, 1);
	drv_desc(&drv, TX, 1, DRV_DATA + 100, 5, 0, 0);
	drv_offer(&drv, TX, 0);
	drv_kick(&drv, TX);
	CU_ASSERT(drv_used(&drv, TX) == 1 && drv_used_len(&drv, TX, 0) == 0);
	CU_ASSERT(f.line[DRV_GSI]);
	fake_env_run(&f);
	CU_ASSERT(read(fd, buf, sizeof(buf)) == 12);
	CU_ASSERT(strcmp(buf, "hello, world") == 0);
	teardown();
}

static void
input(void)
{
	char got[300];

	setup(&dev_virtio_console_ops, 2);
	/* Typed before there is a buffer: kept until there is. */
	CU_ASSERT(write(fd, "ls\n", 3) == 3);
	fake_env_run(&f);
	CU_ASSERT(drv_used(&drv, RX) == 0);
	drv_desc(&drv, RX, 0, DRV_DATA, 2, DESC_WRITE, 0);
	drv_desc(&drv, RX, 1, DRV_DATA + 0x100, 2, DESC_WRITE, 0);
	drv_desc(&drv, RX, 2, DRV_DATA + 0x200, 300, DESC_WRITE, 0);
	drv_offer(&drv, RX, 0);
	drv_offer(&drv, RX, 1);
	drv_offer(&drv, RX, 2);
	drv_kick(&drv, RX);
	CU_ASSERT(drv_used(&drv, RX) == 2);
	CU_ASSERT(drv_used_len(&drv, RX, 0) == 2 &&
	    drv_used_len(&drv, RX, 1) == 1);
	gmem_read(f.env.gmem, DRV_DATA, got, 2);
	gmem_read(f.env.gmem, DRV_DATA + 0x100, got + 2, 1);
	CU_ASSERT(memcmp(got, "ls\n", 3) == 0);
	/* The third buffer waits for the next line. */
	CU_ASSERT(write(fd, "exit\n", 5) == 5);
	fake_env_run(&f);
	CU_ASSERT(drv_used(&drv, RX) == 3 &&
	    drv_used_len(&drv, RX, 2) == 5);
	teardown();
}

static void
stopped(void)
{
	setup(&dev_virtio_console_ops, 2);
	drv_desc(&drv, RX, 0, DRV_DATA, 16, DESC_WRITE, 0);
	drv_offer(&drv, RX, 0);
	drv_kick(&drv, RX);
	ops->stop(d);
	CU_ASSERT(write(fd, "late", 4) == 4);
	fake_env_run(&f);
	CU_ASSERT(drv_used(&drv, RX) == 0);	/* memory stays as saved */
	ops->start(d);
	fake_env_run(&f);
	CU_ASSERT(drv_used(&drv, RX) == 1 && drv_used_len(&drv, RX, 0) == 4);
	teardown();
}

static void
odd_buffers(void)
{
	setup(&dev_virtio_console_ops, 2);
	CU_ASSERT(write(fd, "abc", 3) == 3);
	/* Nothing to write into; then a readable one in the receive queue. */
	drv_desc(&drv, RX, 0, DRV_DATA, 0, DESC_WRITE, 0);
	drv_desc(&drv, RX, 1, DRV_DATA, 9, 0, 0);
	drv_offer(&drv, RX, 0);
	drv_offer(&drv, RX, 1);
	drv_kick(&drv, RX);
	CU_ASSERT(drv_used(&drv, RX) == 2 && drv_used_len(&drv, RX, 1) == 0);
	/* Writable ones in the transmit queue say nothing. */
	drv_desc(&drv, TX, 0, DRV_DATA, 9, DESC_WRITE, 0);
	drv_offer(&drv, TX, 0);
	drv_kick(&drv, TX);
	CU_ASSERT(drv_used(&drv, TX) == 1);
	CU_ASSERT(drv_read(&drv, 0x70) == 15);
	/* More than any console wants. */
	drv_desc(&drv, TX, 0, 0, (1 << 20) + 1, 0, 0);
	drv_offer(&drv, TX, 0);
	drv_kick(&drv, TX);
	CU_ASSERT(drv_read(&drv, 0x70) & 0x40);
	CU_ASSERT(write(fd, "abc", 3) == 3);
	fake_env_run(&f);	/* input for a broken device is kept */
	teardown();
}

static void
entropy(void)
{
	uint8_t a[256], zero[256] = { 0 };

	setup(&dev_virtio_rng_ops, 1);
	CU_ASSERT(drv_read(&drv, 0x8) == 4);
	drv_desc(&drv, 0, 0, DRV_DATA, 64, DESC_WRITE, 0);
	drv_desc(&drv, 0, 1, DRV_DATA + 0x1000, 0x1000, DESC_WRITE, 0);
	drv_offer(&drv, 0, 0);
	drv_offer(&drv, 0, 1);
	drv_kick(&drv, 0);
	CU_ASSERT(drv_used(&drv, 0) == 2 && drv_used_len(&drv, 0, 0) == 64);
	CU_ASSERT(drv_used_len(&drv, 0, 1) == 256);
	gmem_read(f.env.gmem, DRV_DATA, a, sizeof(a));
	CU_ASSERT(memcmp(a, zero, 64) != 0);
	CU_ASSERT(memcmp(a + 64, zero, 256 - 64) == 0);
	CU_ASSERT(f.line[DRV_GSI]);
	teardown();
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "output reaches the stream", output },
		{ "input waits for buffers and fills them", input },
		{ "a stopped console leaves memory alone", stopped },
		{ "odd buffers do no harm", odd_buffers },
		{ "the rng fills what it is given, to a limit", entropy },
	};

	return unit_main("virtio_console", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
