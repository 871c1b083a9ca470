/* SPDX-License-Identifier: ISC */
/*
 * Who might be near, and over which links: announces this handset and reports
 * others, from mDNS (Avahi) and from a list in the configuration. Deliberately
 * knows no keys and no trust: all it says is a hint until a key has proven it.
 */
#ifndef DISCOVERY_H
#define DISCOVERY_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct discovery;

/* Own limits: this room includes nothing of the others. Bytes without NUL. */
#define HINT_NAME_MAX		63	/* UTF-8 */
#define HINT_FINGERPRINT_MAX	63	/* "SHA256:" and base64 */
#define HINT_HOST_MAX		63	/* numeric address and "%interface" */
#define HINT_ADDRESSES_MAX	8
#define HINT_SIGHTINGS_MAX	1024	/* of all peers, on all links */

struct peer_address {
	char		host[HINT_HOST_MAX + 1];	/* numeric, "%scope" if
							   it needs one */
	uint16_t	port;
	char		interface[IF_NAMESIZE];		/* "" when unknown */
	unsigned int	ifindex;			/* 0 when unknown */
};

/*
 * A handset that may be there. Everything in it came from the network or from
 * the configuration; the texts are bounded, UTF-8 and free of control
 * characters, and that is all that is true of them.
 */
struct peer_hint {
	char			name[HINT_NAME_MAX + 1];
	char			fingerprint[HINT_FINGERPRINT_MAX + 1]; /* or "" */
	uint32_t		version;	/* protocol; 0 when unknown */
	bool			configured;	/* from the static list (also) */
	size_t			n_addresses;
	struct peer_address	addresses[HINT_ADDRESSES_MAX];	/* best first */
};

/*
 * What the owner is told, from the event loop only. A hint is valid during the
 * call. One peer (same fingerprint, or same name where there is no fingerprint)
 * is reported once, however many links and sources see it.
 */
struct discovery_events {
	void	(*appeared)(void *arg, const struct peer_hint *peer);
	void	(*changed)(void *arg, const struct peer_hint *peer);
	void	(*vanished)(void *arg, const struct peer_hint *peer);
	/* Optional: an interface has gone or carries nothing any more. */
	void	(*link_down)(void *arg, unsigned int ifindex);
	/* Optional: a line for the log; `problem` when an owner should know. */
	void	(*note)(void *arg, bool problem, const char *text);
};

/* A peer that the configuration names. */
struct discovery_static {
	const char	*name;
	const char	*host;		/* numeric */
	uint16_t	port;
	const char	*fingerprint;	/* NULL: not known */
};

struct discovery_config {
	const char	*name;		/* of this handset */
	const char	*fingerprint;	/* of this handset's key */
	uint16_t	port;		/* where its personad listens */
	uint32_t	version;	/* protocol */
	const char	*mdns_program;	/* path of persona-mdns; NULL: no mDNS */
	const struct discovery_static *statics;
	size_t		n_statics;
};

/*
 * Announce this handset and begin to look; everything in cfg is copied. Avahi
 * missing or dying is not an error: it is said once and tried again. 0,
 * -EINVAL for an entry that cannot be (note says which), -ENOMEM.
 */
int	discovery_start(struct discovery **dp, struct event_base *base,
	    const struct discovery_config *cfg,
	    const struct discovery_events *events, void *arg);

/* Withdraw the announcement and free. Calls nobody back. NULL is fine. */
void	discovery_stop(struct discovery *d);

/* The peers that are there now, in no particular order. */
void	discovery_each(struct discovery *d,
	    void (*each)(void *arg, const struct peer_hint *peer), void *arg);

/* Whether mDNS works at present; *why is a sentence, until the loop runs again. */
bool	discovery_mdns_ok(struct discovery *d, const char **why);

#endif
