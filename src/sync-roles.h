/* SPDX-License-Identifier: ISC */
/* The roles of the program persona-sync, for its main and nobody else. */
#ifndef SYNC_ROLES_H
#define SYNC_ROLES_H

#include "sync-worker.h"

extern const struct worker_role role_send;
extern const struct worker_role role_receive;
extern const struct worker_role role_export;
extern const struct worker_role role_import;
extern const struct worker_role role_save;

#endif
