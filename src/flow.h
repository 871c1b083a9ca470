/* SPDX-License-Identifier: ISC */
/*
 * How much may be under way: measured goodput, round-trip time, the in-flight
 * limit that follows from them, and the user's bandwidth limit. Pure arithmetic;
 * time is passed in, nothing is sent.
 */
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The in-flight limit stays within these, whatever is measured. */
#define FLOW_INFLIGHT_MIN	((size_t)128 << 10)
#define FLOW_INFLIGHT_MAX	((size_t)16 << 20)

struct flow {
	uint64_t	queue_ns;	/* of the link's time, beyond a trip */
	uint64_t	rate;		/* bytes a second; 0: not known yet */
	uint64_t	rtt_min_ns;	/* smallest seen; 0: not known yet */
	uint64_t	rtt_ns;		/* the latest */
	uint64_t	window_ns;	/* start of the window being measured */
	uint64_t	window_bytes;	/* acknowledged since then */
	bool		window_idle;	/* nothing was under way in between */
	uint64_t	cap;		/* bytes a second; 0: none */
	uint64_t	cap_ns;		/* tokens are counted up to here */
	int64_t		tokens;		/* bytes that may go now; < 0: a debt */
};

/* Nothing is measured, nothing limited. */
void	flow_init(struct flow *f, uint64_t now_ns);

/* `bytes` were acknowledged, `unacked` are still under way. */
void	flow_acked(struct flow *f, uint64_t now_ns, size_t bytes,
	    size_t unacked);

/* Nothing is under way although something could be: do not measure this. */
void	flow_idle(struct flow *f);

/* One round trip, as a heartbeat found it. */
void	flow_rtt(struct flow *f, uint64_t rtt_ns);

/*
 * How long what is under way may wait in queues. Long rides out the moments when
 * nobody reads; short is what a last stop wants before it. At first short.
 */
#define FLOW_QUEUE_SHORT_NS	25000000ULL
#define FLOW_QUEUE_LONG_NS	250000000ULL
void	flow_set_queue(struct flow *f, uint64_t queue_ns);

/* Most bytes that may be unacknowledged at once. */
size_t	flow_inflight_limit(const struct flow *f);

/* The user's limit in bytes a second, 0 for none. */
void	flow_set_cap(struct flow *f, uint64_t now_ns, uint64_t cap);
/* So many bytes were queued, which counts against it. */
void	flow_spend(struct flow *f, size_t bytes);

/* Bytes the limit allows now; SIZE_MAX without a limit. */
size_t	flow_allowed(struct flow *f, uint64_t now_ns);

#endif
