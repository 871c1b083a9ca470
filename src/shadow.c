/* SPDX-License-Identifier: ISC */
/*
 * A second-chance cache of sent pages. Knows no codec.
 */
#include "shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bounds.h"

#define NO_PAGE UINT32_MAX
#define CHANCES	3u

struct slot {
	uint32_t	pfn;		/* NO_PAGE: free */
	uint8_t		chances;	/* passes of the hand it survives */
};

struct shadow {
	uint64_t	n_pages;
	uint32_t	n_slots;
	uint32_t	hand;
	uint32_t	*slot_of;	/* by pfn: slot + 1, 0: none */
	struct slot	*slots;
	uint8_t		*copies;	/* mapped; touched only where used */
};

int
shadow_new(struct shadow **sp, uint64_t n_pages, uint64_t max_bytes)
{
	uint64_t n = max_bytes / PAGE_BYTES;
	struct shadow *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	if (n > n_pages)
		n = n_pages;
	s->n_pages = n_pages;
	s->n_slots = n > 0 ? (uint32_t)n : 1;
	s->slot_of = calloc(n_pages, sizeof(*s->slot_of));
	s->slots = calloc(s->n_slots, sizeof(*s->slots));
	s->copies = mmap(NULL, (size_t)s->n_slots * PAGE_BYTES,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	    -1, 0);
	if (s->copies == MAP_FAILED)
		s->copies = NULL;
	else	/* it fills up from one end: one fault for 512 copies */
		(void)madvise(s->copies, (size_t)s->n_slots * PAGE_BYTES,
		    MADV_HUGEPAGE);
	if (s->slot_of == NULL || s->slots == NULL || s->copies == NULL) {
		shadow_free(s);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < s->n_slots; i++)
		s->slots[i].pfn = NO_PAGE;
	*sp = s;
	return 0;
}

void
shadow_free(struct shadow *s)
{
	if (s == NULL)
		return;
	if (s->copies != NULL)
		munmap(s->copies, (size_t)s->n_slots * PAGE_BYTES);
	free(s->slot_of);
	free(s->slots);
	free(s);
}

static uint8_t *
slot_copy(struct shadow *s, uint32_t slot)
{
	return s->copies + (size_t)slot * PAGE_BYTES;
}

const uint8_t *
shadow_get(struct shadow *s, uint64_t pfn)
{
	uint32_t at = s->slot_of[pfn];

	if (at == 0)
		return NULL;
	s->slots[at - 1].chances = CHANCES;	/* it is worth its place */
	return slot_copy(s, at - 1);
}

void
shadow_expect(struct shadow *s, uint64_t pfn)
{
	if (pfn < s->n_pages && s->slot_of[pfn] != 0)
		s->slots[s->slot_of[pfn] - 1].chances = CHANCES;
}

static uint32_t
evict(struct shadow *s)
{
	for (;;) {
		uint32_t i = s->hand;
		struct slot *slot = &s->slots[i];

		s->hand = i + 1 < s->n_slots ? i + 1 : 0;
		if (slot->pfn == NO_PAGE)
			return i;
		if (slot->chances == 0) {
			s->slot_of[slot->pfn] = 0;
			return i;
		}
		slot->chances--;
	}
}

void
shadow_put(struct shadow *s, uint64_t pfn, const uint8_t *page)
{
	uint32_t at = s->slot_of[pfn];

	if (at == 0) {
		uint32_t i = evict(s);

		s->slots[i] = (struct slot){ .pfn = (uint32_t)pfn };
		s->slot_of[pfn] = i + 1;
		at = i + 1;
	}
	memcpy(slot_copy(s, at - 1), page, PAGE_BYTES);
}

void
shadow_drop(struct shadow *s, uint64_t pfn)
{
	uint32_t at = s->slot_of[pfn];

	if (at == 0)
		return;
	s->slots[at - 1] = (struct slot){ .pfn = NO_PAGE };
	s->slot_of[pfn] = 0;
}
