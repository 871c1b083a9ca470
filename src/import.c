/* SPDX-License-Identifier: ISC */
/*
 * personad's half of an import. persona-sync parses a stranger's bytes, so all it
 * says of them is judged again here before it counts.
 */
#include "import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "arrival-check.h"
#include "control.h"
#include "crypt.h"
#include "daemon.h"
#include "file-reply.h"
#include "identity.h"
#include "image.pb-c.h"
#include "image-files.h"
#include "imagedir.h"
#include "log.h"
#include "persona.h"
#include "policy-check.h"
#include "privkey.h"
#include "reason.h"
#include "spec.h"
#include "syncproc.h"
#include "transfer-id.h"
#include "vault.h"

#define ATTEMPT		1u	/* the worker has one transfer in its life */
#define PATH_BYTES	(CONF_STATE_DIR_MAX + 112)

struct import {
	struct daemon		*daemon;
	struct syncproc		*proc;
	struct file_reply	reply;
	char			name[PERSONA_NAME_MAX + 1];	/* as asked, or "" */
	char			original[PERSONA_ID_LEN + 1];
	struct persona_record	rec;		/* what it will be here */
	bool			offered;	/* rec is filled, `made` is there */
	struct vault_job	*vault;		/* being made for it, or NULL */
	bool			in_vault;	/* it has one, which goes if it fails */
	/* As the file has it; of an image with memory, put beside that. */
	uint8_t			*manifest;
	size_t			manifest_len;
	bool			has_memory;
	char			made[PATH_BYTES], dir[PATH_BYTES];
};

static void
import_free(struct import *i)
{
	syncproc_free(i->proc);
	vault_cancel(i->vault);
	if (i->in_vault)
		vault_remove(i->daemon, i->rec.id);
	else if (i->offered)
		imagedir_remove(i->made);
	free(i->manifest);
	free(i);
}

static const char *
about(const struct import *i)
{
	return i->rec.name[0] != '\0' ? i->rec.name : "import";
}

static void
fail(struct import *i, uint32_t reason, const char *text)
{
	log_warn("%s: not imported: %s", about(i), text != NULL &&
	    text[0] != '\0' ? text : reason_text(reason));
	file_reply_fail(&i->reply, reason, about(i), text);
	import_free(i);
}

static void
tell(struct import *i, Persona__Transfer__TransferMessage *t, const int *fds,
    size_t n)
{
	syncproc_send(i->proc, ATTEMPT, t, fds, n);
}

/* --- a file that is sealed to handsets ----------------------------------------------------- */

/* 0 with the file's key when one of the slots is ours. */
static int
unseal(struct daemon *d, const Persona__Transfer__FileLocked *m,
    uint8_t key[CRYPT_KEY_BYTES])
{
	uint8_t secret[PRIVKEY_SECRET_BYTES];
	int fd = identity_private_fd(d->identity), r;

	if (fd < 0)
		return fd;
	r = privkey_read(fd, secret);
	close(fd);
	if (r < 0)
		return r;
	r = -EKEYREJECTED;
	for (size_t i = 0; i < m->n_sealed && r < 0; i++)
		if (m->sealed[i].len == CRYPT_SEALED_BYTES)
			r = crypt_unseal(key, m->sealed[i].data, secret);
	crypt_forget(secret, sizeof(secret));
	return r;
}

static void
on_locked(struct import *i, const Persona__Transfer__FileLocked *m)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__FileKey reply = PERSONA__TRANSFER__FILE_KEY__INIT;
	uint8_t key[CRYPT_KEY_BYTES];
	int r = unseal(i->daemon, m, key);

	if (r < 0) {
		if (r != -EKEYREJECTED)
			log_warn_r(r, "the identity key cannot be used");
		fail(i, r != -EKEYREJECTED ? REASON_INTERNAL : m->passphrase ?
		    REASON_FILE_LOCKED : REASON_FILE_RECIPIENT, NULL);
		return;
	}
	reply.key.data = key;
	reply.key.len = sizeof(key);
	t.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_KEY;
	t.file_key = &reply;
	tell(i, &t, NULL, 0);
	crypt_forget(key, sizeof(key));
}

