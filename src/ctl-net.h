/* SPDX-License-Identifier: ISC */
/* A persona's network card on the command line. Knows no connection to personad. */
#ifndef CTL_NET_H
#define CTL_NET_H

#include "control.pb-c.h"
#include "ctl-json.h"

struct ctl;
struct net_args;

/* A NetWish being gathered from options; NULL: no memory. */
struct net_args *net_args_new(void);
void	net_args_free(struct net_args *a);

/* One more --forward. A ctl_exit; a mistake has been reported. */
int	net_args_forward(struct ctl *ctl, struct net_args *a, const char *text);

/* What was gathered; valid while `a` is. */
Persona__Control__NetWish *net_args_wish(struct net_args *a);

/* How `show` tells it. */
void	net_json(struct json *j, const Persona__Control__NetInfo *net);
void	net_text(const Persona__Control__NetInfo *net);

#endif
