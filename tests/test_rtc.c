/* SPDX-License-Identifier: ISC */
/* The clock counts as calendars do, keeps what it was set to, and rings. */
#include <errno.h>
#include <time.h>

#include "devices.h"
#include "fakes/fake-env.h"
#include "rtc-time.h"
#include "unit.h"

#define RAM	(1u << 20)

static struct fake_env f;
static struct dev *d;
static const struct dev_ops *ops = &dev_rtc_ops;

static void
make(void)
{
	const struct dev_place place = { 0x70, 8, 0 };

	CU_ASSERT_FATAL(ops->create(&d, &f.env, &place) == 0);
}

static void
setup(void)
{
	fake_env_init(&f, RAM);
	make();
	ops->start(d);
}

static void
teardown(void)
{
	ops->free(d);
	fake_env_fini(&f);
}

static uint8_t
rd(uint8_t reg)
{
	bus_write(f.env.bus, BUS_PIO, 0x70, 1, reg | 0x80);
	return (uint8_t)bus_read(f.env.bus, BUS_PIO, 0x71, 1);
}

static void
wr(uint8_t reg, uint8_t value)
{
	bus_write(f.env.bus, BUS_PIO, 0x70, 1, reg);
	bus_write(f.env.bus, BUS_PIO, 0x71, 1, value);
}

/* The C library's calendar is the judge. */
static void
calendar(void)
{
	static const int64_t odd[] = { 0, -1, 951782399, 951782400, 951868800,
		4107542399, 4107542400, 253402300799, -2208988800,
		-62135596800 };
	struct rtc_date a, far;
	int64_t back = 0, t = -62167219200;
	unsigned int bad = 0;

	for (unsigned int i = 0; i < 20000; i++) {
		time_t when = (time_t)(i < 10 ? odd[i] : t);
		struct tm tm;

		t += 15778463 + i * 7;	/* half a year and a bit */
		if (t > 253402300799)
			t -= 300000000000;
		gmtime_r(&when, &tm);
		rtc_date_of(when, &a);
		bad += a.year != tm.tm_year + 1900 || a.month != tm.tm_mon + 1 ||
		    a.day != tm.tm_mday || a.hour != tm.tm_hour ||
		    a.minute != tm.tm_min || a.second != tm.tm_sec ||
		    a.weekday != tm.tm_wday + 1;
		bad += rtc_unix_of(&a, &back) < 0 || back != when;
	}
	CU_ASSERT(bad == 0);
	rtc_date_of(INT64_MAX, &far);
	CU_ASSERT(far.year == 9999 && far.month == 12 && far.day == 31);
	rtc_date_of(INT64_MIN, &far);
	CU_ASSERT(far.year == 0 && far.month == 1 && far.day == 1);
	a = (struct rtc_date){ .year = 2023, .month = 2, .day = 29 };
	CU_ASSERT(rtc_unix_of(&a, &back) == -EINVAL);
	a.year = 2024;
	CU_ASSERT(rtc_unix_of(&a, &back) == 0);
	a.hour = 24;
	CU_ASSERT(rtc_unix_of(&a, &back) == -EINVAL);
}

static void
alarms(void)
{
	struct rtc_alarm a = { .second = 30, .minute = 15, .hour = 7 };
	int64_t due = 0;

	CU_ASSERT(rtc_alarm_next(&a, 0, &due) && due == 7 * 3600 + 15 * 60 + 30);
	CU_ASSERT(rtc_alarm_next(&a, due, &due) &&
	    due == 86400 + 7 * 3600 + 15 * 60 + 30);
	CU_ASSERT(rtc_alarm_next(&a, -86400, &due) &&
	    due == 7 * 3600 + 15 * 60 + 30 - 86400);
	a.hour = a.minute = -1;
	CU_ASSERT(rtc_alarm_next(&a, 29, &due) && due == 30);
	CU_ASSERT(rtc_alarm_next(&a, 30, &due) && due == 90);
	a.second = -1;
	CU_ASSERT(rtc_alarm_next(&a, 30, &due) && due == 31);
	a.hour = 25;
	CU_ASSERT(!rtc_alarm_next(&a, 30, &due));
	a = (struct rtc_alarm){ .second = 75, .minute = -1, .hour = -1 };
	CU_ASSERT(!rtc_alarm_next(&a, 30, &due));
}

/* As Linux does it: hold, stop the divider, write, let go. */
static void
set_date(uint8_t year, uint8_t month, uint8_t day, uint8_t hour, uint8_t min,
    uint8_t sec)
{
	uint8_t b = rd(11), a = rd(10);

	wr(11, b | 0x80);
	wr(10, a | 0x70);
	wr(9, year);
	wr(8, month);
	wr(7, day);
	wr(4, hour);
	wr(2, min);
	wr(0, sec);
	wr(0x32, 0x20);
	wr(11, b);
	wr(10, a);
}

static unsigned int
two(uint8_t bcd)
{
	return (bcd >> 4) * 10u + (bcd & 15u);
}

static void
clock_runs(void)
{
	struct tm tm;
	time_t before, after, got;

	setup();
	CU_ASSERT(rd(13) == 0x80 && (rd(11) & 0x86) == 0x02);
	do {	/* as a driver: again if it ticked while we looked */
		before = time(NULL);
		tm = (struct tm){
			.tm_sec = (int)two(rd(0)), .tm_min = (int)two(rd(2)),
			.tm_hour = (int)two(rd(4)), .tm_mday = (int)two(rd(7)),
			.tm_mon = (int)two(rd(8)) - 1,
			.tm_year = (int)(two(rd(0x32)) * 100 + two(rd(9))) - 1900,
		};
		after = time(NULL);
	} while (before != after);
	got = timegm(&tm);
	CU_ASSERT(got >= before - 1 && got <= after + 1);
	teardown();
}

