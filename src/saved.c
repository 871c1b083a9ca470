/* SPDX-License-Identifier: ISC */
/* Names, manifests and the renames that make a saved image whole. */
#include "saved.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounds.h"
#include "daemon.h"
#include "log.h"
#include "number.h"
#include "privdir.h"
#include "vault.h"

#define MANIFEST_MAX	(64u << 10)

static const char new_tail[] = ".new";

static const char *
checkpoints_dir(const struct daemon *d, const char *id,
    char path[SAVED_PATH_MAX])
{
	char home[IMAGE_HOME_MAX];

	snprintf(path, SAVED_PATH_MAX, "%s/%s/%s/checkpoints",
	    d->conf.state_dir, image_home(d, id, home), id);
	return path;
}

const char *
saved_dir(const struct daemon *d, const char *id, unsigned int n, bool made,
    char path[SAVED_PATH_MAX])
{
	const char *tail = made ? new_tail : "";
	char home[IMAGE_HOME_MAX];

	image_home(d, id, home);

	if (n == SAVED_SUSPENDED)
		snprintf(path, SAVED_PATH_MAX, "%s/%s/%s/suspended%s",
		    d->conf.state_dir, home, id, tail);
	else
		snprintf(path, SAVED_PATH_MAX, "%s/%s/%s/checkpoints/%u%s",
		    d->conf.state_dir, home, id, n, tail);
	return path;
}

bool
saved_is(const struct daemon *d, const char *id, unsigned int n)
{
	char path[SAVED_PATH_MAX];

	return access(saved_dir(d, id, n, false, path), F_OK) == 0;
}

/* "17", as we write it; 0 when it is something else. */
static unsigned int
parse_number(const char *name)
{
	uint64_t n;

	return name[0] != '0' && number_parse(name, 1, CHECKPOINTS_MAX,
	    &n) == 0 ? (unsigned int)n : 0;
}

static int
is_checkpoint(const struct dirent *e)
{
	return parse_number(e->d_name) > 0;
}

static int
by_number(const struct dirent **a, const struct dirent **b)
{
	unsigned int x = parse_number((*a)->d_name);
	unsigned int y = parse_number((*b)->d_name);

	return x < y ? -1 : x > y;
}

/* The numbers there are, in order, malloc'ed; how many, or -errno. */
static int
list_numbers(const struct daemon *d, const char *id, unsigned int **numbers)
{
	char path[SAVED_PATH_MAX];
	struct dirent **found = NULL;
	int n;

	*numbers = NULL;
	n = scandir(checkpoints_dir(d, id, path), &found, is_checkpoint,
	    by_number);
	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	*numbers = calloc((size_t)n + 1, sizeof(**numbers));
	for (int i = 0; i < n; i++) {
		if (*numbers != NULL)
			(*numbers)[i] = parse_number(found[i]->d_name);
		free(found[i]);
	}
	free(found);
	return *numbers != NULL ? n : -ENOMEM;
}

int
saved_number(const struct daemon *d, const char *id, unsigned int *n)
{
	unsigned int *numbers;
	int found = list_numbers(d, id, &numbers);

	if (found < 0)
		return found;
	*n = found > 0 ? numbers[found - 1] + 1 : 1;
	free(numbers);
	return *n <= CHECKPOINTS_MAX ? 0 : -EMFILE;
}

/* --- manifests -------------------------------------------------------------------- */

static int
check_manifest(const Persona__Image__Manifest *m)
{
	if (m->version > IMAGE_VERSION)
		return -ENOTSUP;
	if (m->version < 1 || (m->label != NULL &&
	    strlen(m->label) > LABEL_MAX) || !m->has_state_bytes ||
	    m->state_bytes < 1 || m->state_bytes > STATE_BLOB_MAX ||
	    (m->has_root && m->root.len != 32))
		return -EUCLEAN;
	return 0;
}

