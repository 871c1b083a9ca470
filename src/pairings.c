/* SPDX-License-Identifier: ISC */
/*
 * One pairing at a time, from a person's wish to a pinned key. What persona-pair
 * says is checked against what the person was shown.
 */
#include "pairings.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "control.h"
#include "daemon.h"
#include "helper.h"
#include "identity.h"
#include "listen.h"
#include "log.h"
#include "pairing.h"
#include "pairing.pb-c.h"
#include "peers.h"
#include "pubkey.h"
#include "registry.h"
#include "text.h"

#define TURNED_AWAY_MAX	4	/* helpers that only say no, at a time */
#define WAIT_MS		120000	/* a person who waits to be called, default */
#define WAIT_MAX_MS	3600000
#define STEP(name)	PERSONA__CONTROL__PAIR_STEP__STEP__##name
#define KIND(name)	PERSONA__PAIRING__PAIR_MESSAGE__KIND_##name

struct session {
	struct pairings		*all;
	struct helper		*helper;
	struct control_request	*req;		/* NULL: our person has left */
	uint64_t		id;
	/* What the person was shown; empty before. */
	char			key[PEER_KEY_MAX + 1];
	char			name[HANDSET_NAME_MAX + 1];
	char			fingerprint[FINGERPRINT_MAX + 1];
};

/* A helper that turns somebody away. */
struct refusal {
	LIST_ENTRY(refusal)	entry;
	struct pairings		*all;
	struct helper		*helper;
};

struct pairings {
	struct daemon		*daemon;
	struct session		*session;	/* NULL: none */
	struct control_request	*waiting;	/* a person waits to be called */
	struct event		*timer;		/* of the waiting */
	uint64_t		next_id;
	unsigned int		n_refusals;
	LIST_HEAD(, refusal)	refusals;
};

int
pairings_new(struct pairings **pp, struct daemon *d)
{
	struct pairings *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->daemon = d;
	p->next_id = 1;
	LIST_INIT(&p->refusals);
	*pp = p;
	return 0;
}

static void
session_free(struct session *s)
{
	s->all->session = NULL;
	helper_free(s->helper);
	free(s);
}

static void
refusal_free(struct refusal *f)
{
	LIST_REMOVE(f, entry);
	f->all->n_refusals--;
	helper_free(f->helper);
	free(f);
}

void
pairings_free(struct pairings *p)
{
	if (p == NULL)
		return;
	if (p->session != NULL)
		session_free(p->session);
	while (!LIST_EMPTY(&p->refusals))
		refusal_free(LIST_FIRST(&p->refusals));
	if (p->timer != NULL)
		event_free(p->timer);
	free(p);
}

/* --- telling the person ----------------------------------------------------------- */

static void
tell(struct session *s, int step, const char *digits, const char *message,
    bool done)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__PairStep ps = PERSONA__CONTROL__PAIR_STEP__INIT;
	struct control_request *req = s->req;

	if (req == NULL)
		return;
	ps.step = (Persona__Control__PairStep__Step)step;
	ps.digits = (char *)(uintptr_t)digits;
	if (s->name[0] != '\0')
		ps.peer_name = s->name;
	if (s->fingerprint[0] != '\0')
		ps.fingerprint = s->fingerprint;
	ps.has_pairing_id = true;
	ps.pairing_id = s->id;
	reply.pair = &ps;
	reply.message = (char *)(uintptr_t)message;
	reply.done = done;
	if (done)
		s->req = NULL;
	control_reply(req, &reply, NULL, 0);
}

/* --- what the helper says ------------------------------------------------------------ */

static void
on_step(struct session *s, const Persona__Pairing__Step *step)
{
	if (step->what == PERSONA__PAIRING__STEP__WHAT__WAITING_PEER)
		tell(s, STEP(WAITING_PEER), NULL, NULL, false);
	else
		tell(s, STEP(CONNECTING), NULL, NULL, false);
}

