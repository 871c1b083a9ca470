/* SPDX-License-Identifier: ISC */
/*
 * Checkpoint, suspend and restore: what each copies, from where to where, and what
 * makes the copy count. Knows no worker.
 */
#include "saving-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "daemon.h"
#include "guest.h"
#include "image-incoming.h"
#include "log.h"
#include "privdir.h"
#include "reason.h"
#include "saved.h"
#include "vault.h"

/* The same memory, but nobody can write through this descriptor. */
static int
guest_memory(struct saving *s)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d",
	    guest_ram_fd(s->persona->guest));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	s->from.fds[0][0] = fd;
	return fd < 0 ? -errno : 0;
}

/* images/<id>/checkpoints; a persona without files has no directory yet. */
static int
make_parents(const struct saving *s)
{
	const struct daemon *d = s->persona->daemon;
	char path[SAVED_PATH_MAX], home[IMAGE_HOME_MAX];

	image_home(d, s->persona->rec.id, home);
	snprintf(path, sizeof(path), "%s/%s/%s", d->conf.state_dir, home,
	    s->persona->rec.id);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/%s/%s/checkpoints",
	    d->conf.state_dir, home, s->persona->rec.id);
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static void
describe(struct saving *s, Persona__Image__Manifest *m,
    Persona__Transfer__Persona *persona, const uint8_t *root)
{
	persona__transfer__persona__init(persona);
	persona_describe(&s->persona->rec, s->spec, persona);
	persona__image__manifest__init(m);
	m->version = IMAGE_VERSION;
	m->persona = persona;
	m->has_created_unix_s = m->has_state_bytes = true;
	m->has_saved_unix_ns = true;
	m->saved_unix_ns = s->saved_unix_ns;
	m->created_unix_s = s->saved_unix_ns / 1000000000u;
	m->label = s->label[0] != '\0' ? s->label : NULL;
	m->software = (char *)(uintptr_t)PACKAGE_STRING;
	m->state_bytes = s->state_bytes;
	m->has_root = root != NULL;
	if (root != NULL) {
		m->root.data = (uint8_t *)(uintptr_t)root;
		m->root.len = 32;
	}
}

/* --- checkpoint --------------------------------------------------------------------- */

static int
checkpoint_open(struct saving *s, const char **why)
{
	const struct persona_record *rec = &s->persona->rec;
	const struct daemon *d = s->persona->daemon;
	char dir[SAVED_PATH_MAX];
	int r;

	*why = "there is no room for a checkpoint";
	if ((r = saved_number(d, rec->id, &s->number)) < 0 ||
	    (r = make_parents(s)) < 0)
		return r;
	*why = "its files cannot be read";
	if ((r = image_files_open(&s->from, d, rec->id, rec->ram_bytes,
	    s->spec)) < 0 || (r = guest_memory(s)) < 0)
		return r;
	*why = "the checkpoint's files cannot be made";
	return image_files_make_at(&s->to, saved_dir(d, rec->id, s->number,
	    true, dir), rec->ram_bytes, s->spec, "memory", &s->from);
}

static int
publish(struct saving *s, unsigned int n, Persona__Image__Manifest__Kind kind,
    const uint8_t *root)
{
	Persona__Transfer__Persona persona;
	Persona__Image__Manifest m;

	describe(s, &m, &persona, root);
	m.kind = kind;
	return saved_publish(s->persona->daemon, s->persona->rec.id, n, &m,
	    s->state_fd);
}

static int
checkpoint_finish(struct saving *s, const uint8_t *root)
{
	return publish(s, s->number,
	    PERSONA__IMAGE__MANIFEST__KIND__CHECKPOINT, root);
}

static void
checkpoint_undo(struct saving *s)
{
	char dir[SAVED_PATH_MAX];

	if (s->number > 0)
		(void)privdir_remove(saved_dir(s->persona->daemon,
		    s->persona->rec.id, s->number, true, dir));
}

static const struct saving_ops checkpoint_ops = {
	.doing = "checkpoint",
	.rooted = true,
	.open = checkpoint_open,
	.park = saving_park,
	.finish = checkpoint_finish,
	.undo = checkpoint_undo,
};

/* --- suspend ------------------------------------------------------------------------ */

/* Its disks stay as they are: nothing runs on them until it goes on. */
static int
suspend_open(struct saving *s, const char **why)
{
	const struct persona_record *rec = &s->persona->rec;
	const struct daemon *d = s->persona->daemon;
	char dir[SAVED_PATH_MAX];
	int r;

	*why = "its memory cannot be read";
	if ((r = make_parents(s)) < 0 || (r = image_files_open(&s->from, d,
	    rec->id, rec->ram_bytes, NULL)) < 0 || (r = guest_memory(s)) < 0)
		return r;
	*why = "the file for its memory cannot be made";
	return image_files_make_at(&s->to, saved_dir(d, rec->id,
	    SAVED_SUSPENDED, true, dir), rec->ram_bytes, NULL, "memory",
	    NULL);
}

