/* SPDX-License-Identifier: ISC */
/*
 * personad's half of unpacking a template. persona-sync parses the file, which may
 * be anybody's; all that it says is judged again here before it counts.
 */
#include "template-load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "arrival-check.h"
#include "daemon.h"
#include "digest.h"
#include "image-files.h"
#include "imagedir.h"
#include "log.h"
#include "policy-check.h"
#include "reason.h"
#include "spec.h"
#include "syncproc.h"
#include "template.h"
#include "transfer-id.h"
#include "vault.h"

#define ATTEMPT	1u	/* the worker has one transfer in its life */

struct template_load {
	struct daemon		*daemon;
	struct syncproc		*proc;
	char			made[TEMPLATE_PATH_MAX];	/* "": not yet */
	Persona__Image__Manifest *manifest;
	struct digest		root;		/* of the pages */
	bool			has_root;
	template_loaded_fn	*done;
	void			*arg;
};

void
template_load_abandon(struct template_load *l)
{
	if (l == NULL)
		return;
	syncproc_free(l->proc);
	if (l->made[0] != '\0')
		imagedir_remove(l->made);
	if (l->manifest != NULL)
		persona__image__manifest__free_unpacked(l->manifest, NULL);
	free(l);
}

static void
finish(struct template_load *l, int r, const char *why, const char *hex)
{
	template_loaded_fn *done = l->done;
	void *arg = l->arg;

	template_load_abandon(l);
	done(arg, r, why, hex);
}

/* --- what it says of itself ---------------------------------------------------------- */

/* Could a persona be made of it, here? `why` has room for REASON_TEXT_MAX + 1. */
static int
judge(struct template_load *l, const Persona__Image__Manifest *m, char *why)
{
	struct persona_record *rec = malloc(sizeof(*rec));
	uint32_t reason;
	int r = -EINVAL;

	if (rec == NULL)
		return -ENOMEM;
	reason = arrival_parse(m->persona, ATTEMPT, rec);
	if (m->kind != PERSONA__IMAGE__MANIFEST__KIND__TEMPLATE)
		snprintf(why, REASON_TEXT_MAX + 1, "it holds a persona and no "
		    "template; 'personactl import' brings it here");
	else if (reason != REASON_OK || m->persona->spec == NULL ||
	    m->persona->spec->kernel == NULL || m->has_state_bytes)
		snprintf(why, REASON_TEXT_MAX + 1, "what it says of itself "
		    "makes no sense");
	else if ((r = spec_check_host(m->persona->spec, why,
	    REASON_TEXT_MAX + 1)) < 0)
		;	/* and is not unpacked */
	else if ((r = vault_mark(&rec->spec)) == 0)
		/* As a persona made of it is, if it must be. */
		r = policy_check(l->daemon, &rec->spec, POLICY_KEEP, NULL, why);
	free(rec);
	return r;
}

static int
make_place(struct template_load *l)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__ImportTarget target =
	    PERSONA__TRANSFER__IMPORT_TARGET__INIT;
	char name[TRANSFER_ID_LEN + 8], path[TEMPLATE_PATH_MAX];
	Persona__Transfer__Region regions[REGIONS_MAX], *list[REGIONS_MAX];
	struct image_files files;
	int fds[IPC_MAX_FDS], r;
	size_t n;

	if (mkdir(template_path(l->daemon, "", path), 0700) < 0 &&
	    errno != EEXIST)
		return -errno;
	if ((r = transfer_id_new(name)) < 0)
		return r;
	strcat(name, ".new");
	template_path(l->daemon, name, path);
	if ((r = image_files_make_at(&files, path,
	    l->manifest->persona->ram_bytes, l->manifest->persona->spec,
	    NULL, NULL)) < 0)
		return r;
	memcpy(l->made, path, sizeof(path));
	n = image_files_describe(&files, -1, regions, list, fds);
	target.n_regions = files.plan.n_regions;
	target.regions = list;
	t.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_IMPORT_TARGET;
	t.import_target = &target;
	syncproc_send(l->proc, ATTEMPT, &t, fds, n);
	image_files_close(&files);
	return 0;
}

