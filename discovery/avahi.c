/* SPDX-License-Identifier: ISC */
/*
 * mDNS inside persona-mdns: keeps a client of the Avahi daemon alive through the
 * daemon's absence, death and restart, and announces this handset. Knows no merging
 * and no trust; what others announce is avahi-browse.c's.
 *
 * Calls into libavahi-client wait for the daemon's answer over D-Bus. A daemon
 * that hangs (rather than dies) holds up the loop until D-Bus gives up; nothing else
 * lives in this process.
 */
#include <avahi-client/publish.h>
#include <avahi-common/alternative.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avahi-browse.h"
#include "avahi-poll.h"
#include "source.h"

#define RETRY_FIRST_MS	500u
#define RETRY_MOST_MS	15000u

enum avahi_state {
	AVAHI_DOWN,	/* no client; the timer will try again */
	AVAHI_WAITING,	/* on the bus; the Avahi daemon is not there (yet) */
	AVAHI_UP,	/* browsing; announced, or about to be */
};

struct source {
	enum avahi_state		state;
	const struct discovery_config	*cfg;
	const struct source_sink	*sink;
	AvahiPoll			poll;
	AvahiClient			*client;
	AvahiEntryGroup			*group;
	struct avahi_browse		*browse;
	struct event			*retry;
	unsigned int			retry_ms;
	bool				complained;
	char				*service;	/* instance name now */
};

static void	schedule_retry(struct source *s);

static void
note(struct source *s, bool problem, const char *what, int error)
{
	char text[256];

	snprintf(text, sizeof(text), "avahi: %s%s%s", what,
	    error < 0 ? ": " : "", error < 0 ? avahi_strerror(error) : "");
	s->sink->note(s->sink->arg, problem, text);
}

/* Say once that there is no mDNS, however often it is tried. */
static void
complain(struct source *s, const char *what, int error)
{
	if (!s->complained)
		note(s, true, what, error);
	s->complained = true;
}

/* --- announcing -------------------------------------------------------------- */

static AvahiStringList *
make_txt(const struct discovery_config *cfg)
{
	AvahiStringList *txt = NULL;

	txt = avahi_string_list_add_printf(txt, "fp=%s", cfg->fingerprint);
	txt = avahi_string_list_add_printf(txt, "name=%s", cfg->name);
	return avahi_string_list_add_printf(txt, "v=%u", cfg->version);
}

static int
take_next_name(struct source *s)
{
	char *other = avahi_alternative_service_name(s->service);

	if (other == NULL)
		return AVAHI_ERR_NO_MEMORY;
	avahi_free(s->service);
	s->service = other;
	return 0;
}

/* Ask for our service to be published under a name that nobody here uses. */
static void
announce(struct source *s)
{
	AvahiStringList *txt = make_txt(s->cfg);
	int r;

	avahi_entry_group_reset(s->group);
	while ((r = avahi_entry_group_add_service_strlst(s->group,
	    AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, 0, s->service,
	    AVAHI_SERVICE_TYPE, NULL, NULL, s->cfg->port, txt)) ==
	    AVAHI_ERR_COLLISION)
		if ((r = take_next_name(s)) < 0)
			break;
	avahi_string_list_free(txt);
	if (r >= 0)
		r = avahi_entry_group_commit(s->group);
	if (r < 0) {
		complain(s, "cannot announce this handset", r);
		schedule_retry(s);
	}
}

/* As avahi_entry_group_new may call this before it returns, set the group. */
static void
group_cb(AvahiEntryGroup *group, AvahiEntryGroupState state, void *arg)
{
	struct source *s = arg;
	char text[128];

	s->group = group;
	switch (state) {
	case AVAHI_ENTRY_GROUP_COLLISION:
		if (take_next_name(s) == 0)
			announce(s);
		break;
	case AVAHI_ENTRY_GROUP_FAILURE:
		complain(s, "cannot announce this handset",
		    avahi_client_errno(s->client));
		schedule_retry(s);
		break;
	case AVAHI_ENTRY_GROUP_ESTABLISHED:
		snprintf(text, sizeof(text), "announced as \"%s\"", s->service);
		note(s, false, text, 0);
		s->retry_ms = RETRY_FIRST_MS;
		s->complained = false;
		break;
	case AVAHI_ENTRY_GROUP_UNCOMMITED:
	case AVAHI_ENTRY_GROUP_REGISTERING:
		break;
	}
}

static void
start_announcing(struct source *s)
{
	if (s->group == NULL)
		s->group = avahi_entry_group_new(s->client, group_cb, s);
	if (s->group == NULL) {
		schedule_retry(s);
		return;
	}
	announce(s);
}

