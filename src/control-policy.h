/* SPDX-License-Identifier: ISC */
/* How a persona's policy looks in an answer. Knows no connection. */
#ifndef CONTROL_POLICY_H
#define CONTROL_POLICY_H

#include "control.pb-c.h"

struct persona;
struct policy_info;

/*
 * The persona's policy for PersonaInfo: *msg is filled and lives until the
 * returned handle is freed with free(3). NULL with *msg NULL: it has none.
 */
struct policy_info *control_policy_info(struct persona *p,
	    Persona__Control__PolicyInfo **msg);

#endif
