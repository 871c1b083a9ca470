/* SPDX-License-Identifier: ISC */
/*
 * What other commands need of signed policies: reading one from a file, and words
 * for its rules. Knows no personad.
 */
#ifndef CTL_POLICY_H
#define CTL_POLICY_H

#include "policy-sign.h"

struct ctl;

/* Read and verify a signed policy. A ctl_exit; a failure has been reported. */
int	ctl_policy_read(const struct ctl *ctl, const char *path,
	    uint8_t bytes[POLICY_SIGNED_MAX + 1], size_t *lenp,
	    struct policy *p, uint8_t key[POLICY_KEY_BYTES]);

/*
 * "2027-01-31 (UTC)", with the time unless it is midnight, or "never"; written to buf
 * and returned.
 */
const char *ctl_policy_date(uint64_t unix_s, char *buf, size_t size);

/* For programs: "anyone", "listed", "nobody". Static. */
const char *ctl_policy_move_word(int move_to);

#endif