/* --- the client's life ---------------------------------------------------------- */

static void
browse_failed(void *arg)
{
	schedule_retry(arg);
}

static void
start_browsing(struct source *s)
{
	if (s->browse == NULL && avahi_browse_start(&s->browse, s->client,
	    s->sink, browse_failed, s) < 0) {
		complain(s, "cannot browse", avahi_client_errno(s->client));
		schedule_retry(s);
	}
}

static void
client_cb(AvahiClient *client, AvahiClientState state, void *arg)
{
	struct source *s = arg;

	s->client = client;	/* may be called before client_new returns */
	switch (state) {
	case AVAHI_CLIENT_S_RUNNING:
		s->state = AVAHI_UP;
		start_browsing(s);
		start_announcing(s);
		break;
	case AVAHI_CLIENT_S_COLLISION:
	case AVAHI_CLIENT_S_REGISTERING:
		/* The host's own name is in question: wait for RUNNING. */
		if (s->group != NULL)
			avahi_entry_group_reset(s->group);
		break;
	case AVAHI_CLIENT_FAILURE:
		complain(s, "the daemon went away; trying again",
		    avahi_client_errno(client));
		schedule_retry(s);
		break;
	case AVAHI_CLIENT_CONNECTING:
		s->state = AVAHI_WAITING;
		complain(s, "avahi-daemon does not run; waiting for it", 0);
		break;
	}
}

static void
drop_client(struct source *s)
{
	if (s->state == AVAHI_UP)
		s->sink->doubt(s->sink->arg);
	s->state = AVAHI_DOWN;
	avahi_browse_stop(s->browse);
	s->browse = NULL;
	if (s->client != NULL)
		avahi_client_free(s->client);	/* and its entry group */
	s->client = NULL;
	s->group = NULL;
}

/*
 * Start over soon. Nothing is freed here: this is called from within Avahi's
 * callbacks, which still use the client. What is on the bus but cannot be
 * answered any more is treated like what is gone.
 */
static void
schedule_retry(struct source *s)
{
	struct timeval tv = { s->retry_ms / 1000, s->retry_ms % 1000 * 1000 };

	if (event_pending(s->retry, EV_TIMEOUT, NULL))
		return;
	s->retry_ms *= 2;
	if (s->retry_ms > RETRY_MOST_MS)
		s->retry_ms = RETRY_MOST_MS;
	event_add(s->retry, &tv);
}

static void
connect_client(struct source *s)
{
	AvahiClient *client;
	int error = 0;

	client = avahi_client_new(&s->poll, AVAHI_CLIENT_NO_FAIL, client_cb, s,
	    &error);
	s->client = client;
	if (client == NULL) {
		s->group = NULL;	/* went with the client */
		complain(s, "no mDNS: cannot reach the D-Bus system bus; "
		    "trying again quietly", error);
		schedule_retry(s);
	}
}

static void
retry_cb(evutil_socket_t fd, short what, void *arg)
{
	struct source *s = arg;

	(void)fd;
	(void)what;
	drop_client(s);
	connect_client(s);
}

/* --- the source -------------------------------------------------------------------- */

static void
avahi_stop(struct source *s)
{
	if (s == NULL)
		return;
	s->state = AVAHI_DOWN;
	drop_client(s);
	if (s->retry != NULL)
		event_free(s->retry);
	avahi_free(s->service);
	free(s);
}

static int
avahi_start(struct source **sp, struct event_base *base,
    const struct discovery_config *cfg, const struct source_sink *sink)
{
	struct source *s;

	*sp = NULL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->cfg = cfg;
	s->sink = sink;
	s->retry_ms = RETRY_FIRST_MS;
	avahi_poll_init(&s->poll, base);
	s->retry = evtimer_new(base, retry_cb, s);
	s->service = avahi_strdup(cfg->name);
	if (s->retry == NULL || s->service == NULL) {
		avahi_stop(s);
		return -ENOMEM;
	}
	connect_client(s);
	*sp = s;
	return 0;
}

static bool
avahi_ok(struct source *s, const char **why)
{
	static const char *const words[] = {
		[AVAHI_DOWN] = "the D-Bus system bus cannot be reached",
		[AVAHI_WAITING] = "avahi-daemon does not run",
		[AVAHI_UP] = "mDNS works through avahi-daemon",
	};

	*why = words[s->state];
	return s->state == AVAHI_UP;
}

const struct source_ops avahi_source = {
	.kind = "avahi",
	.start = avahi_start,
	.stop = avahi_stop,
	.ok = avahi_ok,
};
