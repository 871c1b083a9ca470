/* SPDX-License-Identifier: ISC */
/*
 * The personas of the registry, and what they are made of. Knows no file and no
 * move; who owns one changes in registry-attempt.c alone.
 */
#include "registry.h"

#include <errno.h>
#include <string.h>

#include "registry-sql.h"

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
