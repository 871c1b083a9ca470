/* SPDX-License-Identifier: ISC */
/*
 * The registry's statements: arguments bound by type, SQLite's failures as -errno.
 * The rest of SQLite is for registry.c; knows no table and no file.
 */
#include "registry-sql.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
sql_errno(struct registry *r)
{
	switch (sqlite3_errcode(r->db)) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void
bind_all(sqlite3_stmt *st, const char *types, va_list ap)
{
	for (int i = 1; *types != '\0'; types++, i++) {
		if (*types == 't')
			sqlite3_bind_text(st, i, va_arg(ap, const char *), -1,
			    SQLITE_TRANSIENT);
		else if (*types == 'b') {
			const void *data = va_arg(ap, const void *);

			sqlite3_bind_blob64(st, i, data, va_arg(ap, size_t),
			    SQLITE_TRANSIENT);
		} else
			sqlite3_bind_int64(st, i,
			    (sqlite3_int64)va_arg(ap, uint64_t));
	}
}

int
sql_run(struct registry *r, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st = NULL;
	va_list ap;
	int rc;

	if (sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) != SQLITE_OK)
		return sql_errno(r);
	va_start(ap, types);
	bind_all(st, types, ap);
	va_end(ap);
	rc = sqlite3_step(st);
	sqlite3_finalize(st);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		return sql_errno(r);
	return sqlite3_changes(r->db);
}

int
sql_each(struct registry *r, const char *sql, const char *key,
    sql_row_fn *row, void *arg)
{
	sqlite3_stmt *st = NULL;
	int rc, n = 0;

	if (sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) != SQLITE_OK)
		return sql_errno(r);
	if (key != NULL)
		sqlite3_bind_text(st, 1, key, -1, SQLITE_TRANSIENT);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		row(st, arg);
		n++;
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? n : sql_errno(r);
}

int
sql_begin(struct registry *r)
{
	return sql_run(r, "BEGIN IMMEDIATE", "") < 0 ? sql_errno(r) : 0;
}

int
sql_end(struct registry *r, int result)
{
	int n;

	if (result >= 0) {
		if ((n = sql_run(r, "COMMIT", "")) >= 0)
			return result;
		result = n;
	}
	/* A statement that failed for lack of space may have rolled back already. */
	if (sqlite3_get_autocommit(r->db) == 0)
		(void)sql_run(r, "ROLLBACK", "");
	return result;
}

int
sql_one(int changes, int none)
{
	if (changes < 0)
		return changes;
	return changes == 0 ? none : 0;
}

void
sql_text(sqlite3_stmt *st, int column, char *to, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, column);

	snprintf(to, size, "%s", text == NULL ? "" : (const char *)text);
}

size_t
sql_blob(sqlite3_stmt *st, int column, void *to, size_t size)
{
	const void *data = sqlite3_column_blob(st, column);
	int len = sqlite3_column_bytes(st, column);

	if (data == NULL || len <= 0 || (size_t)len > size)
		return 0;
	memcpy(to, data, (size_t)len);
	return (size_t)len;
}

uint64_t
sql_u64(sqlite3_stmt *st, int column)
{
	return (uint64_t)sqlite3_column_int64(st, column);
}