/* --- what the file says it is --------------------------------------------------------------- */

/* The record that it will have: another id, another life. REASON_OK or a reason. */
static uint32_t
make_record(struct import *i, Persona__Transfer__Persona *p)
{
	uint32_t reason = arrival_parse(p, ATTEMPT, &i->rec);

	if (reason != REASON_OK)
		return reason == REASON_VERSION ? REASON_FILE_VERSION :
		    REASON_FILE_DAMAGED;
	snprintf(i->original, sizeof(i->original), "%s", i->rec.id);
	if (i->name[0] != '\0')
		snprintf(i->rec.name, sizeof(i->rec.name), "%s", i->name);
	if (transfer_id_new(i->rec.id) < 0)
		return REASON_INTERNAL;
	i->rec.has_boot = p->spec != NULL && p->spec->kernel != NULL;
	i->rec.tenure = 1;
	i->rec.created_unix_s = (uint64_t)time(NULL);
	return REASON_OK;
}

static bool
room_for(struct import *i, uint64_t bytes, char *why)
{
	struct statvfs st;
	uint64_t room;

	if (statvfs(i->daemon->conf.state_dir, &st) < 0)
		return true;	/* then the writing will tell */
	room = (uint64_t)st.f_bavail * st.f_frsize;
	if (bytes <= room)
		return true;
	snprintf(why, REASON_TEXT_MAX + 1, "it needs %llu MiB on disk, and %s "
	    "has room for %llu MiB", (unsigned long long)(bytes >> 20),
	    i->daemon->conf.state_dir, (unsigned long long)(room >> 20));
	return false;
}

/* Whether it may come here, as what it will be. */
static uint32_t
judge(struct import *i, const Persona__Image__Manifest *m, char *why)
{
	struct daemon *d = i->daemon;
	const uint64_t pages = m->has_data_pages ? m->data_pages : 0;
	char forbidden[POLICY_WHY_MAX];
	struct persona *p;
	unsigned int n = 0;

	TAILQ_FOREACH(p, &d->personas, entry)
		n++;
	if (n >= PERSONAS_MAX) {
		snprintf(why, REASON_TEXT_MAX + 1, "there are %u personas "
		    "already", n);
		return REASON_NO_MEMORY;
	}
	if (persona_by_name(d, i->rec.name) != NULL) {
		snprintf(why, REASON_TEXT_MAX + 1, "there is a persona of that "
		    "name already; give this one another with --name");
		return REASON_NAME_TAKEN;
	}
	if (spec_check_host(m->persona->spec, why, REASON_TEXT_MAX + 1) < 0)
		return REASON_ARCH;
	if (policy_check(d, &i->rec.spec, POLICY_KEEP, NULL, forbidden) < 0) {
		snprintf(why, REASON_TEXT_MAX + 1, "%s", forbidden);
		return REASON_POLICY;
	}
	if (pages < UINT64_MAX / PAGE_BYTES &&
	    !room_for(i, pages * PAGE_BYTES, why))
		return REASON_DISK_FULL;
	return REASON_OK;
}

static int
send_target(struct import *i, const Persona__Image__Manifest *m)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__ImportTarget target =
	    PERSONA__TRANSFER__IMPORT_TARGET__INIT;
	Persona__Transfer__Region regions[REGIONS_MAX], *list[REGIONS_MAX];
	const bool memory = m->has_state_bytes && m->state_bytes > 0;
	char home[IMAGE_HOME_MAX];
	struct image_files files;
	int fds[IPC_MAX_FDS], state_fd = -1, r;
	size_t n;

	image_home(i->daemon, i->rec.id, home);
	snprintf(i->dir, sizeof(i->dir), "%s/%s/%s",
	    i->daemon->conf.state_dir, home, i->rec.id);
	snprintf(i->made, sizeof(i->made), "%s/%s/%s.new",
	    i->daemon->conf.state_dir, home, i->rec.id);
	r = image_files_make_at(&files, i->made, m->persona->ram_bytes,
	    m->persona->spec, memory ? IMAGEDIR_SUSPENDED "/memory" : NULL,
	    NULL);
	if (r < 0)
		return r;
	i->offered = true;
	n = image_files_describe(&files, files.fds[0][0], regions, list, fds);
	if (memory) {
		r = state_fd = image_state_make(i->made,
		    IMAGEDIR_SUSPENDED "/state");
		fds[n++] = state_fd;
	}
	target.n_regions = files.plan.n_regions;
	target.regions = list;
	t.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_IMPORT_TARGET;
	t.import_target = &target;
	if (r >= 0)
		tell(i, &t, fds, n);
	if (state_fd >= 0)
		close(state_fd);
	image_files_close(&files);
	return r < 0 ? r : 0;
}

