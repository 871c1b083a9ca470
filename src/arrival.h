/* SPDX-License-Identifier: ISC */
/*
 * Personas on their way here: streams that persona-gate brings, persona-sync
 * receive, a persona-vmm that waits, and the target's handover, tied together.
 * Knows what may be accepted here; who owns what is decided in handover.c.
 */
#ifndef ARRIVAL_H
#define ARRIVAL_H

struct arrivals;
struct daemon;
struct persona_record;
struct gate_stream;
struct guest;
struct persona;

/* Nothing arrives yet. 0 or -ENOMEM. */
int	arrivals_new(struct arrivals **ap, struct daemon *d);

/* personad leaves: what is PREPARED waits on, the rest is forgotten. */
void	arrivals_free(struct arrivals *a);

/*
 * A stream of a paired peer; takes the descriptors. (gate-server.h)
 */
void	arrivals_stream(void *arg, const struct gate_stream *gs);

/*
 * After a restart: find the waiting guests of PREPARED attempts, and abort those
 * that have none. `done` comes, maybe at once.
 */
void	arrivals_restore(struct arrivals *a, void (*done)(struct daemon *d));

/* The guest that waits for a persona on its way here; NULL: none is, or has one. */
struct guest *arrival_guest(const struct persona *p);

/*
 * After a restart, before anything else: files that arrived with a persona get
 * their place, those of arrivals that came to nothing are removed.
 */
void	arrivals_settle_images(struct daemon *d);

/* A person calls it off. 0; -EALREADY when it is ours already; -ESRCH. */
int	arrival_cancel(struct persona *p);

/* That peer is unpaired: what arrives from it and cannot be ours yet is dropped. */
void	arrivals_unpaired(struct arrivals *a, const char *fingerprint);

/*
 * The files of a persona that has become ours get their place: when it runs, after
 * the restart of a personad that did not get so far, or when its vault is opened.
 */
void	arrival_settle_image(struct daemon *d,
	    const struct persona_record *rec);

#endif
