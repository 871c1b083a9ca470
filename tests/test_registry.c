/* SPDX-License-Identifier: ISC */
/*
 * The registry keeps the truth: what the handover forbids cannot be written down, a
 * full disk changes nothing, and a file that is not ours is left alone.
 */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry.h"
#include "unit.h"

#define ID	"0123456789abcdef0123456789abcdef"
#define OTHER	"ffffffffffffffffffffffffffffffff"
#define PEER	"SHA256:peer"

static char dir[] = "/tmp/test_registry.XXXXXX";
static char path[sizeof(dir) + 16];

static struct registry *
fresh(void)
{
	struct registry *r = NULL;
	char wal[sizeof(path) + 8];

	unlink(path);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	unlink(wal);
	snprintf(wal, sizeof(wal), "%s-shm", path);
	unlink(wal);
	CU_ASSERT_EQUAL_FATAL(registry_open(&r, path), 0);
	return r;
}

static struct persona_record
sample(const char *id, const char *name)
{
	struct persona_record p = { .ram_bytes = 64 << 20, .vcpus = 1,
	    .tenure = 1, .has_boot = true, .created_unix_s = 7 };
	Persona__Spec__Spec spec = PERSONA__SPEC__SPEC__INIT;
	Persona__Spec__Boot kernel = PERSONA__SPEC__BOOT__INIT;
	const char *why;

	strcpy(p.id, id);
	strcpy(p.name, name);
	strcpy(p.cpu_baseline, "x86-64-v2");
	strcpy(p.cmdline, "rate=1M");
	kernel.bytes = 5000;
	spec.kernel = &kernel;
	CU_ASSERT_EQUAL(spec_pack(&spec, &p.spec, &why), 0);
	return p;
}

static void
record_survives_reopening(void)
{
	struct registry *r = fresh();
	struct persona_record p = sample(ID, "work"), got;

	CU_ASSERT_EQUAL(registry_persona_add(r, &p), 0);
	CU_ASSERT_EQUAL(registry_persona_started(r, ID), 0);
	registry_close(r);
	CU_ASSERT_EQUAL_FATAL(registry_open(&r, path), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, "work", &got), 0);
	CU_ASSERT_STRING_EQUAL(got.id, ID);
	CU_ASSERT_STRING_EQUAL(got.cmdline, "rate=1M");
	CU_ASSERT_EQUAL(got.ram_bytes, 64 << 20);
	CU_ASSERT_EQUAL(got.spec.len, p.spec.len);
	CU_ASSERT_EQUAL(memcmp(got.spec.bytes, p.spec.bytes, p.spec.len), 0);
	CU_ASSERT_TRUE(got.running);
	CU_ASSERT_EQUAL(got.holding, HOLDING_OWNER);
	CU_ASSERT_EQUAL(registry_persona_ended(r, ID, true, "why"), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_TRUE(got.crashed && !got.running);
	CU_ASSERT_STRING_EQUAL(got.last_end, "why");
	CU_ASSERT_EQUAL(registry_persona_get(r, "none", &got), -ENOENT);
	registry_close(r);
}

/* The first version knew no spec: what it wrote is read on, with an empty one. */
static void
older_file_is_brought_up(void)
{
	struct registry *r = fresh();
	struct persona_record p = sample(ID, "work"), got;
	sqlite3 *db = NULL;

	CU_ASSERT_EQUAL(registry_persona_add(r, &p), 0);
	registry_close(r);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db,
	    "ALTER TABLE persona DROP COLUMN image_attempt;"
	    "ALTER TABLE persona DROP COLUMN spec;"
	    "ALTER TABLE incoming DROP COLUMN spec;"
	    "ALTER TABLE peer DROP COLUMN overhead_ns;"
	    "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	CU_ASSERT_EQUAL_FATAL(registry_open(&r, path), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_STRING_EQUAL(got.cmdline, "rate=1M");
	CU_ASSERT_EQUAL(got.spec.len, 0);
	CU_ASSERT_EQUAL(registry_persona_set_spec(r, ID, &p.spec), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.spec.len, p.spec.len);
	registry_close(r);
}

