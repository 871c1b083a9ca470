/* SPDX-License-Identifier: ISC */
/*
 * Hints and records side by side. A hint with a paired fingerprint is that peer's
 * address and nothing more; the key decides when it is called.
 */
#include "peers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "daemon.h"
#include "discovery.h"
#include "identity.h"
#include "listen.h"
#include "log.h"
#include "move.h"
#include "number.h"

#define PEERS_CHUNK	32	/* in one reply (IPC_MAX_MSG) */
#define LINE_BYTES	(PEER_HOST_MAX + 64)

struct peers {
	struct daemon		*daemon;
	struct discovery	*discovery;
};

/* --- hints ---------------------------------------------------------------------------- */

/* A known name under another key: worth a loud word, nothing else changes. */
static const char *
suspicion(struct daemon *d, const struct peer_hint *h)
{
	struct peer_record rec;

	if (h->fingerprint[0] == '\0' ||
	    registry_peer_get(d->registry, h->name, &rec) < 0 ||
	    strcmp(rec.name, h->name) != 0 ||
	    strcmp(rec.fingerprint, h->fingerprint) == 0)
		return NULL;
	return "announces another key than the one it was paired with; it was "
	    "reset, or somebody uses its name. Nothing goes there before it "
	    "is paired anew";
}

static void
appeared(void *arg, const struct peer_hint *h)
{
	struct peers *p = arg;
	const char *warning = suspicion(p->daemon, h);

	log_info("peer %s: is near", h->name);
	if (warning != NULL)
		log_warn("peer %s: %s", h->name, warning);
}

static void
changed(void *arg, const struct peer_hint *h)
{
	(void)arg;
	log_debug("peer %s: %zu addresses", h->name, h->n_addresses);
}

static void
vanished(void *arg, const struct peer_hint *h)
{
	(void)arg;
	log_info("peer %s: is gone", h->name);
}

static void
link_down(void *arg, unsigned int ifindex)
{
	struct peers *p = arg;

	moves_link_down(p->daemon, ifindex);
}

static void
note(void *arg, bool problem, const char *text)
{
	(void)arg;
	if (problem)
		log_warn("discovery: %s", text);
	else
		log_info("discovery: %s", text);
}

int
peers_open(struct daemon *d)
{
	static const struct discovery_events events = {
		.appeared = appeared,
		.changed = changed,
		.vanished = vanished,
		.link_down = link_down,
		.note = note,
	};
	struct discovery_static statics[CONF_PEERS_MAX];
	char program[DAEMON_PROGRAM_MAX];
	struct discovery_config c = {
		.name = d->conf.name,
		.fingerprint = identity_fingerprint(d->identity),
		.port = listener_port(d->listener),
		.version = PROTOCOL_VERSION,
		.mdns_program = d->conf.discovery ?
		    daemon_program(d, "persona-mdns", program) : NULL,
		.statics = statics,
		.n_statics = d->conf.n_peers,
	};

	for (size_t i = 0; i < d->conf.n_peers; i++)
		statics[i] = (struct discovery_static){
			.name = d->conf.peers[i].name,
			.host = d->conf.peers[i].host,
			.port = d->conf.peers[i].port,
		};
	if ((d->peers = calloc(1, sizeof(*d->peers))) == NULL)
		return -ENOMEM;
	d->peers->daemon = d;
	return discovery_start(&d->peers->discovery, d->base, &c, &events,
	    d->peers);
}

void
peers_close(struct daemon *d)
{
	if (d->peers == NULL)
		return;
	discovery_stop(d->peers->discovery);
	free(d->peers);
	d->peers = NULL;
}

/* --- places --------------------------------------------------------------------------- */

struct places {
	const char		*fingerprint;	/* NULL: by name alone */
	const char		*name;
	struct peer_place	*list;
	size_t			n, max;
};

static void
add_place(struct places *p, const char *host, uint16_t port)
{
	if (host[0] == '\0' || port == 0 || p->n == p->max)
		return;
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].port == port &&
		    strcmp(p->list[i].host, host) == 0)
			return;
	snprintf(p->list[p->n].host, sizeof(p->list[0].host), "%s", host);
	p->list[p->n++].port = port;
}

/* The key proves who answers, so a name alone is reason enough to knock. */
static void
add_hint(void *arg, const struct peer_hint *h)
{
	struct places *p = arg;
	bool same_key = p->fingerprint != NULL &&
	    strcmp(h->fingerprint, p->fingerprint) == 0;
	bool same_name = strcmp(h->name, p->name) == 0 &&
	    (p->fingerprint == NULL || h->fingerprint[0] == '\0');

	if (same_key || same_name ||
	    (p->fingerprint == NULL && h->fingerprint[0] != '\0' &&
	    strcmp(h->fingerprint, p->name) == 0))
		for (size_t i = 0; i < h->n_addresses; i++)
			add_place(p, h->addresses[i].host,
			    h->addresses[i].port);
}

size_t
peers_places(struct peers *peers, const struct peer_record *peer,
    struct peer_place *list, size_t max)
{
	struct places p = { .fingerprint = peer->fingerprint,
	    .name = peer->name, .list = list, .max = max };

