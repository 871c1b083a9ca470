/* SPDX-License-Identifier: ISC */
/*
 * The commands export and import: a persona to and from one file. Opens the file
 * with the rights of whoever typed, and hands it to personad. Knows no format.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounds.h"
#include "clock.h"
#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-outfile.h"
#include "ctl-parse.h"
#include "ctl-saved.h"
#include "ctl-secret.h"
#include "ctl-text.h"
#include "ctl.h"
#include "reason.h"

#define LINE_EVERY_MS	1000	/* where there is no terminal */
#define PAGE		4096u
#define BAR_COLUMNS	24

/* --- how it goes -------------------------------------------------------------------- */

struct follow {
	struct ctl	*ctl;
	const char	*verb;		/* "exporting work" */
	bool		tty;		/* of standard error: output may be the file */
	bool		drawn;
	uint64_t	last_line_ms;
};

static void
file_json(struct json *j, const Persona__Control__FileInfo *f)
{
	json_object(j, "file");
	if (f->persona != NULL)
		json_string(j, "persona", f->persona);
	if (f->id != NULL)
		json_string(j, "id", f->id);
	if (f->original != NULL)
		json_string(j, "original", f->original);
	json_u64(j, "content_bytes", f->pages_done * PAGE);
	json_u64(j, "content_total", f->pages_total * PAGE);
	json_u64(j, "file_bytes", f->bytes);
	if (f->has_rate)
		json_u64(j, "rate_bytes_per_s", f->rate);
	if (f->has_eta_ms)
		json_u64(j, "eta_ms", f->eta_ms);
	if (f->has_elapsed_ms)
		json_u64(j, "elapsed_ms", f->elapsed_ms);
	if (f->has_root) {
		char hex[2 * 32 + 1] = "";

		for (size_t i = 0; i < f->root.len && i < 32; i++)
			snprintf(hex + 2 * i, 3, "%02x", f->root.data[i]);
		json_string(j, "root", hex);
	}
	json_end(j);
}

static unsigned int
percent_of(const Persona__Control__FileInfo *f)
{
	if (f->pages_total == 0)
		return 0;
	return f->pages_done >= f->pages_total ? 99 :
	    (unsigned int)(100 * f->pages_done / f->pages_total);
}

static void
draw(struct follow *w, const Persona__Control__FileInfo *f)
{
	char bar[BAR_COLUMNS + 1], rate[32] = "", left[48] = "", text[32];
	unsigned int percent = percent_of(f);

	memset(bar, ' ', BAR_COLUMNS);
	memset(bar, '=', percent * BAR_COLUMNS / 100);
	bar[BAR_COLUMNS] = '\0';
	if (f->has_rate) {
		text_size(text, sizeof(text), f->rate);
		snprintf(rate, sizeof(rate), "  %.16s/s", text);
	}
	if (f->has_eta_ms) {
		text_duration(text, sizeof(text),
		    f->eta_ms < 1000 ? 1000 : f->eta_ms / 1000 * 1000);
		snprintf(left, sizeof(left), "  %s left", text);
	}
	if (w->tty)
		fprintf(stderr, "\r%s [%s] %u%%%s%s\033[K", w->verb, bar,
		    percent, rate, left);
	else
		fprintf(stderr, "%s: %u%%%s%s\n", w->verb, percent, rate,
		    left);
	w->drawn = w->tty;
}

static void
show(struct follow *w, const Persona__Control__FileInfo *f)
{
	uint64_t now = clock_now_ms();
	struct json j;

	if (w->ctl->json) {
		json_begin(&j, stdout);
		file_json(&j, f);
		(void)json_finish(&j);
		return;
	}
	if (!w->tty && now - w->last_line_ms < LINE_EVERY_MS)
		return;
	w->last_line_ms = now;
	draw(w, f);
}

static void
clear(struct follow *w)
{
	if (w->drawn)
		fputs("\r\033[K", stderr);
	w->drawn = false;
}