static void
on_offered(struct template_load *l, const Persona__Transfer__FileOffered *o)
{
	char why[REASON_TEXT_MAX + 1] = "";
	int r = -EINVAL;

	if (l->manifest != NULL || o->manifest.len > MANIFEST_MAX)
		return;
	l->manifest = persona__image__manifest__unpack(NULL, o->manifest.len,
	    o->manifest.data);
	if (l->manifest == NULL) {
		finish(l, r, "what it says of itself makes no sense", NULL);
		return;
	}
	if ((r = judge(l, l->manifest, why)) == 0)
		r = make_place(l);
	if (r < 0)
		finish(l, r, why[0] != '\0' ? why : strerror(-r), NULL);
}

/* --- the end ------------------------------------------------------------------------- */

/*
 * The manifest beside the rest. With the pages' root in it, its digest names the
 * template: the same pages with another command line or policy are another one.
 */
static int
put_manifest(struct template_load *l, struct digest *id)
{
	uint8_t *packed;
	size_t len;
	int r;

	l->manifest->has_root = true;
	l->manifest->root.data = l->root.b;
	l->manifest->root.len = sizeof(l->root.b);
	len = persona__image__manifest__get_packed_size(l->manifest);
	if ((packed = malloc(len)) != NULL)
		persona__image__manifest__pack(l->manifest, packed);
	l->manifest->has_root = false;
	l->manifest->root.data = NULL;
	l->manifest->root.len = 0;
	if (packed == NULL)
		return -ENOMEM;
	digest_bytes(id, packed, len);
	r = len > MANIFEST_MAX ? -EMSGSIZE :
	    imagedir_put(l->made, TEMPLATE_MANIFEST, packed, len);
	free(packed);
	return r;
}

static void
publish(struct template_load *l)
{
	char hex[TEMPLATE_HEX_LEN + 1] = "", path[TEMPLATE_PATH_MAX];
	struct digest id;
	int r = put_manifest(l, &id);

	for (size_t i = 0; i < DIGEST_BYTES && r == 0; i++)
		snprintf(hex + 2 * i, 3, "%02x", id.b[i]);
	if (r == 0)
		r = imagedir_publish(l->made,
		    template_path(l->daemon, hex, path));
	if (r == 0) {
		l->made[0] = '\0';
		log_info("template %s: unpacked, %.16s",
		    l->manifest->persona->name, hex);
	}
	/* The same content is here already: the same template. */
	if (r == -EEXIST)
		r = 0;
	finish(l, r, r < 0 ? strerror(-r) : "", hex);
}

static void
on_ended(struct template_load *l, const Persona__Transfer__Ended *m)
{
	if (m->reason != REASON_OK)
		finish(l, -EIO, m->message != NULL && m->message[0] != '\0' ?
		    m->message : reason_text(m->reason), NULL);
	else if (l->made[0] == '\0' || !l->has_root)
		finish(l, -EPROTO, reason_text(REASON_INTERNAL), NULL);
	else
		publish(l);
}

static void
worker_message(void *arg, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct template_load *l = arg;

	(void)in;
	switch (m->kind_case) {
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_LOCKED:
		finish(l, -ENOKEY, "it is encrypted, and a template is not: "
		    "everybody on the handset shares it", NULL);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_OFFERED:
		on_offered(l, m->file_offered);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_DONE:
		l->has_root = m->file_done->root.len == DIGEST_BYTES;
		if (l->has_root)
			memcpy(l->root.b, m->file_done->root.data,
			    DIGEST_BYTES);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_ENDED:
		on_ended(l, m->ended);
		break;
	default:
		break;
	}
}

static void
worker_gone(void *arg)
{
	finish(arg, -EIO, "the process that read the file has ended; the log "
	    "of personad says more", NULL);
}

int
template_load_start(struct template_load **lp, struct daemon *d, int in_fd,
    template_loaded_fn *done, void *arg)
{
	static const struct syncproc_events events = {
		.message = worker_message,
		.gone = worker_gone,
	};
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__ImportSetup setup =
	    PERSONA__TRANSFER__IMPORT_SETUP__INIT;
	struct template_load *l = calloc(1, sizeof(*l));
	int r;

	if (l == NULL)
		return -ENOMEM;
	l->daemon = d;
	l->done = done;
	l->arg = arg;
	if ((r = syncproc_start(&l->proc, d, "import", &events, l)) < 0) {
		template_load_abandon(l);
		return r;
	}
	t.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_IMPORT_SETUP;
	t.import_setup = &setup;
	syncproc_send(l->proc, ATTEMPT, &t, &in_fd, 1);
	*lp = l;
	return 0;
}
