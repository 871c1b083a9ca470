/* SPDX-License-Identifier: ISC */
/*
 * What a source of hints (Avahi, the static list, later BlueZ) promises, and
 * what one sighting is. Private to discovery/; knows no particular source.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "discovery.h"

#define SIGHTING_KEY_MAX	191	/* bytes without NUL */

/* One source sees one handset at one address. */
struct sighting {
	char			key[SIGHTING_KEY_MAX + 1]; /* unique in the source */
	char			name[HINT_NAME_MAX + 1];
	char			fingerprint[HINT_FINGERPRINT_MAX + 1]; /* or "" */
	uint32_t		version;	/* 0: not known */
	bool			configured;
	struct peer_address	address;
};

/* Where a source puts what it sees; calls come from the event loop only. */
struct source_sink {
	void	*arg;
	/* New, or the same key with other contents, or confirmed. */
	void	(*seen)(void *arg, const struct sighting *s);
	void	(*lost)(void *arg, const char *key);
	/* The source has gone blind: what it saw counts for a little longer. */
	void	(*doubt)(void *arg);
	void	(*note)(void *arg, bool problem, const char *text);
};

struct source;

struct source_ops {
	const char	*kind;
	/* cfg and sink outlive the source. Starting must not need luck: a
	 * missing daemon is retried inside. 0, -EINVAL, -ENOMEM. */
	int		(*start)(struct source **sp, struct event_base *base,
			    const struct discovery_config *cfg,
			    const struct source_sink *sink);
	void		(*stop)(struct source *s);	/* NULL is fine */
	/* Optional: whether it works at present; *why is a sentence, valid until
	 * the loop runs again. */
	bool		(*ok)(struct source *s, const char **why);
};

extern const struct source_ops static_source;
extern const struct source_ops mdns_source;
extern const struct source_ops avahi_source;	/* in persona-mdns alone */

#endif