	discovery_each(peers->discovery, add_hint, &p);
	add_place(&p, peer->host, peer->port);
	return p.n;
}

/* "192.0.2.1:7275" or "[fe80::1%eth0]:7275". */
static bool
split_address(const char *text, char host[PEER_HOST_MAX + 1], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	uint64_t n;
	size_t len;

	if (colon == NULL || colon == text ||
	    number_parse(colon + 1, 1, UINT16_MAX, &n) < 0)
		return false;
	len = (size_t)(colon - text);
	if (text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL)
		return false;
	if (len == 0 || len > PEER_HOST_MAX)
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = (uint16_t)n;
	return true;
}

size_t
peers_places_named(struct peers *peers, const char *name,
    struct peer_place *list, size_t max)
{
	struct places p = { .name = name, .list = list, .max = max };
	char host[PEER_HOST_MAX + 1];
	uint16_t port;

	if (split_address(name, host, &port)) {
		add_place(&p, host, port);
		return p.n;
	}
	discovery_each(peers->discovery, add_hint, &p);
	return p.n;
}

bool
peers_mdns_ok(struct peers *peers, const char **why)
{
	return discovery_mdns_ok(peers->discovery, why);
}

/* --- the list of peers ------------------------------------------------------------------ */

struct line {
	char				texts[HINT_ADDRESSES_MAX][LINE_BYTES];
	char				*addresses[HINT_ADDRESSES_MAX];
	char				name[HANDSET_NAME_MAX + 1];
	char				fingerprint[FINGERPRINT_MAX + 1];
	char				warning[256];
	Persona__Control__PeerInfo	info;
};

struct listing {
	struct daemon	*daemon;
	struct line	*lines;
	size_t		n, max;
};

static struct line *
line_for(struct listing *l, const char *name, const char *fingerprint)
{
	struct line *line;

	for (size_t i = 0; i < l->n; i++)
		if (fingerprint[0] != '\0' &&
		    strcmp(l->lines[i].fingerprint, fingerprint) == 0)
			return &l->lines[i];
	/* A configured peer has a name only: it is the paired one of that name. */
	for (size_t i = 0; i < l->n && fingerprint[0] == '\0'; i++)
		if (strcmp(l->lines[i].name, name) == 0)
			return &l->lines[i];
	if (l->n == l->max)
		return NULL;
	line = &l->lines[l->n++];
	snprintf(line->name, sizeof(line->name), "%s", name);
	snprintf(line->fingerprint, sizeof(line->fingerprint), "%s",
	    fingerprint);
	persona__control__peer_info__init(&line->info);
	line->info.name = line->name;
	line->info.addresses = line->addresses;
	if (fingerprint[0] != '\0')
		line->info.fingerprint = line->fingerprint;
	return line;
}

static void
list_record(const struct peer_record *p, void *arg)
{
	struct line *line = line_for(arg, p->name, p->fingerprint);

	if (line != NULL)
		line->info.paired = true;
}

static void
list_hint(void *arg, const struct peer_hint *h)
{
	struct listing *l = arg;
	struct line *line = line_for(l, h->name, h->fingerprint);
	const char *warning = suspicion(l->daemon, h);

	if (line == NULL)
		return;
	line->info.present = true;
	line->info.has_protocol_version = h->version > 0;
	line->info.protocol_version = h->version;
	for (size_t i = 0; i < h->n_addresses &&
	    line->info.n_addresses < HINT_ADDRESSES_MAX; i++) {
		char *text = line->texts[line->info.n_addresses];

		snprintf(text, LINE_BYTES, "%s %u%s%s%s",
		    h->addresses[i].host, h->addresses[i].port,
		    h->addresses[i].interface[0] != '\0' ? " (" : "",
		    h->addresses[i].interface,
		    h->addresses[i].interface[0] != '\0' ? ")" : "");
		line->addresses[line->info.n_addresses++] = text;
	}
	if (warning != NULL) {
		snprintf(line->warning, sizeof(line->warning), "%s", warning);
		line->info.warning = line->warning;
	}
}

void
peers_list(struct daemon *d, struct control_request *req)
{
	struct listing l = { .daemon = d, .max = 2 * PEERS_MAX };
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__PeerInfo *list[PEERS_CHUNK];
	size_t at = 0;

	if ((l.lines = calloc(l.max, sizeof(*l.lines))) == NULL) {
		control_fail(req, -ENOMEM, "no memory");
		return;
	}
	(void)registry_peer_each(d->registry, list_record, &l);
	if (d->peers != NULL)
		discovery_each(d->peers->discovery, list_hint, &l);
	do {
		size_t n = l.n - at < PEERS_CHUNK ? l.n - at : PEERS_CHUNK;

		for (size_t i = 0; i < n; i++)
			list[i] = &l.lines[at + i].info;
		at += n;
		reply.n_peers = n;
		reply.peers = list;
		reply.done = at == l.n;
		control_reply(req, &reply, NULL, 0);
	} while (at < l.n);
	free(l.lines);
}
