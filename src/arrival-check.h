/* SPDX-License-Identifier: ISC */
/*
 * May this persona come here? The checks before anything is accepted. The offer
 * is a claim: every field is compared with its bound here.
 */
#ifndef ARRIVAL_CHECK_H
#define ARRIVAL_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "registry.h"
#include "transfer.pb-c.h"

struct daemon;

/*
 * Turn an offer into the record the persona would have here (tenure n + 1, disks
 * that share nothing). A reason of reason.h, REASON_OK when the offer makes sense.
 */
uint32_t arrival_parse(Persona__Transfer__Persona *offer,
	    uint64_t attempt, struct persona_record *rec);

/* Why it cannot come: each reason with a sentence for both people. */
struct objections {
	size_t	n;
	struct {
		uint32_t	reason;
		char		text[REASON_TEXT_MAX + 1];
	} list[OBJECTIONS_MAX];
};

/* One more (reason.h); over OBJECTIONS_MAX they are dropped, a long text is cut. */
void	objections_add(struct objections *o, uint32_t reason,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* All of them as one sentence, cut where it gets too long. */
void	objections_join(const struct objections *o, char *text, size_t size);

/*
 * What it needs and what is here, in bytes; where that is not known, memory_free is
 * 0 and disk_free UINT64_MAX.
 */
struct arrival_room {
	uint64_t	memory_needed, memory_free;
	uint64_t	disk_needed, disk_free;
};

/* Look now; `stored_bytes` is what its files will take. */
void	arrival_room(const struct daemon *d, const struct persona_record *rec,
	    uint64_t stored_bytes, struct arrival_room *room);

/*
 * Name, history, processors, policy, and room for its memory and its files:
 * everything that speaks against it is added to `o`.
 */
void	arrival_check(struct daemon *d, const struct persona_record *rec,
	    const struct arrival_room *room, struct objections *o);

/* Memory that could be given to a guest now, in bytes; 0 when unknown. */
uint64_t memory_available(void);

#endif
