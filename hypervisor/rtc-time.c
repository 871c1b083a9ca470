/* SPDX-License-Identifier: ISC */
/*
 * Dates of the proleptic Gregorian calendar, without time zones, leap seconds or
 * the C library's idea of either. Knows no register and no clock.
 */
#include "rtc-time.h"

#include <errno.h>

#define DAY_S		86400
#define YEAR_MAX	9999
/* Days from 0000-03-01 to 1970-01-01, and of four centuries. */
#define EPOCH_DAYS	719468
#define ERA_DAYS	146097
#define UNIX_MAX_S	253402300799	/* 9999-12-31 23:59:59 */

/*
 * Days since 1970 of a date. Years begin in March here, so that the leap day is
 * the last of its year.
 */
static int64_t
days_of(int year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 +
	    day - 1;

	return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 +
	    of_year - EPOCH_DAYS;
}

static int
days_in(int year, int month)
{
	if (month == 2)
		return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ?
		    29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

void
rtc_date_of(int64_t unix_s, struct rtc_date *d)
{
	int64_t days, left, month;
	int64_t min_s = days_of(0, 1, 1) * DAY_S;

	if (unix_s < min_s)
		unix_s = min_s;
	if (unix_s > UNIX_MAX_S)
		unix_s = UNIX_MAX_S;
	days = unix_s / DAY_S - (unix_s % DAY_S < 0);
	left = unix_s - days * DAY_S;
	d->hour = (int)(left / 3600);
	d->minute = (int)(left / 60 % 60);
	d->second = (int)(left % 60);
	d->weekday = (int)(((days + 4) % 7 + 7) % 7) + 1;
	/* A first guess at the year that is never too late, then steps. */
	d->year = (int)((days + EPOCH_DAYS) / 366);
	while (d->year < YEAR_MAX && days_of(d->year + 1, 1, 1) <= days)
		d->year++;
	left = days - days_of(d->year, 1, 1);
	for (month = 1; left >= days_in(d->year, (int)month); month++)
		left -= days_in(d->year, (int)month);
	d->month = (int)month;
	d->day = (int)left + 1;
}

int
rtc_unix_of(const struct rtc_date *d, int64_t *unix_s)
{
	if (d->year < 0 || d->year > YEAR_MAX || d->month < 1 ||
	    d->month > 12 || d->day < 1 || d->day > days_in(d->year, d->month) ||
	    d->hour < 0 || d->hour > 23 || d->minute < 0 || d->minute > 59 ||
	    d->second < 0 || d->second > 59)
		return -EINVAL;
	*unix_s = days_of(d->year, d->month, d->day) * DAY_S +
	    d->hour * 3600 + d->minute * 60 + d->second;
	return 0;
}

bool
rtc_alarm_next(const struct rtc_alarm *a, int64_t after_s, int64_t *due_s)
{
	int64_t t = after_s + 1;

	/* At most a day of hours, then an hour of minutes, a minute of seconds. */
	for (int steps = 0; steps < 25 + 61 + 61; steps++) {
		int64_t of_day = (t % DAY_S + DAY_S) % DAY_S;

		if (a->hour >= 0 && of_day / 3600 != a->hour) {
			t += 3600 - of_day % 3600;
		} else if (a->minute >= 0 && of_day / 60 % 60 != a->minute) {
			t += 60 - of_day % 60;
		} else if (a->second >= 0 && of_day % 60 != a->second) {
			t++;
		} else {
			*due_s = t;
			return true;
		}
	}
	return false;
}
