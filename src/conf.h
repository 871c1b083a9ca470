/* SPDX-License-Identifier: ISC */
/*
 * The handset's settings: personad.conf(5) and the options that override it.
 * Knows the file's grammar and the limits of each value; acts on none of them.
 */
#ifndef CONF_H
#define CONF_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

#define CONF_ADDRESS_MAX	127	/* numeric host, "%scope" allowed, bytes */
#define CONF_LISTEN_MAX	8
#define CONF_PEERS_MAX	32
#define CONF_UIDS	1024u	/* user numbers set aside for personas */
#define CONF_ISSUERS_MAX	16
#define CONF_ISSUER_BYTES	32	/* an ed25519 public key */
#define CONF_ERROR_MAX	256	/* a sentence for a person, bytes */
#define CONF_STATE_DIR_MAX	255
#define CONF_RUNTIME_DIR_MAX	64	/* leaves room for sockets in it (107) */

struct conf_peer {
	char		name[HANDSET_NAME_MAX + 1];
	char		host[CONF_ADDRESS_MAX + 1];
	uint16_t	port;
};

struct conf {
	char		name[HANDSET_NAME_MAX + 1];
	uint16_t	port;
	char		listen[CONF_LISTEN_MAX][CONF_ADDRESS_MAX + 1];
	size_t		n_listen;		/* 0: every address */
	char		state_dir[CONF_STATE_DIR_MAX + 1];
	char		runtime_dir[CONF_RUNTIME_DIR_MAX + 1];
	char		libexec_dir[CONF_STATE_DIR_MAX + 1]; /* our helpers */
	char		group[64];		/* "": owner and root only */
	struct conf_peer peers[CONF_PEERS_MAX];
	size_t		n_peers;
	/* whose policies are shown as trusted */
	uint8_t		issuers[CONF_ISSUERS_MAX][CONF_ISSUER_BYTES];
	size_t		n_issuers;
	uint32_t	blackout_budget_ms;
	uint64_t	bandwidth_limit;	/* bytes a second, 0: none */
	uint32_t	channels;		/* SSH channels of a move */
	bool		discovery;
	uint32_t	first_uid;		/* of those that personas run as */
	bool		host_loopback;		/* personas reach local services */
};

/* What holds when nothing is said: the host's name, the built-in directories. */
void	conf_defaults(struct conf *c);

/*
 * Apply one setting as it stands in the file: `key` and the rest of its line.
 * Repeated `listen` and `peer` add up, others replace. 0, or -EINVAL with a
 * sentence in err[CONF_ERROR_MAX].
 */
int	conf_set(struct conf *c, const char *key, const char *value,
	    char *err);

/*
 * Read a file of `key value` lines. 0; -ENOENT when there is none; -EINVAL with
 * "FILE: line N: why" in err[CONF_ERROR_MAX]; other -errno with a sentence too.
 */
int	conf_load(struct conf *c, const char *path, char *err);

/*
 * A rate: digits with an optional k, M or G (thousands) for bytes a second, or
 * kbit, Mbit, Gbit. 0, or -EINVAL.
 */
int	conf_parse_rate(const char *text, uint64_t *bytes_s);

#endif
