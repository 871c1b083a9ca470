/* SPDX-License-Identifier: ISC */
/*
 * An MC146818 real-time clock: the handset's time of day, set off by what the
 * guest has made of it, with alarm and once-a-second interrupt. Deliberately knows
 * no time zone, and no periodic interrupt: no guest of the last fifteen years asks
 * for it, Linux makes it from a timer of its own.
 *
 * The time is the clock of whatever handset the persona is on: after a move or a
 * long suspend it is right by itself, and an alarm that fell into the pause rings
 * when the guest runs again.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bus.h"
#include "devices.h"
#include "platform.h"
#include "rtc-time.h"

#define SECOND_NS	1000000000LL
#define N_REGISTERS	128u
#define YEAR_S		(365LL * 86400)
/* A guest's clock may be off by so much; more is not believed of a saved state. */
#define OFFSET_MAX_NS	(250 * YEAR_S * SECOND_NS)
/* It stands still so far from 1970: nanoseconds must fit, and an alarm after it. */
#define CLOCK_MAX_S	(280 * YEAR_S)
/* The chip shows "update in progress" for so long before each second. */
#define UPDATE_NS	244000LL
/* It begins a second half a second after it was set. */
#define SET_PHASE_NS	(SECOND_NS / 2)

enum {
	R_SECOND = 0, R_SECOND_ALARM = 1, R_MINUTE = 2, R_MINUTE_ALARM = 3,
	R_HOUR = 4, R_HOUR_ALARM = 5, R_WEEKDAY = 6, R_DAY = 7, R_MONTH = 8,
	R_YEAR = 9, R_A = 10, R_B = 11, R_C = 12, R_D = 13,
};

#define A_UPDATING	0x80u
#define A_RESET_VALUE	0x26u	/* 32768 Hz crystal */
#define B_SET		0x80u	/* the guest writes the time: it stands still */
#define B_ALARM		0x20u
#define B_SECOND	0x10u	/* update-ended interrupt */
#define B_BINARY	0x04u	/* else BCD */
#define B_24_HOURS	0x02u
#define B_WRITABLE	0xfeu	/* no daylight saving */
#define C_REQUEST	0x80u
#define C_ALARM		0x20u	/* at the bit of its enable in B */
#define C_SECOND	0x10u
#define D_POWER_GOOD	0x80u
#define HOUR_PM		0x80u
#define ALARM_ANY	0xc0u	/* from here up a register says "any" */

struct dev {
	struct dev_env	env;
	unsigned int	gsi;
	uint8_t		index;
	uint8_t		flags;		/* register C */
	uint8_t		regs[N_REGISTERS];
	int64_t		offset_ns;	/* the guest's clock less UTC */
	int64_t		seen_s;		/* alarms up to here are done */
	bool		started;
	/* vCPU threads set the timer; only the main thread touches events. */
	int		timer_fd;
	struct event	*timer_ev;
};

static int64_t
utc_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static int64_t
guest_now_ns(const struct dev *d)
{
	const int64_t max_ns = CLOCK_MAX_S * SECOND_NS;
	int64_t ns;

	if (__builtin_add_overflow(utc_now_ns(), d->offset_ns, &ns))
		ns = d->offset_ns < 0 ? -max_ns : max_ns;
	return ns > max_ns ? max_ns : ns < -max_ns ? -max_ns : ns;
}

/* Rounds down, before 1970 too. */
static int64_t
second_of(int64_t ns)
{
	return ns / SECOND_NS - (ns % SECOND_NS < 0);
}

/* --- digits ---------------------------------------------------------------- */

static uint8_t
encode(const struct dev *d, int value)
{
	return (uint8_t)(d->regs[R_B] & B_BINARY ? value :
	    value / 10 << 4 | value % 10);
}

static int
decode(const struct dev *d, uint8_t raw)
{
	return d->regs[R_B] & B_BINARY ? raw : (raw >> 4) * 10 + (raw & 15);
}

static uint8_t
encode_hour(const struct dev *d, int hour)
{
	if (d->regs[R_B] & B_24_HOURS)
		return encode(d, hour);
	return encode(d, hour % 12 == 0 ? 12 : hour % 12) |
	    (uint8_t)(hour >= 12 ? HOUR_PM : 0);
}

