/* SPDX-License-Identifier: ISC */
/*
 * The registry's file and its personas and peers, in SQLite: write-ahead log,
 * synchronous=FULL, so a commit costs one fsync. Knows no move; the records of a
 * handover are in registry-attempt.c.
 */
#include "registry.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
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

/* The last call's failure as -errno, 0 when it did not fail. */
static int
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

/* --- the file ---------------------------------------------------------------- */

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

/* --- personas ---------------------------------------------------------------- */

#define PERSONA_COLUMNS "id, name, ram_bytes, vcpus, cpu_baseline, cmdline, " \
    "has_boot, tenure, holding, running, crashed, last_end, peer, " \
    "peer_name, created_unix_s, last_attempt, spec, image_attempt"

static enum holding
holding_parse(const char *word)
{
	if (strcmp(word, "owner") == 0)
		return HOLDING_OWNER;
	return strcmp(word, "released") == 0 ? HOLDING_RELEASED : HOLDING_AWAY;
}

static void
read_persona(sqlite3_stmt *st, void *arg)
{
	struct persona_record *p = arg;
	char holding[16];

	memset(p, 0, sizeof(*p));
	sql_text(st, 0, p->id, sizeof(p->id));
	sql_text(st, 1, p->name, sizeof(p->name));
	p->ram_bytes = sql_u64(st, 2);
	p->vcpus = (uint32_t)sql_u64(st, 3);
	sql_text(st, 4, p->cpu_baseline, sizeof(p->cpu_baseline));
	sql_text(st, 5, p->cmdline, sizeof(p->cmdline));
	p->has_boot = sql_u64(st, 6) != 0;
	p->tenure = sql_u64(st, 7);
	sql_text(st, 8, holding, sizeof(holding));
	p->holding = holding_parse(holding);
	p->running = sql_u64(st, 9) != 0;
	p->crashed = sql_u64(st, 10) != 0;
	sql_text(st, 11, p->last_end, sizeof(p->last_end));
	sql_text(st, 12, p->peer, sizeof(p->peer));
	sql_text(st, 13, p->peer_name, sizeof(p->peer_name));
	p->created_unix_s = sql_u64(st, 14);
	p->last_attempt = sql_u64(st, 15);
	p->spec.len = sql_blob(st, 16, p->spec.bytes, sizeof(p->spec.bytes));
	p->image_attempt = sql_u64(st, 17);
}

int
registry_persona_add(struct registry *r, const struct persona_record *p)
{
	/* A name that a PREPARED arrival will need is taken, too. */
	return sql_one(sql_run(r, "INSERT INTO persona SELECT ?1, ?2, ?3, ?4, "
	    "?5, ?6, ?7, ?8, 'owner', 0, 0, '', '', '', ?9, 0, ?10, 0 "
	    "WHERE NOT EXISTS (SELECT 1 FROM incoming WHERE name = ?2 "
	    "AND state = 'prepared')", "ttiittiiib", p->id, p->name,
	    p->ram_bytes, (uint64_t)p->vcpus, p->cpu_baseline, p->cmdline,
	    (uint64_t)p->has_boot, p->tenure, p->created_unix_s,
	    (const void *)p->spec.bytes, p->spec.len), -EEXIST);
}

int
registry_persona_get(struct registry *r, const char *name_or_id,
    struct persona_record *p)
{
	return sql_one(sql_each(r, "SELECT " PERSONA_COLUMNS " FROM persona "
	    "WHERE id = ?1 OR name = ?1", name_or_id, read_persona, p),
	    -ENOENT);
}

struct persona_walk {
	persona_each_fn	*fn;
	void		*arg;
};

static void
walk_persona(sqlite3_stmt *st, void *arg)
{
	struct persona_walk *w = arg;
	struct persona_record p;

	read_persona(st, &p);
	w->fn(&p, w->arg);
}

int
registry_persona_each(struct registry *r, persona_each_fn *fn, void *arg)
{
	struct persona_walk w = { fn, arg };
	int n = sql_each(r, "SELECT " PERSONA_COLUMNS " FROM persona "
	    "ORDER BY name", NULL, walk_persona, &w);

	return n < 0 ? n : 0;
}

int
registry_image_pending(struct registry *r, const char *id, uint64_t attempt,
    const struct packed_spec *spec)
{
	return sql_one(sql_run(r, "UPDATE persona SET image_attempt = ?, "
	    "spec = ? WHERE id = ? AND holding = 'owner' AND running = 0",
	    "ibt", attempt, (const void *)spec->bytes, spec->len, id), -EPERM);
}

