/* SPDX-License-Identifier: ISC */
/* What sysfs tells about one interface. Private to discovery/. */
#ifndef LINKS_SYSFS_H
#define LINKS_SYSFS_H

#include "links.h"

/* Mbit/s by /sys/class/net/NAME/speed, 0 when the driver does not say. */
uint32_t	links_read_speed(const char *net_dir, const char *name);

#endif
