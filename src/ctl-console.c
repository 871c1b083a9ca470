/* SPDX-License-Identifier: ISC */
/*
 * console: bytes between this terminal and a persona's console. Knows the
 * escape and how to leave the terminal as it was found; knows no line discipline
 * and never looks at what the guest prints.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl.h"

#define ESCAPE 0x1d		/* Ctrl-] */
/* poll(2) promises room for this much in a pipe: such a write never blocks. */
#define CHUNK_BYTES 4096

struct chunk {
	size_t	len, done;
	char	data[CHUNK_BYTES];
};

struct console {
	struct ctl	*ctl;
	int		sock;		/* to the guest */
	int		signals;	/* signalfd */
	bool		raw;		/* the terminal is raw, saved holds it */
	bool		input_open;	/* standard input has not ended */
	bool		escaped;	/* Ctrl-] came, its letter has not */
	const char	*end;		/* why we leave; NULL: we stay */
	int		status;
	struct termios	saved;
	struct chunk	to_guest, to_user;
};

static void
leave(struct console *k, const char *why, int status)
{
	k->end = why;
	k->status = status;
}

/* --- the terminal ------------------------------------------------------- */

/* Blocks the signals that would end us with the terminal still raw. */
static int
catch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int
make_raw(struct console *k)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO))
		return 0;
	if (tcgetattr(STDIN_FILENO, &k->saved) < 0)
		return -errno;
	raw = k->saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
		return -errno;
	k->raw = true;
	return 0;
}

static void
restore_terminal(struct console *k)
{
	if (k->raw)
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &k->saved);
	k->raw = false;
}

/* --- input: the escape is taken out, everything else is the guest's ----- */

static void
put_to_guest(struct console *k, char c)
{
	/* There is room: at most as many bytes come out as went in, plus one. */
	if (k->to_guest.len < sizeof(k->to_guest.data))
		k->to_guest.data[k->to_guest.len++] = c;
}

static void
take_key(struct console *k, char c)
{
	if (!k->escaped) {
		if (c == ESCAPE)
			k->escaped = true;
		else
			put_to_guest(k, c);
		return;
	}
	k->escaped = false;
	if (c == '.' || c == 'q') {
		leave(k, "left", CTL_OK);
	} else if (c == ESCAPE) {
		put_to_guest(k, ESCAPE);
	} else if (c == '?') {
		fputs("\r\nCtrl-] . or q: leave; Ctrl-] Ctrl-]: send one "
		    "Ctrl-]\r\n", stderr);
	} else {
		put_to_guest(k, ESCAPE);
		put_to_guest(k, c);
	}
}

static void
read_input(struct console *k)
{
	char keys[CHUNK_BYTES / 2];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		/* A script's input may end; it still wants to see the output.
		 * A terminal that is gone has nobody to see it. */
		k->input_open = false;
		if (k->raw)
			leave(k, "hangup", CTL_OK);
		return;
	}
	k->to_guest.len = k->to_guest.done = 0;
	for (ssize_t i = 0; i < n && k->end == NULL; i++)
		take_key(k, keys[i]);
}

/* --- moving bytes ------------------------------------------------------- */

static void
write_guest(struct console *k)
{
	struct chunk *c = &k->to_guest;
	ssize_t n = send(k->sock, c->data + c->done, c->len - c->done,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EINTR && errno != EAGAIN)
		leave(k, "closed", CTL_OK);
	if (n > 0)
		c->done += (size_t)n;
}

static void
read_guest(struct console *k)
{
	struct chunk *c = &k->to_user;
	ssize_t n = recv(k->sock, c->data, sizeof(c->data), MSG_DONTWAIT);

	c->len = c->done = 0;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		leave(k, "closed", CTL_OK);
	else
		c->len = (size_t)n;
}

static void
write_user(struct console *k)
{
	struct chunk *c = &k->to_user;
	struct json j;
	ssize_t n;

	if (k->ctl->json) {
		json_begin(&j, stdout);
		json_bytes(&j, "output", c->data, c->len);
		if (json_finish(&j) < 0)
			leave(k, "output failed", CTL_FAILED);
		c->done = c->len;
		return;
	}
	n = write(STDOUT_FILENO, c->data + c->done, c->len - c->done);
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		leave(k, "output failed", CTL_FAILED);
	if (n > 0)
		c->done += (size_t)n;
}

