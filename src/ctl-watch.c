/* SPDX-License-Identifier: ISC */
/*
 * One loop over personad's replies and Ctrl-C. Draws with ctl-progress; knows
 * nothing of how a move is asked for or what its end means.
 */
#include "ctl-watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "ctl-json.h"
#include "ctl-progress.h"

#define LINE_EVERY_MS 1000	/* where there is no terminal */

struct watch {
	struct ctl		*ctl;
	const char		*cancels;	/* NULL: Ctrl-C is not ours */
	int			signals;	/* signalfd or -1 */
	struct ctl_client	*cancel;	/* our own request to cancel */
	bool			tty;
	bool			drawn;		/* a bar stands on this line */
	uint64_t		last_line_ms;
	struct progress		progress;
};

static unsigned int
terminal_columns(void)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0)
		return 80;
	return ws.ws_col;
}

static void
clear_bar(struct watch *w)
{
	if (w->drawn)
		fputs("\r\033[K", stdout);
	w->drawn = false;
	fflush(stdout);
}

/* --- showing ------------------------------------------------------------ */

static void
show_json(const Persona__Control__Reply *reply)
{
	for (size_t i = 0; i < reply->n_moves; i++) {
		struct json j;

		json_begin(&j, stdout);
		progress_json(&j, "move", reply->moves[i]);
		(void)json_finish(&j);
	}
}

static void
show_bar(struct watch *w, const Persona__Control__MoveInfo *m)
{
	char line[PROGRESS_LINE_MAX];

	/* The last column stays free: filling it wraps on some terminals. */
	progress_bar(line, &w->progress, m, terminal_columns() - 1);
	printf("\r%s\033[K", line);
	fflush(stdout);
	w->drawn = true;
}

static void
show_lines(struct watch *w, const Persona__Control__Reply *reply)
{
	uint64_t now = clock_now_ms();
	char line[PROGRESS_LINE_MAX];

	if (w->last_line_ms != 0 && now - w->last_line_ms < LINE_EVERY_MS)
		return;
	w->last_line_ms = now;
	for (size_t i = 0; i < reply->n_moves; i++) {
		/* Several moves share no memory of what was shown last. */
		struct progress fresh = { 0 };

		progress_line(line, reply->n_moves == 1 ? &w->progress :
		    &fresh, reply->moves[i]);
		puts(line);
	}
	fflush(stdout);
}

static void
show(struct watch *w, const Persona__Control__Reply *reply)
{
	if (w->ctl->json)
		show_json(reply);
	else if (reply->done)
		;	/* the caller has the last word */
	else if (w->tty && reply->n_moves == 1)
		show_bar(w, reply->moves[0]);
	else
		show_lines(w, reply);
}

/* --- Ctrl-C ------------------------------------------------------------- */

static int
catch_interrupt(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* -1 to go on, else the exit status. */
static int
take_interrupt(struct watch *w)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	struct signalfd_siginfo si;

	if (read(w->signals, &si, sizeof(si)) != sizeof(si))
		return -1;
	clear_bar(w);
	if (w->cancel != NULL)
		return ctl_fail(w->ctl, "left without waiting; 'personactl "
		    "status' and 'personactl show %s' tell how it ends",
		    w->cancels);
	if (!w->ctl->json)
		fputs("Cancelling the move; Ctrl-C again leaves without "
		    "waiting.\n", stderr);
	name.name = (char *)(uintptr_t)w->cancels;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_CANCEL;
	req.cancel = &name;
	return ctl_ask(w->ctl, &req, &w->cancel) == CTL_OK ? -1 :
	    CTL_UNREACHABLE;
}

/* personad's word about our cancelling. A no is worth saying, a yes is not. */
static void
take_cancel_reply(struct watch *w, bool *answered)
{
	Persona__Control__Reply *reply;
	int r = ctl_next_reply(w->cancel, false, &reply, NULL);

	if (r == -EAGAIN)
		return;
	*answered = r <= 0 || reply->done;
	if (r > 0) {
		if (reply->error != 0 && !w->ctl->json)
			(void)ctl_refused(w->ctl, reply);
		persona__control__reply__free_unpacked(reply, NULL);
	}
}

/* --- the loop ----------------------------------------------------------- */

/* -1 to go on; CTL_OK with *last; or the exit status of a failure. */
static int
take_replies(struct watch *w, struct ctl_client *c,
    Persona__Control__Reply **last)
{
	Persona__Control__Reply *reply;
	int r;

	while ((r = ctl_next_reply(c, false, &reply, NULL)) > 0) {
		show(w, reply);
		if (reply->done)
			break;
		persona__control__reply__free_unpacked(reply, NULL);
	}
	if (r == -EAGAIN)
		return -1;
	clear_bar(w);
	return ctl_outcome(w->ctl, r, reply, last);
}

static int
loop(struct watch *w, struct ctl_client *c, Persona__Control__Reply **last)
{
	bool answered = false;
	int status;

	for (;;) {
		struct pollfd p[3] = {
			{ .fd = ctl_client_fd(c), .events = POLLIN },
			{ .fd = w->signals, .events = POLLIN },
			{ .fd = w->cancel != NULL && !answered ?
			    ctl_client_fd(w->cancel) : -1, .events = POLLIN },
		};

		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return ctl_fail(w->ctl, "poll: %s", strerror(errno));
		if (p[2].revents != 0)
			take_cancel_reply(w, &answered);
		if (p[0].revents != 0 &&
		    (status = take_replies(w, c, last)) >= 0)
			return status;
		if (p[1].revents != 0 && (status = take_interrupt(w)) >= 0)
			return status;
	}
}

int
ctl_watch(struct ctl *ctl, struct ctl_client *c, const char *cancels,
    Persona__Control__Reply **last)
{
	struct watch w = { .ctl = ctl, .cancels = cancels, .signals = -1,
	    .tty = isatty(STDOUT_FILENO) };
	int status;

	*last = NULL;
	if (cancels != NULL && (w.signals = catch_interrupt()) < 0)
		return ctl_fail(ctl, "signalfd: %s", strerror(errno));
	status = loop(&w, c, last);
	ctl_client_close(w.cancel);
	if (w.signals >= 0)
		close(w.signals);
	return status;
}
