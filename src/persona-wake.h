/* SPDX-License-Identifier: ISC */
/*
 * A suspended persona goes on: its memory is the file it was saved into, so that it
 * runs at once and pages are read as they are touched. Knows no request.
 */
#ifndef PERSONA_WAKE_H
#define PERSONA_WAKE_H

struct persona;

/* Begin; persona_woken() follows. 0, or -errno with *why a sentence. */
int	persona_wake(struct persona *p, const char **why);

/* --- persona.c ---------------------------------------------------------------- */

/* It runs on, or why not; its guest is the persona's in either case. */
void	persona_woken(struct persona *p, int r, const char *why);

#endif
