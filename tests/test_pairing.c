/* SPDX-License-Identifier: ISC */
/*
 * Two handsets pair only when both persons saw the same digits; nobody between
 * them can be pinned, and no bytes of a stranger do harm. (Invariant 6.)
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "pairing.h"
#include "pairing.pb-c.h"
#include "unit.h"

/* One end, and where its bytes go. */
struct side {
	struct pairing		*p;
	struct pairing_handset	self;
};

static struct pairing_handset
handset(const char *name, uint8_t seed)
{
	struct pairing_handset h = { .port = 7007 };
	uint8_t point[PUBKEY_POINT_BYTES];

	memset(point, seed, sizeof(point));
	snprintf(h.name, sizeof(h.name), "%s", name);
	pubkey_from_point(point, h.key);
	return h;
}

static void
begin(struct side *s, enum pairing_role role, const char *name, uint8_t seed)
{
	s->self = handset(name, seed);
	CU_ASSERT_EQUAL_FATAL(pairing_new(&s->p, role, &s->self,
	    PAIRING_PERSON_MS, 1000), 0);
}

/* All that `from` has to say, in pieces of at most `piece` bytes. */
static bool
carry(struct side *from, struct side *to, size_t piece)
{
	uint8_t buf[4 * PAIRING_MSG_MAX];
	const void *data;
	size_t len;

	data = pairing_output(from->p, &len);
	if (len == 0)
		return false;
	memcpy(buf, data, len);
	pairing_output_done(from->p, len);
	for (size_t at = 0; at < len; at += piece)
		pairing_input(to->p, buf + at,
		    len - at < piece ? len - at : piece, 1000);
	return true;
}

static void
converse(struct side *a, struct side *b, size_t piece)
{
	bool moved;

	do {
		moved = carry(a, b, piece);
		moved |= carry(b, a, piece);
	} while (moved);
}

static void
begin_both(struct side *a, struct side *b)
{
	begin(a, PAIRING_INITIATOR, "phone-a", 0xa1);
	begin(b, PAIRING_RESPONDER, "Jürgens Telefon", 0xb2);
}

static void
end_both(struct side *a, struct side *b)
{
	pairing_free(a->p);
	pairing_free(b->p);
}

static void
two_handsets_pair(void)
{
	static const size_t pieces[] = { 1, 7, 4096 };
	struct side a, b;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		begin_both(&a, &b);
		CU_ASSERT_PTR_NULL(pairing_peer(a.p));
		CU_ASSERT_PTR_NULL(pairing_digits(a.p));
		converse(&a, &b, pieces[i]);
		CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_COMPARE);
		CU_ASSERT_EQUAL_FATAL(pairing_state(b.p), PAIRING_COMPARE);
		CU_ASSERT_EQUAL(strlen(pairing_digits(a.p)), PAIRING_DIGITS);
		CU_ASSERT_STRING_EQUAL(pairing_digits(a.p),
		    pairing_digits(b.p));
		CU_ASSERT_STRING_EQUAL(pairing_peer(a.p)->key, b.self.key);
		CU_ASSERT_STRING_EQUAL(pairing_peer(a.p)->name, b.self.name);
		CU_ASSERT_STRING_EQUAL(pairing_peer(b.p)->key, a.self.key);
		CU_ASSERT_EQUAL(pairing_peer(b.p)->port, 7007);

		pairing_answer(a.p, true);
		converse(&a, &b, pieces[i]);
		CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_WAIT_PEER);
		CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_COMPARE);
		pairing_answer(b.p, true);
		CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_PAIRED);
		converse(&a, &b, pieces[i]);
		CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_PAIRED);
		end_both(&a, &b);
	}
}

static void
each_pairing_has_digits_of_its_own(void)
{
	struct side a, b;
	char first[PAIRING_DIGITS + 1] = "";
	int same = 0;

	for (int i = 0; i < 8; i++) {
		begin_both(&a, &b);
		converse(&a, &b, 4096);
		same += strcmp(first, pairing_digits(a.p)) == 0;
		if (i == 0)
			strcpy(first, pairing_digits(a.p));
		end_both(&a, &b);
	}
	CU_ASSERT_TRUE(same < 3);	/* by chance once in a million */
}

