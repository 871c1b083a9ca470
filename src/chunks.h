/* SPDX-License-Identifier: ISC */
/*
 * Which chunk was seen where: digest to page, for as many as a bounded table
 * holds. One that is forgotten costs room in the file and nothing else. Knows no
 * file and no content.
 */
#ifndef CHUNKS_H
#define CHUNKS_H

#include <stdbool.h>
#include <stdint.h>

#include "digest.h"

struct chunks;

/* 0 or -ENOMEM. */
int	chunks_new(struct chunks **cp);
void	chunks_free(struct chunks *c);

/* The page at which this chunk was put first. */
bool	chunks_find(const struct chunks *c, const struct digest *d,
	    uint64_t *page);

/* Remember it, when there is room. It was not found before. */
void	chunks_put(struct chunks *c, const struct digest *d, uint64_t page);

#endif
