/* SPDX-License-Identifier: ISC */
/*
 * persona-pair: carries one pairing between a stranger's connection (pair-talk.c)
 * and personad. Keeps one TCP connection and one socket to personad; holds no private
 * key, no registry and no persona, and never decides: the person does, through
 * personad.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "ipc.h"
#include "log.h"
#include "number.h"
#include "pair-dial.h"
#include "pair-talk.h"
#include "pair-tell.h"
#include "pairing.h"
#include "pairing.pb-c.h"
#include "sandbox.h"

#define RETRY_MS	1000u	/* until the peer is asked again */
#define LINGER_MS	2000u	/* for our last words to be read */

enum worker_state {
	WORKER_SETUP,	/* personad has not said yet what to do */
	WORKER_DIALLING,
	WORKER_PAUSING,	/* the peer is not ready; try again soon */
	WORKER_TALKING,	/* the pairing runs on the connection */
	WORKER_LEAVING,	/* the result is told; last bytes go out */
};

struct worker {
	enum worker_state	state;
	struct event_base	*base;
	int			ipc;
	struct event		*ipc_ev, *timer;
	struct pair_talk	*talk;		/* NULL: no connection */
	struct pair_dial	*dial;
	struct dial_address	peer;		/* host we talk to */
	struct dial_address	addresses[DIAL_ADDRESSES_MAX];
	size_t			n_addresses;
	struct pairing_handset	own;
	enum pairing_role	role;
	uint32_t		timeout_ms;
	uint64_t		deadline_ms;	/* for the peer to be ready */
	bool			told_compare, told_waiting, told_not_ready;
};

static void
set_timer(struct worker *w, uint64_t at_ms)
{
	const uint64_t now = clock_now_ms(), ms = at_ms > now ? at_ms - now : 0;
	const struct timeval tv = { (time_t)(ms / 1000),
	    (suseconds_t)(ms % 1000 * 1000) };

	event_del(w->timer);
	if (at_ms != UINT64_MAX)
		event_add(w->timer, &tv);
}

/* --- leaving ------------------------------------------------------------------ */

static void
leave(struct worker *w)
{
	event_base_loopbreak(w->base);
}

/* All is said to personad; let the peer hear it, for a little while. */
static void
linger(struct worker *w)
{
	w->state = WORKER_LEAVING;
	event_del(w->ipc_ev);
	if (w->talk == NULL) {
		leave(w);
		return;
	}
	pair_talk_linger(w->talk);
	set_timer(w, clock_now_ms() + LINGER_MS);
}

/* NULL without a connection. */
static struct pairing *
pairing_of(const struct worker *w)
{
	return w->talk == NULL ? NULL : pair_talk_pairing(w->talk);
}

static void
end_with(struct worker *w, Persona__Pairing__Result__End end,
    const char *message)
{
	pair_tell_result(w->ipc, end, message, pairing_of(w), w->peer.host);
	log_info("pairing: %s", message);
	linger(w);
}

static Persona__Pairing__Result__End
result_of(enum pairing_state state)
{
	switch (state) {
	case PAIRING_PAIRED:
		return PERSONA__PAIRING__RESULT__END__PAIRED;
	case PAIRING_REFUSED:
		return PERSONA__PAIRING__RESULT__END__REFUSED;
	case PAIRING_TIMED_OUT:
		return PERSONA__PAIRING__RESULT__END__TIMED_OUT;
	default:
		return PERSONA__PAIRING__RESULT__END__FAILED;
	}
}

static void
end_with_pairing(struct worker *w)
{
	const struct pairing *p = pairing_of(w);
	enum pairing_state state = pairing_state(p);
	size_t unsent;

	(void)pairing_output(p, &unsent);
	/* Without our last word the other side will not pin us. */
	if (state == PAIRING_PAIRED && unsent > 0)
		end_with(w, PERSONA__PAIRING__RESULT__END__FAILED,
		    "the connection broke at the last step");
	else
		end_with(w, result_of(state), pairing_message(p));
}

/* --- the connection ------------------------------------------------------------- */

/* Nobody waits there yet: persons seldom press their buttons at one time. */
static bool
pause_for_peer(struct worker *w)
{
	if (w->dial == NULL || !pairing_peer_not_ready(pairing_of(w)) ||
	    clock_now_ms() + RETRY_MS >= w->deadline_ms)
		return false;
	pair_talk_free(w->talk);
	w->talk = NULL;
	if (!w->told_not_ready)
		pair_tell_step(w->ipc,
		    PERSONA__PAIRING__STEP__WHAT__PEER_NOT_READY);
	w->told_not_ready = true;
	w->state = WORKER_PAUSING;
	set_timer(w, clock_now_ms() + RETRY_MS);
	return true;
}

