/* SPDX-License-Identifier: ISC */
/*
 * Reports of transfers and who follows them. Knows control requests and figures,
 * and decides nothing.
 */
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "bounds.h"
#include "clock.h"
#include "control.h"
#include "daemon.h"
#include "reason.h"

#define REPORTS_KEPT	32	/* ended ones, for `personactl status` */

struct report {
	TAILQ_ENTRY(report)	entry;
	struct reports		*all;
	char			persona[PERSONA_NAME_MAX + 1];
	char			peer[HANDSET_NAME_MAX + 1];
	bool			outgoing;
	uint64_t		attempt, ram_bytes;
	uint64_t		started_ms, ended_ms;
	Persona__Transfer__Progress progress;
	Persona__Transfer__Savings savings;
	struct blackout		blackout;
	uint64_t		cpu_ms;
	Persona__Transfer__Preflight *preflight;	/* of a dry run */
	void			(*left)(void *arg);	/* NULL: it goes on */
	void			*left_arg;
	bool			ended;
	uint32_t		reason;
	char			message[REASON_TEXT_MAX + 1];
};

/* A control client that follows one transfer, or all those of a name. */
struct watch {
	TAILQ_ENTRY(watch)	entry;
	struct reports		*all;
	struct control_request	*req;
	struct report		*only;		/* NULL: by name */
	char			persona[PERSONA_NAME_MAX + 1];	/* "": all */
};

struct reports {
	TAILQ_HEAD(, report)	list;		/* newest first */
	TAILQ_HEAD(, watch)	watches;
};

int
reports_new(struct reports **rp)
{
	if ((*rp = calloc(1, sizeof(**rp))) == NULL)
		return -ENOMEM;
	TAILQ_INIT(&(*rp)->list);
	TAILQ_INIT(&(*rp)->watches);
	return 0;
}

static void
report_free(struct report *r)
{
	TAILQ_REMOVE(&r->all->list, r, entry);
	if (r->preflight != NULL)
		persona__transfer__preflight__free_unpacked(r->preflight,
		    NULL);
	free(r);
}

static void
watch_free(struct watch *w)
{
	TAILQ_REMOVE(&w->all->watches, w, entry);
	free(w);
}

void
reports_free(struct reports *all)
{
	if (all == NULL)
		return;
	while (!TAILQ_EMPTY(&all->watches))
		watch_free(TAILQ_FIRST(&all->watches));
	while (!TAILQ_EMPTY(&all->list))
		report_free(TAILQ_FIRST(&all->list));
	free(all);
}

/* Ended ones make room: those of the same persona, and the oldest. */
static void
forget_old(struct reports *all, const char *persona)
{
	struct report *r, *next;
	unsigned int kept = 0;

	for (r = TAILQ_FIRST(&all->list); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (r->ended && (strcmp(r->persona, persona) == 0 ||
		    ++kept >= REPORTS_KEPT))
			report_free(r);
	}
}

struct report *
report_new(struct daemon *d, const char *persona, const char *peer,
    bool outgoing, uint64_t attempt, uint64_t ram_bytes)
{
	struct report *r;

	forget_old(d->reports, persona);
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->all = d->reports;
	snprintf(r->persona, sizeof(r->persona), "%s", persona);
	snprintf(r->peer, sizeof(r->peer), "%s", peer);
	r->outgoing = outgoing;
	r->attempt = attempt;
	r->ram_bytes = ram_bytes;
	r->started_ms = clock_now_ms();
	persona__transfer__progress__init(&r->progress);
	persona__transfer__savings__init(&r->savings);
	TAILQ_INSERT_HEAD(&d->reports->list, r, entry);
	return r;
}

/* --- telling ------------------------------------------------------------------------ */

static void
fill(struct report *r, Persona__Control__MoveInfo *info)
{
	persona__control__move_info__init(info);
	info->persona = r->persona;
	info->peer = r->peer;
	info->outgoing = r->outgoing;
	info->progress = &r->progress;
	info->has_elapsed_ms = true;
	info->elapsed_ms = (r->ended ? r->ended_ms : clock_now_ms()) -
	    r->started_ms;
	info->has_ended = true;
	info->ended = r->ended;
	info->has_attempt = true;
	info->attempt = r->attempt;
	info->has_ram_bytes = true;
	info->ram_bytes = r->ram_bytes;
	info->has_blackout_ns = r->blackout.ns > 0;
	info->blackout_ns = r->blackout.ns;
	info->has_blackout_by_guest = r->blackout.ns > 0;
	info->blackout_by_guest = r->blackout.by_guest;
	info->has_cpu_ms = r->cpu_ms > 0;
	info->cpu_ms = r->cpu_ms;
	info->preflight = r->preflight;
	if (r->ended) {
		info->has_reason = true;
		info->reason = r->reason;
		info->message = r->message;
	}
}

static bool
matches(const struct watch *w, const struct report *r)
{
	if (w->only != NULL)
		return w->only == r;
	if (r->left != NULL)
		return false;	/* no move: its asker's alone */
	return w->persona[0] == '\0' || strcmp(w->persona, r->persona) == 0;
}

