/* SPDX-License-Identifier: ISC */
/*
 * Event loop and personad's connection of a persona-sync process. Knows
 * no role.
 */
#include "sync-worker.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "clock.h"
#include "log.h"
#include "space.h"

#define TICK_MS		10
#define TELL_TIMEOUT_MS	5000

void
worker_again(struct worker *w)
{
	static const struct timeval now = { 0, 0 };

	/* A timer, not event_active(): descriptors are polled in between. */
	(void)event_add(w->step_event, &now);
}

uint64_t
worker_now_ns(void *unused)
{
	(void)unused;
	return clock_now_ns();
}

static void
leave(struct worker *w)
{
	w->done = true;
	event_base_loopbreak(w->base);
}

void
worker_tell(struct worker *w, Persona__Transfer__TransferMessage *m,
    const int *fds, size_t n_fds)
{
	int r;

	m->attempt = w->attempt;
	r = ipc_send(w->ipc_fd, &m->base, fds, n_fds, TELL_TIMEOUT_MS);
	if (r < 0 && !w->done) {
		log_warn_r(r, "personad does not listen");
		leave(w);
	}
}

static int
back_region(struct space *s, size_t i, struct ipc_msg *in, size_t count,
    bool writable, size_t *n_fds)
{
	int fds[SPACE_REGION_FDS];

	if (count == 0 || count > SPACE_REGION_FDS)
		return -EINVAL;
	for (size_t f = 0; f < count; f++)
		fds[f] = ipc_take_fd(in, (*n_fds)++);
	return space_back(s, i, fds, count, writable);
}

int
worker_space(struct space **sp, const struct space_plan *plan,
    Persona__Transfer__Region *const *regions, size_t n_regions,
    struct ipc_msg *in, bool writable, size_t *n_fds)
{
	const bool ram_alone = n_regions == 0 && plan->n_regions == 1;
	struct space *s = NULL;
	int r = 0;

	if (!ram_alone &&
	    (r = space_plan_check(plan, regions, n_regions)) < 0)
		return r;
	if ((r = space_new(&s, plan)) < 0)
		return r;
	for (size_t i = 0; i < plan->n_regions && r == 0; i++)
		r = back_region(s, i, in, ram_alone || !regions[i]->has_fds ?
		    1 : regions[i]->fds, writable, n_fds);
	if (r < 0) {
		space_free(s);
		return r;
	}
	*sp = s;
	return 0;
}

/* --- figures ---------------------------------------------------------------- */

static Persona__Transfer__Progress__Phase
phase_of(enum sync_state state)
{
	switch (state) {
	case SYNC_HELLO:
	case SYNC_OFFER:
		return PERSONA__TRANSFER__PROGRESS__PHASE__CONNECTING;
	case SYNC_COPY:
	case SYNC_DRAIN:
		return PERSONA__TRANSFER__PROGRESS__PHASE__COPYING;
	case SYNC_STOPPING:
	case SYNC_STOPPED:
	case SYNC_VERIFIED:
	case SYNC_PREPARED:
		return PERSONA__TRANSFER__PROGRESS__PHASE__STOPPED;
	default:
		return PERSONA__TRANSFER__PROGRESS__PHASE__FINISHING;
	}
}

#define PUT(msg, field, value) ((msg)->has_##field = 1, (msg)->field = (value))

static void
keep_savings(Persona__Transfer__Savings *to, const struct page_savings *from)
{
	persona__transfer__savings__init(to);
	PUT(to, zero_pages, from->zero_pages);
	PUT(to, known_pages, from->known_pages);
	PUT(to, delta_pages, from->delta_pages);
	PUT(to, delta_bytes, from->delta_bytes);
	PUT(to, lz4_pages, from->lz4_pages);
	PUT(to, lz4_bytes, from->lz4_bytes);
	PUT(to, zstd_pages, from->zstd_pages);
	PUT(to, zstd_bytes, from->zstd_bytes);
	PUT(to, raw_pages, from->raw_pages);
	PUT(to, unchanged_pages, from->unchanged_pages);
}

