/* SPDX-License-Identifier: ISC */
/*
 * Both roles of the sync engine in one process, with streams in memory between
 * them, a guest that dirties its memory, and an owner on either side who answers
 * a moment later. Time is a number that grows by a millisecond a step. Knows no
 * daemon and no KVM.
 */
#ifndef SYNC_PAIR_H
#define SYNC_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "fakes/fake-space.h"
#include "fakes/stream-mem.h"
#include "sync-receive.h"
#include "sync-send.h"

#define PAIR_RAM_BYTES	RAM_MIN_BYTES
#define PAIR_PAGES	(PAIR_RAM_BYTES / PAGE_BYTES)
#define PAIR_LINKS	4u
#define PAIR_STATE	5000u	/* bytes of saved machine state */

struct pair_config {
	uint64_t	filled_pages;	/* mixed content from page 0 on */
	uint64_t	hot_first, hot_pages;
	unsigned int	dirty_per_step;	/* pages of the hot set, while it runs */
	bool		whole_pages;	/* dirty all of a page, with noise */
	size_t		step_bytes;	/* of all links, a millisecond; 0: no limit */
	unsigned int	delay_steps;
	uint32_t	budget_ms;	/* 0: 100 */
	uint64_t	bandwidth_limit;
	bool		no_throttle;
	bool		refuse;
	/* beside memory */
	uint64_t	disk_bytes;	/* of one disk; 0: none */
	uint64_t	disk_filled;	/* pages of it */
	unsigned int	disk_per_step;	/* pages written while it runs */
	unsigned int	discard_per_step;
	uint64_t	kernel_bytes;	/* of a boot file; 0: none */
	int		full_disk_fd;	/* the target's disk; 0: an empty one */
};

struct pair {
	struct pair_config	cfg;
	struct stream_mem	*links[PAIR_LINKS];
	uint64_t		now_ns;
	/* the guest and its two memories */
	struct space_plan	plan;
	struct space		*guest;		/* as it sees itself */
	struct space		*source, *copy;	/* what either engine is given */
	uint64_t		disk_first;	/* page */
	uint64_t		*log;		/* what a harvest will report */
	uint64_t		*dirty;		/* what harvests have reported */
	bool			guest_runs;
	unsigned int		throttle, throttle_max;
	uint64_t		random;
	/* the source's owner */
	struct sync_send	*send;
	unsigned int		harvest_in, stop_in, release_in;	/* steps */
	bool			hold_stop, hold_release;	/* never answer */
	uint64_t		stopped_ns;
	bool			released, told_running;
	uint64_t		blackout_ns;
	struct sync_progress	send_last;
	bool			send_ended;
	uint32_t		send_reason;
	char			send_text[600];
	/* the target's owner */
	struct sync_receive	*receive;
	unsigned int		accept_in, prepared_in, running_in;
	bool			hold_prepared;
	bool			verified, owns;
	uint8_t			state[PAIR_STATE];	/* as verified */
	uint64_t		resumed_ns;
	bool			receive_ended;
	uint32_t		receive_reason;
	char			receive_text[600];
};

/* Everything made, the offer on its way. */
void	pair_open(struct pair *p, const struct pair_config *cfg);
void	pair_close(struct pair *p);

/* One millisecond. */
void	pair_step(struct pair *p);

/* Until both have ended, or so many steps have passed. True when both have. */
bool	pair_run(struct pair *p, unsigned int max_steps);

/* Until the source is in this state; false when that did not come to be. */
bool	pair_run_to(struct pair *p, enum sync_state state,
	    unsigned int max_steps);

void	pair_cut(struct pair *p);

/* The target has all of the source's pages, byte for byte, and the machine state. */
bool	pair_same(const struct pair *p);

/* Change a page, of memory or of a disk, as the guest would. */
void	pair_write(struct pair *p, uint64_t pfn, uint64_t value);

/* Give a page of a disk back as the guest would. */
void	pair_discard(struct pair *p, uint64_t pfn);

#endif
