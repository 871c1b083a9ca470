/* SPDX-License-Identifier: ISC */
/*
 * Streams over the channels of one running SSH session. Knows libssh2's habits:
 * a call that could not send must come again unchanged before any other, and any
 * call may fill the queues of other channels without the socket ever saying so.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "ssh-conn.h"

/* Whether libssh2 may be called with this now. */
static bool
may_call(const struct ssh_channel *ch, enum ssh_op op)
{
	const struct ssh_conn *c = ch->conn;

	/* A channel that the peer has closed may still hold its last words. */
	if (c->state != SSH_RUNNING || (ch->error != 0 && op != SSH_OP_READ))
		return false;
	return c->pending == NULL ||
	    (c->pending == ch && c->pending_op == op);
}

static void
kick(struct ssh_conn *c)
{
	static const struct timeval now = { 0, 0 };

	/* A timer, not event_active(): the rest of the loop has its turn too. */
	(void)event_add(c->kick, &now);
}

/* The session is lost: every stream will say so. */
static void
die(struct ssh_conn *c, int r)
{
	c->state = SSH_DEAD;
	c->error = r;
	c->pending = NULL;
	event_del(c->rev);
	event_del(c->wev);
	kick(c);
}

/*
 * Judge what libssh2 answered: remember the call that must be repeated, note an
 * error where it belongs. The answer as bytes moved or -errno.
 */
static ssize_t
settle(struct ssh_channel *ch, enum ssh_op op, ssize_t answer)
{
	struct ssh_conn *c = ch->conn;
	int r;

	c->pending = NULL;
	if (answer >= 0) {
		c->rekeying = false;
		return answer;
	}
	r = ssh_errno((int)answer);
	if (r == -EAGAIN && ssh_must_repeat(c)) {
		c->pending = ch;
		c->pending_op = op;
	} else if (r == -EPIPE) {
		ch->error = r;
	} else if (r != -EAGAIN) {
		die(c, r);
	}
	return r;
}

/* Read what libssh2 has for this channel, as far as there is room. */
static void
fill(struct ssh_channel *ch)
{
	ssize_t n;

	if (ch->in_off > 0) {
		memmove(ch->in, ch->in + ch->in_off, ch->in_len - ch->in_off);
		ch->in_len -= ch->in_off;
		ch->in_off = 0;
	}
	while (!ch->eof && ch->in_len < sizeof(ch->in) &&
	    may_call(ch, SSH_OP_READ)) {
		n = settle(ch, SSH_OP_READ, libssh2_channel_read(ch->chan,
		    (char *)ch->in + ch->in_len,
		    sizeof(ch->in) - ch->in_len));
		if (n < 0)
			break;
		if (n == 0) {
			ch->eof = libssh2_channel_eof(ch->chan) != 0;
			break;
		}
		ch->in_len += (size_t)n;
	}
}

/* Offer again what libssh2 has begun to send; then the end, after the owner. */
static void
flush(struct ssh_channel *ch)
{
	ssize_t n;

	while (ch->out_off < ch->out_len && may_call(ch, SSH_OP_WRITE)) {
		n = settle(ch, SSH_OP_WRITE, libssh2_channel_write(ch->chan,
		    (char *)ch->out + ch->out_off,
		    ch->out_len - ch->out_off));
		if (n <= 0)
			return;
		ch->out_off += (size_t)n;
	}
	if (!ch->open && !ch->eof_sent && ch->out_off == ch->out_len &&
	    may_call(ch, SSH_OP_EOF))
		ch->eof_sent = settle(ch, SSH_OP_EOF,
		    libssh2_channel_send_eof(ch->chan)) == 0;
}

static bool
readable(const struct ssh_channel *ch)
{
	return ch->in_off < ch->in_len || ch->eof || ch->error != 0 ||
	    ch->conn->state == SSH_DEAD;
}

/* What libssh2 holds back of a packet is not yet off the window. */
static size_t
window(const struct ssh_channel *ch)
{
	size_t all = libssh2_channel_window_write_ex(ch->chan, NULL);
	size_t held = ch->out_len - ch->out_off;

	return all > held ? all - held : 0;
}

static bool
writable(const struct ssh_channel *ch)
{
	if (ch->out_off < ch->out_len || !may_call(ch, SSH_OP_WRITE))
		return false;
	return !ch->conn->rekeying && ch->want_write > 0 &&
	    window(ch) >= ch->want_write;
}

/* libssh2 has taken something off the socket that nobody has read. */
static bool
queued(const struct ssh_channel *ch)
{
	unsigned long avail = 0;

	if (!ch->open || ch->eof || !may_call(ch, SSH_OP_READ))
		return false;
	(void)libssh2_channel_window_read_ex(ch->chan, &avail, NULL);
	return avail > 0 || libssh2_channel_eof(ch->chan) != 0;
}

/* After any call: the socket will not speak for what is already queued. */
static void
look_around(struct ssh_conn *c)
{
	for (unsigned int i = 0; i < c->n_channels; i++)
		if (queued(c->channel[i])) {
			kick(c);
			return;
		}
}

/* Wait for the peer only while there is room for what it says. */
static void
arm(struct ssh_conn *c)
{
	bool room = false;

	if (c->state != SSH_RUNNING)
		return;
	ssh_arm(c);
	for (unsigned int i = 0; i < c->n_channels && !room; i++)
		room = c->channel[i]->open && !c->channel[i]->eof &&
		    c->channel[i]->in_len - c->channel[i]->in_off <
		    sizeof(c->channel[i]->in);
	/* A peer that ended every channel may still end the connection. */
	if (!room && c->pending == NULL)
		event_del(c->rev);
}