static void
keep_progress(struct worker *w, const struct sync_progress *p)
{
	Persona__Transfer__Progress *to = &w->last;

	persona__transfer__progress__init(to);
	PUT(to, phase, phase_of(p->state));
	PUT(to, round, p->round);
	PUT(to, pages_total, p->pages_total);
	PUT(to, pages_left, p->pages_left);
	PUT(to, bytes_sent, p->bytes);
	PUT(to, rate, p->rate);
	if (p->eta_ms > 0)
		PUT(to, eta_ms, p->eta_ms);
	PUT(to, projected_blackout_ms, p->projected_blackout_ms);
	PUT(to, throttle_percent, p->throttle_percent);
	keep_savings(&w->last_savings, &p->savings);
	to->savings = &w->last_savings;
}

void
worker_progress(struct worker *w, const struct sync_progress *p)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;

	keep_progress(w, p);
	if (w->done)
		return;
	m.attempt = w->attempt;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_PROGRESS;
	m.progress = &w->last;
	(void)ipc_send(w->ipc_fd, &m.base, NULL, 0, 0);
}

static uint64_t
cpu_ms(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return 0;
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
	    (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

void
worker_ended(struct worker *w, uint32_t reason, const char *text)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Ended ended = PERSONA__TRANSFER__ENDED__INIT;
	char copy[REASON_TEXT_MAX + 1];

	if (w->done)
		return;
	sync_copy_text(copy, sizeof(copy), reason, text);
	ended.reason = reason;
	ended.message = copy;
	ended.last = &w->last;
	PUT(&ended, cpu_ms, cpu_ms());
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_ENDED;
	m.ended = &ended;
	worker_tell(w, &m, NULL, 0);
	leave(w);
}

/* --- the loop --------------------------------------------------------------- */

static void
step_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	if (!w->done)
		w->ops->step(w->role);
}

static void
tick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	if (!w->done)
		w->ops->tick(w->role);
}

static void
take_message(struct worker *w)
{
	Persona__Transfer__TransferMessage *m;

	m = persona__transfer__transfer_message__unpack(NULL, w->in->len,
	    w->in->data);
	if (m == NULL) {
		log_err("personad sent something that is no message");
		leave(w);
		return;
	}
	/*
	 * A message of another attempt changes nothing. Of no attempt are the
	 * set-up and streams, the last of which may come after the offer.
	 */
	if (w->attempt == 0 || m->attempt == 0 || m->attempt == w->attempt)
		w->ops->message(w->role, m, w->in);
	persona__transfer__transfer_message__free_unpacked(m, NULL);
}

static void
ipc_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	int r = 1;

	(void)what;
	while (!w->done && (r = ipc_recv(fd, w->in)) > 0) {
		take_message(w);
		ipc_msg_fini(w->in);
	}
	if (w->done || r == -EAGAIN || r == -EMSGSIZE)
		return;
	/* Nobody to decide anything: stop here; the guest is not ours to touch. */
	log_info("personad is gone");
	leave(w);
}

static int
worker_open(struct worker *w)
{
	static const struct timeval tick = { .tv_usec = TICK_MS * 1000 };

	if ((w->base = event_base_new()) == NULL ||
	    (w->in = malloc(sizeof(*w->in))) == NULL)
		return -ENOMEM;
	w->ipc_event = event_new(w->base, w->ipc_fd, EV_READ | EV_PERSIST,
	    ipc_cb, w);
	w->tick_event = event_new(w->base, -1, EV_PERSIST, tick_cb, w);
	w->step_event = event_new(w->base, -1, 0, step_cb, w);
	if (w->ipc_event == NULL || w->tick_event == NULL ||
	    w->step_event == NULL ||
	    event_add(w->ipc_event, NULL) < 0 ||
	    event_add(w->tick_event, &tick) < 0)
		return -ENOMEM;
	return w->ops->open(w, &w->role);
}

static void
free_event(struct event *e)
{
	if (e != NULL)
		event_free(e);
}

int
worker_run(const struct worker_role *role, int ipc_fd)
{
	struct worker w = { .ipc_fd = ipc_fd, .ops = role };
	int r;

	persona__transfer__progress__init(&w.last);
	persona__transfer__savings__init(&w.last_savings);
	if ((r = worker_open(&w)) < 0 ||
	    (r = sandbox_enter(role->sandbox)) < 0)
		log_warn_r(r, "cannot start");
	else
		(void)event_base_dispatch(w.base);
	if (w.role != NULL)
		role->close(w.role);
	free_event(w.ipc_event);
	free_event(w.tick_event);
	free_event(w.step_event);
	if (w.base != NULL)
		event_base_free(w.base);
	free(w.in);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
