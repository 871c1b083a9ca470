/* SPDX-License-Identifier: ISC */
/*
 * One persona on this handset: its durable record and, while it runs, its guest.
 * Start, stop, pause and the consequences of an unexpected end. Knows no control
 * connection and no transfer; one that is under way hangs itself in as `hook`.
 */
#ifndef PERSONA_H
#define PERSONA_H

#include <stdbool.h>
#include <sys/queue.h>

#include "control.pb-c.h"
#include "registry.h"

struct daemon;
struct guest;

/* What a transfer wants to hear about, and how it shows in the state. */
struct persona_hook {
	bool	incoming;
	bool	saving;		/* into files here; not a transfer */
	bool	asking;		/* whether it could move; nothing of it does */
	uint32_t throttle_percent;	/* how far the guest is held back */
	/* The guest has ended in mid-move; persona->guest is NULL already. */
	void	(*guest_ended)(struct persona_hook *h, const char *why);
};

struct persona {
	TAILQ_ENTRY(persona)	entry;
	struct daemon		*daemon;
	struct persona_record	rec;		/* as it stands in the registry */
	struct guest		*guest;		/* NULL: no persona-vmm here */
	bool			ready;		/* the machine is made */
	bool			paused;		/* until a person resumes it */
	bool			suspended;	/* it goes on from suspended/ */
	bool			unrecorded;	/* arriving: not in the registry yet */
	struct persona_hook	*hook;		/* a transfer under way, or NULL */
	bool			closing;	/* policy-watch.c pauses it */
	uint64_t		notice_s;	/* the last notice its policy gave */
	uint64_t		suspend_after_s; /* not tried before, after a failure */
	unsigned int		exports;	/* that read its image: it must stay as it is */
	TAILQ_HEAD(, persona_wait) waits;	/* told when the guest has ended */
	struct persona_wait	*starter;	/* told when it runs */
};

typedef void persona_done_fn(void *arg, int r, const char *why);

/* Every persona of the registry, without guests. 0 or -errno. */
int	personas_load(struct daemon *d);
void	personas_free(struct daemon *d);

/*
 * Look for guests of an earlier personad. `done` comes (also at once) when each
 * was found or given up.
 */
void	personas_find_guests(struct daemon *d, void (*done)(struct daemon *d));

/* Of this handset's, those that have moved away too; NULL: there is none. */
struct persona *persona_by_name(struct daemon *d, const char *name);
struct persona *persona_by_id(struct daemon *d, const char *id);

/* A persona object for a record; not in the registry by this. NULL: no memory. */
struct persona *persona_new(struct daemon *d,
	    const struct persona_record *rec);

/* Forget the object (its guest must be gone). */
void	persona_free(struct persona *p);

/* Read the record again after the registry has changed. */
void	persona_refresh(struct persona *p);

Persona__Control__PersonaInfo__State persona_state(const struct persona *p);

/* A word for messages: "running". Static. */
const char *persona_state_word(Persona__Control__PersonaInfo__State s);

/*
 * The persona as other handsets and images are told of it. Everything stays the
 * record's and the spec's, which must outlive *out.
 */
void	persona_describe(const struct persona_record *rec,
	    Persona__Spec__Spec *spec, Persona__Transfer__Persona *out);

/* `done` comes once, later or from within, and may find the client gone. */
void	persona_start(struct persona *p, persona_done_fn *done, void *arg);
void	persona_stop(struct persona *p, uint32_t timeout_ms,
	    persona_done_fn *done, void *arg);
void	persona_kill(struct persona *p, persona_done_fn *done, void *arg);
void	persona_pause(struct persona *p, persona_done_fn *done, void *arg);
void	persona_resume(struct persona *p, persona_done_fn *done, void *arg);

/*
 * Give the persona a guest that a transfer has brought to life (incoming), or
 * take it away for good without recording an end (outgoing, after the handover).
 */
void	persona_adopt_guest(struct persona *p, struct guest *g);
struct guest *persona_take_guest(struct persona *p);

/* What it was is saved in suspended/: its guest ends, on record, and is no crash. */
void	persona_end_suspended(struct persona *p);

/* Its suspended memory is of no use any more; as a power cut would take it. */
void	persona_forget_suspended(struct persona *p);

#endif
