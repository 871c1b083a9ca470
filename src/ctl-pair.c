/* SPDX-License-Identifier: ISC */
/*
 * pair: show the six digits, ask the person, carry the answer to personad. Knows
 * no cryptography and decides nothing: without a plain yes nothing is trusted.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-parse.h"
#include "ctl-text.h"
#include "ctl.h"

#define ANSWER_MAX 32	/* bytes of one answer; the rest of a line is dropped */

static const char *const step_words[] = { "connecting", "compare",
    "waiting-peer", "paired", "refused", "timed-out", "failed" };

struct pairing {
	struct ctl	*ctl;
	bool		asked;		/* the question stands open */
	uint64_t	id;		/* which pairing the question is about */
	char		answer[ANSWER_MAX];
	size_t		answer_len;
};

static void
step_json(const Persona__Control__PairStep *s, const char *message)
{
	size_t n = sizeof(step_words) / sizeof(step_words[0]);
	struct json j;

	json_begin(&j, stdout);
	json_string(&j, "step", (size_t)s->step < n ?
	    step_words[s->step] : "unknown");
	if (s->digits != NULL)
		json_string(&j, "digits", s->digits);
	if (s->peer_name != NULL)
		json_string(&j, "peer", s->peer_name);
	if (s->fingerprint != NULL)
		json_string(&j, "fingerprint", s->fingerprint);
	if (message != NULL)
		json_string(&j, "message", message);
	(void)json_finish(&j);
}

static void
ask_person(const Persona__Control__PairStep *s, const char *peer)
{
	const char *d = s->digits != NULL ? s->digits : "";

	/* What was typed before the digits were there answers nothing. */
	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	printf("\n    %.3s %s\n\n", d, strlen(d) > 3 ? d + 3 : "");
	printf("%s shows six digits as well. Same digits on both? [y/N] ",
	    peer);
	fflush(stdout);
}

static void
show_step(struct pairing *p, const Persona__Control__Reply *reply)
{
	const Persona__Control__PairStep *s = reply->pair;
	char *peer = text_printable(s->peer_name != NULL ? s->peer_name :
	    "the other handset");

	if (p->ctl->json)
		step_json(s, reply->message);
	else if (s->step == PERSONA__CONTROL__PAIR_STEP__STEP__CONNECTING)
		printf("Waiting for %s ...\n", peer != NULL ? peer : "?");
	else if (s->step == PERSONA__CONTROL__PAIR_STEP__STEP__COMPARE)
		ask_person(s, peer != NULL ? peer : "?");
	else if (s->step == PERSONA__CONTROL__PAIR_STEP__STEP__WAITING_PEER)
		printf("Waiting for the answer on %s ...\n",
		    peer != NULL ? peer : "?");
	else if (s->step == PERSONA__CONTROL__PAIR_STEP__STEP__PAIRED)
		printf("Paired with %s (%s).\n", peer != NULL ? peer : "?",
		    s->fingerprint != NULL ? s->fingerprint : "");
	fflush(stdout);
	free(peer);
	if (s->step == PERSONA__CONTROL__PAIR_STEP__STEP__COMPARE) {
		p->asked = true;
		p->id = s->pairing_id;
		p->answer_len = 0;
	}
}

/* The answer goes over a connection of its own (control.proto). */
static int
send_answer(struct pairing *p, bool same)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__PairAnswer a = PERSONA__CONTROL__PAIR_ANSWER__INIT;

	p->asked = false;
	a.pairing_id = p->id;
	a.same = same;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_PAIR_ANSWER;
	req.pair_answer = &a;
	return ctl_call(p->ctl, &req, NULL);
}

/* A byte of the person's answer. The end of the input is a no. */
static int
read_answer(struct pairing *p)
{
	char c;
	ssize_t n = read(STDIN_FILENO, &c, 1);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return CTL_OK;
	if (n <= 0)
		return send_answer(p, false);
	if (c != '\n') {
		/* An answer too long for the buffer is no yes either way. */
		if (p->answer_len < sizeof(p->answer) - 1)
			p->answer[p->answer_len++] = c;
		return CTL_OK;
	}
	while (p->answer_len > 0 &&
	    isspace((unsigned char)p->answer[p->answer_len - 1]))
		p->answer_len--;
	p->answer[p->answer_len] = '\0';
	return send_answer(p, strcasecmp(p->answer, "y") == 0 ||
	    strcasecmp(p->answer, "yes") == 0);
}

