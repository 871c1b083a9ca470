/* SPDX-License-Identifier: ISC */
/*
 * The guest's command line: `name=value` words between blanks. The list of them
 * is in main.c. Pure; the host's tests compile it too.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

#include "fill.h"

#define OPTIONS_BAD_MAX	40u	/* bytes kept of a word we did not understand */

struct options {
	uint64_t	mem_bytes;	/* use at most this much; 0: all there is */
	uint64_t	hot_bytes;
	uint64_t	rate;		/* bytes a second of pages dirtied */
	uint64_t	beat_ms;	/* 0: no heartbeat */
	uint64_t	tick_ms;	/* 0: no ticks */
	uint64_t	exit_ms;	/* power off this long after ready; 0: never */
	uint64_t	verify_rate;	/* bytes a second; 0: as time allows */
	uint64_t	disk_rate;	/* bytes a second written; 0: no disk */
	uint64_t	timer_hz;	/* 0: never sleep */
	uint64_t	seed;
	uint8_t		mix[FILL_KINDS];	/* percent */
	uint8_t		rewrite_whole;
	uint8_t		verify_off;
	uint8_t		clock;		/* 0: the best, 't' or 'k': this one */
	char		bad[OPTIONS_BAD_MAX + 1]; /* first bad word, or "" */
};

/* Defaults, then every word of cmdline; what is not understood goes to ->bad. */
void	options_parse(struct options *o, const char *cmdline);

#endif
