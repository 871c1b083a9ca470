/* SPDX-License-Identifier: ISC */
/*
 * A stream over a pair of descriptors: two pipes, or one socket for both ways.
 * Knows no peer and no protocol.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream.h"

/* Of a pipe that we read: a writer that fills the usual 64 KiB sleeps too often. */
#define PIPE_BYTES	(1 << 20)

struct stream_fd {
	struct stream	stream;		/* first: the ops get its address */
	int		rfd, wfd;	/* equal for a socket */
	bool		is_socket;	/* wfd is */
	bool		ended;		/* nothing more will be read */
	struct event	*rev, *wev;
};

static ssize_t
fd_read(struct stream *s, void *buf, size_t len)
{
	struct stream_fd *f = (struct stream_fd *)s;
	ssize_t n;

	do
		n = read(f->rfd, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	/* At its end a descriptor stays readable: do not spin on it. */
	if (n <= 0 && n != -EAGAIN) {
		f->ended = true;
		event_del(f->rev);
	}
	return n;
}

static ssize_t
fd_write(struct stream *s, const void *buf, size_t len)
{
	struct stream_fd *f = (struct stream_fd *)s;
	ssize_t n;

	do
		n = f->is_socket ? send(f->wfd, buf, len, MSG_NOSIGNAL) :
		    write(f->wfd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void
fd_want(struct stream *s, size_t to_write)
{
	struct stream_fd *f = (struct stream_fd *)s;

	if (s->ready == NULL || f->ended)
		event_del(f->rev);
	else
		event_add(f->rev, NULL);
	if (s->ready == NULL || to_write == 0)
		event_del(f->wev);
	else
		event_add(f->wev, NULL);
}

static int64_t
fd_unsent(struct stream *s)
{
	struct stream_fd *f = (struct stream_fd *)s;
	int n;

	/* A pipe counts what its reader has not taken, at either end. */
	if (ioctl(f->wfd, f->is_socket ? SIOCOUTQ : FIONREAD, &n) < 0)
		return -ENOTSUP;
	return n;
}

static void
fd_close(struct stream *s)
{
	struct stream_fd *f = (struct stream_fd *)s;

	if (f->rev != NULL)
		event_free(f->rev);
	if (f->wev != NULL)
		event_free(f->wev);
	if (f->wfd != f->rfd)
		close(f->wfd);
	close(f->rfd);
	free(f);
}

static const struct stream_ops fd_ops = {
	.kind = "fd",
	.read = fd_read,
	.write = fd_write,
	.want = fd_want,
	.unsent = fd_unsent,
	.close = fd_close,
};

/* The callback may close the stream: touch nothing after it. */
static void
fd_ready_cb(evutil_socket_t fd, short what, void *arg)
{
	struct stream_fd *f = arg;

	(void)fd;
	(void)what;
	f->stream.ready(&f->stream, f->stream.ready_arg);
}

int
stream_fd_open(struct stream **sp, struct event_base *base, int read_fd,
    int write_fd)
{
	struct stream_fd *f;
	struct stat st;
	int r = -ENOMEM;

	if ((f = calloc(1, sizeof(*f))) == NULL) {
		if (write_fd != read_fd)
			close(write_fd);
		close(read_fd);
		return -ENOMEM;
	}
	f->stream.ops = &fd_ops;
	f->rfd = read_fd;
	f->wfd = write_fd;
	f->rev = event_new(base, read_fd, EV_READ | EV_PERSIST, fd_ready_cb,
	    f);
	f->wev = event_new(base, write_fd, EV_WRITE | EV_PERSIST,
	    fd_ready_cb, f);
	if (f->rev == NULL || f->wev == NULL)
		goto fail;
	if (evutil_make_socket_nonblocking(read_fd) < 0 ||
	    evutil_make_socket_nonblocking(write_fd) < 0 ||
	    fstat(write_fd, &st) < 0) {
		r = -errno;
		goto fail;
	}
	f->is_socket = S_ISSOCK(st.st_mode);
	(void)fcntl(read_fd, F_SETPIPE_SZ, PIPE_BYTES);	/* else as it was */
	*sp = &f->stream;
	return 0;
fail:
	fd_close(&f->stream);
	return r;
}
