/* SPDX-License-Identifier: ISC */
/*
 * Goodput by acknowledgements, the in-flight limit, a token bucket. Knows no
 * stream, no frame and no clock.
 */
#include "flow.h"

#include <string.h>

/* Long enough to even out bursts of a shaped link, short enough to follow it. */
#define WINDOW_NS	40000000ULL
#define RTT_GUESS_NS	20000000ULL
/* Tokens may pile up for this long while there is nothing to send. */
#define BURST_NS	20000000ULL
#define NS		1000000000ULL

void
flow_init(struct flow *f, uint64_t now_ns)
{
	memset(f, 0, sizeof(*f));
	f->queue_ns = FLOW_QUEUE_SHORT_NS;
	f->window_ns = now_ns;
	f->window_idle = true;
}

void
flow_set_queue(struct flow *f, uint64_t queue_ns)
{
	f->queue_ns = queue_ns;
}

static void
window_start(struct flow *f, uint64_t now_ns)
{
	f->window_ns = now_ns;
	f->window_bytes = 0;
	f->window_idle = false;
}

void
flow_acked(struct flow *f, uint64_t now_ns, size_t bytes, size_t unacked)
{
	uint64_t took = now_ns - f->window_ns, sample;

	if (f->window_idle) {
		/* These left before the window; count from here. */
		window_start(f, now_ns);
	} else {
		f->window_bytes += bytes;
		if (took >= WINDOW_NS) {
			sample = f->window_bytes * (NS / 1000) / (took / 1000);
			f->rate = f->rate == 0 ? sample :
			    (f->rate * 3 + sample) / 4;
			window_start(f, now_ns);
		}
	}
	if (unacked == 0)
		f->window_idle = true;
}

void
flow_idle(struct flow *f)
{
	f->window_idle = true;
}

void
flow_rtt(struct flow *f, uint64_t rtt_ns)
{
	f->rtt_ns = rtt_ns;
	/* The smallest: later ones hold our own queue and would feed it. */
	if (f->rtt_min_ns == 0 || rtt_ns < f->rtt_min_ns)
		f->rtt_min_ns = rtt_ns > 0 ? rtt_ns : 1;
}

size_t
flow_inflight_limit(const struct flow *f)
{
	uint64_t rtt = f->rtt_min_ns > 0 ? f->rtt_min_ns : RTT_GUESS_NS;
	uint64_t limit;

	if (f->rate == 0)
		return 4 * FLOW_INFLIGHT_MIN;
	/* A quarter more than the trip, so that a faster link shows itself. */
	limit = f->rate / 1000 * ((rtt + rtt / 4 + f->queue_ns) / 1000) / 1000;
	if (limit < FLOW_INFLIGHT_MIN)
		return FLOW_INFLIGHT_MIN;
	return limit > FLOW_INFLIGHT_MAX ? FLOW_INFLIGHT_MAX : (size_t)limit;
}

void
flow_set_cap(struct flow *f, uint64_t now_ns, uint64_t cap)
{
	f->cap = cap;
	f->cap_ns = now_ns;
	f->tokens = 0;
}

void
flow_spend(struct flow *f, size_t bytes)
{
	if (f->cap > 0)
		f->tokens -= (int64_t)bytes;
}

size_t
flow_allowed(struct flow *f, uint64_t now_ns)
{
	uint64_t passed = now_ns - f->cap_ns;
	int64_t most = (int64_t)(f->cap / (NS / BURST_NS)) + 1;

	if (f->cap == 0)
		return SIZE_MAX;
	if (passed > NS)
		passed = NS;
	f->tokens += (int64_t)(f->cap * (passed / 1000) / 1000000);
	/* Parts of a microsecond wait for the next time. */
	f->cap_ns = now_ns - passed % 1000;
	if (f->tokens > most)
		f->tokens = most;
	return f->tokens > 0 ? (size_t)f->tokens : 0;
}
