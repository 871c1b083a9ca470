/* SPDX-License-Identifier: ISC */
/*
 * Drives persona-sync save. A guest that we have parked is let go on every way out,
 * unless what was saved is its suspend.
 */
#include "saving-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attempt.h"
#include "clock.h"
#include "daemon.h"
#include "dirty-log.h"
#include "guest.h"
#include "log.h"
#include "reason.h"
#include "saved.h"

#define KIND(name)	PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_##name
#define VMM_TIMEOUT_MS	5000
#define SAVE_ATTEMPT	1u	/* a worker saves once in its life */

/* --- a question that may outlive the saving ---------------------------------------- */

static struct question *
ask(const struct saving *s)
{
	return attempt_ask(s->persona->daemon, s->persona->rec.id, s->serial);
}

static struct saving *
answered(struct question *q)
{
	uint64_t serial;
	struct persona *p = attempt_answered(q, &serial);
	struct saving *s;

	if (p == NULL || p->hook == NULL || !p->hook->saving)
		return NULL;
	s = (struct saving *)(void *)p->hook;
	return s->serial == serial ? s : NULL;
}

/* --- the end ------------------------------------------------------------------------- */

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
saving_free(struct saving *s)
{
	s->persona->hook = NULL;
	syncproc_free(s->proc);
	image_files_close(&s->from);
	image_files_close(&s->to);
	close_fd(&s->transfer_fd);
	close_fd(&s->dirty_fd);
	close_fd(&s->state_fd);
	if (s->spec != NULL)
		persona__spec__spec__free_unpacked(s->spec, NULL);
	if (s->manifest != NULL)
		persona__image__manifest__free_unpacked(s->manifest, NULL);
	free(s);
}

static void
resumed(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct persona *p = attempt_answered(arg, NULL);

	(void)reply;
	(void)msg;
	if (p == NULL || r == 0)
		return;
	p->paused = true;
	log_err("persona %s: cannot be resumed after it was saved: %s",
	    p->rec.name, why);
}

/* The guest goes on, unless a person had paused it. */
static void
let_go(struct saving *s)
{
	struct persona *p = s->persona;
	struct vmm *v = guest_vmm(p->guest);
	struct question *q;

	if (!s->parked)
		return;
	s->parked = false;
	s->pause_ns = clock_now_ns() - s->parked_ns;
	if (p->paused)
		return;
	q = ask(s);
	if (q == NULL || v == NULL ||
	    vmm_resume(v, VMM_TIMEOUT_MS, resumed, q) < 0) {
		free(q);
		p->paused = true;
		log_err("persona %s: cannot be resumed after it was saved",
		    p->rec.name);
	}
}

void
saving_fail(struct saving *s, uint32_t reason, const char *why)
{
	struct saving_events events = s->events;
	char text[REASON_TEXT_MAX + 1];
	void *arg = s->arg;

	snprintf(text, sizeof(text), "%s", why != NULL && why[0] != '\0' ?
	    why : reason_text(reason));
	log_warn("persona %s: %s failed: %s", s->persona->rec.name,
	    s->ops->doing, text);
	let_go(s);
	image_files_close(&s->to);
	s->ops->undo(s);
	saving_free(s);
	events.ended(arg, reason, text, 0, 0);
}

static void
finish(struct saving *s, const Persona__Transfer__SaveDone *done)
{
	const bool rooted = done->has_root && done->root.len == 32;
	struct saving_events events = s->events;
	uint64_t pause_ns = s->pause_ns;
	unsigned int number = s->number;
	void *arg = s->arg;
	int r = -EPROTO;

	if (rooted == s->ops->rooted)
		r = s->ops->finish(s, rooted ? done->root.data : NULL);
	if (r < 0) {
		saving_fail(s, r == -ENOSPC ? REASON_DISK_FULL :
		    r == -EBADMSG ? REASON_CORRUPT : REASON_INTERNAL,
		    r == -ENOSPC ? NULL : r == -EBADMSG ?
		    "the checkpoint is damaged: its content is not what its "
		    "root hash says" : strerror(-r));
		return;
	}
	log_info("persona %s: %s, %llu KiB copied, stood still for %llu ms",
	    s->persona->rec.name, s->ops->doing,
	    (unsigned long long)(done->bytes >> 10),
	    (unsigned long long)(pause_ns / 1000000));
	saving_free(s);
	events.ended(arg, REASON_OK, NULL, number, pause_ns);
}

