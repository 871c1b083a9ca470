/* SPDX-License-Identifier: ISC */
/*
 * What the two halves of the SSH client share: ssh-conn.c sets a session up,
 * stream-ssh.c moves bytes over its channels. Private to them. libssh2's rule
 * rules both: after LIBSSH2_ERROR_EAGAIN with something left to send, only the
 * very same call may follow, or the session is lost.
 */
#ifndef SSH_CONN_H
#define SSH_CONN_H

#include <event2/event.h>
#include <libssh2.h>

#include "bounds.h"
#include "gate-command.h"
#include "greeting.h"
#include "pubkey.h"
#include "stream.h"

#define SSH_WRITE_MAX	32700u	/* what libssh2 takes in one call */
#define SSH_READ_MAX	32768u	/* one packet */

enum ssh_state {
	SSH_CONNECTING,	/* TCP */
	SSH_HANDSHAKE,	/* the peer's key is not known yet: it gets nothing */
	SSH_LOGIN,	/* the pinned key was proven; now ours */
	SSH_OPENING,	/* channels, one after the other */
	SSH_STARTING,	/* the gate on each of them, all at once */
	SSH_RUNNING,	/* the streams are the caller's; no timer, no callback */
	SSH_DEAD,	/* `error` says why; nobody calls libssh2 any more */
};

enum ssh_op {
	SSH_OP_NONE,
	SSH_OP_READ,
	SSH_OP_WRITE,
	SSH_OP_EOF,
};

/* One channel; from SSH_RUNNING on a stream, until its owner closes it. */
struct ssh_channel {
	struct stream	stream;		/* first: the ops get its address */
	struct ssh_conn	*conn;
	LIBSSH2_CHANNEL	*chan;
	bool		started;	/* the gate runs */
	bool		open;		/* the owner has not closed it */
	size_t		want_write;	/* the window that its owner waits for */
	bool		eof;		/* the peer says no more */
	bool		eof_sent;	/* neither do we */
	int		error;		/* of this channel alone, -errno */
	/* A packet libssh2 has begun to send; it must be offered again. */
	uint8_t		out[SSH_WRITE_MAX];
	size_t		out_off, out_len;
	/* Read from libssh2, not yet by the owner. */
	uint8_t		in[SSH_READ_MAX];
	size_t		in_off, in_len;
};

struct ssh_conn {
	struct event_base *base;
	enum ssh_state	state;
	int		error;		/* of the whole session, -errno */
	int		fd;
	LIBSSH2_SESSION	*session;
	struct event	*rev, *wev;	/* the socket's readiness */
	struct event	*kick;		/* look again in the next turn */
	struct event	*timer;		/* of the set-up */
	unsigned int	busy;		/* callbacks under way: do not free */

	/* The one call that may come next; see the top of this file. */
	struct ssh_channel *pending;
	enum ssh_op	pending_op;
	/* A write met a key exchange: wait for the peer, not in circles. */
	bool		rekeying;

	struct link_loss *loss;		/* from SSH_RUNNING on */

	struct ssh_channel *channel[STREAMS_MAX];
	unsigned int	n_channels;	/* asked for */
	unsigned int	n_opened;	/* in channel[] */
	unsigned int	n_open;		/* still somebody's stream */

	ssh_done_fn	*done;
	void		*arg;
	uint8_t		peer_blob[PUBKEY_BLOB_BYTES];
	char		own_key[PUBKEY_TEXT_LEN + 1];
	char		*private_pem;
	size_t		private_len;
	char		transfer[GATE_TRANSFER_LEN + 1];

	/* The line before the peer's version string (greeting.h). */
	char		line[GREETING_LINE_MAX];
	size_t		line_len;
	bool		greeted;	/* the version string has come */
	char		user[GREETING_USER_MAX + 1];
};

/* libssh2 stopped and has something to send: only the same call may follow. */
bool	ssh_must_repeat(const struct ssh_conn *c);

/* Wait for what libssh2 waits for. */
void	ssh_arm(struct ssh_conn *c);

/* What a libssh2 error means to a caller: -errno. */
int	ssh_errno(int libssh2_error);

/* The set-up is over: make streams of the channels. For ssh-conn.c. */
void	ssh_channels_start(struct ssh_conn *c, struct stream **streams);

/* The socket or the kick says that something changed, from SSH_RUNNING on. */
void	ssh_channels_pump(struct ssh_conn *c, bool from_socket);

/* Close the socket, free everything. Nobody's callback is called. */
void	ssh_conn_free(struct ssh_conn *c);

#endif
