/* SPDX-License-Identifier: ISC */
/*
 * The commands checkpoint, checkpoints, restore, suspend and switch. Knows how they
 * are asked and shown; Ctrl-C needs no care, as personad gives up what nobody waits
 * for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "control.pb-c.h"
#include "ctl.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-parse.h"
#include "ctl-saved.h"
#include "ctl-table.h"
#include "ctl-text.h"

#define LINE_EVERY_MS	1000	/* where there is no terminal */
#define BAR_COLUMNS	24
#define NUMBER_MAX	1000

/* --- how it goes ---------------------------------------------------------------------- */

struct follow {
	struct ctl	*ctl;
	const char	*verb;		/* "suspending work" */
	bool		tty;
	bool		drawn;
	uint64_t	last_line_ms;
};

static void
save_json(struct json *j, const Persona__Control__SaveInfo *s)
{
	json_object(j, "save");
	if (s->progress != NULL) {
		json_u64(j, "round", s->progress->round);
		json_u64(j, "pages_total", s->progress->pages_total);
		json_u64(j, "pages_left", s->progress->pages_left);
		json_u64(j, "bytes", s->progress->bytes_sent);
	}
	if (s->has_elapsed_ms)
		json_u64(j, "elapsed_ms", s->elapsed_ms);
	if (s->has_pause_ns)
		json_u64(j, "pause_ns", s->pause_ns);
	if (s->has_number)
		json_u64(j, "checkpoint", s->number);
	json_end(j);
}

/* Copying is one half of the work, hashing and syncing the other. */
static unsigned int
percent_of(const Persona__Transfer__Progress *p)
{
	uint64_t left = p->pages_left < p->pages_total ? p->pages_left :
	    p->pages_total;
	uint64_t half = p->pages_total == 0 ? 0 :
	    (p->pages_total - left) * 50 / p->pages_total;

	if (p->phase == PERSONA__TRANSFER__PROGRESS__PHASE__FINISHING)
		half += 50;
	else if (p->round > 1)
		half = 50;
	return half > 99 ? 99 : (unsigned int)half;
}

static void
draw(struct follow *w, const Persona__Control__SaveInfo *s)
{
	unsigned int percent = percent_of(s->progress);
	char bar[BAR_COLUMNS + 1], left[48] = "", text[32];

	memset(bar, ' ', BAR_COLUMNS);
	memset(bar, '=', percent * BAR_COLUMNS / 100);
	bar[BAR_COLUMNS] = '\0';
	if (percent > 5 && s->elapsed_ms > 500) {
		uint64_t ms = s->elapsed_ms * (100 - percent) / percent;

		text_duration(text, sizeof(text), (ms / 1000 + 1) * 1000);
		snprintf(left, sizeof(left), "  %s left", text);
	}
	if (w->tty)
		fprintf(stderr, "\r%s [%s] %u%%%s\033[K", w->verb, bar,
		    percent, left);
	else
		fprintf(stderr, "%s: %u%%%s\n", w->verb, percent, left);
	w->drawn = w->tty;
}

static void
show(struct follow *w, const Persona__Control__SaveInfo *s)
{
	uint64_t now = clock_now_ms();
	struct json j;

	if (s->progress == NULL)
		return;
	if (w->ctl->json) {
		json_begin(&j, stdout);
		save_json(&j, s);
		(void)json_finish(&j);
		return;
	}
	if (!w->tty && now - w->last_line_ms < LINE_EVERY_MS)
		return;
	w->last_line_ms = now;
	draw(w, s);
}

/* Ask and follow to the last reply. CTL_OK with *last, else reported. */
static int
run(struct follow *w, const Persona__Control__Request *req,
    Persona__Control__Reply **last)
{
	Persona__Control__Reply *reply;
	struct ctl_client *c;
	int r, status;

	*last = NULL;
	if ((status = ctl_ask(w->ctl, req, &c)) != CTL_OK)
		return status;
	while ((r = ctl_next_reply(c, true, &reply, NULL)) > 0) {
		if (reply->done)
			break;
		if (reply->save != NULL)
			show(w, reply->save);
		persona__control__reply__free_unpacked(reply, NULL);
	}
	ctl_client_close(c);
	if (w->drawn)
		fputs("\r\033[K", stderr);
	return ctl_outcome(w->ctl, r, reply, last);
}

