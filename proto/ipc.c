/* SPDX-License-Identifier: ISC */
/*
 * One protobuf message a datagram, descriptors by SCM_RIGHTS. Knows no message
 * type: packing is the protobuf library's, meaning is the caller's.
 */
#include "ipc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Room in the socket for a few of the largest messages. */
#define IPC_BUFFER_BYTES ((int)(4 * IPC_MAX_MSG))

union ipc_control {
	struct cmsghdr	align;
	char		room[CMSG_SPACE(sizeof(int) * IPC_MAX_FDS)];
};

int
ipc_pair(int sv[2])
{
	const int size = IPC_BUFFER_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0, sv) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		(void)setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &size,
		    sizeof(size));
	return 0;
}

static void
attach_fds(struct msghdr *mh, union ipc_control *control, const int *fds,
    size_t n_fds)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	mh->msg_control = control->room;
	mh->msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
}

/* sendmsg, waiting for room when the caller allows it. */
static int
send_waiting(int fd, const struct msghdr *mh, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	for (;;) {
		if (sendmsg(fd, mh, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != ENOBUFS)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (timeout_ms == 0 || poll(&pfd, 1, timeout_ms) <= 0)
			return -EAGAIN;
	}
}

int
ipc_send(int fd, const ProtobufCMessage *msg, const int *fds, size_t n_fds,
    int timeout_ms)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	union ipc_control control;
	struct msghdr mh = { .msg_iovlen = 1 };
	struct iovec iov;
	uint8_t *buf;
	int r;

	if (len == 0 || len > IPC_MAX_MSG || n_fds > IPC_MAX_FDS)
		return -EMSGSIZE;
	if ((buf = malloc(len)) == NULL)
		return -ENOMEM;
	protobuf_c_message_pack(msg, buf);
	iov = (struct iovec){ .iov_base = buf, .iov_len = len };
	mh.msg_iov = &iov;
	if (n_fds > 0)
		attach_fds(&mh, &control, fds, n_fds);
	r = send_waiting(fd, &mh, timeout_ms);
	free(buf);
	return r;
}

static void
collect_fds(struct msghdr *mh, struct ipc_msg *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL;
	    c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
			    sizeof(fd));
			if (msg->n_fds < IPC_MAX_FDS)
				msg->fds[msg->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

int
ipc_recv(int fd, struct ipc_msg *msg)
{
	struct iovec iov = { .iov_base = msg->data,
	    .iov_len = sizeof(msg->data) };
	union ipc_control control;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room) };
	ssize_t n;

	msg->len = 0;
	msg->n_fds = 0;
	do
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	collect_fds(&mh, msg);
	if (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		ipc_msg_fini(msg);
		return -EMSGSIZE;
	}
	msg->len = (size_t)n;
	return 1;
}

int
ipc_take_fd(struct ipc_msg *msg, size_t i)
{
	int fd;

	if (i >= msg->n_fds)
		return -1;
	fd = msg->fds[i];
	msg->fds[i] = -1;
	return fd;
}

void
ipc_msg_fini(struct ipc_msg *msg)
{
	for (size_t i = 0; i < msg->n_fds; i++)
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
	msg->n_fds = 0;
}

int
ipc_peer_cred(int fd, uint32_t *uid, uint32_t *gid, int32_t *pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*uid = cred.uid;
	*gid = cred.gid;
	*pid = cred.pid;
	return 0;
}
