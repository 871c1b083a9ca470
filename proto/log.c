/* SPDX-License-Identifier: ISC */
/*
 * Log lines to standard error, one write(2) a line. Knows no destination but
 * descriptor 2 and keeps no state beyond the program's name and level.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

/* Set once by log_init before any thread starts; read-only afterwards. */
static const char *log_program = "persona";
static enum log_level log_max = LOG_INFO;

static const char *const level_names[] = {
	[LOG_ERR] = "error",
	[LOG_WARN] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void
log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_max = level;
}

/* Make peers' and guests' text harmless: one line, no terminal escapes. */
static void
scrub(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static void __attribute__((format(printf, 3, 0)))
log_line(enum log_level level, int r, const char *fmt, va_list ap)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 128];
	struct timespec now;
	struct tm tm;
	char stamp[32];
	int saved = errno, n;

	if (level > log_max)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	scrub(text);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "%s.%03ld %s[%d] %s: %s%s%s\n", stamp,
	    now.tv_nsec / 1000000, log_program, (int)getpid(),
	    level_names[level], text, r < 0 ? ": " : "",
	    r < 0 ? strerror(-r) : "");
	if (n > (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 1;
	/* A lost log line must never stop a move. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		errno = saved;
	errno = saved;
}

#define LOG_FUNCTION(name, level)			\
	void						\
	name(const char *fmt, ...)			\
	{						\
		va_list ap;				\
							\
		va_start(ap, fmt);			\
		log_line(level, 0, fmt, ap);		\
		va_end(ap);				\
	}

LOG_FUNCTION(log_err, LOG_ERR)
LOG_FUNCTION(log_warn, LOG_WARN)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_DEBUG)

void
log_warn_r(int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_WARN, r, fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_ERR, 0, fmt, ap);
	va_end(ap);
	exit(EXIT_FAILURE);
}