static int
decode_hour(const struct dev *d, uint8_t raw)
{
	int hour;

	if (d->regs[R_B] & B_24_HOURS)
		return decode(d, raw);
	hour = decode(d, raw & (uint8_t)~HOUR_PM) % 12;
	return raw & HOUR_PM ? hour + 12 : hour;
}

/* --- the time in the registers ---------------------------------------------- */

static bool
is_time(uint8_t reg)
{
	return reg == R_SECOND || reg == R_MINUTE || reg == R_HOUR ||
	    (reg >= R_WEEKDAY && reg <= R_YEAR) || reg == RTC_CENTURY;
}

static void
write_date(struct dev *d, int64_t unix_s)
{
	struct rtc_date date;

	rtc_date_of(unix_s, &date);
	d->regs[R_SECOND] = encode(d, date.second);
	d->regs[R_MINUTE] = encode(d, date.minute);
	d->regs[R_HOUR] = encode_hour(d, date.hour);
	d->regs[R_WEEKDAY] = encode(d, date.weekday);
	d->regs[R_DAY] = encode(d, date.day);
	d->regs[R_MONTH] = encode(d, date.month);
	d->regs[R_YEAR] = encode(d, date.year % 100);
	d->regs[RTC_CENTURY] = encode(d, date.year / 100);
}

/* Put the present into the registers, unless the guest holds the clock. */
static void
refresh(struct dev *d)
{
	if (!(d->regs[R_B] & B_SET))
		write_date(d, second_of(guest_now_ns(d)));
}

/* Go on from what is in the registers. A date that is none changes nothing. */
static void
adopt(struct dev *d)
{
	struct rtc_date date = {
		.second = decode(d, d->regs[R_SECOND]),
		.minute = decode(d, d->regs[R_MINUTE]),
		.hour = decode_hour(d, d->regs[R_HOUR]),
		.day = decode(d, d->regs[R_DAY]),
		.month = decode(d, d->regs[R_MONTH]),
		.year = decode(d, d->regs[RTC_CENTURY]) * 100 +
		    decode(d, d->regs[R_YEAR]),
	};
	int64_t unix_s;

	/* Beyond these years nanoseconds do not fit; nobody lives there. */
	if (date.year < 1900 || date.year > 2200 ||
	    rtc_unix_of(&date, &unix_s) < 0)
		return;
	d->offset_ns = unix_s * SECOND_NS + SET_PHASE_NS - utc_now_ns();
	d->seen_s = unix_s;
}

/* --- alarm and interrupt ---------------------------------------------------- */

static struct rtc_alarm
alarm_of(const struct dev *d)
{
	const uint8_t *r = d->regs;

	return (struct rtc_alarm){
		.second = r[R_SECOND_ALARM] >= ALARM_ANY ? -1 :
		    decode(d, r[R_SECOND_ALARM]),
		.minute = r[R_MINUTE_ALARM] >= ALARM_ANY ? -1 :
		    decode(d, r[R_MINUTE_ALARM]),
		.hour = r[R_HOUR_ALARM] >= ALARM_ANY ? -1 :
		    decode_hour(d, r[R_HOUR_ALARM]),
	};
}

static void
update_irq(struct dev *d)
{
	if (d->flags & d->regs[R_B] & (C_ALARM | C_SECOND))
		d->flags |= C_REQUEST;
	if (d->started)
		d->env.irq_line(d->env.arg, d->gsi,
		    (d->flags & C_REQUEST) != 0);
}

/* Take note of what has happened since the last look. */
static void
catch_up(struct dev *d)
{
	struct rtc_alarm alarm = alarm_of(d);
	int64_t now_s = second_of(guest_now_ns(d)), due_s;

	if (d->regs[R_B] & B_SET)
		return;
	if (now_s > d->seen_s) {
		d->flags |= C_SECOND;
		if (rtc_alarm_next(&alarm, d->seen_s, &due_s) &&
		    due_s <= now_s)
			d->flags |= C_ALARM;
	}
	d->seen_s = now_s;	/* backwards too: the handset's clock was set */
	update_irq(d);
}

