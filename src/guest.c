/* SPDX-License-Identifier: ISC */
/*
 * A persona-vmm from the moment it was started, or was found again, to its end.
 * The end is told once, when both the process and the control connection are gone.
 * Knows no registry, and neither how one is started (guest-start.c) nor how a
 * restarted personad finds it (guest-find.c).
 */
#include "guest-priv.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "guest-net.h"
#include "launcher.h"
#include "log.h"

#define PLUG_TIMEOUT_MS		5000
#define ERRNO_MAX		4095	/* of the kernel */
#define LOST_KILL_MS		2000	/* control lost, process still there */

/* --- the end -------------------------------------------------------------------- */

static void
guest_free(struct guest *g)
{
	g->events.ready = NULL;
	if (g->freed != NULL)
		*g->freed = true;
	if (g->timer != NULL)
		event_free(g->timer);
	child_forget(g->child);
	child_forget(g->filler);
	guest_net_free(g->net);
	vmm_free(g->vmm);
	if (g->ram_fd >= 0)
		close(g->ram_fd);
	if (g->process_gone)
		cgroup_remove(g->daemon->cgroups, g->group);
	free(g);
}

static void
finish_if_over(struct guest *g)
{
	struct guest_events events = g->events;
	void *arg = g->arg;
	bool crashed = g->crashed;
	char why[GUEST_WHY_MAX];

	if (!g->process_gone || g->vmm != NULL)
		return;
	memcpy(why, g->why, sizeof(why));
	guest_trace_remove(g->daemon, g->id);
	guest_free(g);
	events.ended(arg, crashed, why);
}

void
guest_process_ended(void *arg, int status)
{
	struct guest *g = arg;
	char text[128];
	struct timeval soon = { .tv_sec = 1 };

	g->child = NULL;
	g->process_gone = true;
	if (!g->told && g->kill_asked) {
		snprintf(g->why, sizeof(g->why), "it was killed");
	} else if (!g->told) {
		g->crashed = true;
		snprintf(g->why, sizeof(g->why), "persona-vmm %s",
		    child_status_text(status, text, sizeof(text)));
	}
	/* Its last words may still be in the socket; they are not waited for long. */
	if (g->vmm != NULL)
		(void)evtimer_add(g->timer, &soon);
	finish_if_over(g);
}

static void
vmm_lost(void *arg)
{
	struct guest *g = arg;
	struct timeval tv = { .tv_sec = LOST_KILL_MS / 1000 };
	struct vmm *v = g->vmm;
	bool freed = false;

	g->vmm = NULL;
	g->freed = &freed;
	vmm_free(v);	/* answers what is open; that may discard the guest */
	if (freed)
		return;
	g->freed = NULL;
	if (!g->process_gone)
		(void)evtimer_add(g->timer, &tv);
	finish_if_over(g);
}

static void
vmm_exited(void *arg, const Persona__Vmm__Exited *e)
{
	static const char *const words[] = {
		[PERSONA__VMM__EXITED__REASON__POWER_OFF] =
		    "the guest powered off",
		[PERSONA__VMM__EXITED__REASON__RESET] =
		    "the guest asked for a reset",
		[PERSONA__VMM__EXITED__REASON__STOPPED] = "it was stopped",
		[PERSONA__VMM__EXITED__REASON__CRASHED] = "the guest crashed",
	};
	struct guest *g = arg;
	size_t i = (size_t)e->reason;
	const char *word = i < sizeof(words) / sizeof(words[0]) &&
	    words[i] != NULL ? words[i] : "the guest ended";

	g->told = true;
	g->crashed = e->reason == PERSONA__VMM__EXITED__REASON__CRASHED ||
	    e->reason == PERSONA__VMM__EXITED__REASON__UNKNOWN;
	if (e->message != NULL && e->message[0] != '\0' &&
	    strlen(e->message) < REASON_TEXT_MAX)
		word = e->message;
	snprintf(g->why, sizeof(g->why), "%s", word);
}

void
guest_stood(struct guest *g, const char *why)
{
	snprintf(g->stood, sizeof(g->stood), "%s", why != NULL ? why : "");
}

static void
vmm_stood(void *arg, const char *why)
{
	struct guest *g = arg;

	guest_stood(g, why);
	if (why != NULL)
		log_warn("persona %s: stands still: %s", g->name, g->stood);
	else
		log_info("persona %s: goes on", g->name);
}

void
guest_disk_failed(struct guest *g, const Persona__Vmm__DiskFailed *f)
{
	if (f->disk >= DISKS_MAX || f->last_error >= 0 ||
	    f->last_error < -ERRNO_MAX)
		return;
	if (g->disks[f->disk].errors == 0 && f->errors > 0)
		log_warn("persona %s: the storage of disk %u fails: %s",
		    g->name, f->disk, strerror(-f->last_error));
	g->disks[f->disk].errors = f->errors;
	g->disks[f->disk].last_error = f->last_error;
}

static void
vmm_disk_failed(void *arg, const Persona__Vmm__DiskFailed *f)
{
	guest_disk_failed(arg, f);
}

