/* SPDX-License-Identifier: ISC */
/*
 * Names, renames and removals of incoming directories. Opens no file of them.
 */
#include "image-incoming.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "hexid.h"
#include "log.h"
#include "privdir.h"
#include "vault.h"

static const char incoming[] = "incoming-";

/* <state-dir>/<home>/<prefix><id><tail> */
static const char *
place(const struct daemon *d, const char *prefix, const char *id,
    const char *tail, char path[IMAGE_FILES_PATH_MAX])
{
	char home[IMAGE_HOME_MAX];

	snprintf(path, IMAGE_FILES_PATH_MAX, "%s/%s/%s%s%s", d->conf.state_dir,
	    image_home(d, id, home), prefix, id, tail);
	return path;
}

/* The directory that all of these lie in. */
static const char *
home_place(const struct daemon *d, const char *id, char path[IMAGE_FILES_PATH_MAX])
{
	char home[IMAGE_HOME_MAX];

	snprintf(path, IMAGE_FILES_PATH_MAX, "%s/%s", d->conf.state_dir,
	    image_home(d, id, home));
	return path;
}

const char *
image_incoming_dir(const struct daemon *d, const char *id, uint64_t attempt,
    char dir[INCOMING_DIR_MAX])
{
	char home[IMAGE_HOME_MAX];

	snprintf(dir, INCOMING_DIR_MAX, "%s/%s%s-%llu",
	    image_home(d, id, home), incoming, id,
	    (unsigned long long)attempt);
	return dir;
}

const char *
image_incoming_place(const struct daemon *d, const char *id, uint64_t attempt,
    char path[IMAGE_FILES_PATH_MAX])
{
	char dir[INCOMING_DIR_MAX];

	snprintf(path, IMAGE_FILES_PATH_MAX, "%s/%s", d->conf.state_dir,
	    image_incoming_dir(d, id, attempt, dir));
	return path;
}

/* Of the image that stood here: what its owner keeps. Best effort. */
static void
keep_checkpoints(const char *from, const char *to)
{
	char old[IMAGE_FILES_PATH_MAX + 16], new[IMAGE_FILES_PATH_MAX + 16];

	snprintf(old, sizeof(old), "%s/checkpoints", from);
	snprintf(new, sizeof(new), "%s/checkpoints", to);
	if (rename(old, new) < 0 && errno != ENOENT)
		log_warn_r(-errno, "%s: cannot be kept", old);
}

/*
 * Old image aside, new one in its place, old one away: each step is undone by none
 * that follows, so that the row can be begun again wherever it broke off.
 */
int
image_incoming_publish(const struct daemon *d, const char *id,
    uint64_t attempt)
{
	char new[IMAGE_FILES_PATH_MAX], final[IMAGE_FILES_PATH_MAX], old[IMAGE_FILES_PATH_MAX];
	char images[IMAGE_FILES_PATH_MAX];
	int r;

	image_incoming_place(d, id, attempt, new);
	place(d, "", id, "", final);
	place(d, "old-", id, "", old);
	if (access(new, F_OK) == 0) {
		if (rename(final, old) < 0 && errno != ENOENT)
			return -errno;
		if (rename(new, final) < 0)
			return -errno;
	}
	if ((r = privdir_sync(home_place(d, id, images))) < 0)
		return r;
	if (access(old, F_OK) == 0) {
		keep_checkpoints(old, final);
		if ((r = privdir_remove(old)) < 0)
			log_warn_r(r, "%s: cannot be removed", old);
	}
	return 0;
}

void
image_incoming_drop(const struct daemon *d, const char *id, uint64_t attempt)
{
	char path[IMAGE_FILES_PATH_MAX];
	int r = privdir_remove(image_incoming_place(d, id, attempt, path));

	if (r < 0 && r != -ENOENT)
		log_warn_r(r, "%s: cannot be removed", path);
}

/* "incoming-<id>-<attempt>" */
static bool
parse_incoming(const char *name, char id[HEXID_LEN + 1], uint64_t *attempt)
{
	const size_t head = sizeof(incoming) - 1;
	char *end;

	if (strncmp(name, incoming, head) != 0 ||
	    strlen(name) < head + HEXID_LEN + 2 ||
	    name[head + HEXID_LEN] != '-')
		return false;
	memcpy(id, name + head, HEXID_LEN);
	id[HEXID_LEN] = '\0';
	*attempt = strtoull(name + head + HEXID_LEN + 1, &end, 10);
	return hexid_ok(id) && *end == '\0';
}

struct incoming_sweep {
	const struct daemon	*daemon;
	image_keep_fn		*keep;
	void			*arg;
};

static void
sweep_home(const struct incoming_sweep *s, const char *path)
{
	char id[HEXID_LEN + 1];
	struct dirent *e;
	uint64_t attempt;
	DIR *dir;

	if ((dir = opendir(path)) == NULL)
		return;
	while ((e = readdir(dir)) != NULL)
		if (parse_incoming(e->d_name, id, &attempt) &&
		    !s->keep(s->arg, id, attempt))
			image_incoming_drop(s->daemon, id, attempt);
	closedir(dir);
}

static void
sweep_vault(struct daemon *d, const char *id, void *arg)
{
	char path[IMAGE_FILES_PATH_MAX];

	sweep_home(arg, home_place(d, id, path));
}

void
image_incoming_sweep(struct daemon *d, image_keep_fn *keep, void *arg)
{
	struct incoming_sweep s = { d, keep, arg };
	char path[IMAGE_FILES_PATH_MAX];

	snprintf(path, sizeof(path), "%s/images", d->conf.state_dir);
	sweep_home(&s, path);
	vaults_each_open(d, sweep_vault, &s);
}