/*
 * The one place that decides when we look again: at the next thing that the guest
 * wants to be interrupted for. TFD_TIMER_CANCEL_ON_SET makes us look, too, when
 * the handset's clock is set.
 */
static void
set_timer(struct dev *d)
{
	struct rtc_alarm alarm = alarm_of(d);
	struct itimerspec when = { { 0 }, { 0 } };
	int64_t due_s, utc_ns;
	bool wanted = true;

	if (d->regs[R_B] & B_SECOND)
		due_s = d->seen_s + 1;
	else if (!(d->regs[R_B] & B_ALARM) ||
	    !rtc_alarm_next(&alarm, d->seen_s, &due_s))
		wanted = false;
	if (wanted && due_s > CLOCK_MAX_S)
		wanted = false;		/* never: the clock stands still there */
	if (wanted && !(d->regs[R_B] & B_SET)) {
		if (__builtin_sub_overflow(due_s * SECOND_NS, d->offset_ns,
		    &utc_ns))
			utc_ns = d->offset_ns < 0 ? INT64_MAX : 1;
		if (utc_ns < 1)
			utc_ns = 1;	/* zero would disarm it */
		when.it_value.tv_sec = utc_ns / SECOND_NS;
		when.it_value.tv_nsec = utc_ns % SECOND_NS;
	}
	(void)timerfd_settime(d->timer_fd, TFD_TIMER_ABSTIME |
	    TFD_TIMER_CANCEL_ON_SET, &when, NULL);
}

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dev *d = arg;
	uint64_t n;

	(void)what;
	bus_lock(d->env.bus);
	(void)!read(fd, &n, sizeof(n));	/* an error says: the clock was set */
	catch_up(d);
	set_timer(d);
	bus_unlock(d->env.bus);
}

/* --- registers --------------------------------------------------------------- */

static uint8_t
read_a(struct dev *d)
{
	int64_t now_ns = guest_now_ns(d);
	int64_t into_ns = now_ns - second_of(now_ns) * SECOND_NS;
	bool updating = !(d->regs[R_B] & B_SET) &&
	    into_ns >= SECOND_NS - UPDATE_NS;

	return d->regs[R_A] | (uint8_t)(updating ? A_UPDATING : 0);
}

static uint8_t
read_register(struct dev *d, uint8_t reg)
{
	uint8_t value;

	switch (reg) {
	case R_A:
		return read_a(d);
	case R_C:		/* reading it is how it is acknowledged */
		catch_up(d);
		value = d->flags;
		d->flags = 0;
		update_irq(d);
		return value;
	case R_D:
		return D_POWER_GOOD;
	default:
		if (is_time(reg))
			refresh(d);
		return d->regs[reg];
	}
}

static void
write_b(struct dev *d, uint8_t value)
{
	bool was_set = d->regs[R_B] & B_SET;

	/* Held or let go, the registers change hands in the format that held
	 * while they were written. */
	if (!was_set)
		refresh(d);
	d->regs[R_B] = value & B_WRITABLE;
	if (value & B_SET)	/* setting it takes this one back */
		d->regs[R_B] &= (uint8_t)~B_SECOND;
	if (was_set && !(value & B_SET))
		adopt(d);
	update_irq(d);
}

static void
write_register(struct dev *d, uint8_t reg, uint8_t value)
{
	bool held = d->regs[R_B] & B_SET;

	switch (reg) {
	case R_A:
		d->regs[R_A] = value & (uint8_t)~A_UPDATING;
		return;
	case R_B:
		catch_up(d);
		write_b(d, value);
		break;
	case R_C:
	case R_D:
		return;
	default:
		if (is_time(reg))
			refresh(d);
		d->regs[reg] = value;
		if (is_time(reg) && !held)
			adopt(d);
		if (!is_time(reg) && reg > R_HOUR_ALARM)
			return;		/* plain memory */
		break;
	}
	set_timer(d);
}

static uint64_t
port_read(void *arg, uint64_t offset, unsigned int len)
{
	struct dev *d = arg;

	(void)len;
	return offset == 0 ? 0xff : read_register(d, d->index);
}

