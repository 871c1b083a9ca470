/* SPDX-License-Identifier: ISC */
/*
 * The device table: what is saved loads elsewhere and saves as the same bytes;
 * what is not of this machine is refused; the ways to end it work.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fakes/fake-driver.h"
#include "golden.h"
#include "machine.h"
#include "unit.h"

#define RAM	(1u << 20)
#define GOLDEN	"devices-1.golden"

static const char *new_file;	/* --make */

static struct fake_env f;
static struct machine *m;

static void
setup(void)
{
	fake_env_init(&f, RAM);
	CU_ASSERT_FATAL(machine_new(&m, &f.env) == 0);
	machine_start(m);
}

static void
teardown(void)
{
	machine_free(m);
	fake_env_fini(&f);
}

static void
out8(uint16_t port, uint8_t value)
{
	bus_write(f.env.bus, BUS_PIO, port, 1, value);
}

static Persona__State__MachineState *
save(uint8_t **bytes, size_t *len)
{
	Persona__State__MachineState *s = malloc(sizeof(*s));

	CU_ASSERT_FATAL(s != NULL);
	persona__state__machine_state__init(s);
	s->arch = strdup("test");
	s->cpu_baseline = strdup("none");
	CU_ASSERT_FATAL(machine_save(m, s) == 0);
	*len = persona__state__machine_state__get_packed_size(s);
	*bytes = malloc(*len);
	CU_ASSERT_FATAL(*bytes != NULL);
	persona__state__machine_state__pack(s, *bytes);
	return s;
}

/* The devices alone, but for what the real-time clock makes of the time of day. */
static size_t
pack_devices(Persona__State__MachineState *s, uint8_t *bytes)
{
	size_t len = 0;

	for (size_t i = 0; i < s->n_devices; i++) {
		if (s->devices[i]->kind_case ==
		    PERSONA__STATE__DEVICE_STATE__KIND_RTC)
			s->devices[i]->rtc->seen_s = 0;
		len += persona__state__device_state__pack(s->devices[i],
		    bytes + len);
	}
	return len;
}

/* Leave traces in every device that has state. */
static void
use_devices(void)
{
	struct fake_driver drv;

	out8(0x3f8 + 3, 0x1b);
	out8(0x3f8 + 7, 0x77);
	out8(0x3f8 + 2, 0xc1);
	out8(0x3f8 + 4, 0x10);		/* loopback: a byte is received */
	out8(0x3f8, 'Q');
	out8(0x3f8 + 1, 0x03);
	bus_write(f.env.bus, BUS_PIO, 0x602, 2, 0x0120);
	drv_start(&drv, &f, 2, 0);
	drv_desc(&drv, 1, 0, DRV_DATA, 4, 0, 0);
	drv_offer(&drv, 1, 0);
	drv_kick(&drv, 1);
}

static void
round_trip(void)
{
	Persona__State__MachineState *one, *two;
	uint8_t *a = NULL, *b = NULL;
	size_t a_len, b_len;
	const char *why = NULL;

	setup();
	use_devices();
	machine_stop(m);
	one = save(&a, &a_len);
	CU_ASSERT(one->n_devices == 10);
	teardown();

	setup();
	CU_ASSERT(machine_load(m, one, &why) == 0);
	CU_ASSERT(f.line[4] && f.line[16] && !f.line[17]);
	machine_stop(m);
	two = save(&b, &b_len);
	CU_ASSERT(a_len == b_len && memcmp(a, b, a_len) == 0);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x3ff, 1) == 0x77);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x602, 2) == 0x0120);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x3f8, 1) == 'Q');
	teardown();
	persona__state__machine_state__free_unpacked(one, NULL);
	persona__state__machine_state__free_unpacked(two, NULL);
	free(a);
	free(b);
}

