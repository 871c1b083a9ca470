/* SPDX-License-Identifier: ISC */
/*
 * What the kernel says of this handset's battery. Knows no persona and decides
 * nothing.
 */
#ifndef BATTERY_H
#define BATTERY_H

#include <stdbool.h>

#define BATTERY_DIR	"/sys/class/power_supply"

struct battery {
	unsigned int	percent;
	bool		charging;	/* or full: not running down */
};

/*
 * The first battery of the system under dir. 0; -ENOENT when it has none that
 * says how full it is.
 */
int	battery_read(const char *dir, struct battery *b);

#endif