/* A restored image and what it is made of are one record; nothing that runs has it. */
static void
restored_image_is_one_record(void)
{
	struct registry *r = fresh();
	struct persona_record p = sample(ID, "work"), got;
	struct packed_spec spec = { .len = 0 };

	CU_ASSERT_EQUAL(registry_persona_add(r, &p), 0);
	CU_ASSERT_EQUAL(registry_persona_started(r, ID), 0);
	CU_ASSERT_EQUAL(registry_image_pending(r, ID, 7, &spec), -EPERM);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.image_attempt, 0);
	CU_ASSERT_EQUAL(got.spec.len, p.spec.len);
	CU_ASSERT_EQUAL(registry_persona_ended(r, ID, false, "off"), 0);
	CU_ASSERT_EQUAL(registry_image_pending(r, ID, 7, &spec), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.image_attempt, 7);
	CU_ASSERT_EQUAL(got.spec.len, 0);
	CU_ASSERT_EQUAL(registry_image_settled(r, ID), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.image_attempt, 0);
	registry_close(r);
}

static void
names_and_ids_are_unique(void)
{
	struct registry *r = fresh();
	struct persona_record p = sample(ID, "work");

	CU_ASSERT_EQUAL(registry_persona_add(r, &p), 0);
	CU_ASSERT_EQUAL(registry_persona_add(r, &p), -EEXIST);
	p = sample(OTHER, "work");
	CU_ASSERT_EQUAL(registry_persona_add(r, &p), -EEXIST);
	p = sample("not a hex id but thirty-two long", "x");
	CU_ASSERT_NOT_EQUAL(registry_persona_add(r, &p), 0);
	registry_close(r);
}

/* Invariant 1: RELEASED only from STOPPED of the same attempt. */
static void
release_wants_its_own_stop(void)
{
	struct registry *r = fresh();
	struct persona_record p = sample(ID, "work"), got;
	struct outgoing_record o;
	uint64_t a1, a2;

	registry_persona_add(r, &p);
	CU_ASSERT_EQUAL(registry_attempt_new(r, ID, &a1), 0);
	CU_ASSERT_EQUAL(registry_source_released(r, ID, a1, 2), -ESTALE);
	CU_ASSERT_EQUAL(registry_source_stopped(r, ID, a1, PEER, "b"), 0);
	CU_ASSERT_EQUAL(registry_source_kept(r, ID, a1), 0);
	CU_ASSERT_EQUAL(registry_source_released(r, ID, a1, 2), -ESTALE);

	CU_ASSERT_EQUAL(registry_attempt_new(r, ID, &a2), 0);
	CU_ASSERT_EQUAL(a2, a1 + 1);
	CU_ASSERT_EQUAL(registry_source_stopped(r, ID, a1, PEER, "b"),
	    -ESTALE);
	CU_ASSERT_EQUAL(registry_source_stopped(r, ID, a2, PEER, "b"), 0);
	CU_ASSERT_EQUAL(registry_source_released(r, ID, a1, 2), -ESTALE);
	CU_ASSERT_EQUAL(registry_source_released(r, ID, a2, 5), -ESTALE);
	CU_ASSERT_EQUAL(registry_source_released(r, ID, a2, 2), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.holding, HOLDING_RELEASED);
	CU_ASSERT_EQUAL(got.tenure, 2);
	CU_ASSERT_STRING_EQUAL(got.peer_name, "b");

	/* From here nothing makes it ours again but a return trip. */
	CU_ASSERT_EQUAL(registry_source_kept(r, ID, a2), -ESTALE);
	CU_ASSERT_EQUAL(registry_persona_started(r, ID), -EPERM);
	CU_ASSERT_EQUAL(registry_attempt_new(r, ID, &a1), -EPERM);
	CU_ASSERT_EQUAL(registry_persona_delete(r, ID), -EBUSY);
	CU_ASSERT_EQUAL(registry_outgoing_get(r, ID, &o), 0);
	CU_ASSERT_TRUE(o.released);
	CU_ASSERT_EQUAL(registry_source_moved(r, ID, a2), 0);
	CU_ASSERT_EQUAL(registry_source_moved(r, ID, a2), 0);
	CU_ASSERT_EQUAL(registry_outgoing_get(r, ID, &o), -ENOENT);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.holding, HOLDING_AWAY);
	CU_ASSERT_FALSE(got.running);
	registry_close(r);
}

