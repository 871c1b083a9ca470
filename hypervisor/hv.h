/* SPDX-License-Identifier: ISC */
/*
 * The front door: one machine, from creation to its end. Whoever stands before it
 * (control.c, vmm-main.c) says what should happen; this says in which order the
 * vCPUs, memory, clocks and devices make it so. Deliberately knows no socket and
 * no protocol.
 */
#ifndef HV_H
#define HV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

struct boot_config;
struct disk;
struct event_base;
struct hv;
struct hv_host;

/* What is true while the machine is in this state. */
enum hv_state {
	HV_FRESH,	/* created, never ran: may be booted or loaded */
	HV_PAUSED,	/* has something to run; every vCPU parked */
	HV_RUNNING,	/* vCPUs run (or are throttled) */
	HV_ENDED,	/* the guest ended; nothing runs again */
	HV_BROKEN,	/* a load failed half way; may only be freed */
};

enum hv_end {
	HV_END_NONE,
	HV_END_POWER_OFF,
	HV_END_RESET,
	HV_END_STOPPED,
	HV_END_CRASHED,
};

struct hv_config {
	struct hv_host	*host;		/* outlives the machine; one machine */
	uint64_t	ram_bytes;
	int		ram_fd;		/* stays the caller's */
	unsigned int	vcpus;
	const char	*cpu_baseline;
	const uint8_t	*net_mac;	/* 6 bytes; NULL: no network card */
	/* In the guest's order, without gaps; they outlive the machine. */
	struct disk	*disks[DISKS_MAX];
	struct event_base *base;	/* main thread's loop */
	/* The guest has ended by itself; from the loop, once. */
	void		(*ended)(void *arg);
	/* It has paused itself, for this reason, until it is resumed; from the
	 * loop, each time. */
	void		(*stood_still)(void *arg, const char *why);
	void		*arg;
};

/* A refusal, as one sentence for a person. */
#define HV_WHY_MAX	384

/*
 * Create the machine: memory, chips, vCPUs (parked), devices. 0 or -errno with a
 * sentence in why[HV_WHY_MAX].
 */
int	hv_new(struct hv **hp, const struct hv_config *c, char *why);
/* From the main thread, in any state; stops what still runs. NULL is fine. */
void	hv_free(struct hv *hv);

enum hv_state	hv_state(const struct hv *hv);
/* How it ended and the sentence for it; HV_END_NONE and "" before. */
enum hv_end	hv_end(struct hv *hv, const char **text);

/* Place a kernel in a fresh machine. 0 or -errno and why. */
int	hv_boot(struct hv *hv, const struct boot_config *c, char *why);

/*
 * Let it run. With has_advance its clocks go on from the pause (or the load)
 * plus advance_ns; without, they kept running through a pause here, and a loaded
 * machine continues at its saved time. Repeats are fine. 0 or -errno.
 */
int	hv_resume(struct hv *hv, bool has_advance, uint64_t advance_ns);

/*
 * Park every vCPU, quiesce the devices; returns when it is so. Repeats are fine.
 * 0, -ESHUTDOWN when the guest has ended, or -ETIMEDOUT.
 */
int	hv_pause(struct hv *hv);

/* When the guest's clocks were read for the last pause (clock.h); 0: never. */
uint64_t	hv_stopped_at_ns(const struct hv *hv);

/*
 * For how long the guest was still held after hv_resume had moved its clocks on, for
 * the last time that it did: they ran, and it did not.
 */
uint64_t	hv_held_ns(const struct hv *hv);

/* End it from outside: as hv_pause, and for ever. */
void	hv_stop(struct hv *hv);

/* Share of the time the vCPUs are held back, 0..99. 0 or -errno. */
int	hv_throttle(struct hv *hv, unsigned int percent);

/* Ask the guest for this many bytes of its memory back; it may not follow. */
void	hv_balloon(struct hv *hv, uint64_t bytes);

/*
 * Dirty logging as in gmem.h and disk.h, over the page space (bounds.h): RAM, then
 * each disk. What a harvest reports is there to be read in memory and files. While
 * it goes on the guest is asked, too, to tell what memory it does not use, which
 * becomes holes of the memfd.
 */
int	hv_dirty_start(struct hv *hv);
int	hv_dirty_stop(struct hv *hv);
int	hv_dirty_harvest(struct hv *hv, uint64_t *bitmap, uint64_t *n_pages);

/* Bits a harvest can set: pages of the page space to the last disk's end. */
uint64_t	hv_pages(const struct hv *hv);

/*
 * Put a paused machine's state in a sealed memfd (the caller's). 0 or -errno.
 */
int	hv_save(struct hv *hv, int *fd, uint64_t *len_bytes);

/*
 * Load a state of len_bytes into a fresh machine. What does not fit is refused
 * with the reason and nothing applied (-EINVAL, -EPROTO, -ENOTSUP; HV_FRESH as
 * before); when KVM refuses half way the machine is HV_BROKEN. A second life is
 * one that another machine lives from this state too, or may: see machine_renew.
 */
int	hv_load(struct hv *hv, const uint8_t *state, size_t len_bytes,
	    bool second_life, char *why);

/*
 * Console stream for "serial0" or "hvc0", cable for "net0" (machine.h); takes the
 * descriptor. 0 or -errno.
 */
int	hv_attach(struct hv *hv, const char *row, int stream_fd);

struct hv_stats {
	uint64_t	run_ns;		/* vCPU time allowed to run, summed */
	uint64_t	exits;
	unsigned int	throttle_percent;
	uint64_t	dirty_pages;	/* reported by harvests so far */
	uint64_t	discarded_bytes; /* of its memory, given back so far */
	uint64_t	balloon_bytes;	/* the guest holds back for us now */
	uint64_t	guest_total_bytes;	/* as its driver told last; 0: */
	uint64_t	guest_available_bytes;	/* it has told nothing */
};
void	hv_stats(struct hv *hv, struct hv_stats *s);

#endif
