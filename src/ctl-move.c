/* SPDX-License-Identifier: ISC */
/*
 * move, status, cancel: ask for a move, follow it, and say how it ended. Says
 * that a persona still runs here only when personad says so.
 */
#include <stdlib.h>
#include <unistd.h>

#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-parse.h"
#include "ctl-plain.h"
#include "ctl-preflight.h"
#include "ctl-progress.h"
#include "ctl-text.h"
#include "ctl-watch.h"
#include "ctl.h"
#include "reason.h"

#define BUDGET_MAX_MS 60000

/* --- how it ended ------------------------------------------------------- */

/* Where the persona is, in words, by what personad knows now. NULL: not sure. */
static const char *
whereabouts(const Persona__Control__PersonaInfo *p)
{
	switch (p->state) {
	case PERSONA__CONTROL__PERSONA_INFO__STATE__RUNNING:
	case PERSONA__CONTROL__PERSONA_INFO__STATE__SENDING:
		return "still runs here";
	case PERSONA__CONTROL__PERSONA_INFO__STATE__PAUSED:
		return "is still here, paused";
	case PERSONA__CONTROL__PERSONA_INFO__STATE__RELEASED:
		return "was given away, and the other handset has not confirmed "
		    "that it runs it; it stays stopped here";
	case PERSONA__CONTROL__PERSONA_INFO__STATE__MOVED:
		return "runs on the other handset";
	case PERSONA__CONTROL__PERSONA_INFO__STATE__STOPPED:
	case PERSONA__CONTROL__PERSONA_INFO__STATE__CRASHED:
		return "is here and does not run";
	default:
		return NULL;
	}
}

/* A failed move's second sentence. Silent where personad cannot be asked. */
static void
say_whereabouts(struct ctl *ctl, const char *persona)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	Persona__Control__Reply *reply = NULL;
	struct ctl_client *c;

	if (ctl->json)
		return;
	name.name = (char *)(uintptr_t)persona;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_SHOW;
	req.show = &name;
	if (ctl_ask_quietly(ctl, &req, &c) < 0)
		return;
	if (ctl_next_reply(c, true, &reply, NULL) > 0) {
		const char *where = reply->n_personas == 0 ? NULL :
		    whereabouts(reply->personas[0]);

		if (where != NULL)
			fprintf(stderr, "%s %s.\n", persona, where);
		persona__control__reply__free_unpacked(reply, NULL);
	}
	ctl_client_close(c);
}

/* The end of one move that personad reported without an error of its own. */
static int
say_end(struct ctl *ctl, const Persona__Control__MoveInfo *m)
{
	char line[PROGRESS_LINE_MAX];
	struct json j;

	if (m->reason != REASON_OK)
		return ctl_report(ctl, CTL_FAILED, 0, m->reason,
		    m->message != NULL ? m->message : reason_text(m->reason));
	if (ctl->json) {
		json_begin(&j, stdout);
		json_bool(&j, "ok", true);
		progress_json(&j, "move", m);
		return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
	}
	progress_summary(line, m);
	printf("%s.\n", line);
	return CTL_OK;
}

/* --- move --------------------------------------------------------------- */

static int
take_move_option(struct ctl *ctl, int c, Persona__Control__Move *move)
{
	const char *why;
	uint64_t v;

	switch (c) {
	case 'b':
		if (parse_number(optarg, 1, BUDGET_MAX_MS, &v, &why) < 0)
			return ctl_usage(ctl, "--budget %s: a pause is 1 to "
			    "%d ms", optarg, BUDGET_MAX_MS);
		move->has_blackout_budget_ms = true;
		move->blackout_budget_ms = (uint32_t)v;
		return CTL_OK;
	case 'r':
		if (parse_rate(optarg, &v, &why) < 0)
			return ctl_usage(ctl, "--bandwidth %s: %s", optarg,
			    why);
		move->has_bandwidth_limit = true;
		move->bandwidth_limit = v;
		return CTL_OK;
	case 'd':
		move->has_detach = move->detach = true;
		return CTL_OK;
	case 'n':
		move->has_dry_run = move->dry_run = true;
		return CTL_OK;
	default:
		return CTL_USAGE;
	}
}

