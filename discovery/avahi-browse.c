/* SPDX-License-Identifier: ISC */
/*
 * Looking for _persona._tcp services. One resolver stays open for each service
 * on each interface and protocol for as long as the service is there, so that a
 * changed address or text is heard of. Knows no announcing, merging or trust.
 */
#include "avahi-browse.h"

#include <avahi-client/lookup.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "txt.h"

/* Bound on what strangers can make us ask the Avahi daemon for. */
#define RESOLVERS_MAX 256

struct resolver {
	struct resolver		*next;
	struct avahi_browse	*browse;
	AvahiServiceResolver	*handle;
	char			key[SIGHTING_KEY_MAX + 1];
};

struct avahi_browse {
	AvahiClient			*client;
	AvahiServiceBrowser		*handle;
	const struct source_sink	*sink;
	struct resolver			*resolvers;
	size_t				n_resolvers;
	void				(*failed)(void *arg);
	void				*arg;
};

/*
 * One service on one interface over one protocol. The name goes last: it is the
 * only part a stranger chooses. Domains longer than the rest allows are not local.
 */
static int
make_key(char key[SIGHTING_KEY_MAX + 1], AvahiIfIndex interface,
    AvahiProtocol protocol, const char *domain, const char *name)
{
	int n = snprintf(key, SIGHTING_KEY_MAX + 1, "%d/%d/%s/%s", interface,
	    protocol, domain, name);

	return n < 0 || n > SIGHTING_KEY_MAX ? -ENAMETOOLONG : 0;
}

/* A link-local IPv6 address means nothing without its interface. */
static bool
fill_address(struct peer_address *a, AvahiIfIndex interface,
    const AvahiAddress *address, uint16_t port)
{
	char host[AVAHI_ADDRESS_STR_MAX];
	const uint8_t *v6 = address->data.ipv6.address;
	bool scoped = address->proto == AVAHI_PROTO_INET6 && v6[0] == 0xfe &&
	    (v6[1] & 0xc0) == 0x80;
	int n;

	memset(a, 0, sizeof(*a));
	a->port = port;
	if (interface > 0) {
		a->ifindex = (unsigned int)interface;
		if (if_indextoname(a->ifindex, a->interface) == NULL)
			a->interface[0] = '\0';
	}
	if (scoped && a->interface[0] == '\0')
		return false;
	avahi_address_snprint(host, sizeof(host), address);
	n = snprintf(a->host, sizeof(a->host), "%s%s%s", host,
	    scoped ? "%" : "", scoped ? a->interface : "");
	return n > 0 && (size_t)n < sizeof(a->host) && port != 0;
}

/* False for a service that is not what a handset of ours would announce. */
static bool
fill_sighting(struct sighting *s, AvahiStringList *items)
{
	struct txt txt;

	txt_init(&txt);
	for (AvahiStringList *i = items; i != NULL;
	    i = avahi_string_list_get_next(i))
		txt_item(&txt, avahi_string_list_get_text(i),
		    avahi_string_list_get_size(i));
	if (!txt_complete(&txt))
		return false;
	strcpy(s->name, txt.name);
	strcpy(s->fingerprint, txt.fingerprint);
	s->version = txt.version;
	return true;
}

static void
resolved_cb(AvahiServiceResolver *handle, AvahiIfIndex interface,
    AvahiProtocol protocol, AvahiResolverEvent event, const char *name,
    const char *type, const char *domain, const char *host,
    const AvahiAddress *address, uint16_t port, AvahiStringList *txt,
    AvahiLookupResultFlags flags, void *arg)
{
	struct resolver *r = arg;
	const struct source_sink *sink = r->browse->sink;
	struct sighting s;

	(void)handle, (void)protocol, (void)name, (void)type, (void)domain;
	(void)host, (void)flags;
	memset(&s, 0, sizeof(s));
	strcpy(s.key, r->key);
	if (event == AVAHI_RESOLVER_FOUND &&
	    fill_address(&s.address, interface, address, port) &&
	    fill_sighting(&s, txt))
		sink->seen(sink->arg, &s);
	else
		sink->lost(sink->arg, r->key);	/* found later: heard again */
}