static void
on_compare(struct session *s, const Persona__Pairing__Compare *c)
{
	/* The helper has read a stranger's bytes: it is believed no more. */
	if (s->key[0] != '\0' || strlen(c->digits) != PAIRING_DIGITS ||
	    strspn(c->digits, "0123456789") != PAIRING_DIGITS ||
	    !text_is_line(c->peer_name, strlen(c->peer_name),
	    HANDSET_NAME_MAX) ||
	    pubkey_fingerprint(c->peer_key, s->fingerprint) < 0)
		return;
	snprintf(s->key, sizeof(s->key), "%s", c->peer_key);
	snprintf(s->name, sizeof(s->name), "%s", c->peer_name);
	tell(s, STEP(COMPARE), c->digits, NULL, false);
}

/* The key that was shown to the person is the one that is pinned, no other. */
static int
pin(struct session *s, const Persona__Pairing__Result *r, char *why,
    size_t size)
{
	struct daemon *d = s->all->daemon;
	struct peer_record rec = { .paired_unix_s = (uint64_t)time(NULL) };
	int e;

	if (s->key[0] == '\0' || r->peer_key == NULL ||
	    !pubkey_equal(r->peer_key, s->key)) {
		snprintf(why, size, "the key is not the one that was shown");
		return -EKEYREJECTED;
	}
	memcpy(rec.key, s->key, sizeof(rec.key));
	memcpy(rec.name, s->name, sizeof(rec.name));
	memcpy(rec.fingerprint, s->fingerprint, sizeof(rec.fingerprint));
	snprintf(rec.host, sizeof(rec.host), "%s",
	    r->peer_host != NULL ? r->peer_host : "");
	if (r->has_peer_port && r->peer_port <= UINT16_MAX)
		rec.port = (uint16_t)r->peer_port;
	if ((e = registry_peer_add(d->registry, &rec)) < 0) {
		snprintf(why, size, e == -EEXIST ? "a handset named %s is "
		    "paired with another key; \"personactl unpair %s\" first, "
		    "if you trust the new one" : "the key of %s (%s) cannot be "
		    "recorded", s->name, s->name);
		return e;
	}
	if ((e = access_reload(d)) < 0)
		log_warn_r(e, "sshd's files cannot be written");
	log_info("peer %s: paired, %s", s->name, s->fingerprint);
	return 0;
}

static void
on_result(struct session *s, const Persona__Pairing__Result *r)
{
	char why[REASON_TEXT_MAX + 1];

	switch (r->end) {
	case PERSONA__PAIRING__RESULT__END__PAIRED:
		if (pin(s, r, why, sizeof(why)) == 0)
			tell(s, STEP(PAIRED), NULL, NULL, true);
		else
			tell(s, STEP(FAILED), NULL, why, true);
		break;
	case PERSONA__PAIRING__RESULT__END__REFUSED:
		tell(s, STEP(REFUSED), NULL, r->message, true);
		break;
	case PERSONA__PAIRING__RESULT__END__TIMED_OUT:
		tell(s, STEP(TIMED_OUT), NULL, r->message, true);
		break;
	default:
		tell(s, STEP(FAILED), NULL, r->message, true);
		break;
	}
	/* The helper still has last words to send; it goes by itself. */
}

static void
session_message(void *arg, struct ipc_msg *in)
{
	struct session *s = arg;
	Persona__Pairing__PairMessage *m;

	m = persona__pairing__pair_message__unpack(NULL, in->len, in->data);
	if (m == NULL)
		return;
	if (m->kind_case == KIND(STEP))
		on_step(s, m->step);
	else if (m->kind_case == KIND(COMPARE))
		on_compare(s, m->compare);
	else if (m->kind_case == KIND(RESULT))
		on_result(s, m->result);
	persona__pairing__pair_message__free_unpacked(m, NULL);
}

static void
session_gone(void *arg)
{
	struct session *s = arg;

	tell(s, STEP(FAILED), NULL, "persona-pair ended unexpectedly", true);
	session_free(s);
}

