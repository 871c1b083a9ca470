/* SPDX-License-Identifier: ISC */
/*
 * A connection to personad: one request, one or more replies. Reports what is
 * wrong with the connection itself; knows nothing of what requests mean.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "control.pb-c.h"
#include "ctl.h"

struct ctl_client;

/*
 * Connect to personad and send it one request. CTL_OK with *cp filled; else the
 * ctl_exit status to leave with, the reason having been reported when `ctl` is
 * not quiet about it (see ctl_ask_quietly).
 */
int	ctl_ask(struct ctl *ctl, const Persona__Control__Request *req,
	    struct ctl_client **cp);

/* As ctl_ask, with descriptors beside the request (kept). */
int	ctl_ask_with(struct ctl *ctl, const Persona__Control__Request *req,
	    const int *fds, size_t n_fds, struct ctl_client **cp);

/* As ctl_ask, but says nothing: 0 or -errno. */
int	ctl_ask_quietly(struct ctl *ctl, const Persona__Control__Request *req,
	    struct ctl_client **cp);

/* Why there is nobody to talk to, and the way out, for such a -errno. */
const char *ctl_unreachable_text(int r);

/* The descriptor to poll for replies. */
int	ctl_client_fd(const struct ctl_client *c);

/*
 * The next reply; waits for it when `wait`. 1 with *reply filled (free it with
 * persona__control__reply__free_unpacked), 0 when the connection has ended,
 * -EAGAIN when there is none and `wait` is false, -EPROTO when it was not a
 * reply. With `fd` not NULL, a descriptor that came along is handed over there
 * (-1: none).
 */
int	ctl_next_reply(struct ctl_client *c, bool wait,
	    Persona__Control__Reply **reply, int *fd);

/* Close; personad ends what was asked, except a move. NULL is fine. */
void	ctl_client_close(struct ctl_client *c);

/*
 * Ask, and wait for the reply that is `done`; it then has the personas of those
 * before it, too. An error in it is reported.
 * CTL_OK: *reply (when not NULL) is filled and the caller's to free.
 */
int	ctl_call(struct ctl *ctl, const Persona__Control__Request *req,
	    Persona__Control__Reply **reply);

/* Report that the connection ended (r == 0) or broke before the last reply. */
int	ctl_lost(const struct ctl *ctl, int r);

/* Report the error that a reply carries. CTL_FAILED. */
int	ctl_refused(const struct ctl *ctl,
	    const Persona__Control__Reply *reply);

/*
 * What a row of replies came to: `r` of ctl_next_reply(), and with r 1 the last
 * reply, which goes to *last when all went well. A failure is reported, and the
 * reply freed. A ctl_exit.
 */
int	ctl_outcome(const struct ctl *ctl, int r,
	    Persona__Control__Reply *reply, Persona__Control__Reply **last);

#endif
