/* SPDX-License-Identifier: ISC */
/*
 * Aligned columns for a terminal. Cells are made printable on the way in. Knows
 * nothing of what the columns mean.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct table;

/* Columns with these headings, left-aligned. NULL without memory. */
struct table *table_new(const char *const *headings, size_t n_columns);

/* The next cell, row by row; copied. NULL is an empty cell. */
void	table_cell(struct table *t, const char *text);
void	table_cellf(struct table *t, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/*
 * Print the headings and the rows, the last column unpadded. 0, or -ENOMEM when
 * a cell was lost on the way: then nothing is printed.
 */
int	table_print(const struct table *t, FILE *f);

/* NULL is fine. */
void	table_free(struct table *t);

#endif
