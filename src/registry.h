/* SPDX-License-Identifier: ISC */
/*
 * The durable truth of this handset: its personas, who owns each (tenure), the
 * attempt of a move that is under way, and the peers whose keys are trusted.
 * Every change is one transaction that is on disk when the call returns 0; a
 * change that fails leaves what was there. Knows SQLite; knows no process.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "hexid.h"
#include "spec.h"

#define PERSONA_ID_LEN	HEXID_LEN
#define BASELINE_MAX	31	/* "x86-64-v2", bytes */
#define PEER_KEY_MAX	255	/* "ssh-ed25519 AAAA...", bytes */
#define PEER_HOST_MAX	127	/* numeric, "%scope" allowed, bytes */

struct registry;

/* Who owns a persona, as this handset durably knows (persona-design(7), THE HANDOVER). */
enum holding {
	HOLDING_OWNER,		/* we do, at `tenure` */
	HOLDING_RELEASED,	/* given to `peer` at `tenure`, not yet confirmed */
	HOLDING_AWAY,		/* `peer` has it, at `tenure` at least */
};

struct persona_record {
	char		id[PERSONA_ID_LEN + 1];
	char		name[PERSONA_NAME_MAX + 1];
	uint64_t	ram_bytes;
	uint32_t	vcpus;
	char		cpu_baseline[BASELINE_MAX + 1];
	char		cmdline[CMDLINE_MAX + 1];
	bool		has_boot;	/* images/<id>/kernel is here */
	uint64_t	tenure;
	enum holding	holding;
	bool		running;	/* a persona-vmm was started and has not ended */
	bool		crashed;	/* the last end was not asked for */
	char		last_end[REASON_TEXT_MAX + 1];
	char		peer[FINGERPRINT_MAX + 1];	/* "" while we own it */
	char		peer_name[HANDSET_NAME_MAX + 1];
	uint64_t	created_unix_s;
	uint64_t	last_attempt;	/* the highest number given out here */
	struct packed_spec spec;	/* disks, network, limits, policy */
	/* Its files lie in images/incoming-<id>-<this>; 0: in images/<id>. */
	uint64_t	image_attempt;
};

/* A source's attempt that has got as far as the stop. */
struct outgoing_record {
	char		persona_id[PERSONA_ID_LEN + 1];
	uint64_t	attempt;
	bool		released;	/* false: STOPPED only */
	char		peer[FINGERPRINT_MAX + 1];
};

/* A target's attempt: PREPARED, or ABORTED and never to own this attempt. */
struct incoming_record {
	uint64_t	attempt;
	bool		aborted;
	char		peer[FINGERPRINT_MAX + 1];
	/* What the persona becomes with ownership; tenure is already n + 1. */
	struct persona_record persona;
};

struct peer_record {
	char		fingerprint[FINGERPRINT_MAX + 1];
	char		name[HANDSET_NAME_MAX + 1];
	char		key[PEER_KEY_MAX + 1];
	char		host[PEER_HOST_MAX + 1]; /* where it was paired, or "" */
	uint16_t	port;
	uint64_t	paired_unix_s;
	uint64_t	overhead_ns;	/* of handovers there; 0: none yet */
};

/*
 * Open or create, with a log that has room of its own when storage is full. 0; -ENOSPC,
 * -EACCES, -EUCLEAN (not our file, or damaged), -ENOTSUP (written by a newer version),
 * other -errno.
 */
int	registry_open(struct registry **rp, const char *path);
/* NULL is fine. */
void	registry_close(struct registry *r);

/* Move what was written into the main file; for quiet times. Best effort. */
void	registry_tidy(struct registry *r);

/* Never let the file pass this many pages (a full disk, for tests). */
int	registry_limit_pages(struct registry *r, unsigned int pages);

/* --- personas ----------------------------------------------------------------*/

/* Add a persona that we own. -EEXIST when the name or id is taken. */
int	registry_persona_add(struct registry *r,
	    const struct persona_record *p);

/* By name or by id. 0, or -ENOENT. */
int	registry_persona_get(struct registry *r, const char *name_or_id,
	    struct persona_record *p);

