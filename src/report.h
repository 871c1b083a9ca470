/* SPDX-License-Identifier: ISC */
/*
 * What people are told about transfers: the figures of each, under way and lately
 * ended, and the control clients that follow them. Knows no handover; it repeats
 * what move.c and arrival.c say.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "blackout.h"
#include "transfer.pb-c.h"

struct control_request;
struct daemon;
struct report;
struct reports;

/* Nothing to report yet. 0 or -ENOMEM. */
int	reports_new(struct reports **rp);
void	reports_free(struct reports *r);

/* A transfer has begun. NULL: no memory, which every report_* call accepts. */
struct report *report_new(struct daemon *d, const char *persona,
	    const char *peer, bool outgoing, uint64_t attempt,
	    uint64_t ram_bytes);

/* Figures of the worker. */
void	report_progress(struct report *r,
	    const Persona__Transfer__Progress *p);
void	report_blackout(struct report *r, const struct blackout *b);
void	report_cpu(struct report *r, uint64_t cpu_ms);
/* What a dry run found; copied. */
void	report_preflight(struct report *r,
	    const Persona__Transfer__Preflight *p);

/*
 * It is of a question: for whoever follows it and for no status. Tell me when he
 * leaves before its end; the report ends by that, as cancelled. Only before
 * report_follow().
 */
void	report_on_left(struct report *r, void (*left)(void *arg), void *arg);

/* It is over; `message` may be NULL for the reason's own sentence. */
void	report_end(struct report *r, uint32_t reason, const char *message);

/* Answer a Move: every change, then the end. */
void	report_follow(struct report *r, struct control_request *req);

/* Answer a Status: now, or with every change until all that match have ended. */
void	reports_status(struct daemon *d, struct control_request *req,
	    const char *persona, bool follow);

#endif