/* --- the instant ----------------------------------------------------------------------- */

void
saving_stopped(struct saving *s)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Stopped stopped = PERSONA__TRANSFER__STOPPED__INIT;

	stopped.state_bytes = s->state_bytes;
	stopped.stopped_at_ns = s->parked_ns;
	t.kind_case = KIND(STOPPED);
	t.stopped = &stopped;
	syncproc_send(s->proc, SAVE_ATTEMPT, &t, &s->state_fd, 1);
}

static void
state_saved(void *arg, int r, const char *why,
    const Persona__Vmm__Reply *reply, struct ipc_msg *msg)
{
	struct saving *s = answered(arg);

	if (s == NULL)
		return;
	if (vmm_take_state(r, reply, msg, &s->state_fd, &s->state_bytes,
	    &why) < 0) {
		saving_fail(s, REASON_VMM_FAILED, why);
		return;
	}
	saving_stopped(s);
}

static void
parked(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct saving *s = answered(arg);
	struct timespec now;
	struct question *q;

	(void)reply;
	(void)msg;
	if (s == NULL)
		return;
	if (r < 0) {
		saving_fail(s, REASON_VMM_FAILED, why);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	s->saved_unix_ns = (uint64_t)now.tv_sec * 1000000000u +
	    (uint64_t)now.tv_nsec;
	if ((q = ask(s)) == NULL || vmm_save(guest_vmm(s->persona->guest),
	    VMM_TIMEOUT_MS, state_saved, q) < 0) {
		free(q);
		saving_fail(s, REASON_VMM_FAILED, NULL);
	}
}

void
saving_park(struct saving *s)
{
	struct vmm *v = guest_vmm(s->persona->guest);
	struct question *q = ask(s);

	s->parked_ns = clock_now_ns();
	if (q == NULL || v == NULL ||
	    vmm_pause(v, VMM_TIMEOUT_MS, parked, q) < 0) {
		free(q);
		saving_fail(s, REASON_VMM_FAILED, NULL);
		return;
	}
	/* From the asking on: the answer may come after we have given up. */
	s->parked = true;
}

/* --- the worker --------------------------------------------------------------------------- */

static void
worker_message(void *arg, const Persona__Transfer__TransferMessage *m,
    struct ipc_msg *in)
{
	struct saving *s = arg;

	(void)in;
	switch (m->kind_case) {
	case KIND(WANT_STOP):
		if (s->state_fd < 0)
			s->ops->park(s);
		break;
	case KIND(SAVE_COPIED):
		/* Suspended, it does not run on; what follows is its end. */
		if (!s->ops->stop_first)
			let_go(s);
		break;
	case KIND(SAVE_DONE):
		if (s->state_fd >= 0)
			finish(s, m->save_done);
		break;
	case KIND(PROGRESS):
		s->events.progress(s->arg, m->progress);
		break;
	case KIND(ENDED):
		saving_fail(s, m->ended->reason != REASON_OK ?
		    m->ended->reason : REASON_INTERNAL, m->ended->message);
		break;
	default:
		break;
	}
}

static void
worker_gone(void *arg)
{
	saving_fail(arg, REASON_INTERNAL, "persona-sync ended unexpectedly");
}

static void
send_setup(struct saving *s)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SaveSetup setup =
	    PERSONA__TRANSFER__SAVE_SETUP__INIT;
	Persona__Transfer__Region source[REGIONS_MAX], target[REGIONS_MAX];
	Persona__Transfer__Region *sources[REGIONS_MAX], *targets[REGIONS_MAX];
	int fds[2 * IPC_MAX_FDS];
	size_t n;

	n = image_files_describe(&s->from, s->from.fds[0][0], source, sources,
	    fds);
	n += image_files_describe(&s->to, s->to.fds[0][0], target, targets,
	    fds + n);
	if (s->transfer_fd >= 0) {
		fds[n++] = s->transfer_fd;
		fds[n++] = s->dirty_fd;
	}
	setup.name = s->persona->rec.name;
	setup.source = sources;
	setup.n_source = s->from.plan.n_regions;
	setup.target = targets;
	setup.n_target = s->to.plan.n_regions;
	setup.has_stop_first = setup.has_rooted = true;
	setup.stop_first = s->ops->stop_first;
	setup.rooted = s->ops->rooted;
	t.kind_case = KIND(SAVE_SETUP);
	t.save_setup = &setup;
	syncproc_send(s->proc, SAVE_ATTEMPT, &t, fds, n);
	/* The worker holds what it needs; a checkpoint's files are its alone. */
	close_fd(&s->transfer_fd);
	image_files_close(&s->from);
}

