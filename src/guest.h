/* SPDX-License-Identifier: ISC */
/*
 * One persona-vmm: its process, its control connection and the guest memory
 * that personad made for it. It outlives personad; guest_find takes it back.
 * Knows no registry and not why a guest should run.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "registry.h"
#include "vmm-client.h"

struct daemon;
struct guest;
struct guest_files;
struct guest_net;

struct guest_events {
	/* The machine is made (or found) and paused, or why not. Once. */
	void	(*ready)(void *arg, int r, const char *why);
	/* The process is gone; so is the guest when this returns. Once, last. */
	void	(*ended)(void *arg, bool crashed, const char *why);
};

/*
 * Make memory (sealed at its size), unless the files bring it, and a persona-vmm on
 * it. The files stay the caller's; without a kernel nothing is booted, a saved state
 * comes later. 0 and the events will come, or -errno.
 */
int	guest_start(struct guest **gp, struct daemon *d,
	    const struct persona_record *rec, const struct guest_files *files,
	    const struct guest_events *events, void *arg);

/*
 * The persona-vmm that an earlier personad started for this id. -ENOENT when
 * it is gone; 0 and `ready` will say what was found.
 */
int	guest_find(struct guest **gp, struct daemon *d,
	    const struct persona_record *rec, const struct guest_events *events,
	    void *arg);

/* Kill what earlier runs left and nobody has found. After all guest_find. */
void	guest_sweep(struct daemon *d);

/* Another owner hears of the rest. */
void	guest_set_events(struct guest *g, const struct guest_events *events,
	    void *arg);

/* The control connection, for vmm_* requests; NULL once it is lost. */
struct vmm *guest_vmm(struct guest *g);
/* Its memory; the descriptor stays the guest's. -1: not there yet. */
int	guest_ram_fd(const struct guest *g);
/* persona-vmm's process. */
pid_t	guest_pid(const struct guest *g);

/* Its way to the network; NULL when it has none. */
struct guest_net *guest_network(struct guest *g);

/* What Hello said, after `ready` of guest_find. */
bool	guest_was_running(const struct guest *g);

/* Why it stands still though nobody paused it, or NULL. */
const char *guest_stands_still(const struct guest *g);

/* How often storage has failed this disk of it, and how last (-errno). */
uint64_t guest_disk_errors(const struct guest *g, unsigned int disk, int *last);

/* The limits of this record are in force from now on. 0 or -errno. */
int	guest_limit(struct guest *g, const struct persona_record *rec);

/*
 * This process (of ours) fills the guest's memory: what it takes counts as the
 * guest's from now on. The limits come into force when it has ended.
 */
void	guest_filled_by(struct guest *g, pid_t pid);

/* What it takes of the handset; 0 for what cannot be told. */
struct guest_usage {
	uint64_t	at_ns;		/* of the look, on the monotonic clock */
	uint64_t	cpu_ns;		/* since persona-vmm began */
	uint64_t	resident_bytes;	/* of the guest's memory, here now */
	uint64_t	private_bytes;	/* of persona-vmm beside that */
	uint64_t	group_bytes;	/* as its control group counts */
	uint64_t	oom_kills;
	bool		has_net;
	uint64_t	net_in_bytes, net_out_bytes;	/* see guest_net_traffic */
};
void	guest_usage(const struct guest *g, struct guest_usage *u);

/* Ask it to end; killed after timeout_ms. `ended` comes. */
void	guest_stop(struct guest *g, uint32_t timeout_ms);
/* End it at once. `ended` comes. */
void	guest_kill(struct guest *g);

/* Let go without ending it: personad leaves. No event comes. NULL is fine. */
void	guest_leave(struct guest *g);

/* End it now, no event comes. NULL is fine. */
void	guest_discard(struct guest *g);

#endif
