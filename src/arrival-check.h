/* SPDX-License-Identifier: ISC */
/*
 * May this persona come here? The checks before anything is accepted. The offer
 * is a claim: every field is compared with its bound here.
 */
#ifndef ARRIVAL_CHECK_H
#define ARRIVAL_CHECK_H

#include <stdint.h>

#include "registry.h"
#include "transfer.pb-c.h"

struct daemon;

/*
 * Turn an offer into the record the persona would have here (tenure n + 1, disks
 * that share nothing). A reason of reason.h, REASON_OK when the offer makes sense.
 */
uint32_t arrival_parse(Persona__Transfer__Persona *offer,
	    uint64_t attempt, struct persona_record *rec);

/*
 * Room for its memory and for stored_bytes of files, name and history. REASON_OK, or a reason with a sentence in
 * why[REASON_TEXT_MAX + 1] for both people.
 */
uint32_t arrival_check(struct daemon *d, const struct persona_record *rec,
	    uint64_t stored_bytes, char *why);

/* Memory that could be given to a guest now, in bytes; 0 when unknown. */
uint64_t memory_available(void);

#endif
