/* SPDX-License-Identifier: ISC */
/*
 * A listening socket in an event loop: hands on whoever connects, and rests for
 * a moment when the process has no descriptor left, instead of being woken over
 * and over for a caller it cannot take. Knows no protocol.
 */
#ifndef ACCEPTOR_H
#define ACCEPTOR_H

#include <stdbool.h>
#include <sys/socket.h>

struct acceptor;
struct event_base;

/* `fd` is the callee's: close-on-exec, non-blocking. */
typedef void acceptor_fn(void *arg, int fd,
	    const struct sockaddr_storage *from, socklen_t from_len);

/*
 * Begin. listen_fd (non-blocking) stays the caller's and must live longer than
 * the acceptor; `what` (static) names it in log lines. 0 or -ENOMEM.
 */
int	acceptor_new(struct acceptor **ap, struct event_base *base,
	    int listen_fd, const char *what, acceptor_fn *fn, void *arg);

/* No callback any more. NULL is fine. */
void	acceptor_free(struct acceptor *a);

/* Is it resting? For tests. */
bool	acceptor_rests(const struct acceptor *a);

#endif
