/* SPDX-License-Identifier: ISC */
/*
 * A passphrase on its way from a person or a file to personad: as a memory file,
 * so that it is in no argument, no message and no log. Knows no command.
 */
#ifndef CTL_SECRET_H
#define CTL_SECRET_H

#include <stdbool.h>

#include "ctl.h"

/*
 * The first line of this file, and the only one. A ctl_exit, reported; *fd is a
 * descriptor that holds it.
 */
int	secret_from_file(const struct ctl *ctl, const char *path, int *fd);

/* Is there a person to ask? */
bool	secret_can_ask(void);

/*
 * Ask on the terminal, without echo; `twice` for a new one. A ctl_exit, reported;
 * also when the person gives up with Ctrl-C.
 */
int	secret_ask(const struct ctl *ctl, const char *prompt, bool twice,
	    int *fd);

#endif