/* -1 to go on; CTL_OK with *last; or the exit status. */
static int
take_replies(struct follow *w, struct ctl_client *c,
    Persona__Control__Reply **last)
{
	Persona__Control__Reply *reply;
	int r;

	while ((r = ctl_next_reply(c, false, &reply, NULL)) > 0) {
		if (reply->done)
			break;
		if (reply->file != NULL)
			show(w, reply->file);
		persona__control__reply__free_unpacked(reply, NULL);
	}
	if (r == -EAGAIN)
		return -1;
	clear(w);
	if (r <= 0)
		return ctl_lost(w->ctl, r);
	*last = reply;
	return CTL_OK;
}

/*
 * Until the last reply, with or without an error in it. A signal ends the waiting:
 * personad then gives up what was asked, as nobody listens.
 */
static int
follow(struct follow *w, struct ctl_client *c, Persona__Control__Reply **last)
{
	struct pollfd p[2] = { { .fd = ctl_client_fd(c), .events = POLLIN } };
	int status = -1;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if ((p[1].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return ctl_fail(w->ctl, "signalfd: %s", strerror(errno));
	p[1].events = POLLIN;
	while (status < 0) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			status = ctl_fail(w->ctl, "poll: %s", strerror(errno));
		else if (p[0].revents != 0)
			status = take_replies(w, c, last);
		if (status < 0 && p[1].revents != 0) {
			clear(w);
			status = ctl_fail(w->ctl, "interrupted; nothing of it "
			    "is left");
		}
	}
	close(p[1].fd);
	return status;
}

/* Ask, follow, and take the last reply; its error is the caller's to report. */
static int
run(struct ctl *ctl, const Persona__Control__Request *req, const char *verb,
    const int *fds, size_t n_fds, Persona__Control__Reply **last)
{
	struct follow w = { .ctl = ctl, .verb = verb,
	    .tty = isatty(STDERR_FILENO) };
	struct ctl_client *c;
	int status;

	*last = NULL;
	if ((status = ctl_ask_with(ctl, req, fds, n_fds, &c)) != CTL_OK)
		return status;
	status = follow(&w, c, last);
	ctl_client_close(c);
	return status;
}

static int
say_done(struct ctl *ctl, const Persona__Control__FileInfo *f,
    const char *sentence)
{
	char content[32], file[32], time[48];
	struct json j;

	if (ctl->json) {
		json_begin(&j, stdout);
		json_bool(&j, "ok", true);
		file_json(&j, f);
		return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
	}
	text_size(content, sizeof(content), f->pages_done * PAGE);
	text_size(file, sizeof(file), f->bytes);
	text_duration(time, sizeof(time), f->elapsed_ms);
	fprintf(stderr, "%s: %s in a file of %s, %s\n", sentence, content,
	    file, time);
	return CTL_OK;
}

/* --- export ------------------------------------------------------------------------- */

#define RECIPIENTS_MAX	(FILE_SLOTS_MAX - 1)

struct export_args {
	Persona__Control__Export	msg;
	char				*recipients[RECIPIENTS_MAX];
	const char			*passphrase_file;
	bool				plain;
	const char			*file;
};

static int
take_export_option(struct ctl *ctl, int c, struct export_args *a)
{
	const char *why;
	uint64_t n;

	switch (c) {
	case 'c':
		if (parse_number(optarg, 1, UINT32_MAX, &n, &why) < 0)
			return ctl_usage(ctl, "--checkpoint %s: %s", optarg,
			    why);
		a->msg.has_checkpoint = true;
		a->msg.checkpoint = (uint32_t)n;
		return CTL_OK;
	case 'p':
		a->passphrase_file = optarg;
		return CTL_OK;
	case 't':
		if (ctl_check_peer(ctl, optarg) != CTL_OK)
			return CTL_USAGE;
		if (a->msg.n_recipients == RECIPIENTS_MAX)
			return ctl_usage(ctl, "--to: a file can be made for %u "
			    "handsets at most", RECIPIENTS_MAX);
		a->recipients[a->msg.n_recipients++] = optarg;
		return CTL_OK;
	case 'l':
		if (strlen(optarg) > LABEL_MAX)
			return ctl_usage(ctl, "--label: has at most %u bytes",
			    LABEL_MAX);
		a->msg.label = optarg;
		return CTL_OK;
	case 'P':
		a->plain = true;
		return CTL_OK;
	default:
		return CTL_USAGE;
	}
}

static int
export_options(struct ctl *ctl, int argc, char **argv, struct export_args *a)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ "to", required_argument, NULL, 't' },
		{ "checkpoint", required_argument, NULL, 'c' },
		{ "label", required_argument, NULL, 'l' },
		{ "plain", no_argument, NULL, 'P' },
		{ 0 }
	};
	const char *pos[2];
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1)
		if ((status = take_export_option(ctl, c, a)) != CTL_OK)
			return status;
	if ((status = ctl_arguments(ctl, argc, argv, 2, 2, pos)) != CTL_OK ||
	    (status = ctl_check_persona(ctl, pos[0])) != CTL_OK)
		return status;
	a->msg.name = (char *)(uintptr_t)pos[0];
	a->file = pos[1];
	if (a->plain && (a->passphrase_file != NULL ||
	    a->msg.n_recipients > 0))
		return ctl_usage(ctl, "--plain means that anybody can read the "
		    "file; it goes with neither --passphrase-file nor --to");
	if (ctl->json && strcmp(a->file, "-") == 0)
		return ctl_usage(ctl, "--json and the file would both go to "
		    "standard output");
	return CTL_OK;
}

