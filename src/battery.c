/* SPDX-License-Identifier: ISC */
/* Reads the kernel's power_supply class. Knows nothing else. */
#include "battery.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

#define LINE_MAX_BYTES	64

static bool
read_word(const char *dir, const char *name, const char *what,
    char line[LINE_MAX_BYTES])
{
	char path[512];
	FILE *f;
	bool ok;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s/%s", dir, name,
	    what) >= sizeof(path) || (f = fopen(path, "re")) == NULL)
		return false;
	ok = fgets(line, LINE_MAX_BYTES, f) != NULL;
	fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* Mice and keyboards have batteries too; theirs say scope "Device". */
static bool
read_one(const char *dir, const char *name, struct battery *b)
{
	char line[LINE_MAX_BYTES];
	uint64_t percent;

	if (name[0] == '.' || !read_word(dir, name, "type", line) ||
	    strcmp(line, "Battery") != 0 ||
	    (read_word(dir, name, "scope", line) &&
	    strcmp(line, "Device") == 0) ||
	    !read_word(dir, name, "capacity", line) ||
	    number_parse(line, 0, 100, &percent) < 0)
		return false;
	b->percent = (unsigned int)percent;
	b->charging = read_word(dir, name, "status", line) &&
	    (strcmp(line, "Charging") == 0 || strcmp(line, "Full") == 0 ||
	    strcmp(line, "Not charging") == 0);
	return true;
}

int
battery_read(const char *dir, struct battery *b)
{
	struct dirent *e;
	bool found = false;
	DIR *d = opendir(dir);

	if (d == NULL)
		return -ENOENT;
	while (!found && (e = readdir(d)) != NULL)
		found = read_one(dir, e->d_name, b);
	closedir(d);
	return found ? 0 : -ENOENT;
}
