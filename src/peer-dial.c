/* SPDX-License-Identifier: ISC */
/*
 * One address after the other, by SSH. Knows which failure says most; deliberately
 * not in what order addresses are worth trying: personad has put them so.
 */
#include "peer-dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file-io.h"
#include "gate-command.h"
#include "log.h"
#include "reason.h"
#include "stream.h"

#define KEY_FILE_MAX		((size_t)16 << 10)
#define CHANNELS_DEFAULT	4u

struct peer_dial {
	struct event_base	*base;
	const Persona__Transfer__SendSetup *setup;
	const struct peer_dial_ops *ops;
	void			*arg;
	struct ssh_conn		*conn;		/* under way, or NULL */
	size_t			address;	/* the next one to try */
	uint32_t		failed_reason;
	char			failed_text[REASON_TEXT_MAX + 1];
	size_t			key_len;
	char			key[KEY_FILE_MAX];
};

int
peer_dial_new(struct peer_dial **dp, struct event_base *base,
    const Persona__Transfer__SendSetup *setup, int key_fd,
    const struct peer_dial_ops *ops, void *arg)
{
	struct peer_dial *d;
	int r;

	if (setup->n_addresses > PEER_DIAL_ADDRESSES_MAX)
		return -E2BIG;
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->base = base;
	d->setup = setup;
	d->ops = ops;
	d->arg = arg;
	if ((r = file_read_start(key_fd, d->key, sizeof(d->key),
	    &d->key_len)) < 0) {
		peer_dial_free(d);
		return r;
	}
	*dp = d;
	return 0;
}

void
peer_dial_free(struct peer_dial *d)
{
	if (d == NULL)
		return;
	ssh_connect_abort(d->conn);
	explicit_bzero(d->key, sizeof(d->key));
	free(d);
}

static uint32_t
reason_of(int r)
{
	return r == -EKEYREJECTED ? REASON_KEY_MISMATCH :
	    r == -EACCES ? REASON_NOT_PAIRED : REASON_UNREACHABLE;
}

/* Remember the most telling failure: a key says more than silence. */
static void
note_failure(struct peer_dial *d, int r, const char *why)
{
	uint32_t reason = reason_of(r);

	if (d->failed_reason == REASON_OK || reason != REASON_UNREACHABLE) {
		d->failed_reason = reason;
		snprintf(d->failed_text, sizeof(d->failed_text), "%s", why);
	}
	log_info("persona %s: %s: %s", d->setup->persona->name,
	    d->setup->addresses[d->address - 1]->host, why);
}

static void try_next(struct peer_dial *d);

static void
connected_cb(void *arg, int r, const char *why, struct stream **streams,
    size_t n)
{
	struct peer_dial *d = arg;

	d->conn = NULL;
	if (r < 0) {
		note_failure(d, r, why);
		try_next(d);
		return;
	}
	explicit_bzero(d->key, d->key_len);
	d->ops->reached(d->arg, d->setup->addresses[d->address - 1], streams,
	    n);
}

/*
 * Streams of a connection that came to nothing may have reached the target: those
 * of the next are not of the same transfer.
 */
static void
attempt_id(char id[GATE_TRANSFER_LEN + 1], const char *transfer, size_t n)
{
	snprintf(id, GATE_TRANSFER_LEN + 1, "%02x%s", (unsigned int)n & 0xff,
	    hexid_ok(transfer) ? transfer + 2 : "");
}

/* Begin with this address, the d->address-th. */
static int
try_address(struct peer_dial *d, const Persona__Transfer__Address *a)
{
	const Persona__Transfer__SendSetup *p = d->setup;
	char id[GATE_TRANSFER_LEN + 1];
	const struct ssh_config cfg = {
		.host = a->host,
		.port = (uint16_t)a->port,
		.peer_key = p->peer_key,
		.own_key = p->own_key,
		.private_pem = d->key,
		.private_len = d->key_len,
		.transfer_id = id,
		.channels = p->has_channels ? p->channels : CHANNELS_DEFAULT,
	};

	if (a->port == 0 || a->port > UINT16_MAX)
		return -EINVAL;
	attempt_id(id, p->transfer_id, d->address);
	return ssh_connect(&d->conn, d->base, &cfg, connected_cb, d);
}

/* Begin with the next address; when there is none, it is over. */
static void
try_next(struct peer_dial *d)
{
	int r;

	while (d->address < d->setup->n_addresses) {
		const Persona__Transfer__Address *a =
		    d->setup->addresses[d->address++];

		if ((r = try_address(d, a)) == 0)
			return;
		note_failure(d, r, strerror(-r));
	}
	if (d->failed_reason == REASON_OK)
		d->failed_reason = REASON_UNREACHABLE;
	d->ops->failed(d->arg, d->failed_reason, d->failed_text);
}

void
peer_dial_start(struct peer_dial *d)
{
	try_next(d);
}