/* What was done, in a line; frees the reply. */
static int
say_saved(struct ctl *ctl, Persona__Control__Reply *reply, const char *name,
    const char *done)
{
	const Persona__Control__SaveInfo *s = reply->save;
	int status = CTL_OK;
	char time[32];
	struct json j;

	if (ctl->json) {
		json_begin(&j, stdout);
		json_bool(&j, "ok", true);
		if (s != NULL)
			save_json(&j, s);
		status = json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
	} else if (s != NULL) {
		text_duration(time, sizeof(time), s->elapsed_ms);
		printf("%s: %s", name, done);
		if (s->has_number)
			printf(" %u", (unsigned int)s->number);
		printf(" in %s", time);
		if (s->has_number)
			printf(", it stood still for %llu ms",
			    (unsigned long long)(s->pause_ns / 1000000));
		putchar('\n');
	}
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}

static int
save(struct ctl *ctl, const Persona__Control__Request *req, const char *name,
    const char *doing, const char *done)
{
	Persona__Control__Reply *reply;
	char verb[128];
	struct follow w = { .ctl = ctl, .verb = verb,
	    .tty = isatty(STDERR_FILENO) };
	int status;

	snprintf(verb, sizeof(verb), "%s %.80s", doing, name);
	status = run(&w, req, &reply);
	if (reply == NULL)
		return status;
	return say_saved(ctl, reply, name, done);
}

/* --- the commands --------------------------------------------------------------------- */