static int
move_from_options(struct ctl *ctl, int argc, char **argv,
    Persona__Control__Move *move)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "budget", required_argument, NULL, 'b' },
		{ "bandwidth", required_argument, NULL, 'r' },
		{ "detach", no_argument, NULL, 'd' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ 0 }
	};
	const char *pos[2];
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1)
		if ((status = take_move_option(ctl, c, move)) != CTL_OK)
			return status;
	if ((status = ctl_arguments(ctl, argc, argv, 2, 2, pos)) != CTL_OK ||
	    (status = ctl_check_persona(ctl, pos[0])) != CTL_OK ||
	    (status = ctl_check_peer(ctl, pos[1])) != CTL_OK)
		return status;
	move->name = (char *)(uintptr_t)pos[0];
	move->peer = (char *)(uintptr_t)pos[1];
	return CTL_OK;
}

static int
say_begun(struct ctl *ctl, const Persona__Control__Move *move)
{
	if (ctl->json)
		return ctl_done(ctl);
	printf("The move of %s has begun; 'personactl status --follow %s' shows "
	    "it, 'personactl cancel %s' ends it.\n", move->name, move->name,
	    move->name);
	return CTL_OK;
}

/* --- dry run ------------------------------------------------------------ */

static int
dry_run_json(const Persona__Control__Reply *reply,
    const Persona__Transfer__Preflight *p)
{
	struct json j;

	json_begin(&j, stdout);
	json_bool(&j, "ok", reply->error == 0);
	if (reply->error != 0) {
		json_string(&j, "error", reply->message);
		json_string(&j, "reason", reason_word(reply->reason));
	}
	if (p != NULL)
		preflight_json(&j, "preflight", p);
	return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
}

static void
say_printable(const char *what, const char *text)
{
	char *copy = text_printable(text);

	printf("%s: %s\n", what, copy != NULL ? copy : "?");
	free(copy);
}

static void
dry_run_text(const Persona__Control__Reply *reply,
    const Persona__Transfer__Preflight *p)
{
	char line[PREFLIGHT_LINE_MAX];

	if (p == NULL) {
		say_printable("no", reply->message);
		return;
	}
	(void)preflight_table(p, stdout);
	preflight_care(line, p);
	if (line[0] != '\0')
		puts(line);
	for (size_t i = 0; i < p->answer->n_objections; i++)
		say_printable("no", p->answer->objections[i]->message);
	if (preflight_is_yes(p)) {
		preflight_yes(line, p->estimate);
		puts(line);
	} else if (p->answer->n_objections == 0)
		say_printable("no", reply->message);
}

static int
dry_run_end(struct ctl *ctl, const Persona__Control__Reply *reply)
{
	const Persona__Transfer__Preflight *p = reply->n_moves > 0 ?
	    reply->moves[0]->preflight : NULL;
	bool yes = p != NULL && preflight_is_yes(p);

	if (reply->error != 0 && reply->has_reason &&
	    reply->reason == REASON_CANCELLED)
		return ctl_refused(ctl, reply);
	if (!ctl->json)
		dry_run_text(reply, p);
	else if (dry_run_json(reply, p) != CTL_OK)
		return CTL_FAILED;
	return yes ? CTL_OK : CTL_NO;
}

/* Ctrl-C needs no care: what is asked ends with the connection that asks. */
static int
dry_run(struct ctl *ctl, const Persona__Control__Request *req)
{
	Persona__Control__Reply *reply = NULL;
	struct ctl_client *c = NULL;
	int r, status;

	if ((status = ctl_ask(ctl, req, &c)) != CTL_OK)
		return status;
	while ((r = ctl_next_reply(c, true, &reply, NULL)) > 0 &&
	    !reply->done)
		persona__control__reply__free_unpacked(reply, NULL);
	if (r <= 0)
		status = ctl_lost(ctl, r);
	else {
		status = dry_run_end(ctl, reply);
		persona__control__reply__free_unpacked(reply, NULL);
	}
	ctl_client_close(c);
	return status;
}

