/* SPDX-License-Identifier: ISC */
/*
 * A checkpoint as a step of another command: export of a running persona goes
 * through one. Knows no file.
 */
#ifndef CTL_SAVED_H
#define CTL_SAVED_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl.h"

/* Is it running, paused included? A ctl_exit; a failure has been reported. */
int	saved_is_running(struct ctl *ctl, const char *name, bool *running);

/* Make a checkpoint, with progress but without a last word. A ctl_exit. */
int	saved_make(struct ctl *ctl, const char *name, const char *label,
	    uint32_t *number);

/* Delete it. A ctl_exit. */
int	saved_delete(struct ctl *ctl, const char *name, uint32_t number);

#endif