/* --- beginning ------------------------------------------------------------------------- */

/* Our person has left: nobody is there to compare. */
static void
person_gone(void *arg)
{
	struct session *s = arg;
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;
	Persona__Pairing__Cancel cancel = PERSONA__PAIRING__CANCEL__INIT;

	s->req = NULL;
	m.kind_case = KIND(CANCEL);
	m.cancel = &cancel;
	helper_send(s->helper, &m.base, NULL, 0);
}

static void
fill_setup(struct daemon *d, Persona__Pairing__PairSetup *setup)
{
	setup->own_key = (char *)(uintptr_t)identity_key(d->identity);
	setup->own_name = d->conf.name;
	setup->has_own_port = true;
	setup->own_port = listener_port(d->listener);
}

static void
send_setup(struct helper *h, Persona__Pairing__PairSetup *setup, int fd)
{
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;

	m.kind_case = KIND(SETUP);
	m.setup = setup;
	helper_send(h, &m.base, &fd, fd >= 0 ? 1 : 0);
}

static int
session_begin(struct pairings *p, struct control_request *req,
    Persona__Pairing__PairSetup *setup, int fd)
{
	static const struct helper_events events = {
		.message = session_message,
		.gone = session_gone,
	};
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->all = p;
	s->id = p->next_id++;
	if ((r = helper_start(&s->helper, p->daemon, "persona-pair", NULL,
	    &events, s)) < 0) {
		free(s);
		return r;
	}
	p->session = s;
	s->req = req;
	control_on_gone(req, person_gone, s);
	send_setup(s->helper, setup, fd);
	return 0;
}

void
pairings_offer(struct daemon *d, struct control_request *req,
    const char *peer)
{
	Persona__Pairing__PairSetup setup = PERSONA__PAIRING__PAIR_SETUP__INIT;
	Persona__Pairing__PairAddress addrs[PEER_ADDRESSES_MAX];
	Persona__Pairing__PairAddress *list[PEER_ADDRESSES_MAX];
	struct peer_place places[PEER_ADDRESSES_MAX];
	struct pairings *p = d->pairings;
	int r;

	if (p->session != NULL || p->waiting != NULL) {
		control_fail(req, -EBUSY, "another pairing is under way here");
		return;
	}
	setup.n_addresses = peers_places_named(d->peers, peer, places,
	    PEER_ADDRESSES_MAX);
	if (setup.n_addresses == 0) {
		control_fail(req, -ENOENT, "no handset \"%.63s\" is near; "
		    "\"personactl peers\" shows those that are, or give "
		    "HOST:PORT", peer);
		return;
	}
	for (size_t i = 0; i < setup.n_addresses; i++) {
		persona__pairing__pair_address__init(&addrs[i]);
		addrs[i].host = places[i].host;
		addrs[i].port = places[i].port;
		list[i] = &addrs[i];
	}
	setup.role = PERSONA__PAIRING__PAIR_SETUP__ROLE__OFFER;
	setup.addresses = list;
	fill_setup(d, &setup);
	if ((r = session_begin(p, req, &setup, -1)) < 0)
		control_fail(req, r, "persona-pair cannot be started: %s",
		    strerror(-r));
}

/* --- being called ------------------------------------------------------------------------ */

static void
waiting_over(struct pairings *p)
{
	p->waiting = NULL;
	if (p->timer != NULL)
		event_free(p->timer);
	p->timer = NULL;
}

static void
waiting_gone(void *arg)
{
	waiting_over(arg);
}

static void
waiting_timeout_cb(evutil_socket_t fd, short what, void *arg)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__PairStep ps = PERSONA__CONTROL__PAIR_STEP__INIT;
	struct pairings *p = arg;
	struct control_request *req = p->waiting;

	(void)fd;
	(void)what;
	waiting_over(p);
	ps.step = STEP(TIMED_OUT);
	reply.pair = &ps;
	reply.message = (char *)(uintptr_t)"nobody called in time";
	reply.done = true;
	control_reply(req, &reply, NULL, 0);
}

