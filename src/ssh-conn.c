/* SPDX-License-Identifier: ISC */
/*
 * Setting up an SSH session as the client: connect, check the pinned key, log in,
 * start the gate on every channel. A sequence of small steps driven by the loop.
 * Knows nothing of what will flow, and trusts nobody it was not told to.
 */
#include "ssh-conn.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link-loss.h"

#define DEFAULT_TIMEOUT_MS	10000u
#define WINDOW_BYTES		LIBSSH2_CHANNEL_WINDOW_DEFAULT
/*
 * What may wait in our kernel before it is sent: enough that the link stays busy
 * while this process waits for a processor. How much waits before a last stop is
 * kept short by the bundle, which knows when one is near.
 */
#define NOTSENT_LOWAT_BYTES	(2 << 20)

static const struct {
	int		method;
	const char	*names;
} methods[] = {
	{ LIBSSH2_METHOD_KEX,
	    "curve25519-sha256,curve25519-sha256@libssh.org" },
	{ LIBSSH2_METHOD_HOSTKEY, "ssh-ed25519" },
	/* No encrypt-then-MAC, no ChaCha20: see sshd-conf.c. */
	{ LIBSSH2_METHOD_CRYPT_CS, "aes128-gcm@openssh.com,aes128-ctr" },
	{ LIBSSH2_METHOD_CRYPT_SC, "aes128-gcm@openssh.com,aes128-ctr" },
	{ LIBSSH2_METHOD_MAC_CS, "hmac-sha2-256" },
	{ LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256" },
	{ LIBSSH2_METHOD_COMP_CS, "none" },
	{ LIBSSH2_METHOD_COMP_SC, "none" },
};

bool
ssh_must_repeat(const struct ssh_conn *c)
{
	return (libssh2_session_block_directions(c->session) &
	    LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
}

int
ssh_errno(int libssh2_error)
{
	switch (libssh2_error) {
	case LIBSSH2_ERROR_EAGAIN:
		return -EAGAIN;
	case LIBSSH2_ERROR_ALLOC:
		return -ENOMEM;
	case LIBSSH2_ERROR_SOCKET_NONE:
	case LIBSSH2_ERROR_SOCKET_SEND:
	case LIBSSH2_ERROR_SOCKET_RECV:
	case LIBSSH2_ERROR_SOCKET_DISCONNECT:
	case LIBSSH2_ERROR_BANNER_RECV:
	case LIBSSH2_ERROR_BANNER_SEND:
		return -ECONNRESET;
	case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
	case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
	case LIBSSH2_ERROR_METHOD_NOT_SUPPORTED:
		return -EACCES;
	case LIBSSH2_ERROR_CHANNEL_CLOSED:
	case LIBSSH2_ERROR_CHANNEL_EOF_SENT:
		return -EPIPE;
	default:
		return -EPROTO;
	}
}

void
ssh_arm(struct ssh_conn *c)
{
	event_add(c->rev, NULL);
	if (ssh_must_repeat(c))
		event_add(c->wev, NULL);
	else
		event_del(c->wev);
}

/* --- the greeting ----------------------------------------------------------- */

/* One byte on its way to libssh2, before the version string is complete. */
static void
greeting_byte(struct ssh_conn *c, char byte)
{
	if (c->line_len < sizeof(c->line))
		c->line[c->line_len++] = byte;
	if (byte != '\n')
		return;
	if (c->line_len >= 4 && memcmp(c->line, "SSH-", 4) == 0)
		c->greeted = true;
	else if (c->user[0] == '\0')
		(void)greeting_parse(c->line, c->line_len, c->user);
	c->line_len = 0;
}

static LIBSSH2_RECV_FUNC(receive_cb)
{
	struct ssh_conn *c = *abstract;
	ssize_t n = recv(socket, buffer, length, flags);

	if (n < 0)
		return -errno;
	for (ssize_t i = 0; i < n && !c->greeted; i++)
		greeting_byte(c, ((const char *)buffer)[i]);
	return n;
}

/* --- steps: 0 done, -EAGAIN waiting, else failed with *why ------------------- */

static void
tune_socket(int fd)
{
	const int one = 1, lowat = NOTSENT_LOWAT_BYTES;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat,
	    sizeof(lowat));
}

static int
step_connect(struct ssh_conn *c, const char **why)
{
	socklen_t len = sizeof(int);
	struct sockaddr_storage ss;
	int error = 0;

	*why = "the address does not answer";
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	if (error != 0)
		return -error;
	len = sizeof(ss);
	if (getpeername(c->fd, (struct sockaddr *)&ss, &len) < 0)
		return errno == ENOTCONN ? -EAGAIN : -errno;
	tune_socket(c->fd);
	return 0;
}

static int
step_handshake(struct ssh_conn *c, const char **why)
{
	const char *key;
	size_t len;
	int r, type;

	*why = "the peer hung up before it proved its key";
	if ((r = libssh2_session_handshake(c->session, c->fd)) != 0) {
		if (ssh_errno(r) == -EPROTO)
			*why = "the peer does not speak SSH as we do";
		return ssh_errno(r);
	}
	key = libssh2_session_hostkey(c->session, &len, &type);
	if (key == NULL || len != sizeof(c->peer_blob) ||
	    memcmp(key, c->peer_blob, len) != 0) {
		*why = "the peer's key is not the one that was paired";
		return -EKEYREJECTED;
	}
	if (c->user[0] == '\0') {
		*why = "the peer did not say which account to use";
		return -EPROTO;
	}
	return 0;
}

static int
step_login(struct ssh_conn *c, const char **why)
{
	int r;

	r = libssh2_userauth_publickey_frommemory(c->session, c->user,
	    strlen(c->user), c->own_key, strlen(c->own_key), c->private_pem,
	    c->private_len, NULL);
	*why = "the peer does not accept our key";
	if (r == LIBSSH2_ERROR_FILE) {
		*why = "our own private key cannot be read";
		return -EINVAL;
	}
	if (ssh_errno(r) == -ECONNRESET)
		*why = "the peer hung up at the login";
	return r == 0 ? 0 : ssh_errno(r);
}

static int
step_open(struct ssh_conn *c, const char **why)
{
	struct ssh_channel *ch;
	LIBSSH2_CHANNEL *chan;

	*why = "the peer opens no channel";
	while (c->n_opened < c->n_channels) {
		chan = libssh2_channel_open_ex(c->session, "session", 7,
		    WINDOW_BYTES, LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0);
		if (chan == NULL)
			return ssh_errno(libssh2_session_last_errno(
			    c->session));
		if ((ch = calloc(1, sizeof(*ch))) == NULL)
			return -ENOMEM;
		ch->conn = c;
		ch->chan = chan;
		/*
		 * What the gate says on its standard error would lie in the queue
		 * unread for ever and look like data to come.
		 */
		(void)libssh2_channel_handle_extended_data2(chan,
		    LIBSSH2_CHANNEL_EXTENDED_DATA_IGNORE);
		c->channel[c->n_opened++] = ch;
	}
	return 0;
}

/*
 * 1 when it runs. libssh2 reads one packet at a time and fails with -1 when that
 * is another channel's answer: then that one waits in its queue, and ours, which
 * nobody can ask for any more, will lie there. 0: ours was not heard. A gate that
 * did not start ends its channel, so nothing is missed.
 */
static int
start_gate(struct ssh_conn *c, unsigned int i)
{
	char command[GATE_COMMAND_MAX];
	int r;

	if ((r = gate_command_format(command, c->transfer, i)) < 0)
		return r;
	r = libssh2_channel_process_startup(c->channel[i]->chan, "exec", 4,
	    command, (unsigned int)strlen(command));
	if (r == LIBSSH2_ERROR_SOCKET_NONE)
		return 0;
	return r == 0 ? 1 : ssh_errno(r);
}

/*
 * All requests go out before the first answer is waited for. Only a call that
 * could not send everything forbids the next.
 */
static int
step_start(struct ssh_conn *c, const char **why)
{
	bool waiting, queued;

	*why = "the peer starts no gate";
	do {
		waiting = queued = false;
		for (unsigned int i = 0; i < c->n_channels; i++) {
			int r;

			if (c->channel[i]->started)
				continue;
			r = start_gate(c, i);
			if (r == -EAGAIN && ssh_must_repeat(c))
				return r;
			if (r < 0 && r != -EAGAIN)
				return r;
			waiting |= r == -EAGAIN;
			/* The socket says nothing of what is in the queue. */
			queued |= r == 0;
			c->channel[i]->started = r >= 0;
		}
	} while (waiting && queued);
	return waiting ? -EAGAIN : 0;
}

/* --- the machine ------------------------------------------------------------ */

static void
forget_secrets(struct ssh_conn *c)
{
	if (c->private_pem != NULL)
		explicit_bzero(c->private_pem, c->private_len);
	free(c->private_pem);
	c->private_pem = NULL;
}

static void
setup_failed(struct ssh_conn *c, int r, const char *why)
{
	ssh_done_fn *done = c->done;
	void *arg = c->arg;

	ssh_conn_free(c);
	done(arg, r, why, NULL, 0);
}

static void
setup_succeeded(struct ssh_conn *c)
{
	struct stream *streams[STREAMS_MAX];

	forget_secrets(c);
	event_del(c->timer);
	c->state = SSH_RUNNING;
	(void)link_loss_watch(&c->loss, c->base, c->fd);
	c->n_open = c->n_channels;
	ssh_channels_start(c, streams);
	event_active(c->kick, EV_TIMEOUT, 0);
	c->done(c->arg, 0, "connected", streams, c->n_channels);
}

static void
setup_step(struct ssh_conn *c)
{
	static int (*const steps[])(struct ssh_conn *, const char **) = {
		[SSH_CONNECTING] = step_connect,
		[SSH_HANDSHAKE] = step_handshake,
		[SSH_LOGIN] = step_login,
		[SSH_OPENING] = step_open,
		[SSH_STARTING] = step_start,
	};
	const char *why = "";
	int r = 0;

	while (c->state < SSH_RUNNING && (r = steps[c->state](c, &why)) == 0)
		c->state++;
	if (r == -EAGAIN && c->state == SSH_CONNECTING)
		;	/* libssh2 has no part in it yet: still wait to write */
	else if (r == -EAGAIN)
		ssh_arm(c);
	else if (r < 0)
		setup_failed(c, r, why);
	else
		setup_succeeded(c);
}

static void
socket_cb(evutil_socket_t fd, short what, void *arg)
{
	struct ssh_conn *c = arg;

	(void)fd;
	if (c->state < SSH_RUNNING)
		setup_step(c);
	else
		ssh_channels_pump(c, (what & (EV_READ | EV_WRITE)) != 0);
}

static void
timeout_cb(evutil_socket_t fd, short what, void *arg)
{
	struct ssh_conn *c = arg;

	(void)fd;
	(void)what;
	setup_failed(c, -ETIMEDOUT, c->state == SSH_CONNECTING ?
	    "the address does not answer" : "the peer takes too long");
}

/* Begin to connect; most refusals come later, through the loop. */
static int
start_connecting(struct ssh_conn *c, const struct ssh_config *cfg)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *ai = NULL;
	char port[8];
	int r = 0;

	snprintf(port, sizeof(port), "%u", (unsigned int)cfg->port);
	if (getaddrinfo(cfg->host, port, &hints, &ai) != 0)
		return -EINVAL;
	c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	if (c->fd < 0 || (connect(c->fd, ai->ai_addr, ai->ai_addrlen) < 0 &&
	    errno != EINPROGRESS))
		r = -errno;
	freeaddrinfo(ai);
	return r;
}