static struct incoming_record
arrival(const char *id, const char *name, uint64_t attempt, uint64_t tenure)
{
	struct incoming_record in = { .attempt = attempt };

	strcpy(in.peer, PEER);
	in.persona = sample(id, name);
	in.persona.tenure = tenure;
	return in;
}

static void
ownership_wants_its_own_preparation(void)
{
	struct registry *r = fresh();
	struct incoming_record in = arrival(ID, "work", 3, 2), got;
	struct persona_record p;

	CU_ASSERT_EQUAL(registry_target_owner(r, ID, 3), -ESTALE);
	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), 0);
	CU_ASSERT_EQUAL(registry_target_owner(r, ID, 2), -ESTALE);
	CU_ASSERT_EQUAL(registry_target_aborted(r, ID, 3), 0);
	/* ABORTED is for ever: this attempt never owns. */
	CU_ASSERT_EQUAL(registry_target_owner(r, ID, 3), -ESTALE);
	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), -ESTALE);
	in.attempt = 2;
	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), -ESTALE);
	in.attempt = 4;
	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), 0);
	CU_ASSERT_EQUAL(registry_incoming_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.attempt, 4);
	CU_ASSERT_FALSE(got.aborted);
	CU_ASSERT_EQUAL(registry_target_owner(r, ID, 4), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &p), 0);
	CU_ASSERT_EQUAL(p.spec.len, in.persona.spec.len);
	CU_ASSERT_EQUAL(registry_persona_get(r, "work", &p), 0);
	CU_ASSERT_EQUAL(p.holding, HOLDING_OWNER);
	CU_ASSERT_EQUAL(p.tenure, 2);
	CU_ASSERT_TRUE(p.running);
	/* Its boot files have come, and where they lie is known until they settle. */
	CU_ASSERT_TRUE(p.has_boot);
	CU_ASSERT_EQUAL(p.image_attempt, 4);
	CU_ASSERT_EQUAL(registry_image_settled(r, ID), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &p), 0);
	CU_ASSERT_EQUAL(p.image_attempt, 0);
	CU_ASSERT_EQUAL(registry_image_settled(r, OTHER), -ENOENT);
	CU_ASSERT_EQUAL(registry_incoming_get(r, ID, &got), -ENOENT);
	/* We own it: nobody may bring another copy. */
	in.attempt = 5;
	in.persona.tenure = 3;
	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), -EPERM);
	registry_close(r);
}

static void
names_are_kept_for_what_arrives(void)
{
	struct registry *r = fresh();
	struct incoming_record in = arrival(ID, "work", 1, 2);
	struct persona_record p = sample(OTHER, "work");

	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), 0);
	CU_ASSERT_EQUAL(registry_persona_add(r, &p), -EEXIST);
	CU_ASSERT_EQUAL(registry_target_owner(r, ID, 1), 0);
	in = arrival(OTHER, "work", 1, 2);
	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), -EEXIST);
	registry_close(r);
}

static void
return_trip_makes_tenure_grow(void)
{
	struct registry *r = fresh();
	struct persona_record p = sample(ID, "work"), got;
	struct incoming_record in;
	uint64_t a;

	registry_persona_add(r, &p);
	registry_attempt_new(r, ID, &a);
	registry_source_stopped(r, ID, a, PEER, "b");
	CU_ASSERT_EQUAL(registry_source_released(r, ID, a, 2), 0);
	/* The answer never came, but the peer offers it back: it owned it. */
	in = arrival(ID, "work", 1, 2);
	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), -ESTALE);
	in = arrival(ID, "work", 1, 3);
	CU_ASSERT_EQUAL(registry_target_prepared(r, &in), 0);
	CU_ASSERT_EQUAL(registry_target_owner(r, ID, 1), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.tenure, 3);
	CU_ASSERT_TRUE(got.has_boot);
	CU_ASSERT_EQUAL(got.created_unix_s, 7);
	CU_ASSERT_STRING_EQUAL(got.peer, "");
	/* A new attempt's number is above the old ones. */
	CU_ASSERT_EQUAL(registry_attempt_new(r, ID, &a), 0);
	CU_ASSERT_EQUAL(a, 2);
	registry_close(r);
}

