/* SPDX-License-Identifier: ISC */
/*
 * Passphrases, from a file or from the terminal. They are overwritten as soon as
 * they have been passed on. Knows no personad.
 */
#include "ctl-secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "bounds.h"

#define CTRL_C	3
#define CTRL_D	4

struct secret {
	size_t	len;
	char	text[PASSPHRASE_MAX + 2];	/* and a line end */
};

static int
to_memory(const struct ctl *ctl, const struct secret *s, int *fd)
{
	*fd = memfd_create("passphrase", MFD_CLOEXEC);
	if (*fd >= 0 && write(*fd, s->text, s->len) == (ssize_t)s->len)
		return CTL_OK;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return ctl_fail(ctl, "the passphrase cannot be passed on: %s",
	    strerror(errno));
}

/* --- from a file ------------------------------------------------------------ */

static int
check_line(const struct ctl *ctl, const char *path, struct secret *s)
{
	if (s->len > 0 && s->text[s->len - 1] == '\n')
		s->len--;
	if (s->len > 0 && s->text[s->len - 1] == '\r')
		s->len--;
	if (s->len == 0)
		return ctl_fail(ctl, "%s: the passphrase is empty", path);
	if (s->len > PASSPHRASE_MAX)
		return ctl_fail(ctl, "%s: a passphrase has at most %u bytes",
		    path, PASSPHRASE_MAX);
	if (memchr(s->text, '\n', s->len) != NULL)
		return ctl_fail(ctl, "%s: has more than one line; a passphrase "
		    "is one", path);
	return CTL_OK;
}

int
secret_from_file(const struct ctl *ctl, const char *path, int *fd)
{
	struct secret s = { .len = 0 };
	int file = open(path, O_RDONLY | O_CLOEXEC), status;
	ssize_t n = 0;

	if (file < 0)
		return ctl_fail(ctl, "%s: %s", path, strerror(errno));
	while (s.len < sizeof(s.text) && (n = read(file, s.text + s.len,
	    sizeof(s.text) - s.len)) > 0)
		s.len += (size_t)n;
	if (n < 0)
		status = ctl_fail(ctl, "%s: %s", path, strerror(errno));
	else if ((status = check_line(ctl, path, &s)) == CTL_OK)
		status = to_memory(ctl, &s, fd);
	close(file);
	explicit_bzero(&s, sizeof(s));
	return status;
}

/* --- from a person ------------------------------------------------------------- */

bool
secret_can_ask(void)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);

	if (tty < 0)
		return false;
	close(tty);
	return true;
}

/* One line, byte by byte as it is typed. False when the person gave up. */
static bool
read_line(int tty, struct secret *s)
{
	char c;

	s->len = 0;
	while (read(tty, &c, 1) == 1) {
		if (c == '\n' || c == '\r')
			return true;
		if (c == CTRL_C || c == CTRL_D)
			return false;
		if (c == '\b' || c == 0x7f)
			s->len -= s->len > 0;
		else if (s->len < sizeof(s->text))
			s->text[s->len++] = c;
	}
	return false;
}

static void
say(int tty, const char *text)
{
	/* The person sees what the terminal shows; there is nobody else to tell. */
	if (write(tty, text, strlen(text)) < 0)
		return;
}

/*
 * With the terminal's own line editing and signals off, so that no way out leaves
 * it without echo.
 */
static bool
prompt_line(int tty, const char *prompt, struct secret *s)
{
	struct termios before, quiet;
	bool ok;

	if (tcgetattr(tty, &before) < 0)
		return false;
	quiet = before;
	quiet.c_lflag &= (tcflag_t)~(ECHO | ICANON | ISIG);
	quiet.c_cc[VMIN] = 1;
	quiet.c_cc[VTIME] = 0;
	if (tcsetattr(tty, TCSAFLUSH, &quiet) < 0)
		return false;
	say(tty, prompt);
	ok = read_line(tty, s);
	say(tty, "\n");
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	return ok;
}

static int
ask(const struct ctl *ctl, int tty, const char *prompt, bool twice,
    struct secret *s)
{
	struct secret again;
	bool same;

	if (!prompt_line(tty, prompt, s))
		return ctl_fail(ctl, "no passphrase was given");
	if (s->len == 0)
		return ctl_fail(ctl, "the passphrase is empty");
	if (s->len > PASSPHRASE_MAX)
		return ctl_fail(ctl, "a passphrase has at most %u bytes",
		    PASSPHRASE_MAX);
	if (!twice)
		return CTL_OK;
	same = prompt_line(tty, "The same once more: ", &again) &&
	    again.len == s->len && memcmp(again.text, s->text, s->len) == 0;
	explicit_bzero(&again, sizeof(again));
	return same ? CTL_OK : ctl_fail(ctl, "the two were not the same");
}

int
secret_ask(const struct ctl *ctl, const char *prompt, bool twice, int *fd)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC), status;
	struct secret s;

	if (tty < 0)
		return ctl_fail(ctl, "there is no terminal to ask for the "
		    "passphrase; name it with --passphrase-file");
	if ((status = ask(ctl, tty, prompt, twice, &s)) == CTL_OK)
		status = to_memory(ctl, &s, fd);
	explicit_bzero(&s, sizeof(s));
	close(tty);
	return status;
}