/* The man in the middle is both a responder to a and an initiator to b. */
static void
a_middleman_gives_himself_away_by_the_digits(void)
{
	struct side a, b, to_a, to_b;
	int met = 0;

	for (int i = 0; i < 20; i++) {
		begin_both(&a, &b);
		begin(&to_a, PAIRING_RESPONDER, "Jürgens Telefon", 0xee);
		begin(&to_b, PAIRING_INITIATOR, "phone-a", 0xee);
		converse(&a, &to_a, 4096);
		converse(&to_b, &b, 4096);
		CU_ASSERT_STRING_EQUAL(pairing_digits(a.p),
		    pairing_digits(to_a.p));
		met += strcmp(pairing_digits(a.p), pairing_digits(b.p)) == 0;
		/* The persons see it; nothing he says afterwards counts. */
		pairing_answer(to_a.p, true);
		pairing_answer(to_b.p, true);
		converse(&a, &to_a, 4096);
		converse(&to_b, &b, 4096);
		CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_COMPARE);
		pairing_answer(a.p, false);
		pairing_answer(b.p, false);
		CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_REFUSED);
		CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_REFUSED);
		end_both(&to_a, &to_b);
		end_both(&a, &b);
	}
	CU_ASSERT_TRUE(met < 2);
}

/* What one side says in the next message, for tests that bend it. */
static Persona__Pairing__WireMessage *
intercept(struct side *from, size_t skip)
{
	Persona__Pairing__WireMessage *m;
	const uint8_t *data;
	size_t len, msg;

	data = pairing_output(from->p, &len);
	CU_ASSERT_TRUE_FATAL(len > skip + 2);
	msg = (size_t)data[skip] | (size_t)data[skip + 1] << 8;
	CU_ASSERT_EQUAL_FATAL(len, skip + 2 + msg);
	m = persona__pairing__wire_message__unpack(NULL, msg,
	    data + skip + 2);
	pairing_output_done(from->p, len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	return m;
}

static void
deliver(struct side *to, Persona__Pairing__WireMessage *m)
{
	uint8_t buf[1024];
	size_t len = persona__pairing__wire_message__pack(m, buf + 2);

	buf[0] = (uint8_t)len;
	buf[1] = (uint8_t)(len >> 8);
	pairing_input(to->p, buf, len + 2, 1000);
	persona__pairing__wire_message__free_unpacked(m, NULL);
}

static void
another_reveal_than_committed_is_refused(void)
{
	Persona__Pairing__WireMessage *m;
	struct side a, b;

	for (int field = 0; field < 5; field++) {
		begin_both(&a, &b);
		carry(&a, &b, 4096);
		carry(&b, &a, 4096);
		m = intercept(&a, 0);
		CU_ASSERT_EQUAL_FATAL(m->kind_case,
		    PERSONA__PAIRING__WIRE_MESSAGE__KIND_REVEAL);
		if (field == 0)
			m->reveal->identity.data[5] ^= 1;
		else if (field == 1)
			m->reveal->nonce.data[31] ^= 0x80;
		else if (field == 2)
			m->reveal->ephemeral.data[0] ^= 1;
		else if (field == 3)
			m->reveal->name[0] = 'P';
		else
			m->reveal->port++;
		deliver(&b, m);
		CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
		CU_ASSERT_PTR_NULL(pairing_digits(b.p));
		/* The other side hears of it. */
		carry(&b, &a, 4096);
		CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
		end_both(&a, &b);
	}
}

/* A changed reply is not noticed by a program, but by the person. */
static void
a_changed_reply_changes_the_digits(void)
{
	Persona__Pairing__WireMessage *m;
	struct side a, b;

	begin_both(&a, &b);
	carry(&a, &b, 4096);
	m = intercept(&b, 0);
	m->reply->identity.data[0] ^= 1;
	deliver(&a, m);
	carry(&a, &b, 4096);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_COMPARE);
	CU_ASSERT_EQUAL_FATAL(pairing_state(b.p), PAIRING_COMPARE);
	CU_ASSERT_STRING_NOT_EQUAL(pairing_digits(a.p), pairing_digits(b.p));
	/* Were both to say "same" all the same, the MACs would not agree. */
	pairing_answer(a.p, true);
	carry(&a, &b, 4096);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
	end_both(&a, &b);
}

static void
a_forged_or_reflected_verdict_pairs_nobody(void)
{
	Persona__Pairing__WireMessage *m;
	struct side a, b;

	/* "different" turned into "same" on its way */
	begin_both(&a, &b);
	converse(&a, &b, 4096);
	pairing_answer(a.p, true);
	pairing_answer(b.p, false);
	m = intercept(&b, 0);
	m->verdict->same = true;
	deliver(&a, m);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
	end_both(&a, &b);

	/* our own "same" sent back to us */
	begin_both(&a, &b);
	converse(&a, &b, 4096);
	pairing_answer(a.p, true);
	deliver(&a, intercept(&a, 0));
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
	end_both(&a, &b);

	/* a MAC of another length */
	begin_both(&a, &b);
	converse(&a, &b, 4096);
	pairing_answer(a.p, true);
	pairing_answer(b.p, true);
	m = intercept(&b, 0);
	m->verdict->mac.len = 0;
	deliver(&a, m);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
	end_both(&a, &b);
}

