/* SPDX-License-Identifier: ISC */
/*
 * persona-sync save: joins the engine that saves (sync-save.h) to persona-vmm's
 * dirty log and to personad, which parks the guest. Opens nothing itself: source,
 * target and log are descriptors it is given.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "reason.h"
#include "space.h"
#include "sync-roles.h"
#include "sync-save.h"
#include "vmm-harvest.h"

#define MSG(name)	PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_##name
#define PROGRESS_NS	200000000ULL
/* A worker has one save in its life; personad names it so. */
#define SAVE_ATTEMPT	1u

struct saver {
	struct worker		*w;
	struct space		*from, *to;
	struct sync_save	*engine;
	struct vmm_harvest	*vmm;
	uint64_t		told_ns;
};

static void
fail(struct saver *s, int r)
{
	char text[128];

	if (r == -ENOSPC || r == -EDQUOT) {
		worker_ended(s->w, REASON_DISK_FULL, NULL);
		return;
	}
	snprintf(text, sizeof(text), "saving failed: %s", strerror(-r));
	worker_ended(s->w, REASON_INTERNAL, text);
}

/* --- what the engine asks for --------------------------------------------------- */

static void
again(void *arg)
{
	worker_again(((struct saver *)arg)->w);
}

static void
harvest(void *arg, bool start)
{
	vmm_harvest_ask(((struct saver *)arg)->vmm, start);
}

static void
want_stop(void *arg)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__WantStop want = PERSONA__TRANSFER__WANT_STOP__INIT;

	m.kind_case = MSG(WANT_STOP);
	m.want_stop = &want;
	worker_tell(((struct saver *)arg)->w, &m, NULL, 0);
}

static void
copied(void *arg)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SaveCopied done =
	    PERSONA__TRANSFER__SAVE_COPIED__INIT;
	struct saver *s = arg;

	m.kind_case = MSG(SAVE_COPIED);
	m.save_copied = &done;
	worker_tell(s->w, &m, NULL, 0);
	/* The guest is free of its log as soon as it runs on. */
	vmm_harvest_close(s->vmm);
	s->vmm = NULL;
}

static void
done(void *arg, const struct digest *root)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SaveDone body = PERSONA__TRANSFER__SAVE_DONE__INIT;
	struct sync_save_progress p;
	struct saver *s = arg;

	sync_save_progress(s->engine, &p);
	body.bytes = p.bytes;
	body.has_root = root != NULL;
	if (root != NULL) {
		body.root.data = (uint8_t *)(uintptr_t)root->b;
		body.root.len = DIGEST_BYTES;
	}
	m.kind_case = MSG(SAVE_DONE);
	m.save_done = &body;
	worker_tell(s->w, &m, NULL, 0);
	worker_ended(s->w, REASON_OK, NULL);
}

static void
failed(void *arg, int r)
{
	fail(arg, r);
}

static const struct sync_save_ops engine_ops = {
	.again = again,
	.now_ns = worker_now_ns,
	.harvest = harvest,
	.want_stop = want_stop,
	.copied = copied,
	.done = done,
	.failed = failed,
};

/* --- what persona-vmm answers ----------------------------------------------------- */

static void
vmm_harvested(void *arg)
{
	sync_save_harvested(((struct saver *)arg)->engine);
}

static void
vmm_failed(void *arg, const char *why)
{
	worker_ended(((struct saver *)arg)->w, REASON_VMM_FAILED, why);
}

static const struct vmm_harvest_ops vmm_ops = {
	.harvested = vmm_harvested,
	.failed = vmm_failed,
};

/* --- what personad says ------------------------------------------------------------- */

static int
plan_of(struct space_plan *plan, Persona__Transfer__Region *const *regions,
    size_t n)
{
	int r = 0;

	memset(plan, 0, sizeof(*plan));
	for (size_t i = 0; i < n && r == 0; i++)
		r = space_plan_add(plan, (enum space_kind)regions[i]->kind,
		    regions[i]->bytes);
	return n == 0 ? -EINVAL : r;
}

