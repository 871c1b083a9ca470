/* SPDX-License-Identifier: ISC */
/*
 * The arithmetic of a real-time clock: seconds since 1970 to the digits of a date
 * and back, and when an alarm is due. Pure; knows no register and no clock.
 */
#ifndef RTC_TIME_H
#define RTC_TIME_H

#include <stdbool.h>
#include <stdint.h>

struct rtc_date {
	int		second, minute, hour;	/* 0..59, 0..59, 0..23 */
	int		day, month, year;	/* 1..31, 1..12, 0..9999 */
	int		weekday;		/* 1 is Sunday */
};

/* What the alarm registers say; -1: any. */
struct rtc_alarm {
	int		second, minute, hour;
};

/* The date at a second since 1970 (of the years 0 to 9999; else the nearest). */
void	rtc_date_of(int64_t unix_s, struct rtc_date *d);

/* The weekday is not looked at. 0, or -EINVAL for a date that does not exist. */
int	rtc_unix_of(const struct rtc_date *d, int64_t *unix_s);

/* The first second after `after_s` at which the alarm is due; false: never. */
bool	rtc_alarm_next(const struct rtc_alarm *a, int64_t after_s,
	    int64_t *due_s);

#endif
