/* SPDX-License-Identifier: ISC */
/*
 * How the registry's own files speak to SQLite: one statement a call, typed
 * arguments, -errno back. For registry*.c alone; knows no table.
 */
#ifndef REGISTRY_SQL_H
#define REGISTRY_SQL_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct registry {
	sqlite3	*db;
};

/* The last call's failure as -errno, 0 when it did not fail. */
int	sql_errno(struct registry *r);

/* Called with each row of sql_each(); st lives until it returns. */
typedef void sql_row_fn(sqlite3_stmt *st, void *arg);

/*
 * One statement; `types` has a 't' (const char *), an 'i' (uint64_t) or a 'b'
 * (const void *, size_t) for each argument that follows. The number of rows
 * changed, or -errno.
 */
int	sql_run(struct registry *r, const char *sql, const char *types, ...);

/* `row` for every row; ?1 is `key` unless NULL. The number of rows, or -errno. */
int	sql_each(struct registry *r, const char *sql, const char *key,
	    sql_row_fn *row, void *arg);

/* A transaction of several statements; sql_end commits when result >= 0, else
 * rolls back, and returns `result` or why the commit failed. */
int	sql_begin(struct registry *r);
int	sql_end(struct registry *r, int result);

/* Changes or rows as an outcome: 0, `none` when there were none, or -errno. */
int	sql_one(int changes, int none);

/* Cut at size - 1 bytes; NULL counts as "". */
void	sql_text(sqlite3_stmt *st, int column, char *to, size_t size);

/* At most `size` bytes; a longer value counts as none. How many there are. */
size_t	sql_blob(sqlite3_stmt *st, int column, void *to, size_t size);
/* A number that sql_run() bound as 'i'; NULL counts as 0. */
uint64_t sql_u64(sqlite3_stmt *st, int column);

#endif
