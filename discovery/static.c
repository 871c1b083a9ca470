/* SPDX-License-Identifier: ISC */
/*
 * The source of hints that the owner wrote into the configuration: always
 * there, whether or not it answers. Knows no configuration file.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"
#include "text.h"

/* Numeric IPv4 or IPv6; of the latter also with "%interface". */
static bool
is_numeric(const char *host)
{
	unsigned char addr[sizeof(struct in6_addr)];
	char bare[HINT_HOST_MAX + 1];
	char *scope;

	if (strlen(host) > HINT_HOST_MAX)
		return false;
	strcpy(bare, host);
	if (inet_pton(AF_INET, bare, addr) == 1)
		return true;
	if ((scope = strchr(bare, '%')) != NULL) {
		if (scope[1] == '\0' || strlen(scope + 1) >= IF_NAMESIZE)
			return false;
		*scope = '\0';
	}
	return inet_pton(AF_INET6, bare, addr) == 1;
}

/* Turn an entry into a sighting, or say what is wrong with it. */
static const char *
convert(struct sighting *s, const struct discovery_static *e, size_t index)
{
	const char *scope;

	memset(s, 0, sizeof(*s));
	if (e->name == NULL ||
	    !text_is_line(e->name, strlen(e->name), HINT_NAME_MAX))
		return "the name is empty, too long or not plain text";
	if (e->host == NULL || !is_numeric(e->host))
		return "the host is not a numeric address";
	if (e->port == 0)
		return "the port is missing";
	if (e->fingerprint != NULL && !text_is_fingerprint(e->fingerprint,
	    strlen(e->fingerprint)))
		return "the fingerprint is not of the form SHA256:...";
	snprintf(s->key, sizeof(s->key), "%zu", index);
	strcpy(s->name, e->name);
	if (e->fingerprint != NULL)
		strcpy(s->fingerprint, e->fingerprint);
	strcpy(s->address.host, e->host);
	s->address.port = e->port;
	/* The name only: the interface may come, go and change its index. */
	if ((scope = strchr(e->host, '%')) != NULL)
		strcpy(s->address.interface, scope + 1);
	s->configured = true;
	return NULL;
}

static int
static_start(struct source **sp, struct event_base *base,
    const struct discovery_config *cfg, const struct source_sink *sink)
{
	struct sighting s;
	char text[160];

	(void)base;
	*sp = NULL;	/* nothing is kept: the list never changes */
	for (size_t i = 0; i < cfg->n_statics; i++) {
		const char *wrong = convert(&s, &cfg->statics[i], i);

		if (wrong != NULL) {
			snprintf(text, sizeof(text), "static peer %zu: %s",
			    i + 1, wrong);
			sink->note(sink->arg, true, text);
			return -EINVAL;
		}
		sink->seen(sink->arg, &s);
	}
	return 0;
}

static void
static_stop(struct source *s)
{
	(void)s;
}

const struct source_ops static_source = {
	.kind = "static",
	.start = static_start,
	.stop = static_stop,
};