static void
a_replayed_or_early_message_ends_it(void)
{
	Persona__Pairing__WireMessage *m;
	const void *data;
	uint8_t commit[PAIRING_MSG_MAX];
	struct side a, b;
	size_t len;

	begin_both(&a, &b);
	data = pairing_output(a.p, &len);
	memcpy(commit, data, len);
	carry(&a, &b, 4096);
	pairing_input(b.p, commit + 4, len - 4, 1000);	/* commit again */
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
	end_both(&a, &b);

	/* A reveal of an earlier pairing answers no commitment of this one. */
	begin_both(&a, &b);
	carry(&a, &b, 4096);
	carry(&b, &a, 4096);
	m = intercept(&a, 0);
	end_both(&a, &b);
	begin_both(&a, &b);
	carry(&a, &b, 4096);
	deliver(&b, m);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
	end_both(&a, &b);

	/* A verdict before there is anything to judge. */
	begin_both(&a, &b);
	converse(&a, &b, 4096);
	pairing_answer(a.p, true);
	m = intercept(&a, 0);
	end_both(&a, &b);
	begin_both(&a, &b);
	carry(&a, &b, 4096);
	deliver(&b, m);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
	end_both(&a, &b);
}

static void
our_own_key_and_weak_points_are_refused(void)
{
	Persona__Pairing__WireMessage *m;
	struct side a, b;

	begin(&a, PAIRING_INITIATOR, "phone-a", 0xa1);
	begin(&b, PAIRING_RESPONDER, "phone-b", 0xa1);
	converse(&a, &b, 4096);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
	end_both(&a, &b);

	begin_both(&a, &b);
	carry(&a, &b, 4096);
	m = intercept(&b, 0);
	memset(m->reply->ephemeral.data, 0, m->reply->ephemeral.len);
	deliver(&a, m);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
	end_both(&a, &b);
}

static void
a_refusal_is_heard_on_both_sides(void)
{
	struct side a, b;

	begin_both(&a, &b);
	converse(&a, &b, 4096);
	pairing_answer(a.p, true);
	converse(&a, &b, 4096);
	pairing_answer(b.p, false);
	pairing_answer(b.p, true);	/* too late to think again */
	converse(&a, &b, 4096);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_REFUSED);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_REFUSED);
	end_both(&a, &b);

	begin_both(&a, &b);
	converse(&a, &b, 4096);
	pairing_cancel(b.p);
	converse(&a, &b, 4096);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_REFUSED);
	CU_ASSERT_FALSE(pairing_peer_not_ready(a.p));
	CU_ASSERT_PTR_NOT_NULL(pairing_message(a.p));
	end_both(&a, &b);

	begin_both(&a, &b);
	pairing_turn_away(b.p, PERSONA__PAIRING__REFUSE__WHY__NOT_WAITING);
	converse(&a, &b, 4096);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_REFUSED);
	CU_ASSERT_TRUE(pairing_peer_not_ready(a.p));
	end_both(&a, &b);
}

static void
silence_ends_at_its_time(void)
{
	struct side a, b;

	begin_both(&a, &b);
	CU_ASSERT_EQUAL(pairing_due_ms(a.p), 1000 + PAIRING_STEP_MS);
	pairing_tick(a.p, 1000 + PAIRING_STEP_MS - 1);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_WAIT_REPLY);
	pairing_tick(a.p, 1000 + PAIRING_STEP_MS);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_TIMED_OUT);
	CU_ASSERT_EQUAL(pairing_due_ms(a.p), UINT64_MAX);
	end_both(&a, &b);

	/* One person says yes, the other nothing: neither pins. */
	begin_both(&a, &b);
	converse(&a, &b, 4096);
	pairing_answer(a.p, true);
	converse(&a, &b, 4096);
	CU_ASSERT_EQUAL(pairing_due_ms(a.p), 1000 + PAIRING_PERSON_MS);
	pairing_tick(b.p, 1000 + PAIRING_PERSON_MS);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_TIMED_OUT);
	pairing_answer(b.p, true);
	converse(&a, &b, 4096);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_TIMED_OUT);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_TIMED_OUT);
	end_both(&a, &b);

	begin_both(&a, &b);
	converse(&a, &b, 4096);
	pairing_answer(a.p, true);
	pairing_input_end(a.p);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
	end_both(&a, &b);
}

static void
feed(const void *data, size_t len)
{
	struct side b;

	begin(&b, PAIRING_RESPONDER, "phone-b", 0xb2);
	pairing_input(b.p, data, len, 1000);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
	pairing_input(b.p, data, len, 1000);	/* and stays so */
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
	pairing_free(b.p);
}

