/* SPDX-License-Identifier: ISC */
/* A persona's network card in requests and answers. Knows no connection. */
#ifndef CONTROL_NET_H
#define CONTROL_NET_H

#include "control.pb-c.h"
#include "spec.pb-c.h"

struct persona;

/*
 * A card for a new persona, with a MAC of its own, into s->net; freed with the
 * spec it is in by control_net_free. 0, or -errno with a sentence (static) in *why.
 */
int	control_net_make(const Persona__Control__NetWish *wish,
	    Persona__Spec__Spec *s, const char **why);
void	control_net_free(Persona__Spec__Spec *s);

/* The card as `show` tells it. Freed by control_net_info_free; NULL: none. */
Persona__Control__NetInfo *control_net_info(struct persona *p);
void	control_net_info_free(Persona__Control__NetInfo *info);

#endif
