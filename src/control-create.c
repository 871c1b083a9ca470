/* SPDX-License-Identifier: ISC */
/*
 * The control request that makes a persona: what is asked for is checked, its
 * files are copied into an image, then the registry takes it. Knows no connection
 * and nothing of what is in the files.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control-create.h"
#include "control-net.h"
#include "daemon.h"
#include "image.h"
#include "log.h"
#include "persona.h"
#include "spec.h"
#include "transfer-id.h"
#include "vault.h"

#define DEFAULT_BASELINE	"x86-64-v2"

/* A create under way: the name is ours once the registry has taken it. */
struct creation {
	struct daemon		*daemon;
	struct control_request	*req;
	struct persona_record	rec;
	bool			start;
	struct image_sources	from;		/* while its vault is made */
};

/* Of a template? */
static bool
is_over(const Persona__Control__Create *c)
{
	return c->image != NULL || c->image_file;
}

static int
check_create(const Persona__Control__Create *c, const char **why)
{
	*why = NULL;
	if (!spec_name_ok(c->name))
		*why = "a name has 1 to 63 of a-z, 0-9 and -, and does not "
		    "begin with -";
	else if ((c->ram_bytes < RAM_MIN_BYTES ||
	    c->ram_bytes > RAM_MAX_BYTES) && !(is_over(c) &&
	    c->ram_bytes == 0))
		*why = "memory must be 64 MiB to 8 GiB";
	else if (c->ram_bytes % (1u << 20) != 0)
		*why = "memory must be a whole number of MiB";
	else if (c->vcpus < 1 || c->vcpus > VCPUS_MAX)
		*why = "a persona has 1 to 8 processors";
	else if (is_over(c) && (c->n_disks > 0 || c->kernel[0] != '\0' ||
	    c->initrd != NULL))
		*why = "a template brings its own kernel, initrd and disk";
	else if (c->n_disks > DISKS_MAX)
		*why = "a persona has at most 2 disks";
	else if (c->cmdline != NULL && strlen(c->cmdline) > CMDLINE_MAX)
		*why = "the kernel command line is longer than 2047 bytes";
	else if (c->cpu_baseline != NULL && (strncmp(c->cpu_baseline,
	    "x86-64-v", 8) != 0 || strlen(c->cpu_baseline) != 9 ||
	    c->cpu_baseline[8] < '1' || c->cpu_baseline[8] > '4'))
		*why = "the CPU baseline is one of x86-64-v1 to x86-64-v4";
	return *why == NULL ? 0 : -EINVAL;
}

static void
started(void *arg, int r, const char *why)
{
	struct control_request *req = arg;

	if (r < 0)
		control_fail(req, r, "%s", why);
	else
		control_ok(req);
}

static void
failed(struct control_request *req, const struct persona_record *rec, int r)
{
	if (r == -EEXIST)
		control_fail(req, r, "%s: there is a persona of that name "
		    "already", rec->name);
	else
		control_fail(req, r, "%s: cannot be created: %s", rec->name,
		    strerror(-r));
}

void
create_enlist(struct daemon *d, struct control_request *req,
    const struct persona_record *rec, bool start)
{
	struct persona *p = NULL;
	int r = registry_persona_add(d->registry, rec);

	if (r == 0 && (p = persona_new(d, rec)) == NULL) {
		(void)registry_persona_delete(d->registry, rec->id);
		r = -ENOMEM;
	}
	if (r < 0) {
		image_remove(d, rec->id);
		failed(req, rec, r);
		return;
	}
	log_info("persona %s: created", rec->name);
	if (start)
		persona_start(p, started, req);
	else
		control_ok(req);
}

static void
image_made(void *arg, int r)
{
	struct creation *c = arg;

	if (r == 0)
		create_enlist(c->daemon, c->req, &c->rec, c->start);
	else {
		image_remove(c->daemon, c->rec.id);
		failed(c->req, &c->rec, r);
	}
	free(c);
}

/* --- its files ------------------------------------------------------------------------ */

