/* SPDX-License-Identifier: ISC */
/*
 * The registry's file, in SQLite: its tables through all their versions, write-ahead
 * log, synchronous=FULL, so a commit costs one fsync. Knows what a table holds, not
 * what a row of it means: that is registry-persona.c's, -attempt.c's and -peer.c's.
 */
#include "registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "registry-sql.h"

#define SCHEMA_VERSION	4
#define TEXT_OF(x)	#x
#define NUMBER_TEXT(x)	TEXT_OF(x)
#define VERSION_TEXT	NUMBER_TEXT(SCHEMA_VERSION)

/* A move's records take some 20 pages of the log; others may be under way. */
#define LOG_PAGE_BYTES	4096
#define LOG_ROOM_BYTES	(64 * LOG_PAGE_BYTES)
#define PATH_BYTES	512

static const char schema[] =
    "CREATE TABLE persona ("
    "  id TEXT PRIMARY KEY"
    "    CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'),"
    "  name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),"
    "  ram_bytes INTEGER NOT NULL CHECK (ram_bytes > 0),"
    "  vcpus INTEGER NOT NULL CHECK (vcpus BETWEEN 1 AND 8),"
    "  cpu_baseline TEXT NOT NULL,"
    "  cmdline TEXT NOT NULL,"
    "  has_boot INTEGER NOT NULL CHECK (has_boot IN (0, 1)),"
    "  tenure INTEGER NOT NULL CHECK (tenure >= 1),"
    "  holding TEXT NOT NULL"
    "    CHECK (holding IN ('owner', 'released', 'away')),"
    "  running INTEGER NOT NULL CHECK (running IN (0, 1)),"
    "  crashed INTEGER NOT NULL CHECK (crashed IN (0, 1)),"
    "  last_end TEXT NOT NULL,"
    "  peer TEXT NOT NULL,"
    "  peer_name TEXT NOT NULL,"
    "  created_unix_s INTEGER NOT NULL,"
    "  last_attempt INTEGER NOT NULL CHECK (last_attempt >= 0),"
    "  CHECK ((holding = 'owner') = (peer = '')),"
    "  CHECK (holding <> 'away' OR running = 0)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE outgoing ("
    "  persona_id TEXT PRIMARY KEY REFERENCES persona (id),"
    "  attempt INTEGER NOT NULL CHECK (attempt >= 1),"
    "  state TEXT NOT NULL CHECK (state IN ('stopped', 'released')),"
    "  peer TEXT NOT NULL CHECK (peer <> ''),"
    "  peer_name TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE incoming ("
    "  persona_id TEXT PRIMARY KEY"
    "    CHECK (length(persona_id) = 32),"
    "  attempt INTEGER NOT NULL CHECK (attempt >= 1),"
    "  state TEXT NOT NULL CHECK (state IN ('prepared', 'aborted')),"
    "  peer TEXT NOT NULL CHECK (peer <> ''),"
    "  tenure INTEGER NOT NULL CHECK (tenure >= 2),"
    "  name TEXT NOT NULL,"
    "  ram_bytes INTEGER NOT NULL,"
    "  vcpus INTEGER NOT NULL CHECK (vcpus BETWEEN 1 AND 8),"
    "  cpu_baseline TEXT NOT NULL,"
    "  cmdline TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE peer ("
    "  fingerprint TEXT PRIMARY KEY CHECK (fingerprint GLOB 'SHA256:*'),"
    "  name TEXT NOT NULL UNIQUE CHECK (name <> ''),"
    "  key TEXT NOT NULL UNIQUE CHECK (key GLOB 'ssh-ed25519 *'),"
    "  host TEXT NOT NULL,"
    "  port INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),"
    "  paired_unix_s INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

/* What a persona is made of came second; the first had no disk and no network. */
static const char schema_2[] =
    "ALTER TABLE persona ADD COLUMN spec BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE incoming ADD COLUMN spec BLOB NOT NULL DEFAULT x'';"
    "PRAGMA user_version = 2;";

