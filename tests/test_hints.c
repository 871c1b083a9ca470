/* SPDX-License-Identifier: ISC */
/* Sightings become peers: each once, for as long as anything still sees it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hints.h"
#include "unit.h"

#define FP_OWN	"SHA256:ownownownownownownownownownownownownownownow"
#define FP_B	"SHA256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define FP_C	"SHA256:ccccccccccccccccccccccccccccccccccccccccccc"

enum { SOURCE_STATIC, SOURCE_MDNS };

struct heard {
	int			appeared, changed, vanished;
	struct peer_hint	last;
};

static void
appeared(void *arg, const struct peer_hint *peer)
{
	struct heard *h = arg;

	h->appeared++;
	h->last = *peer;
}

static void
changed(void *arg, const struct peer_hint *peer)
{
	struct heard *h = arg;

	h->changed++;
	h->last = *peer;
}

static void
vanished(void *arg, const struct peer_hint *peer)
{
	struct heard *h = arg;

	h->vanished++;
	h->last = *peer;
}

static struct hints *
start(struct heard *heard)
{
	static const struct discovery_events events = {
		.appeared = appeared,
		.changed = changed,
		.vanished = vanished,
	};
	struct hints *h;

	memset(heard, 0, sizeof(*heard));
	CU_ASSERT_EQUAL_FATAL(hints_new(&h, FP_OWN, &events, heard), 0);
	return h;
}

static struct sighting
sighting(const char *key, const char *name, const char *fp, const char *host,
    unsigned int ifindex)
{
	struct sighting s = { .version = 1 };

	snprintf(s.key, sizeof(s.key), "%s", key);
	snprintf(s.name, sizeof(s.name), "%s", name);
	snprintf(s.fingerprint, sizeof(s.fingerprint), "%s", fp);
	snprintf(s.address.host, sizeof(s.address.host), "%s", host);
	s.address.port = 7007;
	s.address.ifindex = ifindex;
	return s;
}

static int
see(struct hints *h, unsigned int source, struct sighting s, unsigned int rank)
{
	return hints_seen(h, source, &s, rank);
}

static void
one_peer_on_two_links_is_reported_once(void)
{
	struct heard heard;
	struct hints *h = start(&heard);

	see(h, SOURCE_MDNS, sighting("w", "phone-b", FP_B, "10.0.0.2", 3), 3);
	CU_ASSERT_EQUAL(heard.appeared, 1);
	see(h, SOURCE_MDNS, sighting("u", "phone-b", FP_B, "10.9.0.2", 4), 1);
	CU_ASSERT_EQUAL(heard.appeared, 1);
	CU_ASSERT_EQUAL(heard.changed, 1);
	CU_ASSERT_EQUAL_FATAL(heard.last.n_addresses, 2);
	/* The better link comes first, though it was seen later. */
	CU_ASSERT_STRING_EQUAL(heard.last.addresses[0].host, "10.9.0.2");
	/* The same again changes nothing. */
	see(h, SOURCE_MDNS, sighting("u", "phone-b", FP_B, "10.9.0.2", 4), 1);
	CU_ASSERT_EQUAL(heard.changed, 1);

	hints_lost(h, SOURCE_MDNS, "w");
	CU_ASSERT_EQUAL(heard.vanished, 0);
	CU_ASSERT_EQUAL(heard.last.n_addresses, 1);
	hints_lost(h, SOURCE_MDNS, "u");
	CU_ASSERT_EQUAL(heard.vanished, 1);
	hints_lost(h, SOURCE_MDNS, "u");
	CU_ASSERT_EQUAL(heard.vanished, 1);
	hints_free(h);
}

static void
our_own_announcement_is_not_a_peer(void)
{
	struct heard heard;
	struct hints *h = start(&heard);

	see(h, SOURCE_MDNS, sighting("x", "me", FP_OWN, "10.0.0.1", 3), 3);
	CU_ASSERT_EQUAL(heard.appeared, 0);
	hints_free(h);
}

static void
a_name_in_use_by_two_keys_is_two_peers(void)
{
	struct heard heard;
	struct hints *h = start(&heard);

	see(h, SOURCE_MDNS, sighting("c", "phone-b", FP_C, "10.0.0.3", 3), 3);
	see(h, SOURCE_MDNS, sighting("b", "phone-b", FP_B, "10.0.0.2", 3), 3);
	CU_ASSERT_EQUAL(heard.appeared, 2);
	/* A configured address without a key is tried for both. */
	see(h, SOURCE_STATIC, sighting("0", "phone-b", "", "192.0.2.7", 0), 0);
	CU_ASSERT_EQUAL(heard.appeared, 2);
	CU_ASSERT_EQUAL(heard.changed, 2);
	CU_ASSERT_STRING_EQUAL(heard.last.addresses[0].host, "192.0.2.7");
	hints_free(h);
}

static void
a_configured_peer_gives_way_to_its_fingerprint(void)
{
	struct heard heard;
	struct hints *h = start(&heard);

	see(h, SOURCE_STATIC, sighting("0", "phone-b", "", "192.0.2.7", 0), 0);
	CU_ASSERT_EQUAL(heard.appeared, 1);
	see(h, SOURCE_MDNS, sighting("b", "phone-b", FP_B, "10.0.0.2", 3), 3);
	CU_ASSERT_EQUAL(heard.vanished, 1);	/* the one without a key */
	CU_ASSERT_EQUAL(heard.appeared, 2);
	CU_ASSERT_STRING_EQUAL(heard.last.fingerprint, FP_B);
	CU_ASSERT_EQUAL(heard.last.n_addresses, 2);
	hints_lost(h, SOURCE_MDNS, "b");
	CU_ASSERT_EQUAL(heard.vanished, 2);
	CU_ASSERT_EQUAL(heard.appeared, 3);
	CU_ASSERT_STRING_EQUAL(heard.last.fingerprint, "");
	hints_free(h);
}

