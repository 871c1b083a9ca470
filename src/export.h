/* SPDX-License-Identifier: ISC */
/*
 * An image of a persona on its way into a file: its files are opened, persona-sync
 * export writes, the client hears how it goes. Works on any image directory that
 * stays as it is for so long. Knows no format.
 */
#ifndef EXPORT_H
#define EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "image.pb-c.h"

struct control_request;
struct persona;

/* What is written, and for whom. */
struct export_source {
	const char		*dir;		/* the image directory */
	Persona__Image__Manifest__Kind kind;
	/* What it was at that instant; may be the persona's own description. */
	Persona__Transfer__Persona *persona;
	uint64_t		state_bytes;	/* 0: no memory, no state */
	const char		*label;		/* NULL: none */
	uint64_t		created_unix_s;
	/* Ed25519 keys of handsets, 32 bytes each */
	uint8_t			recipients[FILE_SLOTS_MAX][32];
	size_t			n_recipients;
};

/*
 * Begin; the request is answered in any case, and its end by the client is ours.
 * Takes both descriptors, also on failure; passphrase_fd may be -1. The persona is
 * neither started nor deleted before it is over.
 */
void	export_start(struct persona *p, struct control_request *req,
	    const struct export_source *source, int out_fd,
	    int passphrase_fd);

#endif
