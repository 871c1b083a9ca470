/* SPDX-License-Identifier: ISC */
/* What commands about encrypted personas share. Knows no table and no output. */
#ifndef CTL_VAULT_H
#define CTL_VAULT_H

#include "control.pb-c.h"
#include "ctl.h"

/*
 * Open it with the passphrase of this file; NULL: if it is locked with one, ask
 * the person. Nothing to open is fine. A ctl_exit, reported.
 */
int	vault_open_first(struct ctl *ctl, const char *name, const char *file);

/*
 * `--encrypt`'s HOW (NULL: handset) into a request; *fd is the passphrase, from
 * `file` or asked for twice, or -1. A ctl_exit, reported.
 */
int	vault_take_encrypt(struct ctl *ctl, const char *how, const char *file,
	    Persona__Control__Create *create, int *fd);

/* In a few words: "encrypted, locked". Static. */
const char *vault_text(const Persona__Control__PersonaInfo *p);

/* Where one that is on this handset lies: "here, locked". Static. */
const char *vault_where(const Persona__Control__PersonaInfo *p);

#endif
