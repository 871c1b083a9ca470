/* SPDX-License-Identifier: ISC */
/*
 * A pairing is spoken over a socket; a connection that breaks ends its pairing and
 * no other; last words are waited for.
 */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair-talk.h"
#include "unit.h"

/* One end of a connection. */
struct end {
	struct event_base	*base;
	struct pair_talk	*talk;
	unsigned int		changes, gone;
};

struct world {
	struct event_base	*base;
	struct end		a, b;
	int			fd[2];	/* -1 once a talk has it */
};

static void
changed(void *arg)
{
	struct end *e = arg;

	e->changes++;
	(void)pair_talk_flush(e->talk);
}

static void
gone(void *arg)
{
	struct end *e = arg;

	e->gone++;
	event_base_loopbreak(e->base);
}

static void
connect_both(struct world *w)
{
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    w->fd), 0);
}

static void
world_open(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->base = event_base_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(w->base);
	connect_both(w);
}

static void
world_close(struct world *w)
{
	pair_talk_free(w->a.talk);
	pair_talk_free(w->b.talk);
	for (int i = 0; i < 2; i++)
		if (w->fd[i] >= 0)
			close(w->fd[i]);
	event_base_free(w->base);
}

static void
begin(struct world *w, struct end *e, int *fd, enum pairing_role role)
{
	static const struct pair_talk_ops ops = {
		.changed = changed,
		.gone = gone,
	};
	uint8_t point[PUBKEY_POINT_BYTES];
	struct pairing_handset own = { .port = 7007 };
	const struct pair_talk_config c = { .role = role, .own = &own,
	    .timeout_ms = PAIRING_PERSON_MS };

	memset(point, role == PAIRING_INITIATOR ? 0xa1 : 0xb2, sizeof(point));
	snprintf(own.name, sizeof(own.name), "phone-%d", (int)role);
	pubkey_from_point(point, own.key);
	e->base = w->base;
	CU_ASSERT_EQUAL_FATAL(pair_talk_new(&e->talk, w->base, *fd, &c, &ops,
	    e), 0);
	*fd = -1;
}

/* Until nothing is ready any more, or an end is gone. */
static void
settle(struct world *w)
{
	CU_ASSERT_FATAL(event_base_loop(w->base, EVLOOP_NONBLOCK) >= 0);
}

static void
digits_are_reached(void)
{
	struct pairing *a, *b;
	struct world w;

	world_open(&w);
	begin(&w, &w.a, &w.fd[0], PAIRING_INITIATOR);
	begin(&w, &w.b, &w.fd[1], PAIRING_RESPONDER);
	CU_ASSERT(pair_talk_flush(w.a.talk));
	settle(&w);
	a = pair_talk_pairing(w.a.talk);
	b = pair_talk_pairing(w.b.talk);
	CU_ASSERT_EQUAL_FATAL(pairing_state(a), PAIRING_COMPARE);
	CU_ASSERT_EQUAL_FATAL(pairing_state(b), PAIRING_COMPARE);
	CU_ASSERT_STRING_EQUAL(pairing_digits(a), pairing_digits(b));
	world_close(&w);
}

/* The other side closes before it has heard us; so does nobody the next time. */
static void
each_begins_anew(void)
{
	uint8_t heard[PAIRING_MSG_MAX];
	struct world w;

	world_open(&w);
	begin(&w, &w.a, &w.fd[0], PAIRING_INITIATOR);
	close(w.fd[1]);
	w.fd[1] = -1;
	CU_ASSERT(pair_talk_flush(w.a.talk));
	CU_ASSERT_EQUAL(pairing_state(pair_talk_pairing(w.a.talk)),
	    PAIRING_FAILED);
	pair_talk_free(w.a.talk);
	w.a.talk = NULL;
	connect_both(&w);
	begin(&w, &w.a, &w.fd[0], PAIRING_INITIATOR);
	CU_ASSERT(pair_talk_flush(w.a.talk));
	CU_ASSERT(!pairing_ended(pairing_state(pair_talk_pairing(w.a.talk))));
	CU_ASSERT(recv(w.fd[1], heard, sizeof(heard), 0) > 0);
	world_close(&w);
}

/* Nobody reads for now: it is told when somebody does, and then all goes out. */
static void
room_is_waited_for(void)
{
	uint8_t junk[4096] = { 0 };
	struct world w;
	ssize_t n;

	world_open(&w);
	while (send(w.fd[0], junk, sizeof(junk), MSG_NOSIGNAL) > 0)
		;
	begin(&w, &w.a, &w.fd[0], PAIRING_INITIATOR);
	CU_ASSERT(!pair_talk_flush(w.a.talk));
	settle(&w);
	CU_ASSERT_EQUAL(w.a.changes, 0);
	while ((n = recv(w.fd[1], junk, sizeof(junk), 0)) > 0)
		;
	settle(&w);
	CU_ASSERT_EQUAL(w.a.changes, 1);
	CU_ASSERT(recv(w.fd[1], junk, sizeof(junk), 0) > 0);
	world_close(&w);
}

static void
last_words_are_waited_for(void)
{
	struct world w;
	char c;

	world_open(&w);
	begin(&w, &w.a, &w.fd[0], PAIRING_INITIATOR);
	pair_talk_linger(w.a.talk);
	CU_ASSERT_EQUAL(recv(w.fd[1], &c, 1, 0), 0);	/* we have closed */
	CU_ASSERT_EQUAL(send(w.fd[1], "?", 1, MSG_NOSIGNAL), 1);
	settle(&w);
	CU_ASSERT_EQUAL(w.a.gone, 0);
	close(w.fd[1]);
	w.fd[1] = -1;
	settle(&w);
	CU_ASSERT_EQUAL(w.a.gone, 1);
	CU_ASSERT_EQUAL(w.a.changes, 0);
	world_close(&w);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "both come to the same digits", digits_are_reached },
		{ "a broken connection is not held against the next",
		    each_begins_anew },
		{ "a full socket is waited for", room_is_waited_for },
		{ "lingering, it reads on until the other has closed",
		    last_words_are_waited_for },
	};

	return unit_main("pair-talk", tests, sizeof(tests) / sizeof(tests[0]));
}