/* What the person at personad's end waits for, each once. */
static void
tell_steps(struct worker *w, const struct pairing *p)
{
	if (pairing_peer(p) != NULL && !w->told_compare) {
		w->told_compare = true;
		pair_tell_compare(w->ipc, p);
	}
	if (pairing_state(p) == PAIRING_WAIT_PEER && !w->told_waiting) {
		w->told_waiting = true;
		pair_tell_step(w->ipc,
		    PERSONA__PAIRING__STEP__WHAT__WAITING_PEER);
	}
}

/* Something changed: say it to whom it concerns. */
static void
advance(struct worker *w)
{
	const struct pairing *p = pairing_of(w);
	bool sent;

	if (w->state != WORKER_TALKING)
		return;
	sent = pair_talk_flush(w->talk);
	if (!pairing_ended(pairing_state(p))) {
		if (sent)
			tell_steps(w, p);
		set_timer(w, pairing_due_ms(p));
	} else if (sent && !pause_for_peer(w)) {
		end_with_pairing(w);
	}
}

static void
talk_changed(void *arg)
{
	advance(arg);
}

static void
talk_gone(void *arg)
{
	leave(arg);
}

/* The connection stands: let the pairing begin on it. Takes fd. */
static int
talk(struct worker *w, int fd)
{
	static const struct pair_talk_ops ops = {
		.changed = talk_changed,
		.gone = talk_gone,
	};
	const struct pair_talk_config c = {
		.role = w->role,
		.own = &w->own,
		.timeout_ms = w->timeout_ms,
	};
	int r = pair_talk_new(&w->talk, w->base, fd, &c, &ops, w);

	if (r == 0)
		w->state = WORKER_TALKING;
	return r;
}

static void
dialled(void *arg, int r, int fd, size_t i)
{
	struct worker *w = arg;
	char text[160];

	if (r == 0) {
		w->peer = w->addresses[i];
		r = talk(w, fd);
	}
	if (r < 0) {
		snprintf(text, sizeof(text), "the other handset cannot be "
		    "reached: %s", strerror(-r));
		end_with(w, r == -ETIMEDOUT ?
		    PERSONA__PAIRING__RESULT__END__TIMED_OUT :
		    PERSONA__PAIRING__RESULT__END__FAILED, text);
		return;
	}
	advance(w);
}

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	switch (w->state) {
	case WORKER_PAUSING:
		w->state = WORKER_DIALLING;
		pair_dial_start(w->dial);
		break;
	case WORKER_TALKING:
		pairing_tick(pairing_of(w), clock_now_ms());
		advance(w);
		break;
	default:	/* nobody said what to do, or our last words go unread */
		leave(w);
		break;
	}
}

/* --- from personad ---------------------------------------------------------------- */

static bool
take_text(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len >= size)
		return false;
	memcpy(to, from, len + 1);
	return true;
}

static int
take_addresses(struct worker *w, const Persona__Pairing__PairSetup *s)
{
	if (s->n_addresses == 0 || s->n_addresses > DIAL_ADDRESSES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < s->n_addresses; i++) {
		const Persona__Pairing__PairAddress *a = s->addresses[i];

		if (a->port == 0 || a->port > UINT16_MAX || !take_text(
		    w->addresses[i].host, sizeof(w->addresses[i].host),
		    a->host))
			return -EINVAL;
		w->addresses[i].port = (uint16_t)a->port;
	}
	w->n_addresses = s->n_addresses;
	return 0;
}

static int
begin_offer(struct worker *w, const Persona__Pairing__PairSetup *s)
{
	int r;

	if ((r = take_addresses(w, s)) < 0 ||
	    (r = pair_dial_new(&w->dial, w->base, w->addresses,
	    w->n_addresses, dialled, w)) < 0)
		return r;
	w->role = PAIRING_INITIATOR;
	w->state = WORKER_DIALLING;
	pair_tell_step(w->ipc, PERSONA__PAIRING__STEP__WHAT__CONNECTING);
	pair_dial_start(w->dial);
	return 0;
}

static int
begin_accept(struct worker *w, const Persona__Pairing__PairSetup *s, int fd)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int r;

	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -EINVAL;
	if (getpeername(fd, (struct sockaddr *)&from, &len) == 0)
		(void)getnameinfo((struct sockaddr *)&from, len, w->peer.host,
		    sizeof(w->peer.host), NULL, 0, NI_NUMERICHOST);
	w->role = PAIRING_RESPONDER;
	if ((r = talk(w, fd)) < 0)
		return r;
	if (s->role == PERSONA__PAIRING__PAIR_SETUP__ROLE__TURN_AWAY)
		pairing_turn_away(pairing_of(w), s->turn_away);
	advance(w);
	return 0;
}

