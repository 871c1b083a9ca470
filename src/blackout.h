/* SPDX-License-Identifier: ISC */
/*
 * For how long a moved guest stood still, and by whose clock. Reads none itself:
 * persona-vmm reads the guest's, clock.h is ours.
 */
#ifndef BLACKOUT_H
#define BLACKOUT_H

#include <stdbool.h>
#include <stdint.h>

struct blackout {
	uint64_t	ns;		/* 0: not known */
	bool		by_guest;	/* what its own clock jumped by */
};

#endif