/* Encrypted unless somebody says otherwise. */
static int
export_passphrase(struct ctl *ctl, const struct export_args *a, int *fd)
{
	*fd = -1;
	if (a->passphrase_file != NULL)
		return secret_from_file(ctl, a->passphrase_file, fd);
	if (a->plain || a->msg.n_recipients > 0)
		return CTL_OK;
	if (!secret_can_ask())
		return ctl_usage(ctl, "who may open the file? Say "
		    "--passphrase-file FILE, --to PEER or --plain");
	return secret_ask(ctl, "New passphrase for the file: ", true, fd);
}

static int
export_to(struct ctl *ctl, struct export_args *a, struct outfile *o,
    int passphrase)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Reply *reply;
	const int fds[2] = { o->fd, passphrase };
	char verb[PERSONA_NAME_MAX + 16];
	int status;

	a->msg.recipients = a->recipients;
	a->msg.has_passphrase = a->msg.passphrase = passphrase >= 0;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_EXPORT_FILE;
	req.export_file = &a->msg;
	snprintf(verb, sizeof(verb), "exporting %s", a->msg.name);
	status = run(ctl, &req, verb, fds, passphrase >= 0 ? 2 : 1, &reply);
	if (status != CTL_OK)
		return status;
	if (reply->error != 0)
		status = ctl_refused(ctl, reply);
	else if (reply->file == NULL)
		status = ctl_lost(ctl, -EPROTO);
	else if ((status = outfile_publish(ctl, o)) == CTL_OK)
		status = say_done(ctl, reply->file, a->msg.name);
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}

/* One that runs is exported as it is at one instant: by a checkpoint in passing. */
static int
export_any(struct ctl *ctl, struct export_args *a, struct outfile *o,
    int passphrase)
{
	bool running = false;
	int status, gone;

	if (!a->msg.has_checkpoint && (status = saved_is_running(ctl,
	    a->msg.name, &running)) != CTL_OK)
		return status;
	if (!running)
		return export_to(ctl, a, o, passphrase);
	if ((status = saved_make(ctl, a->msg.name, "in passing, for an export",
	    &a->msg.checkpoint)) != CTL_OK)
		return status;
	a->msg.has_checkpoint = true;
	status = export_to(ctl, a, o, passphrase);
	gone = saved_delete(ctl, a->msg.name, a->msg.checkpoint);
	return status == CTL_OK ? gone : status;
}

