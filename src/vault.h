/* SPDX-License-Identifier: ISC */
/*
 * Encrypted at rest, as personad sees it: everything stored of an encrypted
 * persona lies in a vault, vaults/<id>/, and is there to be used only while the
 * vault is open. Knows states and paths; keys and mounts are persona-vault's.
 *
 *	vaults/<id>/key		the wrapped key; written last
 *	vaults/<id>/cipher/	what is stored
 *	vaults/<id>/open/	what is in it, while it is open: <id>, <id>.new, ...
 */
#ifndef VAULT_H
#define VAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"
#include "hexid.h"
#include "spec.h"

struct daemon;
struct vault_job;

enum vault_state {
	VAULT_ABSENT,		/* there is none: its files are not encrypted */
	VAULT_LOCKED,		/* nothing but ciphertext */
	VAULT_OPENED,
	VAULT_LOST,		/* open once; what served it has died */
};

/* Looks at the file system: what is mounted now. */
enum vault_state vault_state(const struct daemon *d, const char *id);

/* Is a passphrase what opens it? False when its key file cannot be read, too. */
bool	vault_wants_passphrase(const struct daemon *d, const char *id);

/* Is this persona one that must lie in a vault? */
bool	vault_is_wanted(const struct packed_spec *spec);

/* Mark it so, for ever. 0 or -errno of spec_pack. */
int	vault_mark(struct packed_spec *spec);

/*
 * Where <id>, <id>.new and incoming-<id>-N lie, below the state directory: the
 * one answer for every room that makes a path. "images"; of a vault that is not
 * open a name that does not exist, so that nothing is ever written beside it.
 * Written to buf and returned.
 */
#define IMAGE_HOME_MAX	(16 + HEXID_LEN + 1)
const char *image_home(const struct daemon *d, const char *id,
	    char buf[IMAGE_HOME_MAX]);

/* --- what takes time ----------------------------------------------------------------- */

/*
 * `why` is a sentence that begins in small letters, for "<name>: <why>". Comes
 * once, later, unless the job is cancelled.
 */
typedef void vault_done_fn(void *arg, int r, const char *why);

/*
 * Make one and open it. passphrase_fd: a file that holds the passphrase, kept by
 * the caller; -1: the handset's key opens it. Jobs of one vault are done one after
 * another. 0, or -errno.
 */
int	vault_make(struct vault_job **jp, struct daemon *d, const char *id,
	    int passphrase_fd, vault_done_fn *done, void *arg);

/* Open it, also one that is lost; one that is open already is fine. */
int	vault_open(struct vault_job **jp, struct daemon *d, const char *id,
	    int passphrase_fd, vault_done_fn *done, void *arg);

/*
 * Have one that is open, made if there is none yet: with the handset's key, for
 * nobody is there to be asked. -ENOKEY when a passphrase opens it.
 */
int	vault_ready(struct vault_job **jp, struct daemon *d, const char *id,
	    vault_done_fn *done, void *arg);

/* Close it. -EBUSY comes later when its files are in use. */
int	vault_lock(struct vault_job **jp, struct daemon *d, const char *id,
	    vault_done_fn *done, void *arg);

/* Remove it with all that is in it; a failure is in the log. No vault is fine. */
void	vault_remove(struct daemon *d, const char *id);

/* `done` does not come any more; the work goes on to its end. NULL is fine. */
void	vault_cancel(struct vault_job *j);

/* Forget jobs under way; what they do goes on. */
void	vaults_free(struct daemon *d);

/* Remove vaults of nobody (`keep` says whose there are) and half-made ones. */
void	vaults_sweep(struct daemon *d,
	    bool (*keep)(struct daemon *d, const char *id));

/* Call this with the id of every vault that is open. */
void	vaults_each_open(struct daemon *d,
	    void (*each)(struct daemon *d, const char *id, void *arg),
	    void *arg);

#endif
