/* SPDX-License-Identifier: ISC */
/*
 * A bank inside a persona: moves money between accounts in an SQLite database, one
 * transaction after the other, and tells somebody outside of each only once it is
 * committed. Knows nothing of moves.
 *
 *   ledger run DATABASE ADDRESS PORT FILE   for ever; FILE has the last number
 *   ledger check DATABASE N                 all transactions up to N are there, no
 *                                           money was lost, and SQLite finds no fault
 *
 * Outside, "ack N" comes and "ok N" must go back before the next transaction. A
 * connection that breaks is made anew and N said again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define ACCOUNTS	64
#define START_MONEY	1000
#define ANSWER_S	5	/* then the connection counts as broken */
#define PACE_MS		50
#define FILL_BYTES	512	/* what a transaction carries beside its numbers */

struct outside {
	struct sockaddr_in at;
	int	fd;
	long	broken;		/* connections that had to be made anew */
};

static void
die(sqlite3 *db, const char *what)
{
	fprintf(stderr, "ledger: %s: %s\n", what,
	    db != NULL ? sqlite3_errmsg(db) : strerror(errno));
	exit(1);
}

static void
rest_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void
run_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		die(db, sql);
}

static long long
ask_number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *q = NULL;
	long long n;

	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK ||
	    sqlite3_step(q) != SQLITE_ROW)
		die(db, sql);
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return n;
}

static sqlite3 *
open_ledger(const char *path, int flags)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
		die(db, path);
	sqlite3_busy_timeout(db, 20000);
	return db;
}

static void
make_ledger(sqlite3 *db)
{
	char sql[128];

	run_sql(db, "PRAGMA synchronous=FULL");
	run_sql(db, "CREATE TABLE IF NOT EXISTS account"
	    "(id INTEGER PRIMARY KEY, money INTEGER NOT NULL)");
	run_sql(db, "CREATE TABLE IF NOT EXISTS entry(n INTEGER PRIMARY KEY,"
	    " debit INTEGER, credit INTEGER, money INTEGER, fill BLOB)");
	run_sql(db, "BEGIN");
	for (int i = 0; i < ACCOUNTS; i++) {
		snprintf(sql, sizeof(sql),
		    "INSERT OR IGNORE INTO account VALUES(%d, %d)",
		    i, START_MONEY);
		run_sql(db, sql);
	}
	run_sql(db, "COMMIT");
}

static void
transact(sqlite3 *db, long long n)
{
	int from = (int)(n % ACCOUNTS), to = (int)((n * 7 + 1) % ACCOUNTS);
	char sql[512];

	snprintf(sql, sizeof(sql),
	    "BEGIN IMMEDIATE;"
	    "UPDATE account SET money = money - %d WHERE id = %d;"
	    "UPDATE account SET money = money + %d WHERE id = %d;"
	    "INSERT INTO entry VALUES(%lld, %d, %d, %d, randomblob(%d));"
	    "COMMIT", (int)(n % 10), from, (int)(n % 10), to, n, from, to,
	    (int)(n % 10), FILL_BYTES);
	run_sql(db, sql);
}

static void
outside_drop(struct outside *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	o->broken++;
}

static int
outside_dial(struct outside *o)
{
	const struct timeval limit = { .tv_sec = ANSWER_S };

	if (o->fd >= 0)
		return 0;
	if ((o->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
		return -errno;
	setsockopt(o->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(o->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return connect(o->fd, (struct sockaddr *)&o->at, sizeof(o->at)) < 0 ?
	    -errno : 0;
}

/* The answer is one short line; all of it, and nothing but it, has to come. */
static int
outside_answer(struct outside *o, const char *expected)
{
	char said[64];
	size_t len = 0;

	while (len < sizeof(said) - 1) {
		ssize_t n = recv(o->fd, said + len, 1, 0);

		if (n <= 0)
			return -ECONNRESET;
		if (said[len++] == '\n')
			break;
	}
	said[len] = '\0';
	return strcmp(said, expected) == 0 ? 0 : -EPROTO;
}

static void
outside_tell(struct outside *o, long long n)
{
	char line[64], answer[64];

	snprintf(line, sizeof(line), "ack %lld\n", n);
	snprintf(answer, sizeof(answer), "ok %lld\n", n);
	while (outside_dial(o) < 0 ||
	    send(o->fd, line, strlen(line), MSG_NOSIGNAL) !=
	    (ssize_t)strlen(line) || outside_answer(o, answer) < 0) {
		outside_drop(o);
		rest_ms(200);
	}
}

static void
note(const char *path, long long n, long broken)
{
	char next[4096];
	FILE *f;

	snprintf(next, sizeof(next), "%s.new", path);
	if ((f = fopen(next, "w")) == NULL)
		return;
	fprintf(f, "ledger n=%lld broken=%ld\n", n, broken);
	if (fclose(f) == 0)
		rename(next, path);
}

static int
run(const char *path, const char *address, int port, const char *file)
{
	sqlite3 *db = open_ledger(path,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	struct outside o = { .fd = -1, .at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) } };
	long long n;

	if (inet_pton(AF_INET, address, &o.at.sin_addr) != 1) {
		fprintf(stderr, "ledger: %s is no address\n", address);
		return 2;
	}
	make_ledger(db);
	n = ask_number(db, "SELECT ifnull(max(n), 0) FROM entry");
	for (;;) {
		transact(db, ++n);
		outside_tell(&o, n);
		note(file, n, o.broken);
		rest_ms(PACE_MS);
	}
}

static int
check(const char *path, long long upto)
{
	sqlite3 *db = open_ledger(path, SQLITE_OPEN_READWRITE);
	sqlite3_stmt *q = NULL;
	char sql[128];
	long long there, money, last;
	int whole;

	if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &q, NULL) !=
	    SQLITE_OK || sqlite3_step(q) != SQLITE_ROW)
		die(db, "integrity_check");
	whole = strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0;
	sqlite3_finalize(q);
	snprintf(sql, sizeof(sql),
	    "SELECT count(*) FROM entry WHERE n BETWEEN 1 AND %lld", upto);
	there = ask_number(db, sql);
	last = ask_number(db, "SELECT ifnull(max(n), 0) FROM entry");
	money = ask_number(db, "SELECT sum(money) FROM account");
	sqlite3_close(db);
	printf("ledger check: integrity=%s acknowledged=%lld there=%lld "
	    "last=%lld money=%lld\n", whole ? "ok" : "bad", upto, there, last,
	    money);
	return whole && there == upto && money == ACCOUNTS * START_MONEY ?
	    0 : 1;
}

int
main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "run") == 0)
		return run(argv[2], argv[3], atoi(argv[4]), argv[5]);
	if (argc == 4 && strcmp(argv[1], "check") == 0)
		return check(argv[2], atoll(argv[3]));
	fputs("usage: ledger run DATABASE ADDRESS PORT FILE | "
	    "check DATABASE N\n", stderr);
	return 2;
}
