/* SPDX-License-Identifier: ISC */
/*
 * personad's end of the gate: where persona-gate, started by sshd for a paired
 * key, brings the two descriptors of a stream. Knows no transfers: it checks who
 * calls and that the message is well formed, and hands it on.
 */
#ifndef GATE_SERVER_H
#define GATE_SERVER_H

#include "bounds.h"
#include "gate-command.h"

struct event_base;
struct gate_server;

/* One stream from a peer that has proven its key. */
struct gate_stream {
	char		fingerprint[FINGERPRINT_MAX + 1];
	char		transfer[GATE_TRANSFER_LEN + 1];
	unsigned int	channel;	/* < STREAMS_MAX */
	int		rfd;		/* from the peer */
	int		wfd;		/* to the peer */
	int		gate_fd;	/* closing it (everywhere) ends the gate */
};

/*
 * Takes all three descriptors and closes those it does not want. Must not close
 * the server.
 */
typedef void gate_stream_fn(void *arg, const struct gate_stream *gs);

/*
 * Listen on a Unix socket at path, replacing a dead one. Only our own uid is
 * served. 0, -EADDRINUSE when another process answers there, else -errno.
 */
int	gate_server_open(struct gate_server **gp, struct event_base *base,
	    const char *path, gate_stream_fn *fn, void *arg);

/* Close, and remove the socket. NULL is fine. */
void	gate_server_close(struct gate_server *g);

#endif