void
pairings_wait(struct daemon *d, struct control_request *req,
    uint32_t timeout_ms)
{
	struct pairings *p = d->pairings;
	struct timeval tv;

	if (p->session != NULL || p->waiting != NULL) {
		control_fail(req, -EBUSY, "another pairing is under way here");
		return;
	}
	if (timeout_ms == 0)
		timeout_ms = WAIT_MS;
	if (timeout_ms > WAIT_MAX_MS)
		timeout_ms = WAIT_MAX_MS;
	tv = (struct timeval){ .tv_sec = timeout_ms / 1000,
	    .tv_usec = (timeout_ms % 1000) * 1000 };
	p->timer = evtimer_new(d->base, waiting_timeout_cb, p);
	if (p->timer == NULL || evtimer_add(p->timer, &tv) < 0) {
		waiting_over(p);
		control_fail(req, -ENOMEM, "no memory");
		return;
	}
	p->waiting = req;
	control_on_gone(req, waiting_gone, p);
}

static void
refusal_message(void *arg, struct ipc_msg *in)
{
	(void)arg;
	(void)in;
}

static void
refusal_gone(void *arg)
{
	refusal_free(arg);
}

/* Say no in words the other handset understands. */
static void
turn_away(struct pairings *p, int fd, Persona__Pairing__Refuse__Why why)
{
	static const struct helper_events events = {
		.message = refusal_message,
		.gone = refusal_gone,
	};
	Persona__Pairing__PairSetup setup = PERSONA__PAIRING__PAIR_SETUP__INIT;
	struct refusal *f;

	if (p->n_refusals >= TURNED_AWAY_MAX ||
	    (f = calloc(1, sizeof(*f))) == NULL)
		return;
	f->all = p;
	if (helper_start(&f->helper, p->daemon, "persona-pair", NULL, &events,
	    f) < 0) {
		free(f);
		return;
	}
	LIST_INSERT_HEAD(&p->refusals, f, entry);
	p->n_refusals++;
	setup.role = PERSONA__PAIRING__PAIR_SETUP__ROLE__TURN_AWAY;
	setup.has_turn_away = true;
	setup.turn_away = why;
	fill_setup(p->daemon, &setup);
	send_setup(f->helper, &setup, fd);
}

void
pairings_caller(void *arg, int fd, const char *address)
{
	Persona__Pairing__PairSetup setup = PERSONA__PAIRING__PAIR_SETUP__INIT;
	struct daemon *d = arg;
	struct pairings *p = d->pairings;
	struct control_request *req = p->waiting;

	log_info("pairing: %s calls", address);
	if (p->session != NULL) {
		turn_away(p, fd, PERSONA__PAIRING__REFUSE__WHY__BUSY);
	} else if (req == NULL) {
		turn_away(p, fd, PERSONA__PAIRING__REFUSE__WHY__NOT_WAITING);
	} else {
		waiting_over(p);
		setup.role = PERSONA__PAIRING__PAIR_SETUP__ROLE__ACCEPT;
		fill_setup(d, &setup);
		if (session_begin(p, req, &setup, fd) < 0) {
			control_on_gone(req, NULL, NULL);
			control_fail(req, -EIO, "persona-pair cannot be "
			    "started");
		}
	}
	close(fd);
}

int
pairings_answer(struct daemon *d, uint64_t pairing_id, bool same)
{
	Persona__Pairing__PairMessage m = PERSONA__PAIRING__PAIR_MESSAGE__INIT;
	Persona__Pairing__Answer answer = PERSONA__PAIRING__ANSWER__INIT;
	struct session *s = d->pairings->session;

	if (s == NULL || s->id != pairing_id || s->key[0] == '\0' ||
	    s->req == NULL)
		return -ESRCH;
	answer.same = same;
	m.kind_case = KIND(ANSWER);
	m.answer = &answer;
	helper_send(s->helper, &m.base, NULL, 0);
	return 0;
}