int
ctl_export(struct ctl *ctl, int argc, char **argv)
{
	struct export_args a = { .msg = PERSONA__CONTROL__EXPORT__INIT };
	struct outfile o;
	int passphrase = -1, status;

	if ((status = export_options(ctl, argc, argv, &a)) != CTL_OK ||
	    (status = export_passphrase(ctl, &a, &passphrase)) != CTL_OK)
		return status;
	if ((status = outfile_open(ctl, &o, a.file)) == CTL_OK) {
		status = export_any(ctl, &a, &o, passphrase);
		outfile_close(&o);
	}
	if (passphrase >= 0)
		close(passphrase);
	return status;
}

/* --- import ------------------------------------------------------------------------- */

struct import_args {
	Persona__Control__Import	msg;
	const char			*passphrase_file;
	const char			*file;
};

static int
import_options(struct ctl *ctl, int argc, char **argv, struct import_args *a)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "name", required_argument, NULL, 'n' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ 0 }
	};
	int c;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		if (c == 'p') {
			a->passphrase_file = optarg;
			continue;
		}
		if (ctl_check_persona(ctl, optarg) != CTL_OK)
			return CTL_USAGE;
		a->msg.name = optarg;
	}
	return ctl_arguments(ctl, argc, argv, 1, 1, &a->file);
}

static int
open_input(const struct ctl *ctl, const char *path, int *fd)
{
	struct stat st;

	*fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) :
	    open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return ctl_fail(ctl, "%s: %s", path, strerror(errno));
	if (fstat(*fd, &st) == 0 && !S_ISDIR(st.st_mode) && !isatty(*fd))
		return CTL_OK;
	close(*fd);
	return ctl_fail(ctl, "%s: is not a persona file", path);
}

static int
import_once(struct ctl *ctl, struct import_args *a, int in, int passphrase,
    Persona__Control__Reply **reply)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	const int fds[2] = { in, passphrase };

	a->msg.has_passphrase = a->msg.passphrase = passphrase >= 0;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_IMPORT_FILE;
	req.import_file = &a->msg;
	return run(ctl, &req, "importing", fds, passphrase >= 0 ? 2 : 1,
	    reply);
}

/* A file that can be read again, and a person who may know the passphrase. */
static bool
worth_asking(const Persona__Control__Reply *reply, int in)
{
	return reply->error != 0 && reply->has_reason &&
	    reply->reason == REASON_FILE_LOCKED && secret_can_ask() &&
	    lseek(in, 0, SEEK_SET) == 0;
}

static int
import_from(struct ctl *ctl, struct import_args *a, int in, int *passphrase)
{
	Persona__Control__Reply *reply;
	char sentence[PERSONA_NAME_MAX + 32];
	int status;

	status = import_once(ctl, a, in, *passphrase, &reply);
	if (status == CTL_OK && *passphrase < 0 && worth_asking(reply, in)) {
		persona__control__reply__free_unpacked(reply, NULL);
		status = secret_ask(ctl, "Passphrase of the file: ", false,
		    passphrase);
		if (status == CTL_OK)
			status = import_once(ctl, a, in, *passphrase, &reply);
	}
	if (status != CTL_OK)
		return status;
	if (reply->error != 0)
		status = ctl_refused(ctl, reply);
	else if (reply->file == NULL)
		status = ctl_lost(ctl, -EPROTO);
	else {
		snprintf(sentence, sizeof(sentence), "%s is here now",
		    reply->file->persona);
		status = say_done(ctl, reply->file, sentence);
	}
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}

int
ctl_import(struct ctl *ctl, int argc, char **argv)
{
	struct import_args a = { .msg = PERSONA__CONTROL__IMPORT__INIT };
	int passphrase = -1, in, status;

	if ((status = import_options(ctl, argc, argv, &a)) != CTL_OK)
		return status;
	if (a.passphrase_file != NULL && (status = secret_from_file(ctl,
	    a.passphrase_file, &passphrase)) != CTL_OK)
		return status;
	if ((status = open_input(ctl, a.file, &in)) == CTL_OK) {
		status = import_from(ctl, &a, in, &passphrase);
		close(in);
	}
	if (passphrase >= 0)
		close(passphrase);
	return status;
}
