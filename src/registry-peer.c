/* SPDX-License-Identifier: ISC */
/*
 * The peers of the registry: keys that are trusted, and what was learnt of who holds
 * them. Knows no persona, and not how a key came to be trusted.
 */
#include "registry.h"

#include <errno.h>

#include "registry-sql.h"

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
