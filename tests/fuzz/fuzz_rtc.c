/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: what a hostile guest writes to its clock, and what a liar says that
 * a saved clock was. The first bytes are the saved one; then two bytes an access.
 */
#include <stdlib.h>
#include <string.h>

#include "devices.h"
#include "fakes/fake-env.h"
#include "fuzz/fuzz.h"
#include "le.h"

#define RAM		(1u << 20)
#define REGISTERS	128u
#define STATE_BYTES	(18u + REGISTERS)

static const struct dev_ops *const ops = &dev_rtc_ops;

static void
load(struct dev *d, const uint8_t *p)
{
	Persona__State__DeviceState s = PERSONA__STATE__DEVICE_STATE__INIT;
	Persona__State__Rtc rtc = PERSONA__STATE__RTC__INIT;
	uint8_t regs[REGISTERS];

	s.kind_case = PERSONA__STATE__DEVICE_STATE__KIND_RTC;
	s.rtc = &rtc;
	rtc.index = p[0];
	rtc.flags = p[1];
	rtc.offset_ns = (int64_t)le_get64(p + 2);
	rtc.seen_s = (int64_t)le_get64(p + 10);
	memcpy(regs, p + 18, sizeof(regs));
	rtc.registers.data = regs;
	rtc.registers.len = sizeof(regs);
	if (ops->check(d, &s) == 0)
		ops->load(d, &s);
}

static void
check_saved(struct dev *d)
{
	Persona__State__DeviceState *s = malloc(sizeof(*s));

	if (s == NULL)
		abort();
	persona__state__device_state__init(s);
	s->name = strdup("rtc");
	if (ops->save(d, s) < 0 || ops->check(d, s) < 0)
		abort();
	persona__state__device_state__free_unpacked(s, NULL);
}

void
fuzz_one(const uint8_t *data, size_t len)
{
	const struct dev_place place = { 0x70, 8, 0 };
	struct fake_env f;
	struct dev *d;
	size_t at = 0;

	fake_env_init(&f, RAM);
	if (ops->create(&d, &f.env, &place) < 0)
		abort();
	if (len >= STATE_BYTES) {
		load(d, data);
		at = STATE_BYTES;
	}
	ops->start(d);
	for (; at + 2 <= len; at += 2) {
		bus_write(f.env.bus, BUS_PIO, 0x70, 1, data[at] & 0x3f);
		if (data[at] & 0x80)
			bus_read(f.env.bus, BUS_PIO, 0x71, 1);
		else
			bus_write(f.env.bus, BUS_PIO, 0x71, 1, data[at + 1]);
		if (data[at] & 0x40)
			fake_env_run(&f);
	}
	ops->stop(d);
	check_saved(d);
	ops->free(d);
	fake_env_fini(&f);
}

/*
 * A plain clock, then the time set and an alarm armed; and saved clocks as far off as
 * may be believed, where an alarm's nanoseconds are about to overflow.
 */
size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	static const uint8_t accesses[] = {
		11, 0x82, 9, 0x31, 8, 0x02, 7, 0x03, 4, 0x10, 2, 0, 0, 0,
		0x32, 0x20, 11, 0x02, 1, 0x30, 3, 0xff, 5, 0xff, 11, 0x32,
		0x80 | 12, 0, 0xc0, 0, 0x84, 0, 11, 0x06, 0x89, 0,
	};

	static const int64_t far_s = 250LL * 365 * 86400;
	static const int64_t seen_s = 280LL * 365 * 86400;

	if (i >= 5 || max < STATE_BYTES + sizeof(accesses))
		return 0;
	memset(buf, 0, STATE_BYTES);
	le_put64(buf + 10, 1700000000);
	buf[18 + 11] = (uint8_t)(i == 0 ? 0x02 : i == 2 ? 0x80 : 0x36);
	if (i >= 3) {
		le_put64(buf + 2, (uint64_t)((i == 3 ? far_s : -far_s) *
		    1000000000));
		le_put64(buf + 10, (uint64_t)(i == 3 ? -seen_s : seen_s));
	}
	memcpy(buf + STATE_BYTES, accesses, sizeof(accesses));
	return STATE_BYTES + sizeof(accesses);
}
