/* SPDX-License-Identifier: ISC */
/*
 * personad's half of an export. What persona-sync says is about a file that we
 * made ourselves, and is a claim all the same.
 */
#include "export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "control.h"
#include "daemon.h"
#include "file-reply.h"
#include "image-files.h"
#include "log.h"
#include "persona.h"
#include "reason.h"
#include "syncproc.h"

#define ATTEMPT	1u	/* the worker has one transfer in its life */

struct export {
	struct persona		*persona;
	struct syncproc		*proc;
	struct file_reply	reply;
};

static void
export_free(struct export *e)
{
	syncproc_free(e->proc);
	e->persona->exports--;
	free(e);
}

static void
fail(struct export *e, uint32_t reason, const char *text)
{
	log_warn("persona %s: not exported: %s", e->persona->rec.name,
	    text != NULL && text[0] != '\0' ? text : reason_text(reason));
	file_reply_fail(&e->reply, reason, e->persona->rec.name, text);
	export_free(e);
}

static void
ended(struct export *e, const Persona__Transfer__Ended *m)
{
	const struct persona_record *rec = &e->persona->rec;

	if (m->reason != REASON_OK || !e->reply.info.has_root) {
		fail(e, m->reason != REASON_OK ? m->reason : REASON_INTERNAL,
		    m->message);
		return;
	}
	log_info("persona %s: exported, %llu bytes", rec->name,
	    (unsigned long long)e->reply.info.bytes);
	file_reply_ok(&e->reply, rec->name, rec->id, NULL);
	export_free(e);
}

static void
worker_message(void *arg, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct export *e = arg;

	(void)in;
	switch (m->kind_case) {
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_PROGRESS:
		file_reply_progress(&e->reply, m->file_progress);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_DONE:
		(void)file_reply_root(&e->reply, m->file_done);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_ENDED:
		ended(e, m->ended);
		break;
	default:
		break;
	}
}

static void
worker_gone(void *arg)
{
	fail(arg, REASON_INTERNAL, "the process that wrote the file has ended; "
	    "the log of personad says more");
}

static void
client_gone(void *arg)
{
	struct export *e = arg;

	log_info("persona %s: export given up", e->persona->rec.name);
	export_free(e);
}

/* --- the beginning --------------------------------------------------------------------- */

static uint8_t *
pack_manifest(const struct export_source *s, size_t *len)
{
	Persona__Image__Manifest m = PERSONA__IMAGE__MANIFEST__INIT;
	uint8_t *packed;

	m.version = IMAGE_VERSION;
	m.kind = s->kind;
	m.persona = s->persona;
	m.has_created_unix_s = true;
	m.created_unix_s = s->created_unix_s;
	m.label = (char *)(uintptr_t)s->label;
	m.software = (char *)(uintptr_t)PACKAGE_STRING;
	m.has_state_bytes = s->state_bytes > 0;
	m.state_bytes = s->state_bytes;
	*len = persona__image__manifest__get_packed_size(&m);
	if ((packed = malloc(*len)) != NULL)
		persona__image__manifest__pack(&m, packed);
	return packed;
}

static int
send_setup(struct export *e, const struct export_source *s,
    const struct image_files *files, int state_fd, int out_fd,
    int passphrase_fd)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__ExportSetup setup =
	    PERSONA__TRANSFER__EXPORT_SETUP__INIT;
	ProtobufCBinaryData recipients[FILE_SLOTS_MAX];
	Persona__Transfer__Region regions[REGIONS_MAX], *list[REGIONS_MAX];
	int fds[IPC_MAX_FDS];
	size_t n = image_files_describe(files, files->fds[0][0], regions, list,
	    fds);

	/* Regions, state, file, passphrase. */
	_Static_assert(1 + DISKS_MAX * SPACE_REGION_FDS + 2 + 3 <=
	    IPC_MAX_FDS, "all fit in one message");
	if (state_fd >= 0)
		fds[n++] = state_fd;
	fds[n++] = out_fd;
	if (passphrase_fd >= 0)
		fds[n++] = passphrase_fd;
	setup.manifest.data = pack_manifest(s, &setup.manifest.len);
	if (setup.manifest.data == NULL)
		return -ENOMEM;
	setup.n_regions = files->plan.n_regions;
	setup.regions = list;
	setup.has_passphrase = setup.passphrase = passphrase_fd >= 0;
	for (size_t i = 0; i < s->n_recipients; i++) {
		recipients[i].data = (uint8_t *)(uintptr_t)s->recipients[i];
		recipients[i].len = sizeof(s->recipients[i]);
	}
	setup.n_recipients = s->n_recipients;
	setup.recipients = recipients;
	t.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_EXPORT_SETUP;
	t.export_setup = &setup;
	syncproc_send(e->proc, ATTEMPT, &t, fds, n);
	free(setup.manifest.data);
	return 0;
}

static int
begin(struct export *e, const struct export_source *s, int out_fd,
    int passphrase_fd, const char **why)
{
	static const struct syncproc_events events = {
		.message = worker_message,
		.gone = worker_gone,
	};
	struct daemon *d = e->persona->daemon;
	const bool memory = s->state_bytes > 0;
	struct image_files files;
	int state_fd = -1, r;

	*why = "one of its files";
	if ((r = image_files_open_at(&files, d, s->dir, s->persona->ram_bytes,
	    s->persona->spec, memory ? "memory" : NULL)) < 0)
		return r;
	*why = "its machine state";
	if (memory && (r = state_fd = image_state_open(s->dir, "state")) < 0)
		goto out;
	*why = "persona-sync";
	if ((r = syncproc_start(&e->proc, d, "export", &events, e)) == 0)
		r = send_setup(e, s, &files, state_fd, out_fd, passphrase_fd);
out:
	if (state_fd >= 0)
		close(state_fd);
	image_files_close(&files);
	return r;
}

void
export_start(struct persona *p, struct control_request *req,
    const struct export_source *source, int out_fd, int passphrase_fd)
{
	struct export *e = calloc(1, sizeof(*e));
	const char *why = "it";
	int r = -ENOMEM;

	if (e != NULL) {
		e->persona = p;
		p->exports++;
		file_reply_begin(&e->reply, req);
		r = begin(e, source, out_fd, passphrase_fd, &why);
	}
	close(out_fd);
	if (passphrase_fd >= 0)
		close(passphrase_fd);
	if (r == 0) {
		control_on_gone(req, client_gone, e);
		return;
	}
	control_fail(req, r, "%s: %s cannot be used: %s", p->rec.name, why,
	    strerror(-r));
	if (e != NULL)
		export_free(e);
}