static bool
pending(const struct chunk *c)
{
	return c->done < c->len;
}

/* One wait: each direction reads only when what it read before is written. */
static void
step(struct console *k)
{
	bool in = pending(&k->to_guest), out = pending(&k->to_user);
	struct pollfd p[4] = {
		{ .fd = k->signals, .events = POLLIN },
		{ .fd = k->input_open && !in ? STDIN_FILENO : -1,
		    .events = POLLIN },
		{ .fd = k->sock, .events = (short)((in ? POLLOUT : 0) |
		    (out ? 0 : POLLIN)) },
		{ .fd = out ? STDOUT_FILENO : -1, .events = POLLOUT },
	};

	if (poll(p, 4, -1) < 0) {
		if (errno != EINTR)
			leave(k, "poll failed", CTL_FAILED);
		return;
	}
	if (p[0].revents != 0) {
		leave(k, "signal", CTL_FAILED);
		return;
	}
	if (p[3].revents != 0)
		write_user(k);
	if (p[2].revents & POLLOUT)
		write_guest(k);
	if (!out && (p[2].revents & (POLLIN | POLLHUP | POLLERR)))
		read_guest(k);
	if (k->end == NULL && p[1].revents != 0)
		read_input(k);
}

/* Keys that came with the escape were meant for the guest before we left. */
static void
flush_input(struct console *k)
{
	if (pending(&k->to_guest))
		write_guest(k);
}

static int
run(struct console *k, const char *name)
{
	int r;

	if ((k->signals = catch_signals()) < 0)
		return ctl_fail(k->ctl, "signalfd: %s", strerror(errno));
	if ((r = make_raw(k)) < 0)
		return ctl_fail(k->ctl, "the terminal: %s", strerror(-r));
	if (!k->ctl->json)
		fprintf(stderr, "Connected to %s. Ctrl-] then '.' leaves.\r\n",
		    name);
	while (k->end == NULL)
		step(k);
	flush_input(k);
	restore_terminal(k);
	if (k->ctl->json) {
		struct json j;

		json_begin(&j, stdout);
		json_bool(&j, "ok", k->status == CTL_OK);
		json_string(&j, "end", k->end);
		(void)json_finish(&j);
	} else if (strcmp(k->end, "closed") == 0) {
		fprintf(stderr, "\nThe console of %s closed: the persona ended, "
		    "moved away, or another console took over.\n", name);
	} else {
		fprintf(stderr, "\nLeft the console of %s (%s).\n", name,
		    k->end);
	}
	return k->status;
}

/* The stream comes as a descriptor beside the reply. 0..: it; else -status. */
static int
attach(struct ctl *ctl, struct ctl_client *c)
{
	Persona__Control__Reply *reply = NULL;
	int fd = -1, r, status = CTL_OK;

	if ((r = ctl_next_reply(c, true, &reply, &fd)) <= 0)
		status = ctl_lost(ctl, r);
	else if (reply->error != 0)
		status = ctl_refused(ctl, reply);
	else if (fd < 0)
		status = ctl_lost(ctl, -EPROTO);
	if (reply != NULL)
		persona__control__reply__free_unpacked(reply, NULL);
	if (status != CTL_OK && fd >= 0)
		close(fd);
	return status == CTL_OK ? fd : -status;
}

int
ctl_console(struct ctl *ctl, int argc, char **argv)
{
	static const struct option flag = { "virtio", no_argument, NULL, 'v' };
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Console con = PERSONA__CONTROL__CONSOLE__INIT;
	struct console k = { .ctl = ctl, .signals = -1, .input_open = true };
	struct ctl_client *client;
	const char *name;
	bool virtio = false;
	int status;

	status = ctl_flag_option(ctl, argc, argv, &flag, &virtio);
	if (status != CTL_OK ||
	    (status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	con.has_virtio = con.virtio = virtio;
	con.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_CONSOLE;
	req.console = &con;
	if ((status = ctl_ask(ctl, &req, &client)) != CTL_OK)
		return status;
	if ((k.sock = attach(ctl, client)) < 0) {
		status = -k.sock;
	} else {
		status = run(&k, name);
		close(k.sock);
	}
	if (k.signals >= 0)
		close(k.signals);
	/* Kept open all along: its end tells personad that we have left. */
	ctl_client_close(client);
	return status;
}