static void
setting(void)
{
	setup();
	set_date(0x31, 0x02, 0x03, 0x23, 0x58, 0x10);
	CU_ASSERT(rd(9) == 0x31 && rd(8) == 2 && rd(7) == 3 && rd(4) == 0x23 &&
	    rd(2) == 0x58);
	CU_ASSERT(rd(6) == 2);			/* a Monday, whoever set what */
	wr(11, 0x06);				/* binary */
	CU_ASSERT(rd(4) == 23 && rd(2) == 58 && rd(9) == 31);
	wr(11, 0x04);				/* twelve hours, binary */
	CU_ASSERT(rd(4) == (0x80 | 11));
	wr(11, 0x00);				/* twelve hours, BCD */
	CU_ASSERT(rd(4) == (0x80 | 0x11));
	wr(4, 0x12);				/* midnight, without holding it */
	wr(11, 0x02);
	CU_ASSERT(rd(4) == 0x00);
	/* A date that does not exist leaves the clock alone. */
	set_date(0x31, 0x02, 0x30, 0x23, 0x58, 0x10);
	CU_ASSERT(rd(7) == 3 && rd(8) == 2);
	set_date(0x31, 0xff, 0xff, 0xff, 0xff, 0xff);
	CU_ASSERT(rd(7) == 3 && rd(8) == 2);
	/* Held it stands; plain memory is memory; read-only stays. */
	wr(11, 0x82);
	CU_ASSERT((rd(10) & 0x80) == 0);
	wr(0x40, 0x5a);
	wr(13, 0);
	CU_ASSERT(rd(0x40) == 0x5a && rd(13) == 0x80);
	CU_ASSERT(bus_read(f.env.bus, BUS_PIO, 0x70, 1) == 0xff);
	teardown();
}

static Persona__State__DeviceState *
save(void)
{
	Persona__State__DeviceState *s = malloc(sizeof(*s));

	CU_ASSERT_FATAL(s != NULL);
	persona__state__device_state__init(s);
	s->name = strdup("rtc");
	CU_ASSERT_FATAL(ops->save(d, s) == 0);
	return s;
}

/* An alarm that fell into the time it was stopped rings when it goes on. */
static void
ringing(void)
{
	Persona__State__DeviceState *s;

	setup();
	set_date(0x31, 0x02, 0x03, 0x10, 0x00, 0x00);
	wr(1, 0x30);
	wr(3, 0xff);
	wr(5, 0xff);
	wr(11, 0x22);
	CU_ASSERT(!f.line[8] && rd(12) == 0);
	ops->stop(d);
	s = save();
	s->rtc->seen_s -= 7;
	CU_ASSERT(ops->check(d, s) == 0);
	ops->load(d, s);
	ops->start(d);
	CU_ASSERT(!f.line[8]);			/* 9:59:53: not yet due */
	ops->stop(d);
	s->rtc->seen_s -= 60;
	ops->load(d, s);
	CU_ASSERT(!f.line[8]);
	ops->start(d);
	CU_ASSERT(f.line[8] && f.raised[8] == 1);
	CU_ASSERT(rd(12) == (0x80 | 0x20 | 0x10));
	CU_ASSERT(!f.line[8] && (rd(12) & 0x80) == 0);
	/* The once-a-second interrupt, and that nobody hears what is off. */
	wr(11, 0x12);
	ops->stop(d);
	s->rtc->registers.data[11] = 0x12;
	ops->load(d, s);
	ops->start(d);
	CU_ASSERT(f.line[8]);
	rd(12);
	ops->stop(d);
	s->rtc->registers.data[11] = 0x02;
	ops->load(d, s);
	ops->start(d);
	CU_ASSERT(!f.line[8]);
	ops->stop(d);

	s->rtc->registers.len--;
	CU_ASSERT(ops->check(d, s) == -EINVAL);
	s->rtc->registers.len++;
	s->rtc->offset_ns = INT64_MIN;
	CU_ASSERT(ops->check(d, s) == -EINVAL);
	s->rtc->offset_ns = 0;
	s->rtc->seen_s = INT64_MAX;
	CU_ASSERT(ops->check(d, s) == -EINVAL);
	s->rtc->seen_s = 0;
	s->rtc->index = 128;
	CU_ASSERT(ops->check(d, s) == -EINVAL);
	persona__state__device_state__free_unpacked(s, NULL);
	teardown();
}

/* What the guest set goes along; the time that passed has passed. */
static void
moving(void)
{
	Persona__State__DeviceState *s;

	setup();
	set_date(0x31, 0x02, 0x03, 0x10, 0x00, 0x00);
	wr(0x50, 0x77);
	wr(11, 0x22);
	ops->stop(d);
	s = save();
	ops->free(d);
	bus_free(f.env.bus);
	CU_ASSERT_FATAL(bus_new(&f.env.bus) == 0);
	make();
	ops->load(d, s);
	ops->start(d);
	CU_ASSERT(rd(9) == 0x31 && rd(8) == 2 && rd(4) == 0x10 &&
	    rd(0x50) == 0x77 && rd(11) == 0x22);
	persona__state__device_state__free_unpacked(s, NULL);
	teardown();
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "dates are those of the calendar", calendar },
		{ "an alarm is due at its next time", alarms },
		{ "the clock shows the handset's time", clock_runs },
		{ "what it is set to it keeps, in every format", setting },
		{ "an alarm rings, also after a pause", ringing },
		{ "a moved clock goes on", moving },
	};

	return unit_main("rtc", tests, sizeof(tests) / sizeof(tests[0]));
}
