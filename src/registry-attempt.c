/* SPDX-License-Identifier: ISC */
/*
 * The handover's durable records, on both sides: each function is one row of the
 * table in persona-design(7), THE HANDOVER, and refuses what that does not allow.
 * Knows no message and no process.
 */
#include "registry.h"

#include <errno.h>
#include <string.h>

#include "registry-sql.h"

struct found_number {
	uint64_t	n;
};

static void
read_number(sqlite3_stmt *st, void *arg)
{
	((struct found_number *)arg)->n = sql_u64(st, 0);
}

int
registry_attempt_new(struct registry *r, const char *id, uint64_t *attempt)
{
	struct found_number found = { 0 };
	int n;

	if ((n = sql_begin(r)) < 0)
		return n;
	n = sql_one(sql_run(r, "UPDATE persona SET "
	    "last_attempt = last_attempt + 1 "
	    "WHERE id = ? AND holding = 'owner'", "t", id), -EPERM);
	if (n == 0)
		n = sql_one(sql_each(r, "SELECT last_attempt FROM persona "
		    "WHERE id = ?", id, read_number, &found), -ENOENT);
	n = sql_end(r, n);
	*attempt = found.n;
	return n;
}

int
registry_source_stopped(struct registry *r, const char *id, uint64_t attempt,
    const char *peer, const char *peer_name)
{
	return sql_one(sql_run(r, "INSERT OR REPLACE INTO outgoing "
	    "SELECT id, ?2, 'stopped', ?3, ?4 FROM persona "
	    "WHERE id = ?1 AND holding = 'owner' AND last_attempt = ?2",
	    "titt", id, attempt, peer, peer_name), -ESTALE);
}

int
registry_source_kept(struct registry *r, const char *id, uint64_t attempt)
{
	struct outgoing_record o;
	int n = registry_outgoing_get(r, id, &o);

	if (n == -ENOENT)
		return 0;
	if (n < 0)
		return n;
	return sql_one(sql_run(r, "DELETE FROM outgoing WHERE persona_id = ? "
	    "AND attempt = ? AND state = 'stopped'", "ti", id, attempt),
	    -ESTALE);
}

int
registry_source_released(struct registry *r, const char *id,
    uint64_t attempt, uint64_t tenure)
{
	int n;

	if ((n = sql_begin(r)) < 0)
		return n;
	n = sql_one(sql_run(r, "UPDATE outgoing SET state = 'released' "
	    "WHERE persona_id = ? AND attempt = ? AND state = 'stopped'",
	    "ti", id, attempt), -ESTALE);
	if (n == 0)
		n = sql_one(sql_run(r, "UPDATE persona SET "
		    "holding = 'released', tenure = ?2, "
		    "(peer, peer_name) = (SELECT peer, peer_name FROM outgoing "
		    "WHERE persona_id = ?1) WHERE id = ?1 "
		    "AND holding = 'owner' AND tenure = ?2 - 1", "ti", id,
		    tenure), -ESTALE);
	return sql_end(r, n);
}

int
registry_source_moved(struct registry *r, const char *id, uint64_t attempt)
{
	int n;

	if ((n = sql_begin(r)) < 0)
		return n;
	n = sql_run(r, "DELETE FROM outgoing WHERE persona_id = ? "
	    "AND attempt = ? AND state = 'released'", "ti", id, attempt);
	if (n > 0)
		n = sql_one(sql_run(r, "UPDATE persona SET holding = 'away', "
		    "running = 0, crashed = 0, last_end = '' "
		    "WHERE id = ? AND holding = 'released'", "t", id),
		    -ESTALE);
	return sql_end(r, n);
}

static void
read_outgoing(sqlite3_stmt *st, void *arg)
{
	struct outgoing_record *o = arg;
	char state[16];

	memset(o, 0, sizeof(*o));
	sql_text(st, 0, o->persona_id, sizeof(o->persona_id));
	o->attempt = sql_u64(st, 1);
	sql_text(st, 2, state, sizeof(state));
	o->released = strcmp(state, "released") == 0;
	sql_text(st, 3, o->peer, sizeof(o->peer));
}

int
registry_outgoing_get(struct registry *r, const char *id,
    struct outgoing_record *o)
{
	return sql_one(sql_each(r, "SELECT persona_id, attempt, state, peer "
	    "FROM outgoing WHERE persona_id = ?", id, read_outgoing, o),
	    -ENOENT);
}

/* --- the target --------------------------------------------------------------- */

/* May this attempt be prepared, given what is on record? */
static int
may_prepare(struct registry *r, const struct incoming_record *in)
{
	struct incoming_record old;
	struct persona_record p;
	int n;

	if ((n = registry_incoming_get(r, in->persona.id, &old)) == 0) {
		bool same_source = strcmp(old.peer, in->peer) == 0 &&
		    old.persona.tenure == in->persona.tenure;

		if (in->persona.tenure < old.persona.tenure ||
		    (same_source && (in->attempt < old.attempt ||
		    (in->attempt == old.attempt && old.aborted))))
			return -ESTALE;
	} else if (n != -ENOENT)
		return n;
	if ((n = registry_persona_get(r, in->persona.id, &p)) == 0) {
		if (p.holding == HOLDING_OWNER)
			return -EPERM;
		if (in->persona.tenure <= p.tenure)
			return -ESTALE;
	} else if (n != -ENOENT)
		return n;
	n = registry_persona_get(r, in->persona.name, &p);
	if (n == 0 && strcmp(p.id, in->persona.id) != 0)
		return -EEXIST;
	return n == -ENOENT ? 0 : n;
}

