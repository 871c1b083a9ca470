/* SPDX-License-Identifier: ISC */
/*
 * What sysfs tells about one interface: its kind, as far as that can be guessed,
 * and its nominal speed. Knows no netlink and no events.
 */
#include "links-sysfs.h"

#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES	4096
#define SPEED_MAX_MBIT	1000000
#define DEVTYPE_BYTES	32

/* Interface names cannot hold a slash, but "." and ".." must not get here. */
static bool
make_path(char path[PATH_BYTES], const char *net_dir, const char *name,
    const char *file)
{
	int n = snprintf(path, PATH_BYTES, "%s/%s/%s", net_dir, name, file);

	return name[0] != '\0' && name[0] != '.' && n > 0 && n < PATH_BYTES;
}

static bool
has(const char *net_dir, const char *name, const char *file)
{
	char path[PATH_BYTES];

	return make_path(path, net_dir, name, file) && access(path, F_OK) == 0;
}

/* The value of DEVTYPE= in the interface's uevent, or "". */
static void
read_devtype(const char *net_dir, const char *name, char type[DEVTYPE_BYTES])
{
	char path[PATH_BYTES], line[128];
	FILE *f = NULL;

	type[0] = '\0';
	if (make_path(path, net_dir, name, "uevent"))
		f = fopen(path, "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "DEVTYPE=%31s", type) == 1)
			break;
	fclose(f);
}

/* Whether the real place of the interface's `file` goes through `part`. */
static bool
lies_below(const char *net_dir, const char *name, const char *file,
    const char *part)
{
	char path[PATH_BYTES], *real;
	bool below;

	if (!make_path(path, net_dir, name, file) ||
	    (real = realpath(path, NULL)) == NULL)
		return false;
	below = strstr(real, part) != NULL;
	free(real);
	return below;
}

enum link_kind
links_guess_kind(const char *net_dir, const char *name, unsigned int arphrd)
{
	char type[DEVTYPE_BYTES];

	if (arphrd == ARPHRD_LOOPBACK)
		return LINK_LOOPBACK;
	read_devtype(net_dir, name, type);
	if (strcmp(type, "wlan") == 0 || has(net_dir, name, "wireless") ||
	    has(net_dir, name, "phy80211"))
		return LINK_WIFI;
	if (strcmp(type, "bluetooth") == 0)
		return LINK_BLUETOOTH;
	if (strcmp(type, "wwan") == 0)
		return LINK_MOBILE;
	if (strcmp(type, "gadget") == 0 ||
	    lies_below(net_dir, name, "device", "/usb"))
		return LINK_USB;
	if (lies_below(net_dir, name, ".", "/devices/virtual/"))
		return LINK_VIRTUAL;
	return arphrd == ARPHRD_ETHER ? LINK_ETHERNET : LINK_OTHER;
}

uint32_t
links_read_speed(const char *net_dir, const char *name)
{
	char path[PATH_BYTES];
	long speed = 0;
	FILE *f = NULL;

	if (make_path(path, net_dir, name, "speed"))
		f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%ld", &speed) != 1 || speed < 0 ||
	    speed > SPEED_MAX_MBIT)
		speed = 0;
	fclose(f);
	return (uint32_t)speed;
}
