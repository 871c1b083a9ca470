/* SPDX-License-Identifier: ISC */
/*
 * Messages between the processes of one handset: one protobuf message a
 * SOCK_SEQPACKET datagram, with a few descriptors beside it. Knows no message
 * type, no event loop, and keeps nothing between calls.
 */
#ifndef IPC_H
#define IPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

#include "bounds.h"

/* What came with one datagram. Unclaimed descriptors are closed by the owner. */
struct ipc_msg {
	size_t	len;			/* bytes in data */
	int	fds[IPC_MAX_FDS];	/* owned by the holder; -1 where taken */
	size_t	n_fds;
	uint8_t	data[IPC_MAX_MSG];
};

/* A connected pair, close-on-exec and non-blocking. 0 or -errno. */
int	ipc_pair(int sv[2]);

/*
 * Send one message with n_fds descriptors (which stay the caller's). Waits for
 * room up to timeout_ms (0: do not wait). 0, -EAGAIN when there was no room,
 * -EMSGSIZE when it is larger than IPC_MAX_MSG, -EPIPE when nobody listens.
 */
int	ipc_send(int fd, const ProtobufCMessage *msg, const int *fds,
	    size_t n_fds, int timeout_ms);

/*
 * Receive one message without waiting. 1 with *msg filled, 0 at the end of the
 * connection, -EAGAIN when there is none, -EMSGSIZE (message dropped, its
 * descriptors closed) when it did not fit, else -errno. Descriptors arrive
 * close-on-exec.
 */
int	ipc_recv(int fd, struct ipc_msg *msg);

/* Take descriptor i out of the message, or -1 when there is none. */
int	ipc_take_fd(struct ipc_msg *msg, size_t i);

/* Close the descriptors that nobody took. */
void	ipc_msg_fini(struct ipc_msg *msg);

/* The uid, gid and pid at the other end of a Unix socket. 0 or -errno. */
int	ipc_peer_cred(int fd, uint32_t *uid, uint32_t *gid, int32_t *pid);

#endif