static void
hostile_bytes_end_it_and_no_more(void)
{
	static uint8_t noise[100000];
	struct side b;

	feed("GET / HTTP/1.1\r\n\r\n", 18);
	feed("PAIR\0\0", 6);			/* length 0 */
	feed("PAIR\x01\x02zz", 8);		/* one more than may be */
	feed("PAIR\xff\xff", 6);
	feed("PAIR\x04\0\xff\xff\xff\xff", 10);	/* no message */
	feed("PAIR\x01\0\x0a", 7);		/* cut short inside */
	feed("PAIR\x02\0\x0a\0", 8);		/* required fields missing */
	memset(noise, 0x0a, sizeof(noise));
	memcpy(noise, "PAIR", 4);
	feed(noise, sizeof(noise));

	/* Half a message is no message, and waits for its time. */
	begin(&b, PAIRING_RESPONDER, "phone-b", 0xb2);
	pairing_input(b.p, "PAIR\x10", 5, 1000);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_WAIT_COMMIT);
	pairing_free(b.p);
}

static void
hostile_introductions_are_refused(void)
{
	static char long_name[] = "0123456789012345678901234567890123456789"
	    "0123456789012345678901234";
	static char bad_name[] = "phone\x1b[2J";
	Persona__Pairing__WireMessage *m;
	struct side a, b;

	for (int field = 0; field < 6; field++) {
		char *name;

		begin_both(&a, &b);
		carry(&a, &b, 4096);
		m = intercept(&b, 0);
		name = m->reply->name;
		if (field == 0)
			m->reply->identity.len--;
		else if (field == 1)
			m->reply->nonce.len = 0;
		else if (field == 2)
			m->reply->name = long_name;
		else if (field == 3)
			m->reply->name = bad_name;
		else if (field == 4)
			m->reply->port = 65536;
		else
			name[0] = '\0';
		if (m->reply->name != name) {
			uint8_t buf[1024];
			size_t len = persona__pairing__wire_message__pack(m,
			    buf + 2);

			buf[0] = (uint8_t)len;
			buf[1] = (uint8_t)(len >> 8);
			pairing_input(a.p, buf, len + 2, 1000);
			m->reply->name = name;
			persona__pairing__wire_message__free_unpacked(m, NULL);
		} else {
			deliver(&a, m);
		}
		CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
		CU_ASSERT_PTR_NULL(pairing_peer(a.p));
		end_both(&a, &b);
	}
}

static void
another_version_is_named(void)
{
	Persona__Pairing__WireMessage *m;
	struct side a, b;

	begin_both(&a, &b);
	m = intercept(&a, 4);
	m->commit->version = PROTOCOL_VERSION + 1;
	pairing_input(b.p, "PAIR", 4, 1000);
	deliver(&b, m);
	CU_ASSERT_EQUAL(pairing_state(b.p), PAIRING_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(pairing_message(b.p), "version"));
	carry(&b, &a, 4096);
	CU_ASSERT_EQUAL(pairing_state(a.p), PAIRING_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(pairing_message(a.p), "version"));
	end_both(&a, &b);
}

static void
we_do_not_introduce_ourselves_wrongly(void)
{
	struct pairing_handset own = handset("", 1);
	struct pairing *p;

	CU_ASSERT_EQUAL(pairing_new(&p, PAIRING_INITIATOR, &own, 1, 0),
	    -EINVAL);
	CU_ASSERT_PTR_NULL(p);
	own = handset("phone", 1);
	own.key[0] = 'x';
	CU_ASSERT_EQUAL(pairing_new(&p, PAIRING_INITIATOR, &own, 1, 0),
	    -EINVAL);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "two handsets pair", two_handsets_pair },
		{ "each pairing has digits of its own",
		    each_pairing_has_digits_of_its_own },
		{ "a middleman gives himself away by the digits",
		    a_middleman_gives_himself_away_by_the_digits },
		{ "another reveal than committed is refused",
		    another_reveal_than_committed_is_refused },
		{ "a changed reply changes the digits",
		    a_changed_reply_changes_the_digits },
		{ "a forged or reflected verdict pairs nobody",
		    a_forged_or_reflected_verdict_pairs_nobody },
		{ "a replayed or early message ends it",
		    a_replayed_or_early_message_ends_it },
		{ "our own key and weak points are refused",
		    our_own_key_and_weak_points_are_refused },
		{ "a refusal is heard on both sides",
		    a_refusal_is_heard_on_both_sides },
		{ "silence ends at its time", silence_ends_at_its_time },
		{ "hostile bytes end it and no more",
		    hostile_bytes_end_it_and_no_more },
		{ "hostile introductions are refused",
		    hostile_introductions_are_refused },
		{ "another version is named", another_version_is_named },
		{ "we do not introduce ourselves wrongly",
		    we_do_not_introduce_ourselves_wrongly },
	};

	return unit_main("pairing", tests, sizeof(tests) / sizeof(tests[0]));
}