typedef void persona_each_fn(const struct persona_record *p, void *arg);
/* `fn` for each, in the order of names. 0 or -errno. */
int	registry_persona_each(struct registry *r, persona_each_fn *fn,
	    void *arg);

/* Forget it. -ENOENT; -EBUSY while an attempt is recorded for it. */
int	registry_persona_delete(struct registry *r, const char *id);

/*
 * Its next image is whole, lies where that attempt made it, and it is made of this
 * from now on. -EPERM unless we own it and it does not run.
 */
int	registry_image_pending(struct registry *r, const char *id,
	    uint64_t attempt, const struct packed_spec *spec);

/* What arrived with it lies in images/<id> now. */
int	registry_image_settled(struct registry *r, const char *id);

/* It is made of this from now on. -EPERM unless we own it. */
int	registry_persona_set_spec(struct registry *r, const char *id,
	    const struct packed_spec *spec);

/* It runs now. -EPERM unless we own it. */
int	registry_persona_started(struct registry *r, const char *id);

/* It runs no more, and why. */
int	registry_persona_ended(struct registry *r, const char *id,
	    bool crashed, const char *why);

/* --- moving away: the source's records ----------------------------------------- */

/* A new attempt number for a persona that we own. -EPERM when we do not. */
int	registry_attempt_new(struct registry *r, const char *id,
	    uint64_t *attempt);

/* STOPPED. -ESTALE unless `attempt` is the newest and nothing is released. */
int	registry_source_stopped(struct registry *r, const char *id,
	    uint64_t attempt, const char *peer, const char *peer_name);

/* That attempt is over; we still own it. Never undoes RELEASED: -ESTALE. */
int	registry_source_kept(struct registry *r, const char *id,
	    uint64_t attempt);

/*
 * RELEASED: the persona is `tenure` now and no longer ours to run. -ESTALE
 * unless STOPPED of this very attempt is on record.
 */
int	registry_source_released(struct registry *r, const char *id,
	    uint64_t attempt, uint64_t tenure);

/* The target said that it runs: RELEASED becomes AWAY. Repeats are fine. */
int	registry_source_moved(struct registry *r, const char *id,
	    uint64_t attempt);

/* 0, or -ENOENT when no attempt is recorded. */
int	registry_outgoing_get(struct registry *r, const char *id,
	    struct outgoing_record *o);

/* --- arriving: the target's records ------------------------------------------ */

/*
 * PREPARED. -ESTALE when this attempt or a later one was aborted or superseded;
 * -EEXIST when the name belongs to another persona; -EPERM when we own it.
 */
int	registry_target_prepared(struct registry *r,
	    const struct incoming_record *in);

/* OWNER: the persona is ours and running. -ESTALE unless PREPARED is on record. */
int	registry_target_owner(struct registry *r, const char *id,
	    uint64_t attempt);

/* ABORTED: we never own this attempt. -ESTALE unless PREPARED is on record. */
int	registry_target_aborted(struct registry *r, const char *id,
	    uint64_t attempt);

/* 0, or -ENOENT. */
int	registry_incoming_get(struct registry *r, const char *id,
	    struct incoming_record *in);

typedef void incoming_each_fn(const struct incoming_record *in, void *arg);
/* As registry_persona_each, in no order. */
int	registry_incoming_each(struct registry *r, incoming_each_fn *fn,
	    void *arg);

/* --- peers ------------------------------------------------------------------- */

/* Pin a key. -EEXIST when the name is paired with another key. */
int	registry_peer_add(struct registry *r, const struct peer_record *p);

/* By name or fingerprint. 0, or -ENOENT. */
int	registry_peer_get(struct registry *r, const char *name_or_fp,
	    struct peer_record *p);
/* What handovers there take (overhead_ns). As registry_peer_get. */
int	registry_peer_learn(struct registry *r, const char *fingerprint,
	    uint64_t overhead_ns);
/* Forget it; its key is trusted no more. 0, or -ENOENT. */
int	registry_peer_delete(struct registry *r, const char *fingerprint);

typedef void peer_each_fn(const struct peer_record *p, void *arg);
/* As registry_persona_each. */
int	registry_peer_each(struct registry *r, peer_each_fn *fn, void *arg);

#endif