static int
suspend_finish(struct saving *s, const uint8_t *root)
{
	int r = publish(s, SAVED_SUSPENDED,
	    PERSONA__IMAGE__MANIFEST__KIND__SUSPENDED, root);

	if (r == 0)
		persona_end_suspended(s->persona);
	return r;
}

static void
suspend_undo(struct saving *s)
{
	char dir[SAVED_PATH_MAX];

	(void)privdir_remove(saved_dir(s->persona->daemon, s->persona->rec.id,
	    SAVED_SUSPENDED, true, dir));
}

static const struct saving_ops suspend_ops = {
	.doing = "suspend",
	.stop_first = true,
	.open = suspend_open,
	.park = saving_park,
	.finish = suspend_finish,
	.undo = suspend_undo,
};

/* --- restore ------------------------------------------------------------------------ */

/*
 * A whole new image is made beside the one there is and takes its place at the end,
 * as an arriving one does: whatever breaks before, the old one stands.
 */
static int
restore_open(struct saving *s, const char **why)
{
	const struct persona_record *rec = &s->persona->rec;
	struct daemon *d = s->persona->daemon;
	char dir[SAVED_PATH_MAX], to[IMAGE_FILES_PATH_MAX];
	const Persona__Transfer__Persona *was;
	int r;

	saved_dir(d, rec->id, s->number, false, dir);
	*why = "there is no such checkpoint";
	if ((r = saved_manifest(dir, &s->manifest)) < 0)
		return r;
	was = s->manifest->persona;
	*why = "the checkpoint is of another persona, or not whole";
	if (strcmp(was->id, rec->id) != 0 ||
	    was->ram_bytes != rec->ram_bytes || was->vcpus != rec->vcpus ||
	    !s->manifest->has_root)
		return -EUCLEAN;
	if ((r = image_files_open_at(&s->from, d, dir, was->ram_bytes,
	    was->spec, "memory")) < 0)
		return r;
	*why = "the new image's files cannot be made";
	if ((r = registry_attempt_new(d->registry, rec->id,
	    &s->attempt)) < 0)
		return r;
	image_incoming_drop(d, rec->id, s->attempt);
	return image_files_make_at(&s->to, image_incoming_place(d, rec->id,
	    s->attempt, to), was->ram_bytes, was->spec, "suspended/memory",
	    &s->from);
}

/* The instant is long past: its state lies in the checkpoint. */
static void
restore_park(struct saving *s)
{
	char path[SAVED_PATH_MAX + 16], dir[SAVED_PATH_MAX];

	snprintf(path, sizeof(path), "%s/state", saved_dir(
	    s->persona->daemon, s->persona->rec.id, s->number, false, dir));
	s->state_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	s->state_bytes = s->manifest->state_bytes;
	if (s->state_fd < 0)
		saving_fail(s, REASON_INTERNAL,
		    "the checkpoint's machine state cannot be read");
	else
		saving_stopped(s);
}

static int
restore_finish(struct saving *s, const uint8_t *root)
{
	const char *id = s->persona->rec.id;
	struct daemon *d = s->persona->daemon;
	char dir[IMAGE_FILES_PATH_MAX], suspended[IMAGE_FILES_PATH_MAX + 16];
	struct packed_spec packed;
	const char *why;
	int r;

	if (memcmp(root, s->manifest->root.data, 32) != 0)
		return -EBADMSG;
	image_incoming_place(d, id, s->attempt, dir);
	snprintf(suspended, sizeof(suspended), "%s/suspended", dir);
	/* Its disks lie over what the checkpoint's lay over. */
	if ((r = spec_take_templates(s->spec,
	    s->manifest->persona->spec)) < 0 ||
	    (r = saved_fill(suspended, s->manifest, s->state_fd)) < 0 ||
	    (r = spec_pack(s->spec, &packed, &why)) < 0 ||
	    (r = registry_image_pending(d->registry, id, s->attempt,
	    &packed)) < 0)
		return r;
	/* On record: from here every start of personad would finish it. */
	r = image_incoming_publish(d, id, s->attempt);
	if (r == 0)
		r = registry_image_settled(d->registry, id);
	if (r < 0)
		log_warn_r(r, "persona %s: its files have not got their place "
		    "yet; the next start of personad tries again",
		    s->persona->rec.name);
	s->persona->suspended = saved_is(d, id, SAVED_SUSPENDED);
	persona_refresh(s->persona);
	return 0;
}

static void
restore_undo(struct saving *s)
{
	if (s->attempt > 0)
		image_incoming_drop(s->persona->daemon, s->persona->rec.id,
		    s->attempt);
}

static const struct saving_ops restore_ops = {
	.doing = "restore",
	.stop_first = true,
	.rooted = true,
	.open = restore_open,
	.park = restore_park,
	.finish = restore_finish,
	.undo = restore_undo,
};

const struct saving_ops *const saving_kinds[] = {
	[SAVING_CHECKPOINT] = &checkpoint_ops,
	[SAVING_SUSPEND] = &suspend_ops,
	[SAVING_RESTORE] = &restore_ops,
};