int
registry_target_prepared(struct registry *r, const struct incoming_record *in)
{
	const struct persona_record *p = &in->persona;
	int n;

	if ((n = sql_begin(r)) < 0)
		return n;
	if ((n = may_prepare(r, in)) == 0)
		n = sql_one(sql_run(r, "INSERT OR REPLACE INTO incoming "
		    "VALUES (?, ?, 'prepared', ?, ?, ?, ?, ?, ?, ?, ?)",
		    "tititiittb", p->id, in->attempt, in->peer, p->tenure,
		    p->name, p->ram_bytes, (uint64_t)p->vcpus,
		    p->cpu_baseline, p->cmdline,
		    (const void *)p->spec.bytes, p->spec.len), -EIO);
	return sql_end(r, n);
}

/* What of a persona lies in files, by what it is made of. */
static int
count_files(struct registry *r, const char *id, bool *boot, bool *any)
{
	struct incoming_record in;
	Persona__Spec__Spec *spec;
	int n;

	if ((n = registry_incoming_get(r, id, &in)) < 0)
		return n == -ENOENT ? -ESTALE : n;
	if ((n = spec_unpack(&in.persona.spec, &spec)) < 0)
		return n;
	*boot = spec->kernel != NULL;
	*any = *boot || spec->n_disks > 0;
	persona__spec__spec__free_unpacked(spec, NULL);
	return 0;
}

int
registry_target_owner(struct registry *r, const char *id, uint64_t attempt)
{
	bool boot = false, any = false;
	int n;

	if ((n = sql_begin(r)) < 0)
		return n;
	if ((n = count_files(r, id, &boot, &any)) < 0)
		return sql_end(r, n);
	/* A persona that comes back keeps its date of birth, and what came along
	 * with it takes the place of the files that it left here. */
	n = sql_one(sql_run(r, "INSERT INTO persona SELECT persona_id, name, "
	    "ram_bytes, vcpus, cpu_baseline, cmdline, ?3, tenure, 'owner', 1, "
	    "0, '', '', '', unixepoch(), 0, spec, ?4 FROM incoming "
	    "WHERE persona_id = ?1 AND attempt = ?2 AND state = 'prepared' "
	    "ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
	    "cmdline = excluded.cmdline, spec = excluded.spec, "
	    "has_boot = CASE excluded.image_attempt WHEN 0 THEN has_boot "
	    "ELSE excluded.has_boot END, "
	    "image_attempt = excluded.image_attempt, "
	    "tenure = excluded.tenure, "
	    "holding = 'owner', running = 1, crashed = 0, last_end = '', "
	    "peer = '', peer_name = '' WHERE holding <> 'owner' "
	    "AND excluded.tenure > tenure", "tiii", id, attempt,
	    (uint64_t)boot, any ? attempt : 0), -ESTALE);
	if (n == 0)
		n = sql_one(sql_run(r, "DELETE FROM incoming "
		    "WHERE persona_id = ?", "t", id), -ESTALE);
	if (n == 0) {
		/* A RELEASED of ours that this return trip has answered. */
		n = sql_run(r, "DELETE FROM outgoing WHERE persona_id = ?",
		    "t", id);
	}
	n = sql_end(r, n);
	return n > 0 ? 0 : n;
}

int
registry_target_aborted(struct registry *r, const char *id, uint64_t attempt)
{
	return sql_one(sql_run(r, "UPDATE incoming SET state = 'aborted' "
	    "WHERE persona_id = ? AND attempt = ? AND state = 'prepared'",
	    "ti", id, attempt), -ESTALE);
}

static void
read_incoming(sqlite3_stmt *st, void *arg)
{
	struct incoming_record *in = arg;
	struct persona_record *p = &in->persona;
	char state[16];

	memset(in, 0, sizeof(*in));
	sql_text(st, 0, p->id, sizeof(p->id));
	in->attempt = sql_u64(st, 1);
	sql_text(st, 2, state, sizeof(state));
	in->aborted = strcmp(state, "aborted") == 0;
	sql_text(st, 3, in->peer, sizeof(in->peer));
	p->tenure = sql_u64(st, 4);
	sql_text(st, 5, p->name, sizeof(p->name));
	p->ram_bytes = sql_u64(st, 6);
	p->vcpus = (uint32_t)sql_u64(st, 7);
	sql_text(st, 8, p->cpu_baseline, sizeof(p->cpu_baseline));
	sql_text(st, 9, p->cmdline, sizeof(p->cmdline));
	p->spec.len = sql_blob(st, 10, p->spec.bytes, sizeof(p->spec.bytes));
}

int
registry_incoming_get(struct registry *r, const char *id,
    struct incoming_record *in)
{
	return sql_one(sql_each(r, "SELECT * FROM incoming "
	    "WHERE persona_id = ?", id, read_incoming, in), -ENOENT);
}

struct incoming_walk {
	incoming_each_fn	*fn;
	void			*arg;
};

static void
walk_incoming(sqlite3_stmt *st, void *arg)
{
	struct incoming_walk *w = arg;
	struct incoming_record in;

	read_incoming(st, &in);
	w->fn(&in, w->arg);
}

int
registry_incoming_each(struct registry *r, incoming_each_fn *fn, void *arg)
{
	struct incoming_walk w = { fn, arg };
	int n = sql_each(r, "SELECT * FROM incoming", NULL, walk_incoming, &w);

	return n < 0 ? n : 0;
}
