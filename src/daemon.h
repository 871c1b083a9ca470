/* SPDX-License-Identifier: ISC */
/*
 * What the rooms of personad share: one structure made in personad.c, pointers
 * to each room. Knows no room's inside.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cgroup.h"
#include "conf.h"

struct persona;
struct vault_job;
TAILQ_HEAD(persona_list, persona);

struct daemon {
	struct event_base	*base;
	struct conf		conf;
	struct registry		*registry;
	struct launcher		*launcher;
	struct control		*control;
	struct identity		*identity;
	struct listener		*listener;
	LIST_HEAD(, caller)	callers;	/* access.c's own */
	struct gate_server	*gate;
	struct peers		*peers;
	struct pairings		*pairings;
	struct arrivals		*arrivals;
	struct reports		*reports;
	struct event		*policy_look;	/* policy-watch.h; NULL: closed */
	struct cgroups		*cgroups;	/* NULL: none on this handset */
	char			limits_lack[CGROUP_WHY_MAX];	/* "": nothing */
	TAILQ_HEAD(, vault_job)	vault_jobs;	/* vault.c's own */
	bool			debug;
	struct persona_list	personas;	/* in no order */
};

/* A persona runs that did not, or has another policy: policies are looked at now. */
void	daemon_policies_look(struct daemon *d);

#define DAEMON_PROGRAM_MAX	(CONF_STATE_DIR_MAX + 32)

/* The path of one of our helper programs, written to buf and returned. */
const char *daemon_program(const struct daemon *d, const char *name,
	    char buf[DAEMON_PROGRAM_MAX]);

#endif
