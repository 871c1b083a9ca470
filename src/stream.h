/* SPDX-License-Identifier: ISC */
/*
 * A reliable, ordered, non-blocking stream of bytes to a peer, over anything: a
 * pair of descriptors, an SSH channel, memory in a test. Knows no frames and no
 * transfer. An implementation embeds `struct stream` and fills in the ops.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stream;

/* Something changed: try reading, and writing if that was asked for. The
 * callback may close the stream. */
typedef void stream_ready_fn(struct stream *s, void *arg);

struct stream_ops {
	const char	*kind;			/* for log lines */
	ssize_t		(*read)(struct stream *s, void *buf, size_t len);
	ssize_t		(*write)(struct stream *s, const void *buf,
			    size_t len);
	void		(*want)(struct stream *s, size_t to_write);
	size_t		(*window)(struct stream *s);		/* or NULL */
	int64_t		(*unsent)(struct stream *s);
	uint64_t	(*unanswered_ns)(struct stream *s);	/* or NULL */
	void		(*close)(struct stream *s);
};

struct stream {
	const struct stream_ops	*ops;
	stream_ready_fn		*ready;
	void			*ready_arg;
};

/*
 * Who is told when the stream can be read, or, after stream_want(to_write), when
 * the peer's window holds so many bytes and some can be written; 0 for never.
 * Reading is always wanted once set; an earlier stream_want is forgotten.
 * Called from the event loop only, never from within stream_read or
 * stream_write.
 */
void	stream_set_ready(struct stream *s, stream_ready_fn *ready, void *arg);
void	stream_want(struct stream *s, size_t to_write);

/*
 * Bytes that can be written before the peer must allow more, a trip away; SIZE_MAX
 * where it is the way alone that holds things up.
 */
size_t	stream_window(struct stream *s);

/*
 * Up to len bytes. > 0: bytes moved; read only: 0 at the end of the stream;
 * -EAGAIN: nothing now, the callback will come; other -errno: the stream is
 * dead. A write that moved bytes proves nothing about their arrival. A far end
 * that keeps up never makes it wait, and one that has lost its reader keeps up:
 * whoever writes without a bound of his own must let the loop turn.
 */
ssize_t	stream_read(struct stream *s, void *buf, size_t len);
ssize_t	stream_write(struct stream *s, const void *buf, size_t len);

/*
 * Bytes written but not yet taken by the peer's kernel, as far as this side can
 * tell (socket queue and our own buffers); -ENOTSUP when it cannot. Channels of
 * one SSH session share a socket: each reports all of its queue.
 */
int64_t	stream_unsent(struct stream *s);

/*
 * For how long the peer's kernel has acknowledged nothing of what was sent again and
 * again, in nanoseconds: a peer that is only busy acknowledges. 0 while it does, when
 * nothing is under way, and where this side cannot tell.
 */
uint64_t stream_unanswered_ns(struct stream *s);

/* Close and free. NULL is fine. What was written but not sent may be lost. */
void	stream_close(struct stream *s);

/* --- stream-fd.c: a pair of descriptors (equal for a socket) ---------------- */

struct event_base;

/*
 * Takes both descriptors (also on failure) and makes them non-blocking. The
 * process must ignore SIGPIPE: a pipe has no MSG_NOSIGNAL. 0 or -errno.
 */
int	stream_fd_open(struct stream **sp, struct event_base *base,
	    int read_fd, int write_fd);

/* --- stream-ssh.c: channels of one SSH session ------------------------------ */

struct ssh_conn;

struct ssh_config {
	const char	*host;		/* numeric address, "%scope" allowed */
	uint16_t	port;
	const char	*peer_key;	/* "ssh-ed25519 AAAA...", the pinned key */
	const char	*own_key;	/* our public key, same form */
	const char	*private_pem;	/* our private key file's text */
	size_t		private_len;	/* bytes */
	const char	*transfer_id;	/* 32 hex digits */
	unsigned int	channels;	/* 1..STREAMS_MAX */
	uint32_t	timeout_ms;	/* for the whole set-up; 0: 10 s */
};

/*
 * The end of the set-up. r == 0: `streams` are n open channels (now owned by the
 * callee; the connection goes with the last of them). -EKEYREJECTED: the
 * peer's key is not the pinned one; -EACCES: it does not take ours; -ETIMEDOUT,
 * -ECONNREFUSED, -EHOSTUNREACH...: the link. `why` is a sentence, not NULL.
 */
typedef void ssh_done_fn(void *arg, int r, const char *why,
	    struct stream **streams, size_t n);

/*
 * Begin; everything in cfg is copied. 0, and the callback comes once, from the
 * loop; or -errno, and it never comes: -EINVAL for a malformed key or address,
 * -ENETUNREACH and the like when the kernel knows at once.
 */
int	ssh_connect(struct ssh_conn **cp, struct event_base *base,
	    const struct ssh_config *cfg, ssh_done_fn *done, void *arg);

/* Give up before the callback came. NULL is fine. */
void	ssh_connect_abort(struct ssh_conn *c);

#endif