static const struct vmm_events vmm_events = {
	.stood = vmm_stood,
	.disk_failed = vmm_disk_failed,
	.exited = vmm_exited,
	.lost = vmm_lost,
};

int
guest_control(struct guest *g, int fd)
{
	int r = vmm_new(&g->vmm, g->daemon->base, fd, &vmm_events, g);

	if (r == 0)
		vmm_is_process(g->vmm, child_pid(g->child));
	return r;
}

/* Somebody has not gone as it should have. */
static void
overdue_cb(evutil_socket_t fd, short what, void *arg)
{
	struct guest *g = arg;

	(void)fd;
	(void)what;
	if (!g->process_gone) {
		log_warn("persona %s: persona-vmm[%d] does not end, killing it",
		    g->name, (int)child_pid(g->child));
		g->kill_asked = true;
		child_kill(g->child, SIGKILL);
	} else if (g->vmm != NULL) {
		vmm_lost(g);
	}
}

/* --- the beginning -------------------------------------------------------------- */

/* Another persona-net has taken over: the guest finds its cable in it. */
static void
plug_in(void *arg, int fd)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__NetAttach attach = PERSONA__VMM__NET_ATTACH__INIT;
	struct guest *g = arg;
	int r = -ESHUTDOWN;

	req.what_case = PERSONA__VMM__REQUEST__WHAT_NET;
	req.net = &attach;
	guest_group_add(g, guest_net_pid(g->net));
	if (g->vmm != NULL)
		r = vmm_request(g->vmm, &req, &fd, 1, PLUG_TIMEOUT_MS, NULL,
		    NULL);
	if (r < 0)	/* then persona-net leaves, and another comes */
		log_warn_r(r, "persona %s: no network", g->name);
	close(fd);
}

static int
make_net(struct guest *g, const struct persona_record *rec)
{
	Persona__Spec__Spec *spec;
	int r;

	if ((r = spec_unpack(&rec->spec, &spec)) < 0)
		return r;
	if (spec->net != NULL)
		r = guest_net_new(&g->net, g->daemon, g->id, g->name,
		    spec->net, plug_in, g);
	persona__spec__spec__free_unpacked(spec, NULL);
	return r;
}

int
guest_new(struct guest **gp, struct daemon *d,
    const struct persona_record *rec, const struct guest_events *events,
    void *arg)
{
	struct guest *g = calloc(1, sizeof(*g));
	int r = -ENOMEM;

	if (g == NULL)
		return -ENOMEM;
	g->daemon = d;
	g->events = *events;
	g->arg = arg;
	g->ram_fd = -1;
	g->ram_bytes = rec->ram_bytes;
	memcpy(g->id, rec->id, sizeof(g->id));
	memcpy(g->name, rec->name, sizeof(g->name));
	if ((g->timer = evtimer_new(d->base, overdue_cb, g)) == NULL ||
	    (r = make_net(g, rec)) < 0) {
		guest_free(g);
		return r;
	}
	*gp = g;
	return 0;
}

/* --- small ---------------------------------------------------------------------- */

void
guest_tell_ready(struct guest *g, int r, const char *why)
{
	if (g->events.ready != NULL)
		g->events.ready(g->arg, r, why);
}

void
guest_set_events(struct guest *g, const struct guest_events *events, void *arg)
{
	g->events = *events;
	g->arg = arg;
}

struct vmm *
guest_vmm(struct guest *g)
{
	return g == NULL ? NULL : g->vmm;
}

struct guest_net *
guest_network(struct guest *g)
{
	return g == NULL ? NULL : g->net;
}

int
guest_ram_fd(const struct guest *g)
{
	return g->ram_fd;
}

pid_t
guest_pid(const struct guest *g)
{
	return child_pid(g->child);
}

const char *
guest_stands_still(const struct guest *g)
{
	return g == NULL || g->stood[0] == '\0' ? NULL : g->stood;
}

uint64_t
guest_disk_errors(const struct guest *g, unsigned int disk, int *last)
{
	if (g == NULL || disk >= DISKS_MAX)
		return 0;
	*last = g->disks[disk].last_error;
	return g->disks[disk].errors;
}

bool
guest_was_running(const struct guest *g)
{
	return g->was_running;
}

void
guest_stop(struct guest *g, uint32_t timeout_ms)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000,
	    .tv_usec = (timeout_ms % 1000) * 1000 };

	if (g->vmm == NULL ||
	    vmm_stop(g->vmm, timeout_ms, NULL, NULL) < 0)
		guest_kill(g);
	else
		(void)evtimer_add(g->timer, &tv);
}

void
guest_kill(struct guest *g)
{
	g->kill_asked = true;
	child_kill(g->child, SIGKILL);
}

void
guest_leave(struct guest *g)
{
	if (g != NULL)
		guest_free(g);
}

void
guest_discard(struct guest *g)
{
	if (g == NULL)
		return;
	child_kill(g->child, SIGKILL);
	guest_trace_remove(g->daemon, g->id);
	guest_free(g);
}