static struct resolver **
find_resolver(struct avahi_browse *b, const char *key)
{
	struct resolver **rp = &b->resolvers;

	while (*rp != NULL && strcmp((*rp)->key, key) != 0)
		rp = &(*rp)->next;
	return rp;
}

static void
free_resolver(struct avahi_browse *b, struct resolver **rp)
{
	struct resolver *r = *rp;

	*rp = r->next;
	b->n_resolvers--;
	avahi_service_resolver_free(r->handle);
	free(r);
}

static void
service_came(struct avahi_browse *b, AvahiIfIndex interface,
    AvahiProtocol protocol, const char *name, const char *type,
    const char *domain)
{
	struct resolver *r;
	char key[SIGHTING_KEY_MAX + 1];

	if (make_key(key, interface, protocol, domain, name) < 0 ||
	    *find_resolver(b, key) != NULL || b->n_resolvers == RESOLVERS_MAX ||
	    (r = calloc(1, sizeof(*r))) == NULL)
		return;
	r->browse = b;
	strcpy(r->key, key);
	r->handle = avahi_service_resolver_new(b->client, interface, protocol,
	    name, type, domain, protocol, 0, resolved_cb, r);
	if (r->handle == NULL) {
		free(r);
		return;
	}
	r->next = b->resolvers;
	b->resolvers = r;
	b->n_resolvers++;
}

static void
service_went(struct avahi_browse *b, AvahiIfIndex interface,
    AvahiProtocol protocol, const char *domain, const char *name)
{
	struct resolver **rp;
	char key[SIGHTING_KEY_MAX + 1];

	if (make_key(key, interface, protocol, domain, name) < 0)
		return;
	rp = find_resolver(b, key);
	if (*rp != NULL)
		free_resolver(b, rp);
	b->sink->lost(b->sink->arg, key);
}

static void
browsed_cb(AvahiServiceBrowser *handle, AvahiIfIndex interface,
    AvahiProtocol protocol, AvahiBrowserEvent event, const char *name,
    const char *type, const char *domain, AvahiLookupResultFlags flags,
    void *arg)
{
	struct avahi_browse *b = arg;

	(void)handle, (void)flags;
	switch (event) {
	case AVAHI_BROWSER_NEW:
		service_came(b, interface, protocol, name, type, domain);
		break;
	case AVAHI_BROWSER_REMOVE:
		service_went(b, interface, protocol, domain, name);
		break;
	case AVAHI_BROWSER_FAILURE:
		b->failed(b->arg);
		break;
	case AVAHI_BROWSER_ALL_FOR_NOW:
	case AVAHI_BROWSER_CACHE_EXHAUSTED:
		break;
	}
}

int
avahi_browse_start(struct avahi_browse **bp, AvahiClient *client,
    const struct source_sink *sink, void (*failed)(void *arg), void *arg)
{
	struct avahi_browse *b = calloc(1, sizeof(*b));

	*bp = NULL;
	if (b == NULL)
		return -ENOMEM;
	b->client = client;
	b->sink = sink;
	b->failed = failed;
	b->arg = arg;
	b->handle = avahi_service_browser_new(client, AVAHI_IF_UNSPEC,
	    AVAHI_PROTO_UNSPEC, AVAHI_SERVICE_TYPE, NULL, 0, browsed_cb, b);
	if (b->handle == NULL) {
		free(b);
		return -EIO;
	}
	*bp = b;
	return 0;
}

void
avahi_browse_stop(struct avahi_browse *b)
{
	if (b == NULL)
		return;
	while (b->resolvers != NULL)
		free_resolver(b, &b->resolvers);
	avahi_service_browser_free(b->handle);
	free(b);
}