int
ctl_checkpoint(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "label", required_argument, NULL, 'l' },
		{ 0 }
	};
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Checkpoint body =
	    PERSONA__CONTROL__CHECKPOINT__INIT;
	const char *name;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c != 'l')
			return CTL_USAGE;
		body.label = optarg;
	}
	if ((status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	body.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_CHECKPOINT;
	req.checkpoint = &body;
	return save(ctl, &req, name, "saving", "checkpoint");
}

int
ctl_suspend(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name body = PERSONA__CONTROL__NAME__INIT;
	const char *name;
	int status;

	if ((status = ctl_no_options(ctl, argc, argv)) != CTL_OK ||
	    (status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	body.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_SUSPEND;
	req.suspend = &body;
	return save(ctl, &req, name, "suspending", "suspended");
}

static int
numbered(struct ctl *ctl, int argc, char **argv, const char **name,
    uint64_t *number)
{
	const char *pos[2], *why;
	int status;

	if ((status = ctl_arguments(ctl, argc, argv, 2, 2, pos)) != CTL_OK ||
	    (status = ctl_check_persona(ctl, pos[0])) != CTL_OK)
		return status;
	if (parse_number(pos[1], 1, NUMBER_MAX, number, &why) < 0)
		return ctl_usage(ctl, "checkpoint %s: %s; 'personactl "
		    "checkpoints %s' lists them", pos[1], why, pos[0]);
	*name = pos[0];
	return CTL_OK;
}

int
ctl_restore(struct ctl *ctl, int argc, char **argv)
{
	static const struct option yes_row = { "yes", no_argument, NULL, 'y' };
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__NamedCheckpoint body =
	    PERSONA__CONTROL__NAMED_CHECKPOINT__INIT;
	const char *name = NULL;
	uint64_t number = 0;
	bool yes = false;
	int status;

	if ((status = ctl_flag_option(ctl, argc, argv, &yes_row, &yes)) !=
	    CTL_OK ||
	    (status = numbered(ctl, argc, argv, &name, &number)) != CTL_OK)
		return status;
	if (!yes && !ctl_confirm("What %s is now, its disk too, is given up for "
	    "checkpoint %u. Go on? [y/N] ", name, (unsigned int)number))
		return ctl_fail(ctl, "nothing was changed");
	body.name = (char *)(uintptr_t)name;
	body.number = (uint32_t)number;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_RESTORE;
	req.restore = &body;
	return save(ctl, &req, name, "restoring", "restored; `start' goes on "
	    "from there. It took its place");
}

int
saved_delete(struct ctl *ctl, const char *name, uint32_t number)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__NamedCheckpoint body =
	    PERSONA__CONTROL__NAMED_CHECKPOINT__INIT;

	body.name = (char *)(uintptr_t)name;
	body.number = number;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_CHECKPOINT_DELETE;
	req.checkpoint_delete = &body;
	return ctl_call(ctl, &req, NULL);
}

static void
one_json(struct json *j, const Persona__Control__CheckpointInfo *c)
{
	char hex[2 * 32 + 1] = "";

	json_object(j, NULL);
	json_u64(j, "checkpoint", c->number);
	json_u64(j, "created_unix_s", c->created_unix_s);
	if (c->label != NULL)
		json_string(j, "label", c->label);
	json_u64(j, "stored_bytes", c->stored_bytes);
	for (size_t i = 0; c->has_root && i < c->root.len && i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", c->root.data[i]);
	if (c->has_root)
		json_string(j, "root", hex);
	json_end(j);
}

static void
one_row(struct table *t, const Persona__Control__CheckpointInfo *c)
{
	time_t when = (time_t)c->created_unix_s;
	char text[64];
	struct tm tm;

	table_cellf(t, "%u", (unsigned int)c->number);
	if (localtime_r(&when, &tm) == NULL || strftime(text, sizeof(text),
	    "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(text, sizeof(text), "?");
	table_cell(t, text);
	text_size(text, sizeof(text), c->stored_bytes);
	table_cell(t, text);
	table_cell(t, c->label != NULL ? c->label : "");
}

/* The replies of a list, one after the other, into a table or an array. */
static int
take_list(struct ctl *ctl, struct ctl_client *c, struct table *t,
    struct json *j)
{
	Persona__Control__Reply *reply;
	bool done = false;
	int r, status;

	while (!done && (r = ctl_next_reply(c, true, &reply, NULL)) > 0) {
		done = reply->done;
		if (reply->error != 0) {
			status = ctl_refused(ctl, reply);
			persona__control__reply__free_unpacked(reply, NULL);
			return status;
		}
		for (size_t i = 0; i < reply->n_checkpoints; i++)
			if (ctl->json)
				one_json(j, reply->checkpoints[i]);
			else
				one_row(t, reply->checkpoints[i]);
		persona__control__reply__free_unpacked(reply, NULL);
	}
	return done ? CTL_OK : ctl_lost(ctl, r);
}

static int
list_text(struct ctl *ctl, struct ctl_client *c)
{
	static const char *const headings[] = { "NUMBER", "MADE", "STORED",
	    "LABEL" };
	struct table *t = table_new(headings, 4);
	int status;

	if (t == NULL)
		return ctl_fail(ctl, "no memory");
	if ((status = take_list(ctl, c, t, NULL)) == CTL_OK &&
	    table_print(t, stdout) < 0)
		status = ctl_fail(ctl, "no memory");
	table_free(t);
	return status;
}

/* Nothing of it is printed before all of it has come: an error may yet be said. */
static int
list_json(struct ctl *ctl, struct ctl_client *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct json j;
	int status;

	if (f == NULL)
		return ctl_fail(ctl, "no memory");
	json_begin(&j, f);
	json_bool(&j, "ok", true);
	json_array(&j, "checkpoints");
	if ((status = take_list(ctl, c, NULL, &j)) == CTL_OK) {
		json_end(&j);
		if (json_finish(&j) < 0)
			status = ctl_fail(ctl, "no memory");
	}
	(void)fclose(f);
	if (status == CTL_OK && (fputs(text, stdout) == EOF ||
	    fflush(stdout) != 0))
		status = CTL_FAILED;
	free(text);
	return status;
}

static int
list(struct ctl *ctl, const char *name)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name body = PERSONA__CONTROL__NAME__INIT;
	struct ctl_client *c;
	int status;

	body.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_CHECKPOINTS;
	req.checkpoints = &body;
	if ((status = ctl_ask(ctl, &req, &c)) != CTL_OK)
		return status;
	status = ctl->json ? list_json(ctl, c) : list_text(ctl, c);
	ctl_client_close(c);
	return status;
}

int
ctl_checkpoints(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "delete", required_argument, NULL, 'd' },
		{ 0 }
	};
	const char *name, *why;
	uint64_t number = 0;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c != 'd')
			return CTL_USAGE;
		if (parse_number(optarg, 1, NUMBER_MAX, &number, &why) < 0)
			return ctl_usage(ctl, "--delete %s: %s", optarg, why);
	}
	if ((status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	if (number == 0)
		return list(ctl, name);
	status = saved_delete(ctl, name, (uint32_t)number);
	return status == CTL_OK ? ctl_done(ctl) : status;
}

/* --- quick switch ----------------------------------------------------------------------- */

static int
simply(struct ctl *ctl, Persona__Control__Request__WhatCase what,
    const char *name)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name body = PERSONA__CONTROL__NAME__INIT;

	body.name = (char *)(uintptr_t)name;
	req.what_case = what;
	/* Each of these requests is a Name; the union's members share a place. */
	req.start = &body;
	return ctl_call(ctl, &req, NULL);
}

static int
state_of(struct ctl *ctl, const char *name, int *state)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name body = PERSONA__CONTROL__NAME__INIT;
	Persona__Control__Reply *reply;
	int status;

	body.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_SHOW;
	req.show = &body;
	if ((status = ctl_call(ctl, &req, &reply)) != CTL_OK)
		return status;
	*state = reply->n_personas > 0 ? (int)reply->personas[0]->state : -1;
	persona__control__reply__free_unpacked(reply, NULL);
	return CTL_OK;
}