static int
open_boot(struct control_request *req, const char *what, const char *path,
    int *fd)
{
	uid_t uid;
	gid_t gid;
	int r;

	control_credentials(req, &uid, &gid);
	r = image_open_source(path, uid, gid, BOOT_FILE_MAX_BYTES, fd, NULL);
	if (r < 0)
		control_fail(req, r, "%s %.200s: %s", what, path,
		    r == -EINVAL ? "not a file, empty, or not an absolute path"
		    : strerror(-r));
	return r;
}

/* The size of an image file, or the one asked for, in whole pages. */
static int
open_disk(struct control_request *req, const Persona__Control__NewDisk *disk,
    struct image_sources *from, size_t i)
{
	uint64_t bytes = disk->has_bytes ? disk->bytes : 0, file_bytes = 0;
	uid_t uid;
	gid_t gid;
	int r = 0;

	control_credentials(req, &uid, &gid);
	if (disk->source != NULL)
		r = image_open_source(disk->source, uid, gid, DISK_MAX_BYTES,
		    &from->disks[i].fd, &file_bytes);
	if (r < 0) {
		control_fail(req, r, "disk image %.200s: %s", disk->source,
		    r == -EINVAL ? "not a file, empty, or not an absolute path"
		    : strerror(-r));
		return r;
	}
	if (bytes < file_bytes && disk->has_bytes) {
		control_fail(req, -EINVAL, "disk image %.200s is larger than "
		    "the disk", disk->source);
		return -EINVAL;
	}
	if (bytes == 0)
		bytes = (file_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	from->disks[i].bytes = bytes;
	from->n_disks = i + 1;
	if (bytes >= DISK_MIN_BYTES && bytes <= DISK_MAX_BYTES &&
	    bytes % PAGE_BYTES == 0)
		return 0;
	control_fail(req, -EINVAL, "a disk has 4 KiB to 256 GiB, in steps of "
	    "4 KiB");
	return -EINVAL;
}

/* Open what is to be copied. 0, or -errno after telling the asker why. */
static int
open_sources(struct control_request *req, const Persona__Control__Create *c,
    struct image_sources *from)
{
	int r;