int
ctl_move(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Move move = PERSONA__CONTROL__MOVE__INIT;
	Persona__Control__Reply *last;
	struct ctl_client *c;
	int status;

	if ((status = move_from_options(ctl, argc, argv, &move)) != CTL_OK)
		return status;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_MOVE;
	req.move = &move;
	if (move.dry_run)
		return dry_run(ctl, &req);
	if ((status = ctl_ask(ctl, &req, &c)) != CTL_OK)
		return status;
	status = ctl_watch(ctl, c, move.detach ? NULL : move.name, &last);
	ctl_client_close(c);
	if (last != NULL && move.detach)
		status = say_begun(ctl, &move);
	else if (last != NULL && last->n_moves > 0)
		status = say_end(ctl, last->moves[0]);
	else if (last != NULL)
		status = ctl_done(ctl);
	if (last != NULL)
		persona__control__reply__free_unpacked(last, NULL);
	if (status == CTL_FAILED)
		say_whereabouts(ctl, move.name);
	return status;
}

/* --- status and cancel -------------------------------------------------- */

static int
status_json(const Persona__Control__Reply *reply)
{
	struct json j;

	json_begin(&j, stdout);
	json_bool(&j, "ok", true);
	json_array(&j, "moves");
	for (size_t i = 0; i < reply->n_moves; i++)
		progress_json(&j, NULL, reply->moves[i]);
	json_end(&j);
	return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
}

static int
status_text(const Persona__Control__Reply *reply)
{
	char line[PROGRESS_LINE_MAX];

	if (reply->n_moves == 0)
		puts("Nothing is being moved.");
	for (size_t i = 0; i < reply->n_moves; i++) {
		const Persona__Control__MoveInfo *m = reply->moves[i];
		struct progress p = { 0 };
		char *message;

		if (m->ended && m->reason == REASON_OK) {
			progress_summary(line, m);
			puts(line);
			continue;
		}
		progress_line(line, &p, m);
		if (!m->ended) {
			puts(line);
			continue;
		}
		message = text_printable(m->message != NULL ? m->message :
		    reason_text(m->reason));
		printf("%s: ended: %s\n", m->persona,
		    message != NULL ? message : "?");
		free(message);
	}
	return CTL_OK;
}

/* After the last reply with --follow: the worst ending is ours. */
static int
say_ends(struct ctl *ctl, const Persona__Control__Reply *reply)
{
	int status = CTL_OK;

	if (reply->n_moves == 0) {
		if (!ctl->json)
			puts("Nothing is being moved.");
		return ctl_done(ctl);
	}
	for (size_t i = 0; i < reply->n_moves; i++)
		if (say_end(ctl, reply->moves[i]) != CTL_OK) {
			say_whereabouts(ctl, reply->moves[i]->persona);
			status = CTL_FAILED;
		}
	return status;
}

static int
ask_status(struct ctl *ctl, const Persona__Control__Request *req,
    Persona__Control__Reply **reply)
{
	struct ctl_client *c;
	int status;

	if (!req->status->follow)
		return ctl_call(ctl, req, reply);
	if ((status = ctl_ask(ctl, req, &c)) != CTL_OK)
		return status;
	status = ctl_watch(ctl, c, NULL, reply);
	ctl_client_close(c);
	return status;
}

int
ctl_status(struct ctl *ctl, int argc, char **argv)
{
	static const struct option flag = { "follow", no_argument, NULL, 'f' };
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Status st = PERSONA__CONTROL__STATUS__INIT;
	Persona__Control__Reply *reply;
	const char *name;
	bool follow = false;
	int status;

	status = ctl_flag_option(ctl, argc, argv, &flag, &follow);
	if (status != CTL_OK ||
	    (status = ctl_arguments(ctl, argc, argv, 0, 1, &name)) != CTL_OK)
		return status;
	if (name != NULL && (status = ctl_check_persona(ctl, name)) != CTL_OK)
		return status;
	st.has_follow = st.follow = follow;
	st.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_STATUS;
	req.status = &st;
	if ((status = ask_status(ctl, &req, &reply)) != CTL_OK)
		return status;
	if (st.follow)
		status = say_ends(ctl, reply);
	else
		status = ctl->json ? status_json(reply) : status_text(reply);
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}

int
ctl_cancel(struct ctl *ctl, int argc, char **argv)
{
	return ctl_call_named(ctl, argc, argv,
	    PERSONA__CONTROL__REQUEST__WHAT_CANCEL);
}
