/* SPDX-License-Identifier: ISC */
/*
 * The versions of pages that the target has, as far as a bounded cache holds
 * them: the bases of deltas. Knows neither how deltas are made nor what is sent.
 */
#ifndef SHADOW_H
#define SHADOW_H

#include <stdint.h>

struct shadow;

/* For pages 0..n_pages-1, at most max_bytes of copies. 0 or -ENOMEM. */
int	shadow_new(struct shadow **sp, uint64_t n_pages, uint64_t max_bytes);
void	shadow_free(struct shadow *s);

/* The page as the target has it, or NULL. Valid until the next call. */
const uint8_t *shadow_get(struct shadow *s, uint64_t pfn);

/* It has changed and will be asked for: keep it if it is here. Any pfn. */
void	shadow_expect(struct shadow *s, uint64_t pfn);

/*
 * The target now has this. Where the cache is full the oldest page that was
 * neither asked for nor expected goes first.
 */
void	shadow_put(struct shadow *s, uint64_t pfn, const uint8_t *page);

/* The target has something else now. */
void	shadow_drop(struct shadow *s, uint64_t pfn);

#endif
