/* SPDX-License-Identifier: ISC */
/*
 * persona-sync import: reads one persona file, which may be anybody's, into files
 * that personad has made for it. Opens nothing itself, holds no key of the
 * handset, and decides nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "envelope.h"
#include "file-io.h"
#include "log.h"
#include "personafile.h"
#include "space.h"
#include "sync-roles.h"

#define READ_BYTES	(256u << 10)	/* one step */
#define TARGETS_MAX	(REGIONS_MAX + 1u)

struct importer {
	struct worker			*w;
	int				in_fd;
	struct envelope_reader		*envelope;
	struct personafile_reader	*file;
	struct space			*space;
	struct file_passphrase		passphrase;	/* len 0: none was given */
	/* Our own descriptors of what is filled, to sync them. */
	int				targets[TARGETS_MAX];
	size_t				n_targets;
	int				state_fd;
	bool				waiting;	/* for personad */
	/* Read but not taken: file bytes, and payload out of them. */
	uint8_t				*buf;
	size_t				at, len;
	uint64_t			bytes;		/* of the file so far */
	const uint8_t			*piece;
	size_t				piece_len;
	struct file_pace		pace;
};

static void
ended(struct importer *s, int r, const char *text)
{
	worker_ended(s->w, personafile_reason(r), text);
}

static void
tell(struct importer *s, Persona__Transfer__TransferMessage *m)
{
	s->waiting = true;
	worker_tell(s->w, m, NULL, 0);
}

static void
figures(struct importer *s, bool now)
{
	struct personafile_figures f;

	personafile_read_figures(s->file, &f);
	file_tell_progress(s->w, &s->pace, &f, s->bytes, now);
}

/* --- opening the envelope ---------------------------------------------------------------- */

/* Only personad can open what is sealed to this handset. */
static int
ask_for_key(struct importer *s)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__FileLocked locked =
	    PERSONA__TRANSFER__FILE_LOCKED__INIT;
	ProtobufCBinaryData sealed[FILE_SLOTS_MAX];
	const uint8_t *p;
	size_t n = 0;

	while (n < FILE_SLOTS_MAX &&
	    (p = envelope_sealed(s->envelope, n)) != NULL) {
		sealed[n].data = (uint8_t *)(uintptr_t)p;
		sealed[n++].len = CRYPT_SEALED_BYTES;
	}
	if (n == 0)
		return -ENOKEY;
	locked.has_passphrase = true;
	locked.passphrase = envelope_wants_passphrase(s->envelope);
	locked.n_sealed = n;
	locked.sealed = sealed;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_LOCKED;
	m.file_locked = &locked;
	tell(s, &m);
	return 0;
}

static int
unlock(struct importer *s)
{
	int r;

	if (s->passphrase.len == 0 || !envelope_wants_passphrase(s->envelope))
		return ask_for_key(s);
	r = envelope_unlock_passphrase(s->envelope, s->passphrase.text,
	    s->passphrase.len);
	crypt_forget(&s->passphrase, sizeof(s->passphrase));
	return r;
}

/* --- reading ----------------------------------------------------------------------------- */

static int
offer(struct importer *s)
{
	const Persona__Image__Manifest *manifest =
	    personafile_manifest(s->file);
	size_t len = persona__image__manifest__get_packed_size(manifest);
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__FileOffered offered =
	    PERSONA__TRANSFER__FILE_OFFERED__INIT;
	uint8_t *packed;

	if (len > MANIFEST_MAX)
		return -EBADMSG;
	if ((packed = malloc(len)) == NULL)
		return -ENOMEM;
	persona__image__manifest__pack(manifest, packed);
	offered.manifest.data = packed;
	offered.manifest.len = len;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_OFFERED;
	m.file_offered = &offered;
	tell(s, &m);
	free(packed);
	return 0;
}