static void
port_write(void *arg, uint64_t offset, unsigned int len, uint64_t value)
{
	struct dev *d = arg;

	(void)len;
	if (offset == 0)	/* the top bit masks NMI, which we have not */
		d->index = value & (N_REGISTERS - 1);
	else
		write_register(d, d->index, (uint8_t)value);
}

static const struct bus_region_ops port_ops = {
	.read = port_read,
	.write = port_write,
};

/* --- a device like any other --------------------------------------------------- */

static void
rtc_free(struct dev *d)
{
	if (d == NULL)
		return;
	if (d->timer_ev != NULL)
		event_free(d->timer_ev);
	if (d->timer_fd >= 0)
		close(d->timer_fd);
	free(d);
}

static int
rtc_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;
	int r = -ENOMEM;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->env = *env;
	d->gsi = place->gsi;
	d->regs[R_A] = A_RESET_VALUE;
	d->regs[R_B] = B_24_HOURS;
	d->seen_s = second_of(guest_now_ns(d));
	d->timer_fd = timerfd_create(CLOCK_REALTIME,
	    TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->timer_fd < 0) {
		r = -errno;
		goto out;
	}
	d->timer_ev = event_new(env->base, d->timer_fd, EV_READ | EV_PERSIST,
	    timer_cb, d);
	if (d->timer_ev == NULL)
		goto out;
	if ((r = bus_add(env->bus, BUS_PIO, place->addr, RTC_PORTS, &port_ops,
	    d)) < 0)
		goto out;
	*dp = d;
	d = NULL;
out:
	rtc_free(d);
	return r;
}

static void
rtc_start(struct dev *d)
{
	d->started = true;
	catch_up(d);		/* what fell into the pause happens now */
	set_timer(d);
	event_add(d->timer_ev, NULL);
}

static void
rtc_stop(struct dev *d)
{
	event_del(d->timer_ev);
	d->started = false;
}

static int
rtc_save(struct dev *d, Persona__State__DeviceState *out)
{
	Persona__State__Rtc *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__rtc__init(s);
	out->rtc = s;
	out->kind_case = PERSONA__STATE__DEVICE_STATE__KIND_RTC;
	if ((s->registers.data = malloc(N_REGISTERS)) == NULL)
		return -ENOMEM;
	memcpy(s->registers.data, d->regs, N_REGISTERS);
	s->registers.len = N_REGISTERS;
	s->index = d->index;
	s->flags = d->flags;
	s->offset_ns = d->offset_ns;
	s->seen_s = d->seen_s;
	return 0;
}

static int
rtc_check(struct dev *d, const Persona__State__DeviceState *in)
{
	const Persona__State__Rtc *s = in->rtc;

	(void)d;
	if (in->kind_case != PERSONA__STATE__DEVICE_STATE__KIND_RTC ||
	    s->index >= N_REGISTERS || s->registers.len != N_REGISTERS ||
	    (s->flags & ~(C_REQUEST | C_ALARM | C_SECOND)) ||
	    s->offset_ns > OFFSET_MAX_NS || s->offset_ns < -OFFSET_MAX_NS ||
	    s->seen_s > CLOCK_MAX_S || s->seen_s < -CLOCK_MAX_S)
		return -EINVAL;
	return 0;
}

static void
rtc_load(struct dev *d, const Persona__State__DeviceState *in)
{
	const Persona__State__Rtc *s = in->rtc;

	d->index = (uint8_t)s->index;
	d->flags = (uint8_t)s->flags;
	memcpy(d->regs, s->registers.data, N_REGISTERS);
	d->regs[R_A] &= (uint8_t)~A_UPDATING;
	d->regs[R_B] &= B_WRITABLE;
	d->offset_ns = s->offset_ns;
	d->seen_s = s->seen_s;
}

const struct dev_ops dev_rtc_ops = {
	.kind = "rtc",
	.version = 1,
	.create = rtc_create,
	.save = rtc_save,
	.check = rtc_check,
	.load = rtc_load,
	.start = rtc_start,
	.stop = rtc_stop,
	.free = rtc_free,
};