static const char *
end_text(const Persona__Control__PairStep *s)
{
	if (s == NULL)
		return "personad does not say why";
	if (s->step == PERSONA__CONTROL__PAIR_STEP__STEP__REFUSED)
		return "the digits were not confirmed on both sides";
	if (s->step == PERSONA__CONTROL__PAIR_STEP__STEP__TIMED_OUT)
		return "nobody answered in time";
	return "the other handset could not be paired with";
}

/* One reply. -1 to go on, else the exit status. */
static int
take_reply(struct pairing *p, const Persona__Control__Reply *reply)
{
	if (reply->pair != NULL && reply->error == 0)
		show_step(p, reply);
	if (!reply->done)
		return -1;
	if (p->asked && !p->ctl->json)
		putchar('\n');	/* the question stands unanswered above */
	if (reply->error != 0)
		return ctl_refused(p->ctl, reply);
	if (reply->pair == NULL ||
	    reply->pair->step != PERSONA__CONTROL__PAIR_STEP__STEP__PAIRED)
		return ctl_fail(p->ctl, "not paired: %s",
		    reply->message != NULL ? reply->message :
		    end_text(reply->pair));
	return ctl_done(p->ctl);
}

static int
pair_until_done(struct pairing *p, struct ctl_client *c)
{
	Persona__Control__Reply *reply;
	struct pollfd pfd[2];
	int r, status;

	for (;;) {
		pfd[0] = (struct pollfd){ .fd = ctl_client_fd(c),
		    .events = POLLIN };
		pfd[1] = (struct pollfd){ .fd = p->asked ? STDIN_FILENO : -1,
		    .events = POLLIN };
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			return ctl_fail(p->ctl, "poll: %s", strerror(errno));
		if (pfd[1].revents != 0 &&
		    (status = read_answer(p)) != CTL_OK)
			return status;
		if ((r = ctl_next_reply(c, false, &reply, NULL)) == -EAGAIN)
			continue;
		if (r <= 0)
			return ctl_lost(p->ctl, r);
		status = take_reply(p, reply);
		persona__control__reply__free_unpacked(reply, NULL);
		if (status >= 0)
			return status;
	}
}

static int
take_options(struct ctl *ctl, int argc, char **argv,
    Persona__Control__PairWait *wait)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "timeout", required_argument, NULL, 't' },
		{ 0 }
	};
	const char *why;
	uint64_t timeout_s;
	int c;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		if (parse_number(optarg, 1, 3600, &timeout_s, &why) < 0)
			return ctl_usage(ctl, "--timeout %s: %s", optarg, why);
		wait->has_timeout_ms = true;
		wait->timeout_ms = (uint32_t)timeout_s * 1000;
	}
	return CTL_OK;
}

int
ctl_pair(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__PairWait wait = PERSONA__CONTROL__PAIR_WAIT__INIT;
	Persona__Control__Pair pair = PERSONA__CONTROL__PAIR__INIT;
	struct pairing p = { .ctl = ctl };
	struct ctl_client *c;
	const char *peer;
	int status;

	if ((status = take_options(ctl, argc, argv, &wait)) != CTL_OK ||
	    (status = ctl_arguments(ctl, argc, argv, 0, 1, &peer)) != CTL_OK)
		return status;
	if (peer != NULL && (status = ctl_check_peer(ctl, peer)) != CTL_OK)
		return status;
	if (peer != NULL) {
		pair.peer = (char *)(uintptr_t)peer;
		req.what_case = PERSONA__CONTROL__REQUEST__WHAT_PAIR;
		req.pair = &pair;
	} else {
		req.what_case = PERSONA__CONTROL__REQUEST__WHAT_PAIR_WAIT;
		req.pair_wait = &wait;
	}
	if ((status = ctl_ask(ctl, &req, &c)) != CTL_OK)
		return status;
	if (peer == NULL && !ctl->json)
		puts("Now begin on the other handset: 'personactl pair' with "
		    "this handset's name.");
	fflush(stdout);
	status = pair_until_done(&p, c);
	ctl_client_close(c);
	return status;
}