/* Take what is there, until more is needed or personad has to answer. */
static int
take(struct importer *s)
{
	size_t used;
	int r;

	while (!s->waiting) {
		if (s->piece_len > 0) {
			r = personafile_read(s->file, s->piece, s->piece_len,
			    &used);
			s->piece += used;
			s->piece_len -= used;
			if (r == 1)
				r = offer(s);
			if (r < 0)
				return r;
			continue;
		}
		r = envelope_read(s->envelope, s->buf + s->at,
		    s->len - s->at, &used, &s->piece, &s->piece_len);
		s->at += used;
		if (r == -ENOKEY)
			r = unlock(s);
		else if (r == 0 && s->piece_len == 0)
			return 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int
write_state(struct importer *s)
{
	size_t len;
	const void *state = personafile_state(s->file, &len);

	if (len == 0)
		return 0;
	return s->state_fd < 0 ? -EINVAL :
	    file_write_all(s->state_fd, state, len);
}

/* The input has ended: is everything here, and does it stay here? */
static int
finish(struct importer *s)
{
	int r;

	if ((r = envelope_end(s->envelope)) < 0 ||
	    (r = personafile_read_end(s->file)) < 0 ||
	    (r = write_state(s)) < 0)
		return r;
	for (size_t i = 0; i < s->n_targets; i++)
		if ((r = file_sync(s->targets[i])) < 0)
			return r;
	return 0;
}

static const char *
text_of(int r)
{
	switch (r) {
	case -ENOSPC:
	case -EDQUOT:
		return "there is no room for it on this handset's disk";
	case -ENOMEM:
		return "there is too little memory to open the file";
	default:
		return NULL;
	}
}

static void
import_step(void *role)
{
	struct importer *s = role;
	ssize_t n = -1;
	int r;

	if (s->waiting)
		return;
	if (s->at == s->len && s->piece_len == 0) {
		n = file_read_some(s->in_fd, s->buf, READ_BYTES);
		if (n < 0) {
			ended(s, (int)n, NULL);
			return;
		}
		s->at = 0;
		s->len = (size_t)n;
		s->bytes += (uint64_t)n;
	}
	r = n == 0 ? finish(s) : take(s);
	figures(s, n == 0 || r < 0);
	if (n == 0 && r == 0)
		file_tell_done(s->w, personafile_read_root(s->file));
	if (n == 0 || r < 0)
		ended(s, r, text_of(r));
	else if (!s->waiting)
		worker_again(s->w);
}

/* --- what personad says -------------------------------------------------------------------- */

static int
on_setup(struct importer *s, const Persona__Transfer__ImportSetup *m,
    struct ipc_msg *in)
{
	int fd, r;

	if (s->in_fd >= 0 || (s->in_fd = ipc_take_fd(in, 0)) < 0)
		return -EINVAL;
	if (m->passphrase) {
		if ((fd = ipc_take_fd(in, 1)) < 0)
			return -EINVAL;
		r = file_passphrase_read(&s->passphrase, fd);
		close(fd);
		if (r < 0)
			return r;
	}
	file_pace_begin(&s->pace, clock_now_ns());
	return 0;
}

static int
on_key(struct importer *s, const Persona__Transfer__FileKey *m)
{
	if (m->key.len != CRYPT_KEY_BYTES)
		return -EINVAL;
	envelope_unlock_key(s->envelope, m->key.data);
	return 0;
}

/* Keep a descriptor of our own for the sync at the end. */
static int
keep(struct importer *s, int fd)
{
	int own;

	if (s->n_targets == TARGETS_MAX || (own = dup(fd)) < 0)
		return -EMFILE;
	s->targets[s->n_targets++] = own;
	return 0;
}

static int
take_targets(struct importer *s, const Persona__Transfer__ImportTarget *m,
    struct ipc_msg *in)
{
	size_t at = 0;
	int fd, r;

	for (size_t i = 0; i < m->n_regions; i++) {
		if (m->regions[i]->fds == 0)
			continue;
		if (m->regions[i]->fds != 1 ||
		    (fd = ipc_take_fd(in, at++)) < 0)
			return -EINVAL;
		if ((r = keep(s, fd)) < 0) {
			close(fd);
			return r;
		}
		if ((r = space_back(s->space, i, &fd, 1, true)) < 0)
			return r;
	}
	if ((s->state_fd = ipc_take_fd(in, at)) >= 0)
		return keep(s, s->state_fd);
	return 0;
}

static int
on_target(struct importer *s, const Persona__Transfer__ImportTarget *m,
    struct ipc_msg *in)
{
	const Persona__Image__Manifest *manifest =
	    personafile_manifest(s->file);
	struct space_plan plan;
	int r;

	if (manifest == NULL || s->space != NULL)
		return -EINVAL;
	if ((r = space_plan(&plan, manifest->persona->ram_bytes,
	    manifest->persona->spec)) < 0 ||
	    (r = space_plan_check(&plan, m->regions, m->n_regions)) < 0 ||
	    (r = space_new(&s->space, &plan)) < 0 ||
	    (r = take_targets(s, m, in)) < 0)
		return r;
	/* Making the key is not part of the rate. */
	file_pace_begin(&s->pace, clock_now_ns());
	return personafile_read_into(s->file, s->space);
}

static void
import_message(void *role, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct importer *s = role;
	int r = -EINVAL;

	switch (m->kind_case) {
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_IMPORT_SETUP:
		r = on_setup(s, m->import_setup, in);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_KEY:
		r = on_key(s, m->file_key);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_IMPORT_TARGET:
		r = on_target(s, m->import_target, in);
		break;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_CANCEL:
		worker_ended(s->w, m->cancel->reason, m->cancel->message);
		return;
	default:
		log_warn("personad said something that is not for an import");
		return;
	}
	if (r < 0) {
		log_warn_r(r, "cannot go on with the file");
		ended(s, r, text_of(r));
		return;
	}
	s->waiting = false;
	worker_again(s->w);
}

/* --- life ---------------------------------------------------------------------------------- */

static void
import_tick(void *role)
{
	(void)role;
}

static void
import_close(void *role)
{
	struct importer *s = role;

	personafile_reader_free(s->file);
	envelope_reader_free(s->envelope);
	space_free(s->space);
	crypt_forget(&s->passphrase, sizeof(s->passphrase));
	for (size_t i = 0; i < s->n_targets; i++)
		close(s->targets[i]);
	if (s->state_fd >= 0)
		close(s->state_fd);
	if (s->in_fd >= 0)
		close(s->in_fd);
	free(s->buf);
	free(s);
}

static int
import_open(struct worker *w, void **role)
{
	struct importer *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->w = w;
	s->in_fd = s->state_fd = -1;
	w->attempt = FILE_ATTEMPT;
	*role = s;
	if ((s->buf = malloc(READ_BYTES)) == NULL)
		return -ENOMEM;
	if ((r = envelope_reader_new(&s->envelope)) < 0)
		return r;
	return personafile_reader_new(&s->file);
}

const struct worker_role role_import = {
	.name = "import",
	.sandbox = SANDBOX_FILE,
	.open = import_open,
	.close = import_close,
	.message = import_message,
	.step = import_step,
	.tick = import_tick,
};
