/* SPDX-License-Identifier: ISC */
/*
 * What a move asks of the guest's persona-vmm: its memory for the worker, its
 * pause and its state, and that it runs on. Does not know why, nor what comes of
 * the answers: they are events for the handover.
 */
#include "move-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attempt.h"
#include "clock.h"
#include "daemon.h"
#include "dirty-log.h"
#include "guest.h"
#include "log.h"

#define VMM_TIMEOUT_MS	5000	/* pause, save, attach: milliseconds if well */

/* --- a question that may outlive the move --------------------------------- */

static struct question *
ask(const struct move *m)
{
	return attempt_ask(m->daemon, m->persona->rec.id, m->handover.attempt);
}

/* The move again, if it is still the one that asked. */
static struct move *
answered(struct question *q)
{
	uint64_t attempt;
	struct persona *p = attempt_answered(q, &attempt);
	struct move *m;

	if (p == NULL || p->hook == NULL || p->hook->incoming)
		return NULL;
	m = move_from_hook(p->hook);
	return m->handover.attempt == attempt ? m : NULL;
}

/* --- stop, or run on ------------------------------------------------------ */

static void
saved(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct move *m = answered(arg);

	if (m == NULL)
		return;
	if (vmm_take_state(r, reply, msg, &m->state_fd, &m->state_bytes,
	    &why) < 0) {
		snprintf(m->why, sizeof(m->why), "%s", why);
		move_happen(m, HANDOVER_PARK_FAILED, 0, 0);
		return;
	}
	move_happen(m, HANDOVER_PARKED, 0, 0);
}

/*
 * The guest ran on until just before its clocks were read; one that stood still
 * already has waited since then, and its clocks must go on by all of it.
 */
static void
note_stop(struct move *m, const Persona__Vmm__Reply *reply)
{
	uint64_t at = reply->result_case == PERSONA__VMM__REPLY__RESULT_PAUSE ?
	    reply->pause->stopped_at_ns : 0;

	if (at == 0 || at > clock_now_ns())
		return;
	m->stood_still = at < m->stopped_at_ns;
	m->stopped_at_ns = at;
}

static void
paused(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct move *m = answered(arg);
	struct question *q;

	(void)msg;
	if (m == NULL)
		return;
	if (r == 0) {
		note_stop(m, reply);
		/* `why` was the pause's, which went well and has none. */
		why = "the virtual machine cannot be asked for its state";
		r = -ENOMEM;
		if ((q = ask(m)) != NULL && (r = vmm_save(guest_vmm(
		    m->persona->guest), VMM_TIMEOUT_MS, saved, q)) < 0)
			free(q);
	}
	if (r < 0) {
		snprintf(m->why, sizeof(m->why), "%s", why);
		move_happen(m, HANDOVER_PARK_FAILED, 0, 0);
	}
}

void
move_park(struct move *m)
{
	struct vmm *v = guest_vmm(m->persona->guest);
	struct question *q = ask(m);
	int r = -ESHUTDOWN;

	/* When exactly, the answer says. */
	m->stopped_at_ns = clock_now_ns();
	if (q != NULL && v != NULL)
		r = vmm_pause(v, VMM_TIMEOUT_MS, paused, q);
	if (r < 0) {
		free(q);
		move_step(m, HANDOVER_PARK_FAILED, 0, 0);
	}
}

/* It stands still and is still ours: it shows as paused, and can be resumed. */
static void
cannot_run_on(struct persona *p, const char *why)
{
	p->paused = true;
	log_err("persona %s: cannot be resumed after a failed move: %s",
	    p->rec.name, why);
}

static void
resumed(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct persona *p = attempt_answered(arg, NULL);

	(void)reply;
	(void)msg;
	if (p != NULL && r < 0)
		cannot_run_on(p, why);
}

void
move_run_on(struct move *m)
{
	struct vmm *v = guest_vmm(m->persona->guest);
	struct question *q = ask(m);

	if (q == NULL || v == NULL ||
	    vmm_resume(v, VMM_TIMEOUT_MS, resumed, q) < 0) {
		free(q);
		cannot_run_on(m->persona, "persona-vmm cannot be asked");
		return;
	}
	log_info("persona %s: runs on here", m->persona->rec.name);
}

/* --- guest memory for the worker ------------------------------------------ */

/* The same memory, but nobody can write through this descriptor. */
static int
read_only(int fd)
{
	char path[32];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	return ro < 0 ? -errno : ro;
}

/* Every region, the socket to the vmm and the bitmap, all in one message. */
static int
send_memory(struct move *m)
{
	Persona__Transfer__TransferMessage t =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__SendMemory memory =
	    PERSONA__TRANSFER__SEND_MEMORY__INIT;
	Persona__Transfer__Region regions[REGIONS_MAX], *list[REGIONS_MAX];
	int fds[IPC_MAX_FDS], ram = read_only(guest_ram_fd(m->persona->guest));
	size_t n;

	if (ram < 0)
		return ram;
	n = image_files_describe(&m->files, ram, regions, list, fds);
	fds[n++] = m->transfer_fd;
	fds[n++] = m->dirty_fd;
	memory.regions = list;
	memory.n_regions = m->files.plan.n_regions;
	t.kind_case = KIND(SEND_MEMORY);
	t.send_memory = &memory;
	syncproc_send(m->sync, m->handover.attempt, &t, fds, n);
	close(ram);
	move_close_fd(&m->transfer_fd);
	return 0;
}

static void
attached(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct move *m = answered(arg);

	(void)reply;
	(void)msg;
	if (m == NULL || m->handover.state != HANDOVER_COPYING)
		return;
	if (r == 0 && send_memory(m) == 0)
		return;
	snprintf(m->why, sizeof(m->why), "%s", r < 0 ? why :
	    "the guest's memory cannot be shared");
	move_happen(m, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
}

/* The peer has proven its key: now, and not before, memory is shown. */
void
move_give_memory(struct move *m)
{
	struct question *q;
	int r = -ENOMEM;

	if (m->memory_given)
		return;
	m->memory_given = true;
	if ((q = ask(m)) != NULL)
		r = dirty_log_open(guest_vmm(m->persona->guest),
		    m->files.plan.n_dirty, &m->transfer_fd, &m->dirty_fd,
		    attached, q);
	if (r < 0) {
		free(q);
		move_happen(m, HANDOVER_CANCEL, REASON_VMM_FAILED, 0);
	}
}