/* All that match; true when none of them is under way any more. */
static size_t
collect(const struct watch *w, Persona__Control__MoveInfo *infos,
    Persona__Control__MoveInfo **list, size_t max, bool *all_ended)
{
	struct report *r;
	size_t n = 0;

	*all_ended = true;
	TAILQ_FOREACH(r, &w->all->list, entry) {
		if (!matches(w, r) || n == max)
			continue;
		fill(r, &infos[n]);
		list[n] = &infos[n];
		n++;
		if (!r->ended)
			*all_ended = false;
	}
	return n;
}

/* A failed Move is an error to whoever asked for it. */
static int
move_error(uint32_t reason)
{
	switch (reason) {
	case REASON_OK:
		return 0;
	case REASON_CANCELLED:
		return -ECANCELED;
	case REASON_LINK_LOST:
		return -ECONNRESET;
	case REASON_UNREACHABLE:
		return -EHOSTUNREACH;
	default:
		return -EIO;
	}
}

/* Send what there is. True when that was the last of it. */
static bool
tell(struct watch *w, bool follow)
{
	Persona__Control__MoveInfo infos[REPORTS_KEPT];
	Persona__Control__MoveInfo *list[REPORTS_KEPT];
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	bool all_ended;

	reply.n_moves = collect(w, infos, list, REPORTS_KEPT, &all_ended);
	reply.moves = list;
	reply.done = !follow || all_ended;
	if (w->only != NULL && all_ended) {
		reply.error = move_error(w->only->reason);
		reply.has_reason = true;
		reply.reason = w->only->reason;
		reply.message = w->only->message;
	}
	control_reply(w->req, &reply, NULL, 0);
	return reply.done;
}

static void
tell_all(struct report *r)
{
	struct watch *w, *next;

	for (w = TAILQ_FIRST(&r->all->watches); w != NULL; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (matches(w, r) && tell(w, true))
			watch_free(w);
	}
}

void
report_progress(struct report *r, const Persona__Transfer__Progress *p)
{
	if (r == NULL || r->ended)
		return;
	r->progress = *p;
	if (p->savings != NULL) {
		r->savings = *p->savings;
		r->progress.savings = &r->savings;
	}
	/* Nothing may point into the worker's message, not even what it smuggled. */
	r->progress.base.n_unknown_fields = 0;
	r->progress.base.unknown_fields = NULL;
	r->savings.base.n_unknown_fields = 0;
	r->savings.base.unknown_fields = NULL;
	tell_all(r);
}

void
report_blackout(struct report *r, const struct blackout *b)
{
	if (r != NULL)
		r->blackout = *b;
}

void
report_cpu(struct report *r, uint64_t cpu_ms)
{
	if (r != NULL)
		r->cpu_ms = cpu_ms;
}

/* By way of its bytes, so that nothing points into the worker's message. */
void
report_preflight(struct report *r, const Persona__Transfer__Preflight *p)
{
	size_t len = persona__transfer__preflight__get_packed_size(p);
	uint8_t *packed;

	if (r == NULL || r->preflight != NULL ||
	    (packed = malloc(len)) == NULL)
		return;
	persona__transfer__preflight__pack(p, packed);
	r->preflight = persona__transfer__preflight__unpack(NULL, len, packed);
	free(packed);
}

void
report_on_left(struct report *r, void (*left)(void *arg), void *arg)
{
	if (r == NULL)
		return;
	r->left = left;
	r->left_arg = arg;
}

void
report_end(struct report *r, uint32_t reason, const char *message)
{
	if (r == NULL || r->ended)
		return;
	r->ended = true;
	r->ended_ms = clock_now_ms();
	r->reason = reason;
	snprintf(r->message, sizeof(r->message), "%s",
	    message != NULL && message[0] != '\0' ? message :
	    reason_text(reason));
	tell_all(r);
}

/* --- following ---------------------------------------------------------------------- */

static void
watcher_gone(void *arg)
{
	struct watch *w = arg;
	struct report *r = w->only;

	watch_free(w);
	if (r == NULL || r->ended || r->left == NULL)
		return;
	report_end(r, REASON_CANCELLED, NULL);
	r->left(r->left_arg);
}

static struct watch *
watch_new(struct reports *all, struct control_request *req)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		control_fail(req, -ENOMEM, "no memory");
		return NULL;
	}
	w->all = all;
	w->req = req;
	TAILQ_INSERT_TAIL(&all->watches, w, entry);
	control_on_gone(req, watcher_gone, w);
	return w;
}

void
report_follow(struct report *r, struct control_request *req)
{
	struct watch *w;

	if (r == NULL) {
		control_ok(req);
		return;
	}
	if ((w = watch_new(r->all, req)) == NULL)
		return;
	w->only = r;
	if (tell(w, true))
		watch_free(w);
}

void
reports_status(struct daemon *d, struct control_request *req,
    const char *persona, bool follow)
{
	struct watch *w = watch_new(d->reports, req);

	if (w == NULL)
		return;
	snprintf(w->persona, sizeof(w->persona), "%s",
	    persona != NULL ? persona : "");
	if (tell(w, follow))
		watch_free(w);
}
