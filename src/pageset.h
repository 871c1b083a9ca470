/* SPDX-License-Identifier: ISC */
/*
 * Which pages are still to be sent, and how often each has been dirtied: a
 * bitmap and a byte a page. Pure arithmetic; knows no guest and no content.
 */
#ifndef PAGESET_H
#define PAGESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pageset {
	uint64_t	n_pages;
	uint64_t	n_words;
	uint64_t	count;		/* of set bits */
	uint64_t	*words;
};

/* An empty set of pages 0..n_pages-1. 0, -EINVAL, -ENOMEM. */
int	pageset_init(struct pageset *s, uint64_t n_pages);
void	pageset_fini(struct pageset *s);

bool	pageset_test(const struct pageset *s, uint64_t pfn);
/* Setting or clearing twice is fine. */
void	pageset_set(struct pageset *s, uint64_t pfn);
void	pageset_clear(struct pageset *s, uint64_t pfn);

/* The first page at or after `from`, n_pages when there is none. */
uint64_t pageset_next(const struct pageset *s, uint64_t from);

/* Members below `end`. */
uint64_t pageset_count(const struct pageset *s, uint64_t end);

/* As pageset_next, passing over `skip` members. */
uint64_t pageset_skip(const struct pageset *s, uint64_t from, uint64_t skip);

/* Exchange the contents of two sets of one size. */
void	pageset_swap(struct pageset *a, struct pageset *b);

/* --- how hot a page is ------------------------------------------------------ */

/*
 * A page that this many recent harvests named is hot: it goes last. While all of
 * memory is on its way once is enough: a page that changes in so long a time will
 * not have changed for the last time.
 */
#define PAGEHEAT_HOT_FIRST	1u
#define PAGEHEAT_HOT		2u

struct pageheat {
	uint64_t	n_pages;
	uint8_t		hot;		/* PAGEHEAT_*; the owner's to change */
	uint8_t		*heat;		/* harvests that named it, ageing */
};

/* Nothing is hot, and PAGEHEAT_HOT_FIRST makes it so. 0 or -ENOMEM. */
int	pageheat_init(struct pageheat *h, uint64_t n_pages);
void	pageheat_fini(struct pageheat *h);

/* Halve all, so that what was hot long ago is not. */
void	pageheat_age(struct pageheat *h);

static inline bool
pageheat_is_hot(const struct pageheat *h, uint64_t pfn)
{
	return h->heat[pfn] >= h->hot;
}

/*
 * Take every bit out of a dirty bitmap that others may set at the same time
 * (n_words little-endian words, for the first pages of the sets). A page that still waits in `todo`
 * stays there, since it has not been read yet, unless it is hot: that goes to
 * `next` like all the others. Returns the number of pages reported.
 */
uint64_t pageset_absorb(uint64_t *dirty, uint64_t n_words,
	    struct pageheat *heat, struct pageset *todo, struct pageset *next);

#endif