	image_sources_init(from);
	r = open_boot(req, "kernel", c->kernel, &from->kernel_fd);
	if (r == 0 && c->initrd != NULL && c->initrd[0] != '\0')
		r = open_boot(req, "initrd", c->initrd, &from->initrd_fd);
	for (size_t i = 0; i < c->n_disks && r == 0; i++)
		r = open_disk(req, c->disks[i], from, i);
	if (r < 0)
		image_sources_close(from);
	return r;
}

/* --- its record ----------------------------------------------------------------------- */

static int
fill_boot(int fd, Persona__Spec__Boot *boot)
{
	struct stat st;

	persona__spec__boot__init(boot);
	if (fstat(fd, &st) < 0)
		return -errno;
	boot->bytes = (uint64_t)st.st_size;
	return 0;
}

static int
fill_spec(struct packed_spec *spec, const Persona__Control__Create *c,
    const struct image_sources *from, const char **why)
{
	Persona__Spec__Spec s = PERSONA__SPEC__SPEC__INIT;
	Persona__Spec__Disk disks[DISKS_MAX], *list[DISKS_MAX];
	Persona__Spec__Boot boot[2];
	int r;

	if ((r = fill_boot(from->kernel_fd, &boot[0])) < 0)
		return r;
	s.kernel = &boot[0];
	if (from->initrd_fd >= 0) {
		if ((r = fill_boot(from->initrd_fd, &boot[1])) < 0)
			return r;
		s.initrd = &boot[1];
	}
	for (size_t i = 0; i < from->n_disks; i++) {
		persona__spec__disk__init(&disks[i]);
		disks[i].bytes = from->disks[i].bytes;
		list[i] = &disks[i];
	}
	s.n_disks = from->n_disks;
	s.disks = list;
	s.limits = c->limits;
	if (c->net != NULL && (r = control_net_make(c->net, &s, why)) < 0)
		return r;
	r = spec_pack(&s, spec, why);
	control_net_free(&s);
	return r;
}

int
create_record(struct persona_record *rec, const Persona__Control__Create *c)
{
	snprintf(rec->name, sizeof(rec->name), "%s", c->name);
	snprintf(rec->cpu_baseline, sizeof(rec->cpu_baseline), "%s",
	    c->cpu_baseline != NULL ? c->cpu_baseline : DEFAULT_BASELINE);
	snprintf(rec->cmdline, sizeof(rec->cmdline), "%s",
	    c->cmdline != NULL ? c->cmdline : "");
	rec->ram_bytes = c->ram_bytes;
	rec->vcpus = c->vcpus;
	rec->has_boot = true;
	rec->tenure = 1;
	rec->created_unix_s = (uint64_t)time(NULL);
	return transfer_id_new(rec->id);
}

static void
copy_image(struct creation *c, struct image_sources *from)
{
	struct image_copy *copy;
	int r = image_create(&copy, c->daemon, c->rec.id, from, image_made, c);

	if (r == 0)
		return;
	image_remove(c->daemon, c->rec.id);
	failed(c->req, &c->rec, r);
	free(c);
}

static void
vault_made(void *arg, int r, const char *why)
{
	struct creation *c = arg;

	if (r == 0) {
		copy_image(c, &c->from);
		return;
	}
	create_not_encrypted(c->req, c->rec.name, r, why);
	vault_remove(c->daemon, c->rec.id);	/* it may be half made */
	image_sources_close(&c->from);
	free(c);
}

void
create_not_encrypted(struct control_request *req, const char *name, int r,
    const char *why)
{
	control_fail(req, r, "%s: cannot be kept encrypted: %s", name, why);
}

int
create_vault(struct daemon *d, struct control_request *req,
    struct persona_record *rec, const struct create_encrypt *e,
    vault_done_fn *done, void *arg)
{
	int fd = -1, r;

	if ((r = vault_mark(&rec->spec)) < 0)
		return r;
	if (e->passphrase && (fd = control_take_fd(req, e->fd_at)) < 0)
		return -EINVAL;
	r = vault_make(NULL, d, rec->id, fd, done, arg);
	if (fd >= 0)
		close(fd);
	return r;
}

void
create_wants(const Persona__Control__Create *c, struct create_encrypt *e)
{
	e->wanted = c->has_encrypt;
	e->passphrase = c->has_encrypt && c->encrypt ==
	    PERSONA__CONTROL__CREATE__ENCRYPT__PASSPHRASE;
	e->fd_at = c->image_file ? 1 : 0;
}

static void
begin_create(struct daemon *d, struct control_request *req,
    const Persona__Control__Create *c, struct image_sources *from)
{
	struct creation *creation = calloc(1, sizeof(*creation));
	struct create_encrypt encrypt;
	const char *why = NULL;
	int r = -ENOMEM;

	if (creation == NULL || (r = create_record(&creation->rec, c)) < 0 ||
	    (r = fill_spec(&creation->rec.spec, c, from, &why)) < 0) {
		image_sources_close(from);
		goto fail;
	}
	creation->daemon = d;
	creation->req = req;
	creation->start = c->start;
	create_wants(c, &encrypt);
	if (!encrypt.wanted) {
		copy_image(creation, from);
		return;
	}
	creation->from = *from;
	r = create_vault(d, req, &creation->rec, &encrypt, vault_made,
	    creation);
	if (r == 0)
		return;
	image_sources_close(from);
fail:
	free(creation);
	control_fail(req, r, "%s: cannot be created: %s", c->name,
	    why != NULL ? why : strerror(-r));
}

void
control_create(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	const Persona__Control__Create *c = what->create;
	struct image_sources from;
	const char *why;
	size_t n = 0;
	struct persona *p;

	TAILQ_FOREACH(p, &d->personas, entry)
		n++;
	if (check_create(c, &why) < 0)
		control_fail(req, -EINVAL, "%s", why);
	else if (n >= PERSONAS_MAX)
		control_fail(req, -ENOSPC, "there are %zu personas already", n);
	else if (persona_by_name(d, c->name) != NULL)
		control_fail(req, -EEXIST, "%s: there is a persona of that "
		    "name already", c->name);
	else if (is_over(c))
		control_create_over(d, req, c);
	else if (open_sources(req, c, &from) == 0)
		begin_create(d, req, c, &from);
}