static void
strangers(void)
{
	Persona__State__MachineState *s;
	const char *why = NULL;
	uint8_t *bytes;
	size_t len;

	setup();
	use_devices();
	s = save(&bytes, &len);
	teardown();

	setup();
	s->n_devices--;
	CU_ASSERT(machine_load(m, s, &why) == -EPROTO && why != NULL);
	s->n_devices++;
	s->devices[1]->name[0] ^= 1;
	CU_ASSERT(machine_load(m, s, &why) == -EPROTO);
	s->devices[1]->name[0] ^= 1;
	s->devices[2]->version++;
	CU_ASSERT(machine_load(m, s, &why) == -EPROTO);
	s->devices[2]->version--;
	/* A lie in the last row: the first rows must not be loaded. */
	s->devices[3]->virtio->device_id++;
	CU_ASSERT(machine_load(m, s, &why) == -EINVAL);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x3ff, 1) == 0);
	s->devices[3]->virtio->device_id--;
	CU_ASSERT(machine_load(m, s, &why) == 0);
	teardown();
	persona__state__machine_state__free_unpacked(s, NULL);
	free(bytes);
}

static void
endings(void)
{
	setup();
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x64, 1) == 0);
	out8(0x64, 0xd1);
	CU_ASSERT(f.n_requests == 0);
	out8(0x64, 0xfe);
	CU_ASSERT(f.n_requests == 1 && f.request == MACHINE_RESET);
	out8(0xcf9, 0x02);
	CU_ASSERT(f.n_requests == 1);
	out8(0xcf9, 0x06);
	CU_ASSERT(f.n_requests == 2 && f.request == MACHINE_RESET);
	bus_write(f.env.bus, BUS_PIO, 0x604, 2, 0x3400);	/* S3? no */
	CU_ASSERT(f.n_requests == 2);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x604, 2) == 0x1401);
	bus_write(f.env.bus, BUS_PIO, 0x604, 2, 0x2000);
	CU_ASSERT(f.n_requests == 3 && f.request == MACHINE_POWER_OFF);
	out8(0x604, 0);
	out8(0x605, 0x20);	/* the same, by its second byte */
	CU_ASSERT(f.n_requests == 4 && f.request == MACHINE_POWER_OFF);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x600, 2) == 0);
	teardown();
}

static void
attaching(void)
{
	int sv[2];
	char c = 0;

	setup();
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	CU_ASSERT(machine_attach(m, "serial0", sv[0]) == 0);
	out8(0x3f8, '+');
	fake_env_run(&f);
	CU_ASSERT(read(sv[1], &c, 1) == 1 && c == '+');
	CU_ASSERT(machine_attach(m, "serial0", -1) == 0);
	CU_ASSERT(read(sv[1], &c, 1) == 0);
	close(sv[1]);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	CU_ASSERT(machine_attach(m, "rng0", sv[0]) == -ENOENT);
	CU_ASSERT(read(sv[1], &c, 1) == 0);	/* taken and closed */
	close(sv[1]);
	CU_ASSERT(machine_attach(m, "no such", -1) == -ENOENT);
	teardown();
}

/* Invariant 1 makes a moved guest the only one; a restored one may not be. */
static void
second_life(void)
{
	Persona__State__MachineState *s;
	uint8_t first[16], now[16], *bytes;
	const char *why = NULL;
	unsigned int raised;
	size_t len;

	setup();
	machine_stop(m);
	s = save(&bytes, &len);
	teardown();
	setup();
	machine_stop(m);
	CU_ASSERT(gmem_write(f.env.gmem, 0xff000, "0123456789abcdef", 16) == 0);
	gmem_read(f.env.gmem, 0xff000, first, 16);
	raised = f.raised[22];
	CU_ASSERT(machine_load(m, s, &why) == 0);
	machine_start(m);
	gmem_read(f.env.gmem, 0xff000, now, 16);
	CU_ASSERT(memcmp(now, first, 16) == 0 && f.raised[22] == raised);
	machine_stop(m);
	CU_ASSERT(machine_load(m, s, &why) == 0 && machine_renew(m) == 0);
	gmem_read(f.env.gmem, 0xff000, now, 16);
	CU_ASSERT(memcmp(now, first, 16) != 0 && f.raised[22] == raised);
	machine_start(m);		/* told when it runs, once, by an edge */
	CU_ASSERT(f.raised[22] == raised + 1 && !f.line[22]);
	machine_stop(m);
	machine_start(m);
	CU_ASSERT(f.raised[22] == raised + 1);
	machine_stop(m);

	/* Renewed, saved again before it ran: it still has to be told. */
	CU_ASSERT(machine_renew(m) == 0);
	persona__state__machine_state__free_unpacked(s, NULL);
	free(bytes);
	s = save(&bytes, &len);
	teardown();
	setup();
	machine_stop(m);
	CU_ASSERT(machine_load(m, s, &why) == 0);
	machine_start(m);
	CU_ASSERT(f.raised[22] == 1);
	/* An id outside of memory is a lie. */
	s->devices[s->n_devices - 1]->vmgenid->id_gpa = RAM - 8;
	CU_ASSERT(machine_load(m, s, &why) == -EINVAL);
	teardown();
	persona__state__machine_state__free_unpacked(s, NULL);
	free(bytes);
}