static int
keep_manifest(struct import *i, const Persona__Image__Manifest *m,
    const ProtobufCBinaryData *packed)
{
	i->has_memory = m->has_state_bytes;
	if ((i->manifest = malloc(packed->len)) == NULL)
		return -ENOMEM;
	memcpy(i->manifest, packed->data, packed->len);
	i->manifest_len = packed->len;
	return 0;
}

/* The manifest was good when it came. */
static void
vault_made(void *arg, int r, const char *why)
{
	struct import *i = arg;
	Persona__Image__Manifest *m = NULL;
	char text[REASON_TEXT_MAX + 1];

	i->vault = NULL;
	if (r < 0) {
		snprintf(text, sizeof(text), "it must be kept encrypted: %s",
		    why);
		fail(i, REASON_INTERNAL, text);
		return;
	}
	m = persona__image__manifest__unpack(NULL, i->manifest_len,
	    i->manifest);
	r = m != NULL ? send_target(i, m) : -ENOMEM;
	if (m != NULL)
		persona__image__manifest__free_unpacked(m, NULL);
	if (r < 0)
		fail(i, r == -ENOSPC ? REASON_DISK_FULL : REASON_INTERNAL,
		    strerror(-r));
}

/* What was encrypted at rest where it came from is so here, by our own key. */
static int
make_place(struct import *i, const Persona__Image__Manifest *m)
{
	int r;

	if (!vault_is_wanted(&i->rec.spec))
		return send_target(i, m);
	r = vault_ready(&i->vault, i->daemon, i->rec.id, vault_made, i);
	i->in_vault = r == 0;
	return r;
}

static void
take_offer(struct import *i, const Persona__Image__Manifest *m,
    const ProtobufCBinaryData *packed)
{
	char why[REASON_TEXT_MAX + 1] = "";
	uint32_t reason;
	int r;

	if (m->has_state_bytes && m->state_bytes > STATE_BLOB_MAX)
		reason = REASON_FILE_DAMAGED;
	else if ((reason = make_record(i, m->persona)) == REASON_OK) {
		if (policy_demands_vault(i->daemon, &i->rec.spec) &&
		    vault_mark(&i->rec.spec) < 0)
			reason = REASON_INTERNAL;
		else
			reason = judge(i, m, why);
	}
	if (reason != REASON_OK) {
		fail(i, reason, why);
		return;
	}
	log_info("persona %s: importing what was %s (%.32s)", i->rec.name,
	    m->persona->name, i->original);
	if ((r = keep_manifest(i, m, packed)) < 0 ||
	    (r = make_place(i, m)) < 0)
		fail(i, r == -ENOSPC ? REASON_DISK_FULL : REASON_INTERNAL,
		    strerror(-r));
}

static void
on_offered(struct import *i, const Persona__Transfer__FileOffered *offered)
{
	Persona__Image__Manifest *m;

	if (i->offered || i->vault != NULL ||
	    offered->manifest.len > MANIFEST_MAX)
		return;
	m = persona__image__manifest__unpack(NULL, offered->manifest.len,
	    offered->manifest.data);
	if (m == NULL) {
		fail(i, REASON_FILE_DAMAGED, NULL);
		return;
	}
	take_offer(i, m, &offered->manifest);
	persona__image__manifest__free_unpacked(m, NULL);
}

/* --- the end --------------------------------------------------------------------------------- */