int
registry_image_settled(struct registry *r, const char *id)
{
	return sql_one(sql_run(r, "UPDATE persona SET image_attempt = 0 "
	    "WHERE id = ?", "t", id), -ENOENT);
}

int
registry_persona_set_spec(struct registry *r, const char *id,
    const struct packed_spec *spec)
{
	return sql_one(sql_run(r, "UPDATE persona SET spec = ? WHERE id = ? "
	    "AND holding = 'owner'", "bt", (const void *)spec->bytes,
	    spec->len, id), -EPERM);
}

int
registry_persona_delete(struct registry *r, const char *id)
{
	int n = sql_run(r, "DELETE FROM persona WHERE id = ?", "t", id);

	return n == -EEXIST ? -EBUSY : sql_one(n, -ENOENT);
}

int
registry_persona_started(struct registry *r, const char *id)
{
	return sql_one(sql_run(r, "UPDATE persona SET running = 1, "
	    "crashed = 0, last_end = '' WHERE id = ? AND holding = 'owner'",
	    "t", id), -EPERM);
}

int
registry_persona_ended(struct registry *r, const char *id, bool crashed,
    const char *why)
{
	return sql_one(sql_run(r, "UPDATE persona SET running = 0, "
	    "crashed = ?, last_end = ? WHERE id = ?", "itt",
	    (uint64_t)crashed, why, id), -ENOENT);
}

/* --- peers ------------------------------------------------------------------- */

#define PEER_COLUMNS "fingerprint, name, key, host, port, paired_unix_s, " \
    "overhead_ns"

static void
read_peer(sqlite3_stmt *st, void *arg)
{
	struct peer_record *p = arg;

	sql_text(st, 0, p->fingerprint, sizeof(p->fingerprint));
	sql_text(st, 1, p->name, sizeof(p->name));
	sql_text(st, 2, p->key, sizeof(p->key));
	sql_text(st, 3, p->host, sizeof(p->host));
	p->port = (uint16_t)sql_u64(st, 4);
	p->paired_unix_s = sql_u64(st, 5);
	p->overhead_ns = sql_u64(st, 6);
}

int
registry_peer_add(struct registry *r, const struct peer_record *p)
{
	/* Pairing the same key again renews its name; another key never does. */
	return sql_one(sql_run(r, "INSERT INTO peer (fingerprint, name, key, "
	    "host, port, paired_unix_s) VALUES (?, ?, ?, ?, ?, ?) "
	    "ON CONFLICT (fingerprint) DO UPDATE SET name = excluded.name, "
	    "host = excluded.host, port = excluded.port, "
	    "paired_unix_s = excluded.paired_unix_s "
	    "WHERE key = excluded.key", "ttttii", p->fingerprint, p->name,
	    p->key, p->host, (uint64_t)p->port, p->paired_unix_s), -EEXIST);
}

int
registry_peer_get(struct registry *r, const char *name_or_fp,
    struct peer_record *p)
{
	return sql_one(sql_each(r, "SELECT " PEER_COLUMNS " FROM peer "
	    "WHERE fingerprint = ?1 OR name = ?1", name_or_fp, read_peer, p),
	    -ENOENT);
}

int
registry_peer_learn(struct registry *r, const char *fingerprint,
    uint64_t overhead_ns)
{
	return sql_one(sql_run(r, "UPDATE peer SET overhead_ns = ? "
	    "WHERE fingerprint = ?", "it", overhead_ns, fingerprint), -ENOENT);
}

int
registry_peer_delete(struct registry *r, const char *fingerprint)
{
	return sql_one(sql_run(r, "DELETE FROM peer WHERE fingerprint = ?",
	    "t", fingerprint), -ENOENT);
}

struct peer_walk {
	peer_each_fn	*fn;
	void		*arg;
};

static void
walk_peer(sqlite3_stmt *st, void *arg)
{
	struct peer_walk *w = arg;
	struct peer_record p;

	read_peer(st, &p);
	w->fn(&p, w->arg);
}

int
registry_peer_each(struct registry *r, peer_each_fn *fn, void *arg)
{
	struct peer_walk w = { fn, arg };
	int n = sql_each(r, "SELECT " PEER_COLUMNS " FROM peer "
	    "ORDER BY name", NULL, walk_peer, &w);

	return n < 0 ? n : 0;
}
