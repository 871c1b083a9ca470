/* SPDX-License-Identifier: ISC */
/*
 * What persona-pair says to personad (pairing.proto, PairMessage). Knows the
 * messages; deliberately not when they are due. A personad that is gone is noticed
 * by the end of its socket, so none of these reports a failure.
 */
#ifndef PAIR_TELL_H
#define PAIR_TELL_H

#include "pairing.h"
#include "pairing.pb-c.h"

/* Something a person waiting may want to see. */
void	pair_tell_step(int ipc, Persona__Pairing__Step__What what);

/* The digits are known, and whose key they stand for. */
void	pair_tell_compare(int ipc, const struct pairing *p);

/*
 * The end, and a sentence for the person. `p` may be NULL unless it ended in
 * PAIRED; host is the numeric address that the peer was reached at.
 */
void	pair_tell_result(int ipc, Persona__Pairing__Result__End end,
	    const char *message, const struct pairing *p, const char *host);

#endif
