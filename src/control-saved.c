/* SPDX-License-Identifier: ISC */
/*
 * Requests about what is saved of a persona: checkpoint, suspend, restore, and the
 * list. Knows how they are asked and answered, not how they are done.
 */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "clock.h"
#include "daemon.h"
#include "log.h"
#include "persona.h"
#include "reason.h"
#include "saved.h"
#include "saving.h"

/* A request that follows a saving; it ends with it, one way or the other. */
struct follower {
	struct control_request	*req;	/* NULL: whoever asked has left */
	struct persona		*persona;
	uint64_t		started_ms;
	enum saving_kind	kind;
};

static void
progress(void *arg, const Persona__Transfer__Progress *p)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__SaveInfo info = PERSONA__CONTROL__SAVE_INFO__INIT;
	struct follower *f = arg;

	info.progress = (Persona__Transfer__Progress *)(uintptr_t)p;
	info.has_elapsed_ms = true;
	info.elapsed_ms = clock_now_ms() - f->started_ms;
	reply.save = &info;
	control_reply(f->req, &reply, NULL, 0);
}

static void
ended(void *arg, uint32_t reason, const char *why, unsigned int number,
    uint64_t pause_ns)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__SaveInfo info = PERSONA__CONTROL__SAVE_INFO__INIT;
	struct follower *f = arg;

	if (reason != REASON_OK) {
		reply.error = reason == REASON_CANCELLED ? -ECANCELED :
		    reason == REASON_DISK_FULL ? -ENOSPC : -EIO;
		reply.has_reason = true;
		reply.reason = reason;
		reply.message = (char *)(uintptr_t)why;
	} else {
		info.has_elapsed_ms = info.has_pause_ns = true;
		info.elapsed_ms = clock_now_ms() - f->started_ms;
		info.pause_ns = pause_ns;
		info.has_number = f->kind == SAVING_CHECKPOINT;
		info.number = number;
		reply.save = &info;
	}
	reply.done = true;
	if (f->req != NULL)
		control_reply(f->req, &reply, NULL, 0);
	free(f);
}

/* Whoever asked has left, by Ctrl-C for one: it is called off. */
static void
gone(void *arg)
{
	struct follower *f = arg;

	f->req = NULL;
	if (f->persona->hook != NULL && f->persona->hook->saving)
		saving_cancel(f->persona->hook);
}

static void
begin(struct persona *p, struct control_request *req, enum saving_kind kind,
    unsigned int number, const char *label)
{
	static const struct saving_events events = {
		.progress = progress,
		.ended = ended,
	};
	struct follower *f = calloc(1, sizeof(*f));
	const char *why;
	int r;

	if (f == NULL) {
		control_fail(req, -ENOMEM, "no memory");
		return;
	}
	*f = (struct follower){ .req = req, .persona = p, .kind = kind,
	    .started_ms = clock_now_ms() };
	if ((r = saving_start(p, kind, number, label, &events, f, &why)) < 0) {
		control_fail(req, r, "%s: %s: %s", p->rec.name, why,
		    strerror(-r));
		free(f);
		return;
	}
	control_on_gone(req, gone, f);
}

void
control_checkpoint(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	const char *label = what->checkpoint->label;

	if (label != NULL && strlen(label) > LABEL_MAX)
		control_fail(req, -EINVAL, "a label has at most %u bytes",
		    LABEL_MAX);
	else
		begin(p, req, SAVING_CHECKPOINT, 0, label);
}

void
control_suspend(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	begin(p, req, SAVING_SUSPEND, 0, NULL);
}

void
control_restore(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	unsigned int n = what->restore->number;

	if (n < 1 || !saved_is(p->daemon, p->rec.id, n))
		control_fail(req, -ENOENT, "%s has no checkpoint %u; "
		    "`personactl checkpoints %s' lists what there is",
		    p->rec.name, n, p->rec.name);
	else
		begin(p, req, SAVING_RESTORE, n, NULL);
}

void
control_checkpoint_delete(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	unsigned int n = what->checkpoint_delete->number;
	int r;

	if (n < 1 || !saved_is(p->daemon, p->rec.id, n))
		control_fail(req, -ENOENT, "%s has no checkpoint %u",
		    p->rec.name, n);
	else if ((r = saved_remove(p->daemon, p->rec.id, n)) < 0)
		control_fail(req, r, "%s: checkpoint %u cannot be removed: %s",
		    p->rec.name, n, strerror(-r));
	else {
		log_info("persona %s: checkpoint %u removed", p->rec.name, n);
		control_ok(req);
	}
}

/* --- the list -------------------------------------------------------------------- */

#define LIST_CHUNK	64u	/* in one reply (IPC_MAX_MSG) */

struct listing {
	struct control_request		*req;
	Persona__Control__CheckpointInfo info[LIST_CHUNK];
	Persona__Control__CheckpointInfo *list[LIST_CHUNK];
	uint8_t				root[LIST_CHUNK][32];
	size_t				n;
};

static void
send_list(struct listing *l, bool done)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;

	reply.checkpoints = l->list;
	reply.n_checkpoints = l->n;
	reply.done = done;
	control_reply(l->req, &reply, NULL, 0);
	for (size_t i = 0; i < l->n; i++)
		free(l->info[i].label);
	l->n = 0;
}

static void
list_one(unsigned int n, const char *dir, const Persona__Image__Manifest *m,
    void *arg)
{
	struct listing *l = arg;
	Persona__Control__CheckpointInfo *info;

	if (l->n == LIST_CHUNK)
		send_list(l, false);
	info = l->list[l->n] = &l->info[l->n];
	persona__control__checkpoint_info__init(info);
	info->number = n;
	info->has_created_unix_s = m->has_created_unix_s;
	info->created_unix_s = m->created_unix_s;
	info->label = m->label != NULL ? strdup(m->label) : NULL;
	info->has_stored_bytes = true;
	info->stored_bytes = saved_bytes(dir);
	info->has_root = m->has_root;
	if (m->has_root) {
		memcpy(l->root[l->n], m->root.data, 32);
		info->root.data = l->root[l->n];
		info->root.len = 32;
	}
	l->n++;
}

void
control_checkpoints(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	struct listing *l = calloc(1, sizeof(*l));

	(void)what;
	if (l == NULL) {
		control_fail(req, -ENOMEM, "no memory");
		return;
	}
	l->req = req;
	saved_each(p->daemon, p->rec.id, list_one, l);
	send_list(l, true);
	free(l);
}