static void
tell_owners(struct ssh_conn *c)
{
	for (unsigned int i = 0; i < c->n_channels; i++) {
		struct ssh_channel *ch = c->channel[i];

		if (ch->open && ch->stream.ready != NULL && (readable(ch) ||
		    writable(ch)))
			ch->stream.ready(&ch->stream, ch->stream.ready_arg);
	}
}

void
ssh_channels_pump(struct ssh_conn *c, bool from_socket)
{
	struct ssh_channel *p = c->pending;

	c->busy++;
	if (from_socket)
		c->rekeying = false;
	if (p != NULL) {	/* nothing else may come first */
		flush(p);
		fill(p);
	}
	for (unsigned int i = 0; i < c->n_channels; i++) {
		flush(c->channel[i]);
		fill(c->channel[i]);
	}
	tell_owners(c);
	c->busy--;
	if (c->n_open == 0) {
		ssh_conn_free(c);
		return;
	}
	look_around(c);
	arm(c);
}

/* --- the stream ------------------------------------------------------------- */

static ssize_t
ssh_read(struct stream *s, void *buf, size_t len)
{
	struct ssh_channel *ch = (struct ssh_channel *)s;
	size_t have = ch->in_len - ch->in_off;

	if (have == 0) {
		fill(ch);
		have = ch->in_len - ch->in_off;
	}
	if (have == 0) {
		if (ch->eof)
			return 0;
		if (ch->error != 0)
			return ch->error;
		return ch->conn->state == SSH_DEAD ? ch->conn->error :
		    -EAGAIN;
	}
	if (len > have)
		len = have;
	memcpy(buf, ch->in + ch->in_off, len);
	ch->in_off += len;
	if (ch->conn->busy == 0) {
		look_around(ch->conn);
		arm(ch->conn);
	}
	return (ssize_t)len;
}

/* Give libssh2 one packet; what it has begun counts as taken, so keep it. */
static ssize_t
write_packet(struct ssh_channel *ch, const uint8_t *buf, size_t len)
{
	ssize_t n;

	if (len > SSH_WRITE_MAX)
		len = SSH_WRITE_MAX;
	n = settle(ch, SSH_OP_WRITE, libssh2_channel_write(ch->chan,
	    (const char *)buf, len));
	if (n != -EAGAIN)
		return n == 0 ? -EAGAIN : n;
	if (ch->conn->pending == ch) {
		memcpy(ch->out, buf, len);
		ch->out_off = 0;
		ch->out_len = len;
		return (ssize_t)len;
	}
	if (window(ch) > 0)
		ch->conn->rekeying = true;
	return -EAGAIN;
}

static ssize_t
ssh_write(struct stream *s, const void *buf, size_t len)
{
	struct ssh_channel *ch = (struct ssh_channel *)s;
	struct ssh_conn *c = ch->conn;
	const uint8_t *at = buf;
	size_t done = 0;
	ssize_t n = -EAGAIN;

	while (done < len && ch->out_off == ch->out_len &&
	    may_call(ch, SSH_OP_WRITE)) {
		if ((n = write_packet(ch, at + done, len - done)) < 0)
			break;
		done += (size_t)n;
	}
	if (c->busy == 0 && c->state == SSH_RUNNING) {
		look_around(c);
		arm(c);
	}
	if (done > 0)
		return (ssize_t)done;
	if (ch->error != 0)
		return ch->error;
	return c->state == SSH_DEAD ? c->error : n;
}

static void
ssh_want(struct stream *s, size_t to_write)
{
	struct ssh_channel *ch = (struct ssh_channel *)s;

	ch->want_write = to_write;
	if (readable(ch) || writable(ch))
		kick(ch->conn);
}

static size_t
ssh_window(struct stream *s)
{
	const struct ssh_channel *ch = (const struct ssh_channel *)s;

	return ch->conn->state == SSH_RUNNING ? window(ch) : 0;
}

/* The channels share one socket: each of them reports all of its queue. */
static int64_t
ssh_unsent(struct stream *s)
{
	struct ssh_channel *ch = (struct ssh_channel *)s;
	int n;

	if (ioctl(ch->conn->fd, SIOCOUTQ, &n) < 0)
		return -ENOTSUP;
	return (int64_t)n + (int64_t)(ch->out_len - ch->out_off);
}

/*
 * By TCP's own account. A window that the peer keeps shut does not count: then
 * nothing is under way, and its answers to probes come seldom.
 */
static uint64_t
ssh_unanswered_ns(struct stream *s)
{
	struct ssh_channel *ch = (struct ssh_channel *)s;
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(ch->conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    info.tcpi_unacked == 0 || info.tcpi_retransmits == 0)
		return 0;
	return info.tcpi_last_ack_recv * 1000000ULL;
}

static void
ssh_close(struct stream *s)
{
	struct ssh_channel *ch = (struct ssh_channel *)s;
	struct ssh_conn *c = ch->conn;

	ch->open = false;
	s->ready = NULL;
	c->n_open--;
	if (c->busy > 0)
		return;		/* the pump will see to it */
	if (c->n_open == 0)
		ssh_conn_free(c);
	else
		kick(c);
}

static const struct stream_ops ssh_ops = {
	.kind = "ssh",
	.read = ssh_read,
	.write = ssh_write,
	.want = ssh_want,
	.window = ssh_window,
	.unsent = ssh_unsent,
	.unanswered_ns = ssh_unanswered_ns,
	.close = ssh_close,
};

void
ssh_channels_start(struct ssh_conn *c, struct stream **streams)
{
	for (unsigned int i = 0; i < c->n_channels; i++) {
		c->channel[i]->stream.ops = &ssh_ops;
		c->channel[i]->open = true;
		streams[i] = &c->channel[i]->stream;
	}
}
