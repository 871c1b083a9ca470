/* SPDX-License-Identifier: ISC */
/*
 * The inside of a guest, for guest.c (its life), guest-start.c (how it begins),
 * guest-limits.c (what it may take) and guest-find.c (the trace it leaves and how a
 * later personad follows it). Everybody else takes guest.h.
 */
#ifndef GUEST_PRIV_H
#define GUEST_PRIV_H

#include "cgroup.h"
#include "guest.h"

struct event;
struct child;
struct guest_net;

#define GUEST_WHY_MAX	(REASON_TEXT_MAX + 1)

struct guest {
	struct daemon		*daemon;
	struct guest_events	events;
	void			*arg;
	char			id[PERSONA_ID_LEN + 1];
	char			name[PERSONA_NAME_MAX + 1];
	struct child		*child;
	struct vmm		*vmm;		/* NULL: lost, or not there yet */
	struct guest_net	*net;		/* NULL: it has no network */
	struct event		*timer;		/* kills when it fires */
	int			ram_fd;
	uint64_t		ram_bytes;
	char			group[CGROUP_NAME_MAX];	/* "": in none */
	struct cgroup_limits	limits;
	struct child		*filler;	/* see guest_filled_by */
	bool			was_running;
	bool			kill_asked;
	bool			told;		/* why[] is the guest's own account */
	bool			crashed;
	bool			process_gone;
	bool			*freed;		/* told when freed by an answer */
	char			why[GUEST_WHY_MAX];
	char			stood[GUEST_WHY_MAX];	/* "": it does not */
	struct {
		uint64_t	errors;
		int		last_error;
	} disks[DISKS_MAX];
};

/* --- guest.c ------------------------------------------------------------------- */

/* Neither process nor connection yet; guest_discard takes it at any stage. */
int	guest_new(struct guest **gp, struct daemon *d,
	    const struct persona_record *rec, const struct guest_events *events,
	    void *arg);

/* Its process has ended: a child_end_fn, for whoever starts or watches one. */
void	guest_process_ended(void *arg, int status);

/* Take this control connection (also on failure). 0 or -errno. */
int	guest_control(struct guest *g, int fd);

/* It stands still, or (NULL) goes on. */
void	guest_stood(struct guest *g, const char *why);

/* Storage has failed its disk so often; what makes no sense is passed by. */
void	guest_disk_failed(struct guest *g, const Persona__Vmm__DiskFailed *f);

/* The `ready` event; not when it is being discarded with the question open. */
void	guest_tell_ready(struct guest *g, int r, const char *why);

/* --- guest-limits.c ------------------------------------------------------------- */

/* A new persona-vmm: into a group of its own. Without one it runs all the same. */
void	guest_group_enter(struct guest *g, const struct persona_record *rec);

/* One that was found: which group it is in; the limits are in force again. */
void	guest_group_find(struct guest *g, const struct persona_record *rec);

/* Another process of this persona's. Without a group nothing happens. */
void	guest_group_add(struct guest *g, pid_t pid);

/* --- guest-find.c: the trace --------------------------------------------------- */

/* Of which process of a guest's. */
enum guest_trace { TRACE_VMM, TRACE_NET };

/* The socket where a later personad will knock; the process accepts on it. */
int	guest_trace_listen(const struct daemon *d, const char *id,
	    enum guest_trace of, int *fdp);

/* Knock. 0 or -errno. */
int	guest_trace_connect(const struct daemon *d, const char *id,
	    enum guest_trace of, int *fdp);

/* Who it is: pid and start time, so that a reused pid is never taken for it. */
int	guest_trace_write(const struct daemon *d, const char *id,
	    enum guest_trace of, pid_t pid);
int	guest_trace_read(const struct daemon *d, const char *id,
	    enum guest_trace of, pid_t *pid, uint64_t *ticks);

/* All have ended, or must not be found any more. */
void	guest_trace_remove(const struct daemon *d, const char *id);

#endif