/* A full disk gives -ENOSPC and what was there stays true. */
static void
full_disk_leaves_the_truth(void)
{
	struct registry *r = fresh();
	struct persona_record p = sample(ID, "p0"), got;
	uint64_t a;
	int n, last = 0;

	memset(p.cmdline, 'x', CMDLINE_MAX);
	CU_ASSERT_EQUAL(registry_persona_add(r, &p), 0);
	CU_ASSERT_EQUAL(registry_attempt_new(r, ID, &a), 0);
	registry_tidy(r);
	CU_ASSERT_EQUAL(registry_limit_pages(r, 10), 0);
	for (n = 1; n < 100 && last == 0; n++) {
		snprintf(p.id, sizeof(p.id), "%032x", n);
		snprintf(p.name, sizeof(p.name), "p%d", n);
		last = registry_persona_add(r, &p);
	}
	CU_ASSERT_EQUAL(last, -ENOSPC);
	CU_ASSERT_EQUAL(registry_persona_get(r, p.id, &got), -ENOENT);
	CU_ASSERT_EQUAL(registry_persona_get(r, ID, &got), 0);
	CU_ASSERT_EQUAL(got.holding, HOLDING_OWNER);
	/* A release that cannot be written has not happened. */
	if (registry_source_stopped(r, ID, a, PEER, "b") == 0) {
		CU_ASSERT_EQUAL(registry_source_released(r, ID, a, 9), -ESTALE);
	}
	registry_close(r);
	CU_ASSERT_EQUAL_FATAL(registry_open(&r, path), 0);
	CU_ASSERT_EQUAL(registry_persona_get(r, "p0", &got), 0);
	registry_close(r);
}

static off_t
log_bytes(void)
{
	char log[sizeof(path) + 8];
	struct stat st;

	snprintf(log, sizeof(log), "%s-wal", path);
	return stat(log, &st) < 0 ? -1 : st.st_size;
}

/* Nothing can grow, and a persona still moves out, time and again. */
static void
a_move_needs_no_new_room(void)
{
	struct rlimit old, small;
	struct registry *r = fresh();
	struct persona_record p = sample(ID, "p0"), got;
	off_t room;
	uint64_t a;

	memset(p.cmdline, 'x', CMDLINE_MAX);
	CU_ASSERT_EQUAL_FATAL(registry_persona_add(r, &p), 0);
	CU_ASSERT_TRUE((room = log_bytes()) >= 64 * 4096);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	small.rlim_cur = (rlim_t)room;
	small.rlim_max = old.rlim_max;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned int i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL(registry_attempt_new(r, ID, &a), 0);
		CU_ASSERT_EQUAL(registry_source_stopped(r, ID, a, PEER, "b"),
		    0);
		CU_ASSERT_EQUAL(registry_source_kept(r, ID, a), 0);
		registry_tidy(r);
	}
	CU_ASSERT_EQUAL(registry_attempt_new(r, ID, &a), 0);
	CU_ASSERT_EQUAL(registry_source_stopped(r, ID, a, PEER, "b"), 0);
	CU_ASSERT_EQUAL(registry_source_released(r, ID, a, p.tenure + 1), 0);
	CU_ASSERT_EQUAL(registry_source_moved(r, ID, a), 0);
	registry_tidy(r);
	CU_ASSERT_EQUAL(log_bytes(), room);
	CU_ASSERT_EQUAL(registry_persona_get(r, "p0", &got), 0);
	CU_ASSERT_EQUAL(got.holding, HOLDING_AWAY);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
	registry_close(r);
}

