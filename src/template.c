/* SPDX-License-Identifier: ISC */
/*
 * Finding, using and removing templates. A template's directory is named by the
 * hash of all that is in it and read-only from the moment it has that name, so two
 * files with the same content are one template.
 */
#include "template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "image-files.h"
#include "imagedir.h"
#include "log.h"
#include "persona.h"
#include "saved.h"
#include "vault.h"

#define HEX_PREFIX_MIN	8u
#define UNPACKING	".new"		/* suffix of a directory being filled */

const char *
template_path(const struct daemon *d, const char *name,
    char buf[TEMPLATE_PATH_MAX])
{
	snprintf(buf, TEMPLATE_PATH_MAX, "%s/templates%s%s", d->conf.state_dir,
	    name[0] != '\0' ? "/" : "", name);
	return buf;
}

/* --- reading one --------------------------------------------------------------------- */

static bool
hex_to_id(const char *hex, uint8_t id[TEMPLATE_ID_BYTES])
{
	if (strlen(hex) != TEMPLATE_HEX_LEN ||
	    strspn(hex, "0123456789abcdef") != TEMPLATE_HEX_LEN)
		return false;
	for (size_t i = 0; i < TEMPLATE_ID_BYTES; i++) {
		const char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		id[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return true;
}

/* A packed manifest in a file of a template. NULL when there is none to be had. */
static Persona__Image__Manifest *
read_manifest(const char *path)
{
	Persona__Image__Manifest *m = NULL;
	uint8_t *bytes = malloc(MANIFEST_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = -1;

	if (bytes != NULL && fd >= 0)
		n = read(fd, bytes, MANIFEST_MAX);
	if (n > 0)
		m = persona__image__manifest__unpack(NULL, (size_t)n, bytes);
	if (fd >= 0)
		close(fd);
	free(bytes);
	return m;
}

static int
template_read(const struct daemon *d, const char *hex, struct template *t)
{
	char name[TEMPLATE_HEX_LEN + 16], path[TEMPLATE_PATH_MAX];

	if (!hex_to_id(hex, t->id))
		return -EINVAL;
	memcpy(t->hex, hex, sizeof(t->hex));
	snprintf(name, sizeof(name), "%s/" TEMPLATE_MANIFEST, hex);
	t->manifest = read_manifest(template_path(d, name, path));
	return t->manifest != NULL ? 0 : -EIO;
}

void
template_fini(struct template *t)
{
	if (t->manifest != NULL)
		persona__image__manifest__free_unpacked(t->manifest, NULL);
	t->manifest = NULL;
}

size_t
templates_list(const struct daemon *d, struct template *list)
{
	char path[TEMPLATE_PATH_MAX];
	struct dirent *e;
	size_t n = 0;
	DIR *dir = opendir(template_path(d, "", path));

	while (dir != NULL && n < TEMPLATES_MAX && (e = readdir(dir)) != NULL) {
		int r = template_read(d, e->d_name, &list[n]);

		if (r == 0)
			n++;
		else if (r == -EIO)
			log_warn("template %s: has no manifest that can be "
			    "read", e->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* --- finding one --------------------------------------------------------------------- */

static bool
is_newer(const struct template *a, const struct template *b)
{
	return a->manifest->created_unix_s > b->manifest->created_unix_s;
}

/* Which of the list is meant; its index, -ENOENT or -EEXIST. */
static int
choose(const struct template *list, size_t n, const char *what)
{
	const bool hex = strlen(what) >= HEX_PREFIX_MIN;
	int by_name = -ENOENT, by_hash = -ENOENT;

	for (int i = 0; i < (int)n; i++) {
		if (hex && strncmp(list[i].hex, what, strlen(what)) == 0)
			by_hash = by_hash == -ENOENT ? i : -EEXIST;
		if (strcmp(list[i].manifest->persona->name, what) == 0 &&
		    (by_name < 0 || is_newer(&list[i], &list[by_name])))
			by_name = i;
	}
	return by_name >= 0 ? by_name : by_hash;
}

int
template_find(const struct daemon *d, const char *what, struct template *t)
{
	struct template *list = calloc(TEMPLATES_MAX, sizeof(*list));
	size_t n;
	int i;

	if (list == NULL)
		return -ENOMEM;
	n = templates_list(d, list);
	if ((i = choose(list, n, what)) >= 0) {
		*t = list[i];
		list[i].manifest = NULL;
	}
	while (n > 0)
		template_fini(&list[--n]);
	free(list);
	return i < 0 ? i : 0;
}

/* --- who lies over it ------------------------------------------------------------------ */

static bool
spec_names(const Persona__Spec__Spec *s, const struct template *t)
{
	for (size_t i = 0; s != NULL && i < s->n_disks; i++)
		if (s->disks[i]->has_template_root &&
		    s->disks[i]->template_root.len == TEMPLATE_ID_BYTES &&
		    memcmp(s->disks[i]->template_root.data, t->id,
		    TEMPLATE_ID_BYTES) == 0)
			return true;
	return false;
}

struct search {
	const struct template	*t;
	bool			found;
};

static void
look_at_checkpoint(unsigned int n, const char *dir,
    const Persona__Image__Manifest *m, void *arg)
{
	struct search *s = arg;

	(void)n;
	(void)dir;
	s->found |= spec_names(m->persona->spec, s->t);
}

/*
 * Also one of its checkpoints. What cannot be read, because it makes no sense or is
 * locked, might lie over it.
 */
static bool
lies_over(const struct persona *p, const struct template *t)
{
	const enum vault_state vault = vault_state(p->daemon, p->rec.id);
	struct search search = { .t = t };
	Persona__Spec__Spec *s;

	if (vault == VAULT_LOCKED || vault == VAULT_LOST ||
	    spec_unpack(&p->rec.spec, &s) < 0)
		return true;
	search.found = spec_names(s, t);
	persona__spec__spec__free_unpacked(s, NULL);
	if (!search.found)
		saved_each(p->daemon, p->rec.id, look_at_checkpoint, &search);
	return search.found;
}

unsigned int
template_users(const struct daemon *d, const struct template *t)
{
	struct persona *p;
	unsigned int n = 0;

	TAILQ_FOREACH(p, &d->personas, entry)
		if (lies_over(p, t))
			n++;
	return n;
}

int
template_remove(const struct daemon *d, const struct template *t)
{
	char from[TEMPLATE_PATH_MAX], to[TEMPLATE_PATH_MAX];
	char gone[TEMPLATE_HEX_LEN + sizeof(UNPACKING)];

	if (template_users(d, t) > 0)
		return -EBUSY;
	/* Under that name it is swept when we are cut short. */
	snprintf(gone, sizeof(gone), "%s" UNPACKING, t->hex);
	if (rename(template_path(d, t->hex, from),
	    template_path(d, gone, to)) < 0)
		return -errno;
	imagedir_remove(to);
	return 0;
}

/* --- an image over it ------------------------------------------------------------------ */

static int
copy_bytes(int in, int out)
{
	ssize_t n;

	while ((n = sendfile(out, in, NULL, 1u << 20)) != 0)
		if (n < 0 && errno != EINTR)
			return -errno;
	return fsync(out) < 0 ? -errno : 0;
}

static int
copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out, r;

	if (in < 0)
		return -errno;
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = out < 0 ? -errno : copy_bytes(in, out);
	if (out >= 0)
		close(out);
	close(in);
	return r;
}

/* The same file under another name; a file that is not there is fine. */
static int
share(const struct daemon *d, const struct template *t, const char *name,
    const char *image)
{
	char tail[TEMPLATE_HEX_LEN + 16], from[TEMPLATE_PATH_MAX];
	char to[TEMPLATE_PATH_MAX + 16];

	snprintf(tail, sizeof(tail), "%s/%s", t->hex, name);
	snprintf(to, sizeof(to), "%s/%s", image, name);
	if (link(template_path(d, tail, from), to) == 0 || errno == ENOENT)
		return 0;
	/* Into a vault, which is another file system. */
	return errno == EXDEV ? copy_file(from, to) : -errno;
}

/* A file of zeros of this size: a disk, without blocks, or the map of one. */
static int
make_empty(const char *image, const char *name, bool is_map, uint64_t bytes)
{
	char path[TEMPLATE_PATH_MAX + 16];
	int fd, r = 0;

	snprintf(path, sizeof(path), "%s/%s", image, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (is_map)
		r = image_files_size_map(fd, bytes);
	else if (ftruncate(fd, (off_t)bytes) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int
make_disks(const struct template *t, const char *image)
{
	const Persona__Spec__Spec *s = t->manifest->persona->spec;
	char name[16];
	int r = 0;

	for (unsigned int i = 0; s != NULL && i < s->n_disks && r == 0; i++) {
		uint64_t blocks = (s->disks[i]->bytes +
		    TEMPLATE_BLOCK_BYTES - 1) / TEMPLATE_BLOCK_BYTES;

		snprintf(name, sizeof(name), "disk%u.img", i);
		if ((r = make_empty(image, name, false,
		    s->disks[i]->bytes)) < 0)
			break;
		snprintf(name, sizeof(name), "disk%u.map", i);
		r = make_empty(image, name, true, (blocks + 7) / 8);
	}
	return r;
}

int
template_make_image(const struct daemon *d, const struct template *t,
    const char *id)
{
	char made[TEMPLATE_PATH_MAX], image[TEMPLATE_PATH_MAX];
	char home[IMAGE_HOME_MAX];
	int r;

	image_home(d, id, home);
	snprintf(image, sizeof(image), "%s/%s/%s", d->conf.state_dir, home, id);
	snprintf(made, sizeof(made), "%s/%s/%s.new", d->conf.state_dir, home,
	    id);
	if (mkdir(made, 0700) < 0)
		return -errno;
	if ((r = share(d, t, "kernel", made)) < 0 ||
	    (r = share(d, t, "initrd", made)) < 0 ||
	    (r = make_disks(t, made)) < 0 ||
	    (r = imagedir_publish(made, image)) < 0)
		imagedir_remove(made);
	return r;
}

void
templates_sweep(const struct daemon *d)
{
	char path[TEMPLATE_PATH_MAX], name[TEMPLATE_PATH_MAX];
	const size_t tail = strlen(UNPACKING);
	struct dirent *e;
	DIR *dir = opendir(template_path(d, "", path));

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		size_t len = strlen(e->d_name);

		if (len > tail && len <= TEMPLATE_HEX_LEN + tail &&
		    strcmp(e->d_name + len - tail, UNPACKING) == 0)
			imagedir_remove(template_path(d, e->d_name, name));
	}
	if (dir != NULL)
		closedir(dir);
}