static void
log_attached(void *arg, int r, const char *why,
    const Persona__Vmm__Reply *reply, struct ipc_msg *msg)
{
	struct saving *s = answered(arg);

	(void)reply;
	(void)msg;
	if (s == NULL)
		return;
	if (r < 0)
		saving_fail(s, REASON_VMM_FAILED, why);
	else
		send_setup(s);
}

/* --- the front door ------------------------------------------------------------------------- */

static void
guest_ended(struct persona_hook *h, const char *why)
{
	struct saving *s = (struct saving *)(void *)h;

	s->parked = false;
	saving_fail(s, REASON_GUEST_ENDED, why);
}

static int
begin(struct saving *s, const char **why)
{
	static const struct syncproc_events events = {
		.message = worker_message,
		.gone = worker_gone,
	};
	struct question *q;
	int r;

	if ((r = spec_unpack(&s->persona->rec.spec, &s->spec)) < 0 ||
	    (r = s->ops->open(s, why)) < 0)
		return r;
	*why = "persona-sync cannot be started";
	if ((r = syncproc_start(&s->proc, s->persona->daemon, "save", &events,
	    s)) < 0)
		return r;
	if (s->ops->stop_first) {
		send_setup(s);
		return 0;
	}
	*why = "persona-vmm cannot be asked";
	if ((q = ask(s)) == NULL)
		return -ENOMEM;
	r = dirty_log_open(guest_vmm(s->persona->guest), s->from.plan.n_dirty,
	    &s->transfer_fd, &s->dirty_fd, log_attached, q);
	if (r < 0)
		free(q);
	return r;
}

int
saving_start(struct persona *p, enum saving_kind kind, unsigned int number,
    const char *label, const struct saving_events *events, void *arg,
    const char **why)
{
	struct saving *s = calloc(1, sizeof(*s));
	int r;

	*why = "an internal error";
	if (s == NULL)
		return -ENOMEM;
	s->hook.saving = true;
	s->hook.guest_ended = guest_ended;
	s->persona = p;
	s->ops = saving_kinds[kind];
	s->events = *events;
	s->arg = arg;
	s->number = number;
	s->serial = clock_now_ns();
	s->transfer_fd = s->dirty_fd = s->state_fd = -1;
	snprintf(s->label, sizeof(s->label), "%s", label != NULL ? label : "");
	image_files_init(&s->from);
	image_files_init(&s->to);
	p->hook = &s->hook;
	if ((r = begin(s, why)) < 0) {
		image_files_close(&s->to);
		s->ops->undo(s);
		saving_free(s);
		return r;
	}
	log_info("persona %s: %s begins", p->rec.name, s->ops->doing);
	return 0;
}

void
saving_cancel(struct persona_hook *h)
{
	saving_fail((struct saving *)(void *)h, REASON_CANCELLED, NULL);
}

void
saving_abandon(struct persona_hook *h)
{
	struct saving *s = (struct saving *)(void *)h;

	let_go(s);
	image_files_close(&s->to);
	s->ops->undo(s);
	saving_free(s);
}

bool
saving_was_interrupted(const struct persona *p)
{
	char path[SAVED_PATH_MAX];
	unsigned int n;

	if (access(saved_dir(p->daemon, p->rec.id, SAVED_SUSPENDED, true,
	    path), F_OK) == 0 ||
	    saved_is(p->daemon, p->rec.id, SAVED_SUSPENDED))
		return true;
	return saved_number(p->daemon, p->rec.id, &n) == 0 &&
	    access(saved_dir(p->daemon, p->rec.id, n, true, path), F_OK) == 0;
}
