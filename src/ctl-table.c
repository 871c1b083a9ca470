/* SPDX-License-Identifier: ISC */
/*
 * Cells are kept in one growing array, row after row; widths are counted in
 * columns of the terminal when printing. Knows no colours and no terminal size.
 */
#include "ctl-table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include "ctl-text.h"

struct table {
	size_t	n_columns;
	size_t	n_cells;	/* headings included */
	size_t	n_room;
	bool	lost;		/* memory ran out: what we hold is not whole */
	char	**cells;
};

struct table *
table_new(const char *const *headings, size_t n_columns)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->n_columns = n_columns;
	for (size_t i = 0; i < n_columns; i++)
		table_cell(t, headings[i]);
	return t;
}

void
table_cell(struct table *t, const char *text)
{
	if (t->n_cells == t->n_room) {
		size_t room = t->n_room == 0 ? 32 : 2 * t->n_room;
		char **cells = reallocarray(t->cells, room, sizeof(*cells));

		if (cells == NULL) {
			t->lost = true;
			return;
		}
		t->cells = cells;
		t->n_room = room;
	}
	if ((t->cells[t->n_cells] = text_printable(text)) == NULL)
		t->lost = true;
	else
		t->n_cells++;
}

void
table_cellf(struct table *t, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text == NULL)
		t->lost = true;
	else
		table_cell(t, text);
	free(text);
}

static unsigned int
column_width(const struct table *t, size_t column)
{
	unsigned int widest = 0;

	for (size_t i = column; i < t->n_cells; i += t->n_columns) {
		unsigned int w = text_columns(t->cells[i]);

		if (w > widest)
			widest = w;
	}
	return widest;
}

int
table_print(const struct table *t, FILE *f)
{
	unsigned int *width;

	if (t->lost)
		return -ENOMEM;
	if ((width = calloc(t->n_columns, sizeof(*width))) == NULL)
		return -ENOMEM;
	for (size_t c = 0; c < t->n_columns; c++)
		width[c] = column_width(t, c);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t c = i % t->n_columns;
		bool last = c == t->n_columns - 1;

		fputs(t->cells[i], f);
		if (last)
			fputc('\n', f);
		else
			fprintf(f, "%*s", (int)(width[c] + 2 -
			    text_columns(t->cells[i])), "");
	}
	free(width);
	return 0;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}
