/* SPDX-License-Identifier: ISC */
/*
 * The process around a sync engine: its event loop, its clock, and its one
 * connection to personad. Each role of persona-sync stands on it. Knows no page,
 * no stream and no role's messages, only their envelope.
 */
#ifndef SYNC_WORKER_H
#define SYNC_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc.h"
#include "sandbox.h"
#include "sync-state.h"
#include "transfer.pb-c.h"

struct event;
struct event_base;
struct space;
struct space_plan;

struct worker;

/* A role of persona-sync, one file each: sync-main-ROLE.c. */
struct worker_role {
	const char	*name;
	enum sandbox_role sandbox;
	int		(*open)(struct worker *w, void **role);
	void		(*close)(void *role);
	/* A message of this transfer's attempt; `in` holds its descriptors. */
	void		(*message)(void *role,
			    const Persona__Transfer__TransferMessage *m,
			    struct ipc_msg *in);
	void		(*step)(void *role);
	void		(*tick)(void *role);
};

struct worker {
	struct event_base	*base;
	int			ipc_fd;
	struct event		*ipc_event, *tick_event, *step_event;
	uint64_t		attempt;	/* 0: not known yet */
	const struct worker_role *ops;
	void			*role;
	struct ipc_msg		*in;
	bool			done;
	Persona__Transfer__Progress last;	/* figures of the end */
	Persona__Transfer__Savings last_savings;
};

/*
 * Run one role over the descriptor that personad gave, until it has ended or
 * personad is gone. The program's exit status.
 */
int	worker_run(const struct worker_role *role, int ipc_fd);

/* --- for the roles ---------------------------------------------------------- */

/* Call the role's step from the loop, soon. */
void	worker_again(struct worker *w);

/* What an engine asks for the time, whoever is its owner: clock.h's. */
uint64_t worker_now_ns(void *unused);

/*
 * The space that personad describes, on the descriptors of its message from *n_fds
 * on, in their order; *n_fds grows by those that are taken. Absent regions mean RAM
 * alone. 0; -EINVAL when it is not what the plan says; or -errno.
 */
int	worker_space(struct space **sp, const struct space_plan *plan,
	    Persona__Transfer__Region *const *regions, size_t n_regions,
	    struct ipc_msg *in, bool writable, size_t *n_fds);

/* Tell personad, with up to n_fds descriptors (kept). Failing ends the worker. */
void	worker_tell(struct worker *w, Persona__Transfer__TransferMessage *m,
	    const int *fds, size_t n_fds);

/* Figures for a person; dropped when personad is busy. */
void	worker_progress(struct worker *w, const struct sync_progress *p);

/* The role is over: tell personad why and leave the loop. Once. */
void	worker_ended(struct worker *w, uint32_t reason, const char *text);

#endif