static int
on_setup(struct worker *w, const Persona__Pairing__PairSetup *s, int fd)
{
	if (w->state != WORKER_SETUP ||
	    !take_text(w->own.name, sizeof(w->own.name), s->own_name) ||
	    !take_text(w->own.key, sizeof(w->own.key), s->own_key) ||
	    (s->has_own_port && s->own_port > UINT16_MAX))
		goto bad;
	w->own.port = (uint16_t)s->own_port;
	w->timeout_ms = s->has_timeout_ms ? s->timeout_ms : PAIRING_PERSON_MS;
	w->deadline_ms = clock_now_ms() + w->timeout_ms;
	event_del(w->timer);
	if (s->role != PERSONA__PAIRING__PAIR_SETUP__ROLE__OFFER)
		return begin_accept(w, s, fd);
	if (fd < 0)
		return begin_offer(w, s);
bad:
	if (fd >= 0)
		close(fd);
	return -EINVAL;
}

static void
on_cancel(struct worker *w)
{
	if (w->state == WORKER_TALKING) {
		pairing_cancel(pairing_of(w));
		advance(w);
		return;
	}
	end_with(w, PERSONA__PAIRING__RESULT__END__REFUSED, "cancelled here");
}

static void
take_message(struct worker *w, struct ipc_msg *in)
{
	Persona__Pairing__PairMessage *m =
	    persona__pairing__pair_message__unpack(NULL, in->len, in->data);
	int r = -EINVAL;

	if (m != NULL && m->kind_case ==
	    PERSONA__PAIRING__PAIR_MESSAGE__KIND_SETUP)
		r = on_setup(w, m->setup, ipc_take_fd(in, 0));
	else if (m != NULL && m->kind_case ==
	    PERSONA__PAIRING__PAIR_MESSAGE__KIND_ANSWER) {
		if (w->state == WORKER_TALKING)
			pairing_answer(pairing_of(w), m->answer->same);
		advance(w);
		r = 0;
	} else if (m != NULL && m->kind_case ==
	    PERSONA__PAIRING__PAIR_MESSAGE__KIND_CANCEL) {
		on_cancel(w);
		r = 0;
	}
	if (m != NULL)
		persona__pairing__pair_message__free_unpacked(m, NULL);
	if (r < 0) {
		log_warn_r(r, "personad's message makes no sense");
		end_with(w, PERSONA__PAIRING__RESULT__END__FAILED,
		    "internal error: pairing was not set up");
	}
}

static void
ipc_cb(evutil_socket_t fd, short what, void *arg)
{
	static struct ipc_msg in;	/* too large for the stack */
	struct worker *w = arg;
	int r = ipc_recv(fd, &in);

	(void)what;
	if (r == -EAGAIN)
		return;
	if (r == 1) {
		take_message(w, &in);
		ipc_msg_fini(&in);
		return;
	}
	/* Without personad nobody could pin anything: tell the other side. */
	event_del(w->ipc_ev);
	if (w->state == WORKER_TALKING) {
		pairing_cancel(pairing_of(w));
		advance(w);
	} else {
		linger(w);
	}
}

/* --- the program -------------------------------------------------------------------- */

static int
parse_ipc_fd(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ipc-fd", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c, fd = -1;
	uint64_t n;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			if (number_parse(optarg, 0, INT_MAX, &n) < 0)
				fatal("--ipc-fd %s: not a descriptor", optarg);
			fd = (int)n;
			break;
		case 'h':
			printf("usage: persona-pair --ipc-fd N\n"
			    "Started by personad(8), not by hand.\n");
			exit(EXIT_SUCCESS);
		case 'V':
			printf("persona-pair %s\n", PACKAGE_VERSION);
			exit(EXIT_SUCCESS);
		default:
			exit(EXIT_FAILURE);
		}
	}
	if (fd < 0 || optind != argc)
		fatal("started by personad(8), not by hand; see --help");
	return fd;
}

static int
worker_init(struct worker *w, int ipc_fd)
{
	w->ipc = ipc_fd;
	if ((w->base = event_base_new()) == NULL)
		return -ENOMEM;
	w->ipc_ev = event_new(w->base, ipc_fd, EV_READ | EV_PERSIST, ipc_cb, w);
	w->timer = evtimer_new(w->base, timer_cb, w);
	if (w->ipc_ev == NULL || w->timer == NULL ||
	    event_add(w->ipc_ev, NULL) < 0)
		return -ENOMEM;
	set_timer(w, clock_now_ms() + PAIRING_STEP_MS);
	return 0;
}

static void
worker_fini(struct worker *w)
{
	pair_talk_free(w->talk);
	pair_dial_free(w->dial);
	event_free(w->ipc_ev);
	event_free(w->timer);
	event_base_free(w->base);
	close(w->ipc);
}

int
main(int argc, char **argv)
{
	struct worker w = { .state = WORKER_SETUP };
	int r, fd;

	log_init("persona-pair", LOG_INFO);
	fd = parse_ipc_fd(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if ((r = worker_init(&w, fd)) < 0)
		fatal("cannot start: %s", strerror(-r));
	if ((r = sandbox_enter(SANDBOX_PAIR)) < 0)
		fatal("cannot give up privileges: %s", strerror(-r));
	event_base_dispatch(w.base);
	worker_fini(&w);
	return EXIT_SUCCESS;
}