/* Directory first: a record without an image is a persona that cannot be started. */
static int
publish(struct import *i)
{
	struct daemon *d = i->daemon;
	int r;

	if (i->has_memory && (r = imagedir_put(i->made,
	    IMAGEDIR_SUSPENDED "/manifest", i->manifest,
	    i->manifest_len)) < 0)
		return r;
	if ((r = imagedir_publish(i->made, i->dir)) < 0)
		return r;
	i->offered = false;
	r = registry_persona_add(d->registry, &i->rec);
	if (r == 0 && persona_new(d, &i->rec) == NULL) {
		(void)registry_persona_delete(d->registry, i->rec.id);
		r = -ENOMEM;
	}
	if (r < 0)
		imagedir_remove(i->dir);
	else
		i->in_vault = false;	/* it is the persona's now */
	return r;
}

static void
ended(struct import *i, const Persona__Transfer__Ended *m)
{
	int r;

	if (m->reason != REASON_OK || !i->offered || !i->reply.info.has_root) {
		fail(i, m->reason != REASON_OK ? m->reason : REASON_INTERNAL,
		    m->message);
		return;
	}
	if ((r = publish(i)) < 0) {
		fail(i, r == -EEXIST ? REASON_NAME_TAKEN : r == -ENOSPC ?
		    REASON_DISK_FULL : REASON_INTERNAL, r == -EEXIST ?
		    "a persona of that name has come in the meantime" :
		    strerror(-r));
		return;
	}
	log_info("persona %s: imported", i->rec.name);
	file_reply_ok(&i->reply, i->rec.name, i->rec.id, i->original);
	import_free(i);
}

static void
worker_message(void *arg, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct import *i = arg;

	(void)in;
	switch (m->kind_case) {
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_LOCKED:
		on_locked(i, m->file_locked);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_OFFERED:
		on_offered(i, m->file_offered);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_PROGRESS:
		file_reply_progress(&i->reply, m->file_progress);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_DONE:
		(void)file_reply_root(&i->reply, m->file_done);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_ENDED:
		ended(i, m->ended);
		break;
	default:
		break;
	}
}

static void
worker_gone(void *arg)
{
	fail(arg, REASON_INTERNAL, "the process that read the file has ended; "
	    "the log of personad says more");
}

static void
client_gone(void *arg)
{
	struct import *i = arg;

	log_info("%s: import given up", about(i));
	import_free(i);
}

/* --- the beginning ----------------------------------------------------------------------------- */

static int
begin(struct import *i, int in_fd, int passphrase_fd)
{
	static const struct syncproc_events events = {
		.message = worker_message,
		.gone = worker_gone,
	};
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__ImportSetup setup =
	    PERSONA__TRANSFER__IMPORT_SETUP__INIT;
	const int fds[2] = { in_fd, passphrase_fd };
	int r;

	if ((r = crypt_init()) < 0 ||
	    (r = syncproc_start(&i->proc, i->daemon, "import", &events,
	    i)) < 0)
		return r;
	setup.has_passphrase = setup.passphrase = passphrase_fd >= 0;
	t.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_IMPORT_SETUP;
	t.import_setup = &setup;
	tell(i, &t, fds, passphrase_fd >= 0 ? 2 : 1);
	return 0;
}

void
import_start(struct daemon *d, struct control_request *req, const char *name,
    int in_fd, int passphrase_fd)
{
	struct import *i = calloc(1, sizeof(*i));
	int r = -ENOMEM;

	if (i != NULL) {
		i->daemon = d;
		snprintf(i->name, sizeof(i->name), "%s",
		    name != NULL ? name : "");
		file_reply_begin(&i->reply, req);
		r = begin(i, in_fd, passphrase_fd);
	}
	close(in_fd);
	if (passphrase_fd >= 0)
		close(passphrase_fd);
	if (r == 0) {
		control_on_gone(req, client_gone, i);
		return;
	}
	control_fail(req, r, "import: persona-sync cannot be started: %s",
	    strerror(-r));
	if (i != NULL)
		import_free(i);
}