static int
make_events(struct ssh_conn *c, uint32_t timeout_ms)
{
	const struct timeval tv = { timeout_ms / 1000,
	    (timeout_ms % 1000) * 1000 };

	c->rev = event_new(c->base, c->fd, EV_READ | EV_PERSIST, socket_cb, c);
	c->wev = event_new(c->base, c->fd, EV_WRITE | EV_PERSIST, socket_cb,
	    c);
	c->kick = event_new(c->base, -1, 0, socket_cb, c);
	c->timer = evtimer_new(c->base, timeout_cb, c);
	if (c->rev == NULL || c->wev == NULL || c->kick == NULL ||
	    c->timer == NULL || event_add(c->wev, NULL) < 0 ||
	    event_add(c->timer, &tv) < 0)
		return -ENOMEM;
	return 0;
}

static int
make_session(struct ssh_conn *c)
{
	if ((c->session = libssh2_session_init_ex(NULL, NULL, NULL, c)) ==
	    NULL)
		return -ENOMEM;
	libssh2_session_set_blocking(c->session, 0);
	/* The cast is what libssh2's interface asks for. */
	(void)libssh2_session_callback_set(c->session, LIBSSH2_CALLBACK_RECV,
	    (void *)receive_cb);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (libssh2_session_method_pref(c->session, methods[i].method,
		    methods[i].names) != 0)
			return -ENOTSUP;
	return 0;
}

