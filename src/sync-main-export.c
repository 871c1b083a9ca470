/* SPDX-License-Identifier: ISC */
/*
 * persona-sync export: writes one image that personad has opened into one file
 * that the client has opened. Opens nothing itself and decides nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "envelope.h"
#include "file-io.h"
#include "log.h"
#include "personafile.h"
#include "space.h"
#include "sync-roles.h"

#define STEP_PAGES	1024u

struct exporter {
	struct worker			*w;
	struct space			*space;
	struct envelope_writer		*envelope;
	struct personafile_writer	*file;
	Persona__Image__Manifest	*manifest;
	uint8_t				*state;
	int				out_fd;
	struct file_pace		pace;
};

static void
ended(struct exporter *s, int r, const char *text)
{
	worker_ended(s->w, personafile_reason(r), text);
}

static int
out_bytes(void *arg, const void *data, size_t len)
{
	return file_write_all(((struct exporter *)arg)->out_fd, data, len);
}

/* --- what personad hands over -------------------------------------------------------- */

/* The next `n` descriptors of a message, from *at on. */
static int
take_fds(struct ipc_msg *in, size_t *at, size_t n, int *fds)
{
	int r = 0;

	for (size_t i = 0; i < n; i++)
		if ((fds[i] = ipc_take_fd(in, (*at)++)) < 0)
			r = -EINVAL;
	return r;
}

static void
close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int
take_regions(struct exporter *s, const Persona__Transfer__ExportSetup *m,
    struct ipc_msg *in, size_t *at)
{
	struct space_plan plan;
	int fds[SPACE_REGION_FDS], r;

	if ((r = space_plan(&plan, s->manifest->persona->ram_bytes,
	    s->manifest->persona->spec)) < 0 ||
	    (r = space_plan_check(&plan, m->regions, m->n_regions)) < 0 ||
	    (r = space_new(&s->space, &plan)) < 0)
		return r;
	for (size_t i = 0; i < m->n_regions; i++) {
		size_t n = m->regions[i]->fds;

		if (n == 0)
			continue;
		if (n > SPACE_REGION_FDS)
			return -EINVAL;
		if ((r = take_fds(in, at, n, fds)) < 0) {
			close_fds(fds, n);
			return r;
		}
		if ((r = space_back(s->space, i, fds, n, false)) < 0)
			return r;
	}
	return 0;
}

static int
take_state(struct exporter *s, struct ipc_msg *in, size_t *at)
{
	size_t len = s->manifest->has_state_bytes ?
	    s->manifest->state_bytes : 0;
	int fd, r;

	if (len == 0)
		return 0;
	if (len > STATE_BLOB_MAX || (s->state = malloc(len)) == NULL)
		return -ENOMEM;
	if ((fd = ipc_take_fd(in, (*at)++)) < 0)
		return -EINVAL;
	r = file_read_all(fd, s->state, len);
	close(fd);
	return r;
}

static int
take_lock(struct envelope_lock *lock, const Persona__Transfer__ExportSetup *m,
    struct ipc_msg *in, size_t *at, struct file_passphrase *passphrase)
{
	int fd, r;

	lock->cost.passes = CRYPT_COST_PASSES;
	lock->cost.memory_kib = CRYPT_COST_MEMORY_KIB;
	if (m->passphrase) {
		if ((fd = ipc_take_fd(in, (*at)++)) < 0)
			return -EINVAL;
		r = file_passphrase_read(passphrase, fd);
		close(fd);
		if (r < 0)
			return r;
		lock->passphrase = passphrase->text;
		lock->passphrase_len = passphrase->len;
	}
	if (m->n_recipients > FILE_SLOTS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < m->n_recipients; i++) {
		if (m->recipients[i].len != CRYPT_POINT_BYTES)
			return -EINVAL;
		memcpy(lock->points[i], m->recipients[i].data,
		    CRYPT_POINT_BYTES);
	}
	lock->n_points = m->n_recipients;
	return 0;
}

static int
begin(struct exporter *s, const Persona__Transfer__ExportSetup *m,
    struct ipc_msg *in)
{
	struct envelope_lock lock = { .passphrase = NULL };
	struct file_passphrase passphrase;
	size_t at = 0;
	int r;

	s->manifest = persona__image__manifest__unpack(NULL, m->manifest.len,
	    m->manifest.data);
	if (s->manifest == NULL)
		return -EINVAL;
	if ((r = take_regions(s, m, in, &at)) < 0 ||
	    (r = take_state(s, in, &at)) < 0)
		return r;
	if ((s->out_fd = ipc_take_fd(in, at++)) < 0)
		return -EINVAL;
	r = take_lock(&lock, m, in, &at, &passphrase);
	if (r == 0)
		r = envelope_writer_new(&s->envelope, &lock, out_bytes, s);
	crypt_forget(&passphrase, sizeof(passphrase));
	if (r < 0)
		return r;
	return personafile_writer_new(&s->file, s->envelope, s->space,
	    s->manifest, s->state);
}

static void
export_message(void *role, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct exporter *s = role;
	int r;

	switch (m->kind_case) {
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_EXPORT_SETUP:
		if (s->manifest != NULL)
			break;
		if ((r = begin(s, m->export_setup, in)) < 0) {
			log_warn_r(r, "cannot begin the file");
			ended(s, r, file_write_text(r));
			return;
		}
		file_pace_begin(&s->pace, clock_now_ns());
		worker_again(s->w);
		return;
	case PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_CANCEL:
		worker_ended(s->w, m->cancel->reason, m->cancel->message);
		return;
	default:
		break;
	}
	log_warn("personad said something that is not for an export");
}

/* --- writing --------------------------------------------------------------------------- */

static void
figures(struct exporter *s, bool now)
{
	struct personafile_figures f;

	personafile_write_figures(s->file, &f);
	file_tell_progress(s->w, &s->pace, &f, envelope_written(s->envelope),
	    now);
}

static void
export_step(void *role)
{
	struct exporter *s = role;
	int r = personafile_write(s->file, STEP_PAGES);

	if (r == 0) {
		figures(s, false);
		worker_again(s->w);
		return;
	}
	if (r == 1 && (r = envelope_finish(s->envelope)) == 0)
		r = file_sync(s->out_fd);
	figures(s, true);
	if (r == 0)
		file_tell_done(s->w, personafile_written_root(s->file));
	ended(s, r, file_write_text(r));
}

static void
export_tick(void *role)
{
	(void)role;
}

/* --- life ------------------------------------------------------------------------------ */

static int
export_open(struct worker *w, void **role)
{
	struct exporter *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->w = w;
	s->out_fd = -1;
	w->attempt = FILE_ATTEMPT;
	*role = s;
	return 0;
}

static void
export_close(void *role)
{
	struct exporter *s = role;

	personafile_writer_free(s->file);
	envelope_writer_free(s->envelope);
	space_free(s->space);
	if (s->manifest != NULL)
		persona__image__manifest__free_unpacked(s->manifest, NULL);
	free(s->state);
	if (s->out_fd >= 0)
		close(s->out_fd);
	free(s);
}

const struct worker_role role_export = {
	.name = "export",
	.sandbox = SANDBOX_FILE,
	.open = export_open,
	.close = export_close,
	.message = export_message,
	.step = export_step,
	.tick = export_tick,
};