static void
strange_files_are_left_alone(void)
{
	struct registry *r = fresh();
	FILE *f;

	registry_close(r);
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database ", f);
	fclose(f);
	CU_ASSERT_EQUAL(registry_open(&r, path), -EUCLEAN);
	CU_ASSERT_PTR_NULL(r);
	CU_ASSERT_EQUAL(registry_open(&r, "/nonexistent/registry.db"),
	    -EACCES);
}

static void
pinned_key_is_not_replaced(void)
{
	struct registry *r = fresh();
	struct peer_record p = { .paired_unix_s = 1, .port = 7275 }, got;

	strcpy(p.fingerprint, "SHA256:one");
	strcpy(p.name, "bench");
	strcpy(p.key, "ssh-ed25519 AAAAone");
	strcpy(p.host, "192.0.2.1");
	CU_ASSERT_EQUAL(registry_peer_add(r, &p), 0);
	CU_ASSERT_EQUAL(registry_peer_add(r, &p), 0);
	strcpy(p.key, "ssh-ed25519 AAAAtwo");
	CU_ASSERT_EQUAL(registry_peer_add(r, &p), -EEXIST);
	strcpy(p.fingerprint, "SHA256:two");
	CU_ASSERT_EQUAL(registry_peer_add(r, &p), -EEXIST);
	CU_ASSERT_EQUAL(registry_peer_get(r, "bench", &got), 0);
	CU_ASSERT_STRING_EQUAL(got.key, "ssh-ed25519 AAAAone");
	CU_ASSERT_STRING_EQUAL(got.host, "192.0.2.1");
	CU_ASSERT_EQUAL(got.overhead_ns, 0);
	/* What was learnt of it is kept when it is paired again. */
	CU_ASSERT_EQUAL(registry_peer_learn(r, "SHA256:one", 12345678), 0);
	strcpy(p.fingerprint, "SHA256:one");
	strcpy(p.key, "ssh-ed25519 AAAAone");
	CU_ASSERT_EQUAL(registry_peer_add(r, &p), 0);
	CU_ASSERT_EQUAL(registry_peer_get(r, "bench", &got), 0);
	CU_ASSERT_EQUAL(got.overhead_ns, 12345678);
	CU_ASSERT_EQUAL(registry_peer_learn(r, "SHA256:none", 1), -ENOENT);
	CU_ASSERT_EQUAL(registry_peer_delete(r, "SHA256:one"), 0);
	CU_ASSERT_EQUAL(registry_peer_delete(r, "SHA256:one"), -ENOENT);
	strcpy(p.fingerprint, "SHA256:two");
	CU_ASSERT_EQUAL(registry_peer_add(r, &p), 0);
	registry_close(r);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a record survives reopening", record_survives_reopening },
		{ "an older file is brought up", older_file_is_brought_up },
		{ "a restored image is one record",
		    restored_image_is_one_record },
		{ "names and ids are unique", names_and_ids_are_unique },
		{ "a release wants its own stop", release_wants_its_own_stop },
		{ "ownership wants its own preparation",
		    ownership_wants_its_own_preparation },
		{ "names are kept for what arrives",
		    names_are_kept_for_what_arrives },
		{ "a return trip makes the tenure grow",
		    return_trip_makes_tenure_grow },
		{ "a full disk leaves the truth", full_disk_leaves_the_truth },
		{ "a move needs no new room", a_move_needs_no_new_room },
		{ "strange files are left alone",
		    strange_files_are_left_alone },
		{ "a pinned key is not replaced",
		    pinned_key_is_not_replaced },
	};
	char command[sizeof(dir) + 16];
	int r;

	if (mkdtemp(dir) == NULL)
		return EXIT_FAILURE;
	snprintf(path, sizeof(path), "%s/r.db", dir);
	r = unit_main("registry", tests, sizeof(tests) / sizeof(tests[0]));
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		return EXIT_FAILURE;
	return r;
}