/* Files that arrive with a persona came third. */
static const char schema_3[] =
    "ALTER TABLE persona ADD COLUMN image_attempt INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 3;";

/* What was learnt of peers came fourth. */
static const char schema_4[] =
    "ALTER TABLE peer ADD COLUMN overhead_ns INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 4;";

static int
user_version(struct registry *r, int *version)
{
	sqlite3_stmt *st = NULL;
	int rc;

	if (sqlite3_prepare_v2(r->db, "PRAGMA user_version", -1, &st, NULL) !=
	    SQLITE_OK)
		return sql_errno(r);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : sql_errno(r);
}

static int
exec(struct registry *r, const char *sql)
{
	return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 :
	    sql_errno(r);
}

static int
make_schema(struct registry *r, int version)
{
	int n;

	if (version > SCHEMA_VERSION)
		return -ENOTSUP;
	if (version == SCHEMA_VERSION)
		return 0;
	if ((n = sql_begin(r)) < 0)
		return n;
	if (version < 1)
		n = exec(r, schema);
	if (n == 0 && version < 2)
		n = exec(r, schema_2);
	if (n == 0 && version < 3)
		n = exec(r, schema_3);
	if (n == 0)
		n = exec(r, schema_4);
	return sql_end(r, n);
}

/* Does the log have blocks for so many bytes already? */
static bool
log_has_room(const char *path)
{
	char log[PATH_BYTES];
	struct stat st;

	snprintf(log, sizeof(log), "%s-wal", path);
	return stat(log, &st) == 0 && st.st_size >= LOG_ROOM_BYTES &&
	    st.st_blocks * 512 >= LOG_ROOM_BYTES;
}

/*
 * Let the log grow now, as long as there is room: its bytes are used again from the
 * beginning after each tidying, so that a move out of a handset whose storage is
 * full can be put on record. It goes with a registry that is closed: a log that
 * stayed would be read into any other file that took the registry's place.
 */
static int
set_room_aside(struct registry *r, const char *path)
{
	if (log_has_room(path))
		return 0;
	/* Nothing is said by these commits: they need not be durable. */
	if (exec(r, "PRAGMA synchronous = OFF") == 0)
		for (unsigned int i = 0; i < LOG_ROOM_BYTES / LOG_PAGE_BYTES; i++)
			if (exec(r, "PRAGMA user_version = " VERSION_TEXT) < 0)
				break;
	/* All that follow must be. No room is no error; this would be one. */
	return exec(r, "PRAGMA synchronous = FULL");
}

int
registry_open(struct registry **rp, const char *path)
{
	struct registry *r;
	int n = -ENOMEM, version = 0;

	*rp = NULL;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return -ENOMEM;
	if (sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK) {
		n = r->db == NULL ? -ENOMEM : sql_errno(r);
		goto out;
	}
	(void)sqlite3_busy_timeout(r->db, 2000);
	/* Checkpoints cost more fsyncs; registry_tidy does them in quiet times. */
	if ((n = exec(r, "PRAGMA journal_mode = WAL;"
	    "PRAGMA synchronous = FULL;"
	    "PRAGMA foreign_keys = ON;"
	    "PRAGMA trusted_schema = OFF;"
	    "PRAGMA wal_autocheckpoint = 0")) < 0 ||
	    (n = user_version(r, &version)) < 0)
		goto out;
	if ((n = make_schema(r, version)) < 0)
		goto out;
	if ((n = set_room_aside(r, path)) < 0)
		goto out;
	registry_tidy(r);
	*rp = r;
	r = NULL;
	n = 0;
out:
	registry_close(r);
	return n;
}

void
registry_close(struct registry *r)
{
	if (r == NULL)
		return;
	sqlite3_close(r->db);
	free(r);
}

void
registry_tidy(struct registry *r)
{
	(void)sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
	    NULL, NULL);
}

int
registry_limit_pages(struct registry *r, unsigned int pages)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %u", pages);
	return exec(r, sql);
}