static void
a_dark_link_hides_and_gives_back_what_it_carried(void)
{
	struct heard heard;
	struct hints *h = start(&heard);

	see(h, SOURCE_MDNS, sighting("b", "phone-b", FP_B, "10.0.0.2", 3), 3);
	hints_link(h, 4, false);
	CU_ASSERT_EQUAL(heard.vanished, 0);
	hints_link(h, 3, false);
	CU_ASSERT_EQUAL(heard.vanished, 1);
	/* Seen on a dark link: believed once the link is back. */
	see(h, SOURCE_MDNS, sighting("c", "phone-c", FP_C, "10.0.0.3", 3), 3);
	CU_ASSERT_EQUAL(heard.appeared, 1);
	hints_link(h, 3, true);
	CU_ASSERT_EQUAL(heard.appeared, 3);
	hints_link_gone(h, 3);
	CU_ASSERT_EQUAL(heard.vanished, 3);
	hints_link(h, 3, true);
	CU_ASSERT_EQUAL(heard.appeared, 3);
	hints_free(h);
}

static void
a_blind_source_is_believed_for_a_while(void)
{
	struct heard heard;
	struct hints *h = start(&heard);

	see(h, SOURCE_STATIC, sighting("0", "phone-c", FP_C, "10.0.0.3", 0), 0);
	see(h, SOURCE_MDNS, sighting("b", "phone-b", FP_B, "10.0.0.2", 3), 3);
	see(h, SOURCE_MDNS, sighting("d", "phone-b", FP_B, "10.1.0.2", 4), 3);
	CU_ASSERT_EQUAL(hints_age(h, 5000), UINT64_MAX);
	hints_doubt(h, SOURCE_MDNS, 5000);
	CU_ASSERT_EQUAL(hints_age(h, 5001), HINTS_DOUBT_MS - 1);
	see(h, SOURCE_MDNS, sighting("b", "phone-b", FP_B, "10.0.0.2", 3), 3);
	CU_ASSERT_EQUAL(heard.changed, 1);
	CU_ASSERT_EQUAL(hints_age(h, 5000 + HINTS_DOUBT_MS), UINT64_MAX);
	CU_ASSERT_EQUAL(heard.vanished, 0);	/* "d" went, "b" was renewed */
	CU_ASSERT_EQUAL(heard.changed, 2);
	CU_ASSERT_EQUAL(heard.last.n_addresses, 1);
	hints_doubt(h, SOURCE_MDNS, 90000);
	(void)hints_age(h, 90000 + HINTS_DOUBT_MS);
	CU_ASSERT_EQUAL(heard.vanished, 1);
	CU_ASSERT_STRING_EQUAL(heard.last.fingerprint, FP_B);
	hints_free(h);
}

static void
count(void *arg, const struct peer_hint *peer)
{
	(void)peer;
	(*(int *)arg)++;
}

static void
a_flood_is_bounded_and_evicts_nobody(void)
{
	struct heard heard;
	struct hints *h = start(&heard);
	char key[16], host[32];
	int r = 0, peers = 0;

	see(h, SOURCE_MDNS, sighting("b", "phone-b", FP_B, "10.0.0.2", 3), 3);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "b%d", i);
		snprintf(host, sizeof(host), "10.0.1.%d", i);
		see(h, SOURCE_MDNS, sighting(key, "phone-b", FP_B, host, 3), 3);
	}
	CU_ASSERT_EQUAL(heard.last.n_addresses, HINT_ADDRESSES_MAX);
	CU_ASSERT_STRING_EQUAL(heard.last.addresses[0].host, "10.0.0.2");
	for (int i = 0; i < HINT_SIGHTINGS_MAX && r == 0; i++) {
		snprintf(key, sizeof(key), "f%d", i);
		r = see(h, SOURCE_MDNS, sighting(key, key, FP_C, "10.2.0.1", 3),
		    3);
	}
	CU_ASSERT_EQUAL(r, -ENOSPC);
	hints_each(h, count, &peers);
	CU_ASSERT_EQUAL(peers, 2);
	CU_ASSERT_EQUAL(heard.vanished, 0);
	hints_free(h);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "one peer on two links is reported once",
		    one_peer_on_two_links_is_reported_once },
		{ "our own announcement is not a peer",
		    our_own_announcement_is_not_a_peer },
		{ "a name in use by two keys is two peers",
		    a_name_in_use_by_two_keys_is_two_peers },
		{ "a configured peer gives way to its fingerprint",
		    a_configured_peer_gives_way_to_its_fingerprint },
		{ "a dark link hides and gives back what it carried",
		    a_dark_link_hides_and_gives_back_what_it_carried },
		{ "a blind source is believed for a while",
		    a_blind_source_is_believed_for_a_while },
		{ "a flood is bounded and evicts nobody",
		    a_flood_is_bounded_and_evicts_nobody },
	};

	return unit_main("hints", tests, sizeof(tests) / sizeof(tests[0]));
}
