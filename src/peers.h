/* SPDX-License-Identifier: ISC */
/*
 * What we know of other handsets: the paired keys of the registry, which count,
 * and the hints of discovery, which only say where to knock. Knows no pairing
 * and no transfer.
 */
#ifndef PEERS_H
#define PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry.h"

struct control_request;
struct daemon;
struct peers;

#define PEER_ADDRESSES_MAX	16

struct peer_place {
	char		host[PEER_HOST_MAX + 1];
	uint16_t	port;
};

/* Announce ourselves and look around. 0 or -errno. */
int	peers_open(struct daemon *d);
void	peers_close(struct daemon *d);

/* Where a paired peer may answer, best first: hints, list, where it was paired. */
size_t	peers_places(struct peers *p, const struct peer_record *peer,
	    struct peer_place *places, size_t max);

/*
 * Where somebody who is not paired yet may answer: the name of a hint, or
 * "host:port", "[v6]:port". The number of places; 0 when there is none.
 */
size_t	peers_places_named(struct peers *p, const char *name,
	    struct peer_place *places, size_t max);

/* Whether mDNS works at present; *why is a sentence, until the loop runs again. */
bool	peers_mdns_ok(struct peers *p, const char **why);

/* Answer control_peers. */
void	peers_list(struct daemon *d, struct control_request *req);

#endif