static int
begin(struct saver *s, const Persona__Transfer__SaveSetup *setup,
    struct ipc_msg *in)
{
	struct sync_save_config c = {
		.stop_first = setup->stop_first,
		.rooted = setup->rooted,
	};
	struct space_plan plan;
	size_t n = 0;
	int r;

	if ((r = plan_of(&plan, setup->source, setup->n_source)) < 0 ||
	    (r = worker_space(&s->from, &plan, setup->source,
	    setup->n_source, in, false, &n)) < 0 ||
	    (r = worker_space(&s->to, &plan, setup->target, setup->n_target,
	    in, true, &n)) < 0 ||
	    (!setup->stop_first && (r = vmm_harvest_open(&s->vmm, s->w->base,
	    ipc_take_fd(in, n), ipc_take_fd(in, n + 1),
	    space_regions(s->from)->n_dirty, &vmm_ops, s)) < 0))
		return r;
	c.from = s->from;
	c.to = s->to;
	if (s->vmm != NULL)
		c.dirty = vmm_harvest_bitmap(s->vmm);
	if ((r = sync_save_new(&s->engine, &c, &engine_ops, s)) < 0)
		return r;
	log_debug("persona %s: saving", setup->name);
	sync_save_begin(s->engine);
	return 0;
}

static void
on_stopped(struct saver *s, const Persona__Transfer__Stopped *m,
    struct ipc_msg *in)
{
	int fd = ipc_take_fd(in, 0);
	void *state = MAP_FAILED;
	struct stat st;

	if (fd >= 0 && m->state_bytes > 0 &&
	    m->state_bytes <= STATE_BLOB_MAX && fstat(fd, &st) == 0 &&
	    (uint64_t)st.st_size == m->state_bytes)
		state = mmap(NULL, m->state_bytes, PROT_READ, MAP_SHARED, fd,
		    0);
	if (fd >= 0)
		close(fd);
	if (state == MAP_FAILED) {
		worker_ended(s->w, REASON_VMM_FAILED,
		    "the saved machine state cannot be read");
		return;
	}
	sync_save_stopped(s->engine, state, m->state_bytes);
	munmap(state, m->state_bytes);
}

static void
save_message(void *role, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct saver *s = role;
	int r;

	if (m->kind_case == MSG(CANCEL))
		worker_ended(s->w, m->cancel->reason, m->cancel->message);
	else if (m->kind_case == MSG(SAVE_SETUP) && s->from == NULL) {
		if ((r = begin(s, m->save_setup, in)) < 0)
			fail(s, r);
	} else if (m->kind_case == MSG(STOPPED) && s->engine != NULL)
		on_stopped(s, m->stopped, in);
	else
		log_warn("personad said something that is not for a save");
}

/* --- life ----------------------------------------------------------------------------- */

static void
save_step(void *role)
{
	struct saver *s = role;

	if (s->engine != NULL)
		sync_save_step(s->engine);
}

static void
save_tick(void *role)
{
	struct saver *s = role;
	struct sync_progress out = { .state = SYNC_COPY };
	struct sync_save_progress p;
	uint64_t now = clock_now_ns();

	if (s->engine == NULL || now - s->told_ns < PROGRESS_NS)
		return;
	s->told_ns = now;
	sync_save_progress(s->engine, &p);
	if (p.state == SAVE_STOPPED)
		out.state = SYNC_STOPPED;
	else if (p.state == SAVE_FINISH)
		out.state = SYNC_RUNNING;
	out.round = p.round;
	out.pages_total = p.pages_total;
	out.pages_left = p.pages_left;
	out.bytes = p.bytes;
	worker_progress(s->w, &out);
}

static int
save_open(struct worker *w, void **role)
{
	struct saver *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->w = w;
	w->attempt = SAVE_ATTEMPT;
	*role = s;
	return 0;
}

static void
save_close(void *role)
{
	struct saver *s = role;

	vmm_harvest_close(s->vmm);
	sync_save_free(s->engine);
	space_free(s->from);
	space_free(s->to);
	free(s);
}

const struct worker_role role_save = {
	.name = "save",
	.sandbox = SANDBOX_RECEIVE,	/* files and memory it is handed */
	.open = save_open,
	.close = save_close,
	.message = save_message,
	.step = save_step,
	.tick = save_tick,
};
