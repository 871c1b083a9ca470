/* SPDX-License-Identifier: ISC */
/*
 * A guest that needs no KVM: memory with all kinds of content, a timer that writes to
 * some of it, and the end of a persona-vmm that answers persona-sync. For programs
 * that drive a transfer; what goes wrong here ends them. Knows no stream and no
 * personad.
 */
#ifndef TIMER_GUEST_H
#define TIMER_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc.h"

struct event_base;

struct timer_guest {
	uint64_t	ram_bytes;
	uint8_t		*ram;
	int		ram_fd, dirty_fd;	/* for the sender */
	int		transfer_fd;		/* for the sender, too */
	bool		runs;			/* false: it writes nothing */
	/* its own */
	uint64_t	*dirty;			/* what dirty_fd shows */
	uint64_t	*log;			/* not harvested yet */
	uint64_t	random;
	struct ipc_msg	in;
};

/* Fill so much memory and run; its events live until the base is gone. */
void	timer_guest_start(struct timer_guest *g, struct event_base *base,
	    uint64_t ram_bytes);

/* Zeroed shared memory and its descriptor; never freed. */
void	*timer_guest_memory(int *fd, uint64_t bytes);

#endif