static int
copy_config(struct ssh_conn *c, const struct ssh_config *cfg)
{
	uint8_t own[PUBKEY_BLOB_BYTES];

	if (pubkey_parse(cfg->peer_key, c->peer_blob) < 0 ||
	    pubkey_parse(cfg->own_key, own) < 0 ||
	    !hexid_ok(cfg->transfer_id) || cfg->channels < 1 ||
	    cfg->channels > STREAMS_MAX)
		return -EINVAL;
	memcpy(c->own_key, cfg->own_key, sizeof(c->own_key));
	memcpy(c->transfer, cfg->transfer_id, sizeof(c->transfer));
	c->n_channels = cfg->channels;
	c->private_len = cfg->private_len;
	c->private_pem = malloc(cfg->private_len + 1);
	if (c->private_pem == NULL)
		return -ENOMEM;
	memcpy(c->private_pem, cfg->private_pem, cfg->private_len);
	c->private_pem[cfg->private_len] = '\0';
	return 0;
}

int
ssh_connect(struct ssh_conn **cp, struct event_base *base,
    const struct ssh_config *cfg, ssh_done_fn *done, void *arg)
{
	struct ssh_conn *c;
	int r;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return -ENOMEM;
	c->base = base;
	c->done = done;
	c->arg = arg;
	c->fd = -1;
	if ((r = copy_config(c, cfg)) < 0 || (r = make_session(c)) < 0 ||
	    (r = start_connecting(c, cfg)) < 0 ||
	    (r = make_events(c, cfg->timeout_ms != 0 ? cfg->timeout_ms :
	    DEFAULT_TIMEOUT_MS)) < 0) {
		ssh_conn_free(c);
		return r;
	}
	*cp = c;
	return 0;
}

void
ssh_connect_abort(struct ssh_conn *c)
{
	if (c != NULL)
		ssh_conn_free(c);
}

void
ssh_conn_free(struct ssh_conn *c)
{
	struct event *events[] = { c->rev, c->wev, c->kick, c->timer };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i] != NULL)
			event_free(events[i]);
	link_loss_end(c->loss);
	/* What the kernel holds still goes out; libssh2 finds a shut door
	 * instead of waiting for the peer's good-bye. */
	if (c->fd >= 0)
		shutdown(c->fd, SHUT_RDWR);
	if (c->session != NULL)
		for (int i = 0; i < 100 && libssh2_session_free(c->session) ==
		    LIBSSH2_ERROR_EAGAIN; i++)
			;
	if (c->fd >= 0)
		close(c->fd);
	for (unsigned int i = 0; i < c->n_opened; i++)
		free(c->channel[i]);
	forget_secrets(c);
	free(c);
}
