/* SPDX-License-Identifier: ISC */
/* What every way of making a persona shares. Knows no template. */
#ifndef CONTROL_CREATE_H
#define CONTROL_CREATE_H

#include <stdbool.h>

#include "control.h"
#include "registry.h"

/* A record of what was asked for, with a new id and no spec. 0 or -errno. */
int	create_record(struct persona_record *rec,
	    const Persona__Control__Create *c);

/*
 * The image is in place: put the persona into the registry, start it if asked to,
 * and answer. A failure removes the image.
 */
void	create_enlist(struct daemon *d, struct control_request *req,
	    const struct persona_record *rec, bool start);

/* A create whose request names a template (checked as any other). */
void	control_create_over(struct daemon *d, struct control_request *req,
	    const Persona__Control__Create *c);

#endif
