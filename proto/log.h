/* SPDX-License-Identifier: ISC */
/*
 * Log lines of all our programs: level, program, text, to standard error.
 * Deliberately knows no files, no syslog and no rotation: whoever starts us
 * (systemd, a test) owns standard error.
 */
#ifndef LOG_H
#define LOG_H

enum log_level {
	LOG_ERR,	/* something an owner must act on */
	LOG_WARN,	/* something went wrong and was dealt with */
	LOG_INFO,	/* the story an owner would want */
	LOG_DEBUG,	/* the story we would want */
};

/*
 * Name this program in every line and drop lines above `level`. `program` must
 * stay valid for the life of the process. Call once, before other threads.
 */
void	log_init(const char *program, enum log_level level);

/*
 * One line, without a newline at its end, starting with the thing it is about:
 * "persona work: round 3: 1204 pages left". Never secrets, keys, guest bytes.
 * Control characters are replaced, so that a peer's text cannot forge lines.
 */
void	log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* As log_warn, with ": <strerror(-r)>" at the end. `r` is a -errno. */
void	log_warn_r(int r, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/*
 * Log and leave with status 1. Only for start-up and broken invariants: bytes
 * from a peer, a file or a guest must never lead here.
 */
void	fatal(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2), noreturn));

#endif