static int
read_small(int fd, uint8_t *buf, size_t size, size_t *len)
{
	ssize_t n;

	*len = 0;
	while (*len < size && (n = read(fd, buf + *len, size - *len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		*len += (size_t)n;
	}
	return *len < size ? 0 : -EUCLEAN;
}

int
saved_manifest(const char *dir, Persona__Image__Manifest **mp)
{
	Persona__Image__Manifest *m = NULL;
	char path[SAVED_PATH_MAX + 16];
	uint8_t *buf = NULL;
	size_t len;
	int fd, r;

	*mp = NULL;
	snprintf(path, sizeof(path), "%s/manifest", dir);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return -errno;
	r = -ENOMEM;
	if ((buf = malloc(MANIFEST_MAX)) == NULL ||
	    (r = read_small(fd, buf, MANIFEST_MAX, &len)) < 0)
		goto out;
	m = persona__image__manifest__unpack(NULL, len, buf);
	r = m != NULL ? check_manifest(m) : -EUCLEAN;
	if (r == 0) {
		*mp = m;
		m = NULL;
	}
out:
	if (m != NULL)
		persona__image__manifest__free_unpacked(m, NULL);
	free(buf);
	close(fd);
	return r;
}

/* --- making one whole ---------------------------------------------------------------- */

static int
write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
copy_all(int fd, int from, uint64_t len)
{
	off_t at = 0;

	while ((uint64_t)at < len) {
		ssize_t n = sendfile(fd, from, &at, len - (uint64_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EUCLEAN;
	}
	return 0;
}

static int
create_file(const char *dir, const char *name, int *fdp)
{
	char path[SAVED_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	*fdp = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return *fdp < 0 ? -errno : 0;
}

static int
close_synced(int fd, int r)
{
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int
put_manifest(const char *dir, const Persona__Image__Manifest *m)
{
	size_t len = persona__image__manifest__get_packed_size(m);
	uint8_t *buf = malloc(len);
	int fd, r;

	if (buf == NULL)
		return -ENOMEM;
	persona__image__manifest__pack(m, buf);
	if ((r = create_file(dir, "manifest", &fd)) == 0)
		r = close_synced(fd, write_all(fd, buf, len));
	free(buf);
	return r;
}

static int
put_state(const char *dir, int state_fd, uint64_t len)
{
	int fd, r;

	if ((r = create_file(dir, "state", &fd)) < 0)
		return r;
	return close_synced(fd, copy_all(fd, state_fd, len));
}

int
saved_fill(const char *dir, const Persona__Image__Manifest *m, int state_fd)
{
	int r;

	if ((r = put_state(dir, state_fd, m->state_bytes)) < 0 ||
	    (r = put_manifest(dir, m)) < 0)
		return r;
	return privdir_sync(dir);
}

int
saved_publish(const struct daemon *d, const char *id, unsigned int n,
    const Persona__Image__Manifest *m, int state_fd)
{
	char made[SAVED_PATH_MAX], dir[SAVED_PATH_MAX];
	int r;

	saved_dir(d, id, n, true, made);
	saved_dir(d, id, n, false, dir);
	if ((r = saved_fill(made, m, state_fd)) < 0)
		return r;
	/* Onto nothing, never over another. */
	if (rename(made, dir) < 0)
		return errno == ENOTEMPTY ? -EEXIST : -errno;
	return privdir_sync_parent(dir);
}

/* --- looking through them -------------------------------------------------------------- */

void
saved_each(const struct daemon *d, const char *id, saved_each_fn *fn,
    void *arg)
{
	unsigned int *numbers;
	int n = list_numbers(d, id, &numbers);

	for (int i = 0; i < n; i++) {
		Persona__Image__Manifest *m;
		char dir[SAVED_PATH_MAX];
		int r;

		saved_dir(d, id, numbers[i], false, dir);
		if ((r = saved_manifest(dir, &m)) < 0) {
			log_warn_r(r, "%s: not a checkpoint we can read", dir);
			continue;
		}
		fn(numbers[i], dir, m, arg);
		persona__image__manifest__free_unpacked(m, NULL);
	}
	free(numbers);
}

uint64_t
saved_bytes(const char *dir)
{
	uint64_t sum = 0;
	struct dirent *e;
	struct stat st;
	DIR *h;

	if ((h = opendir(dir)) == NULL)
		return 0;
	while ((e = readdir(h)) != NULL)
		if (fstatat(dirfd(h), e->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_blocks * 512;
	closedir(h);
	return sum;
}

int
saved_retire(const struct daemon *d, const char *id, unsigned int n)
{
	char dir[SAVED_PATH_MAX], made[SAVED_PATH_MAX];
	int r;

	saved_dir(d, id, n, false, dir);
	saved_dir(d, id, n, true, made);
	if ((r = privdir_remove(made)) < 0 && r != -ENOENT)
		return r;
	if (rename(dir, made) < 0)
		return errno == ENOENT ? 0 : -errno;
	return privdir_sync_parent(dir);
}

/* A name that says "not whole" first, so that what is half removed is not one. */
int
saved_remove(const struct daemon *d, const char *id, unsigned int n)
{
	char made[SAVED_PATH_MAX];
	int r = saved_retire(d, id, n);

	if (r < 0)
		return r;
	r = privdir_remove(saved_dir(d, id, n, true, made));
	return r == -ENOENT ? 0 : r;
}

void
saved_sweep(const struct daemon *d, const char *id)
{
	char path[SAVED_PATH_MAX];
	struct dirent *e;
	DIR *h;

	(void)privdir_remove(saved_dir(d, id, SAVED_SUSPENDED, true, path));
	if ((h = opendir(checkpoints_dir(d, id, path))) == NULL)
		return;
	while ((e = readdir(h)) != NULL) {
		size_t len = strlen(e->d_name);
		char one[SAVED_PATH_MAX + NAME_MAX];

		if (len <= sizeof(new_tail) - 1 || strcmp(e->d_name + len -
		    (sizeof(new_tail) - 1), new_tail) != 0)
			continue;
		snprintf(one, sizeof(one), "%s/%s", path, e->d_name);
		(void)privdir_remove(one);
	}
	closedir(h);
}
