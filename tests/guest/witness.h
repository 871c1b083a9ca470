/* SPDX-License-Identifier: ISC */
/*
 * All of the guest's memory as a witness: every page is known in advance, some of
 * them change, and what stands there is compared with what must stand there, for
 * ever. Knows no clock and no serial line; faults go to a callback.
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <stdint.h>

#include "bootinfo.h"
#include "options.h"

/* One wrong place, found once: it is put right after it was reported. */
struct fault {
	const char	*what;		/* "static", "hot", "table", "image" */
	uint64_t	page, gpa;
	uint64_t	offset;		/* of the first wrong byte in the page */
	uint8_t		want, have;
	uint64_t	wrong_bytes;
	uint64_t	count_want, count_have;	/* hot: an older count is a lost write */
};

struct witness_totals {
	uint64_t	pages, hot_pages, bytes;
	uint64_t	dirtied;	/* dirtyings so far */
	uint64_t	faults;
	uint64_t	passes;		/* whole rounds of witness_check done */
	uint64_t	sum;		/* digest of everything, as it must be */
};

/* Called now and then in long work, so that time does not stand still. */
typedef void (*witness_alive_fn)(void);
typedef void (*witness_fault_fn)(const struct fault *f);

/* Fill all RAM of `b` as `o` says. 0, or -1 when there is too little RAM. */
int	witness_init(const struct bootinfo *b, const struct options *o,
	    witness_alive_fn alive, witness_fault_fn fault);

/* Dirty one hot page chosen at random. Nothing when there are none. */
void	witness_dirty(void);

/* Compare the next `n` pages, in a never-ending round. */
void	witness_check(unsigned int n);

/* Compare everything; *sum is the digest of what really stands there. */
void	witness_check_all(uint64_t *sum);

/* Flip one bit of page `page` (modulo their number), for the test of the test. */
void	witness_corrupt(uint64_t page);

struct witness_totals witness_totals(void);

#endif
