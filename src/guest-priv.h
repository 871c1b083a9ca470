/* SPDX-License-Identifier: ISC */
/*
 * The inside of a guest, for guest.c (its life) and guest-find.c (the trace it
 * leaves and how a later personad follows it). Everybody else takes guest.h.
 */
#ifndef GUEST_PRIV_H
#define GUEST_PRIV_H

#include "guest.h"

struct event;
struct child;

#define GUEST_WHY_MAX	(REASON_TEXT_MAX + 1)

struct guest {
	struct daemon		*daemon;
	struct guest_events	events;
	void			*arg;
	char			id[PERSONA_ID_LEN + 1];
	char			name[PERSONA_NAME_MAX + 1];
	struct child		*child;
	struct vmm		*vmm;		/* NULL: lost, or not there yet */
	struct event		*timer;		/* kills when it fires */
	int			ram_fd;
	uint64_t		ram_bytes;
	bool			was_running;
	bool			kill_asked;
	bool			told;		/* why[] is the guest's own account */
	bool			crashed;
	bool			process_gone;
	bool			*freed;		/* told when freed by an answer */
	char			why[GUEST_WHY_MAX];
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

/* The `ready` event; not when it is being discarded with the question open. */
void	guest_tell_ready(struct guest *g, int r, const char *why);

/* --- guest-find.c: the trace --------------------------------------------------- */

/* The socket where a later personad will knock; the vmm accepts on it. */
int	guest_trace_listen(const struct daemon *d, const char *id, int *fdp);

/* Who it is: pid and start time, so that a reused pid is never taken for it. */
int	guest_trace_write(const struct daemon *d, const char *id, pid_t pid);

/* It has ended, or must not be found any more. */
void	guest_trace_remove(const struct daemon *d, const char *id);

#endif