/* The other one first: what comes should find the memory and processor it needs. */
int
ctl_switch(struct ctl *ctl, int argc, char **argv)
{
	static const struct option suspend_row = { "suspend", no_argument,
	    NULL, 's' };
	const char *pos[2];
	bool suspend = false;
	int state, status;

	if ((status = ctl_flag_option(ctl, argc, argv, &suspend_row,
	    &suspend)) != CTL_OK ||
	    (status = ctl_arguments(ctl, argc, argv, 2, 2, pos)) != CTL_OK ||
	    (status = ctl_check_persona(ctl, pos[0])) != CTL_OK ||
	    (status = ctl_check_persona(ctl, pos[1])) != CTL_OK)
		return status;
	if (strcmp(pos[0], pos[1]) == 0)
		return ctl_usage(ctl, "switch from %s to which other?", pos[0]);
	if ((status = state_of(ctl, pos[1], &state)) != CTL_OK)
		return status;
	status = simply(ctl, suspend ?
	    PERSONA__CONTROL__REQUEST__WHAT_SUSPEND :
	    PERSONA__CONTROL__REQUEST__WHAT_PAUSE, pos[0]);
	if (status != CTL_OK)
		return status;
	if (state == PERSONA__CONTROL__PERSONA_INFO__STATE__PAUSED)
		status = simply(ctl, PERSONA__CONTROL__REQUEST__WHAT_RESUME,
		    pos[1]);
	else if (state != PERSONA__CONTROL__PERSONA_INFO__STATE__RUNNING)
		status = simply(ctl, PERSONA__CONTROL__REQUEST__WHAT_START,
		    pos[1]);
	return status == CTL_OK ? ctl_done(ctl) : status;
}

/* --- for export ------------------------------------------------------------------------- */

int
saved_is_running(struct ctl *ctl, const char *name, bool *running)
{
	int state, status;

	if ((status = state_of(ctl, name, &state)) == CTL_OK)
		*running =
		    state == PERSONA__CONTROL__PERSONA_INFO__STATE__RUNNING ||
		    state == PERSONA__CONTROL__PERSONA_INFO__STATE__PAUSED;
	return status;
}

int
saved_make(struct ctl *ctl, const char *name, const char *label,
    uint32_t *number)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Checkpoint body =
	    PERSONA__CONTROL__CHECKPOINT__INIT;
	Persona__Control__Reply *reply;
	char verb[128];
	struct follow w = { .ctl = ctl, .verb = verb,
	    .tty = isatty(STDERR_FILENO) };
	int status;

	snprintf(verb, sizeof(verb), "saving %.80s", name);
	body.name = (char *)(uintptr_t)name;
	body.label = (char *)(uintptr_t)label;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_CHECKPOINT;
	req.checkpoint = &body;
	status = run(&w, &req, &reply);
	if (reply == NULL)
		return status;
	*number = reply->save != NULL ? reply->save->number : 0;
	persona__control__reply__free_unpacked(reply, NULL);
	return *number > 0 ? CTL_OK : ctl_lost(ctl, -EPROTO);
}
