/* SPDX-License-Identifier: ISC */
/* What every way of making a persona shares. Knows no template. */
#ifndef CONTROL_CREATE_H
#define CONTROL_CREATE_H

#include <stdbool.h>

#include "control.h"
#include "registry.h"
#include "vault.h"

/* A record of what was asked for, with a new id and no spec. 0 or -errno. */
int	create_record(struct persona_record *rec,
	    const Persona__Control__Create *c);

/*
 * The image is in place: put the persona into the registry, start it if asked to,
 * and answer. A failure removes the image.
 */
void	create_enlist(struct daemon *d, struct control_request *req,
	    const struct persona_record *rec, bool start);

/* How it is to be kept. */
struct create_encrypt {
	bool	wanted;
	bool	passphrase;	/* else the handset's key opens it */
	size_t	fd_at;		/* the request's descriptor that holds it */
};

/* What the request says of it. */
void	create_wants(const Persona__Control__Create *c,
	    struct create_encrypt *e);

/*
 * Mark the record and make its vault, where the image is then made. 0, and `done`
 * comes; or -errno.
 */
int	create_vault(struct daemon *d, struct control_request *req,
	    struct persona_record *rec, const struct create_encrypt *e,
	    vault_done_fn *done, void *arg);

/* Answer a create whose vault could not be made. */
void	create_not_encrypted(struct control_request *req, const char *name,
	    int r, const char *why);

/* A create whose request names a template (checked as any other). */
void	control_create_over(struct daemon *d, struct control_request *req,
	    const Persona__Control__Create *c);

#endif