static void
slots(void)
{
	struct machine_virtio_slot s[8];

	CU_ASSERT(machine_virtio_slots(s, 8) == 6);
	CU_ASSERT(s[0].addr == 0xd0000000 && s[0].gsi == 16 &&
	    s[0].len == 0x1000);
	CU_ASSERT(machine_virtio_slots(s, 1) == 1);
}

/*
 * The devices of the version that was released load, and are saved as they were. As
 * in test_state.c: what differs needs another STATE_VERSION and another file.
 */
static void
golden_devices(void)
{
	static uint8_t golden[16384], old[16384], new[16384];
	size_t len = golden_read(GOLDEN, "devices", golden, sizeof(golden));
	Persona__State__MachineState *one, *two;
	uint8_t *packed = NULL;
	size_t packed_len, n;
	const char *why = "";

	CU_ASSERT_FATAL(len > 0 && len < sizeof(golden));
	one = persona__state__machine_state__unpack(NULL, len, golden);
	CU_ASSERT_PTR_NOT_NULL_FATAL(one);
	setup();
	CU_ASSERT_EQUAL_FATAL(machine_load(m, one, &why), 0);
	machine_stop(m);
	two = save(&packed, &packed_len);
	n = pack_devices(one, old);
	CU_ASSERT_EQUAL_FATAL(pack_devices(two, new), n);
	CU_ASSERT_EQUAL(memcmp(old, new, n), 0);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x3ff, 1) == 0x77);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x602, 2) == 0x0120);
	teardown();
	persona__state__machine_state__free_unpacked(one, NULL);
	persona__state__machine_state__free_unpacked(two, NULL);
	free(packed);
}

static void
make_file(void)
{
	Persona__State__MachineState *s;
	FILE *out = fopen(new_file, "wx");
	uint8_t *packed = NULL;
	size_t len;

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	setup();
	use_devices();
	machine_stop(m);
	s = save(&packed, &len);
	fputs("# Every row of the device table, with traces of use.\n", out);
	golden_write(out, "devices", packed, len);
	CU_ASSERT_EQUAL(fclose(out), 0);
	teardown();
	persona__state__machine_state__free_unpacked(s, NULL);
	free(packed);
}

int
main(int argc, char **argv)
{
	static const struct unit_test making[] = {
		{ "the file is made", make_file },
	};
	static const struct unit_test tests[] = {
		{ "save, load, save gives the same bytes", round_trip },
		{ "the devices of version 1 are what they were",
		    golden_devices },
		{ "a foreign or lying state changes nothing", strangers },
		{ "power-off and reset are heard", endings },
		{ "console streams come and go", attaching },
		{ "the virtio slots are announced", slots },
		{ "a second life gets another generation id", second_life },
	};

	if (argc == 3 && strcmp(argv[1], "--make") == 0) {
		new_file = argv[2];
		return unit_main("making", making, 1);
	}
	return unit_main("machine", tests, sizeof(tests) / sizeof(tests[0]));
}
