/* SPDX-License-Identifier: ISC */
/* What the owner wrote down is taken whole, or refused with the reason. */
#include <errno.h>
#include <string.h>

#include "source.h"
#include "unit.h"

#define FP "SHA256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct heard {
	int		seen;
	int		noted;
	struct sighting	last;
};

static void
seen(void *arg, const struct sighting *s)
{
	struct heard *h = arg;

	h->seen++;
	h->last = *s;
}

static void
noted(void *arg, bool problem, const char *text)
{
	struct heard *h = arg;

	h->noted += problem && strstr(text, "static peer 1: ") != NULL;
}

static int
start_with(const struct discovery_static *entry, struct heard *heard)
{
	const struct source_sink sink = { .arg = heard, .seen = seen,
	    .note = noted };
	const struct discovery_config cfg = { .statics = entry,
	    .n_statics = 1 };
	struct source *s;

	memset(heard, 0, sizeof(*heard));
	return static_source.start(&s, NULL, &cfg, &sink);
}

static void
entries_become_sightings(void)
{
	struct heard heard;

	CU_ASSERT_EQUAL(start_with(&(struct discovery_static){
	    .name = "phone-b", .host = "fe80::1%wlan0", .port = 7007,
	    .fingerprint = FP }, &heard), 0);
	CU_ASSERT_EQUAL(heard.seen, 1);
	CU_ASSERT_TRUE(heard.last.configured);
	CU_ASSERT_STRING_EQUAL(heard.last.name, "phone-b");
	CU_ASSERT_STRING_EQUAL(heard.last.fingerprint, FP);
	CU_ASSERT_STRING_EQUAL(heard.last.address.host, "fe80::1%wlan0");
	CU_ASSERT_STRING_EQUAL(heard.last.address.interface, "wlan0");
	CU_ASSERT_EQUAL(heard.last.address.port, 7007);
	CU_ASSERT_EQUAL(start_with(&(struct discovery_static){
	    .name = "Jürgens Telefon", .host = "192.0.2.7", .port = 1 },
	    &heard), 0);
	CU_ASSERT_EQUAL(heard.seen, 1);
	CU_ASSERT_EQUAL(heard.noted, 0);
}

static void
what_cannot_be_is_refused_with_the_entry_named(void)
{
	static const struct discovery_static bad[] = {
		{ .name = "", .host = "192.0.2.7", .port = 1 },
		{ .name = "a\nb", .host = "192.0.2.7", .port = 1 },
		{ .name = "b", .host = "phone.example", .port = 1 },
		{ .name = "b", .host = "192.0.2.7%eth0", .port = 1 },
		{ .name = "b", .host = "fe80::1%", .port = 1 },
		{ .name = "b", .host = "fe80::1%a-name-too-long-for-one",
		    .port = 1 },
		{ .name = "b", .host = "192.0.2.7", .port = 0 },
		{ .name = "b", .host = "192.0.2.7", .port = 1,
		    .fingerprint = "SHA256:short" },
		{ .name = NULL, .host = "192.0.2.7", .port = 1 },
		{ .name = "b", .host = NULL, .port = 1 },
	};
	struct heard heard;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(start_with(&bad[i], &heard), -EINVAL);
		CU_ASSERT_EQUAL(heard.seen, 0);
		CU_ASSERT_EQUAL(heard.noted, 1);
	}
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "entries become sightings", entries_become_sightings },
		{ "what cannot be is refused with the entry named",
		    what_cannot_be_is_refused_with_the_entry_named },
	};

	return unit_main("static", tests, sizeof(tests) / sizeof(tests[0]));
}
