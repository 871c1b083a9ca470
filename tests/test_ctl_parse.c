/* SPDX-License-Identifier: ISC */
/* Sizes, rates, numbers and names are read strictly or refused with a reason. */
#include <errno.h>
#include <string.h>

#include "bounds.h"
#include "ctl-parse.h"
#include "ctl-text.h"
#include "unit.h"

struct number_case {
	const char	*in;
	int		r;
	uint64_t	out;
};

static void
check_numbers(int (*parse)(const char *, uint64_t *, const char **),
    const struct number_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *why = NULL;
		uint64_t out = 0;
		int r = parse(cases[i].in, &out, &why);

		if (r != cases[i].r || (r == 0 && out != cases[i].out))
			fprintf(stderr, "\n\"%s\": %d, %llu\n", cases[i].in, r,
			    (unsigned long long)out);
		CU_ASSERT_EQUAL(r, cases[i].r);
		if (r == 0)
			CU_ASSERT_EQUAL(out, cases[i].out);
		if (r != 0)
			CU_ASSERT_PTR_NOT_NULL(why);
	}
}

#define CHECK(parse, cases) \
	check_numbers(parse, cases, sizeof(cases) / sizeof((cases)[0]))

static void
memory_sizes(void)
{
	static const struct number_case cases[] = {
		{ "512M", 0, 512ULL << 20 },
		{ "64M", 0, RAM_MIN_BYTES },
		{ "8G", 0, RAM_MAX_BYTES },
		{ "65536K", 0, 64ULL << 20 },
		{ "65536k", 0, 64ULL << 20 },
		{ "67108864", 0, 64ULL << 20 },
		{ "67108865", -ERANGE, 0 },
		{ "63M", -ERANGE, 0 },
		{ "9G", -ERANGE, 0 },
		{ "0", -ERANGE, 0 },
		{ "18446744073709551615", -ERANGE, 0 },
		{ "18446744073709551616M", -ERANGE, 0 },
		{ "17179869184G", -ERANGE, 0 },	/* 2^64: wraps to 0 */
		{ "", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "512MB", -EINVAL, 0 },
		{ "512 M", -EINVAL, 0 },
		{ " 512M", -EINVAL, 0 },
		{ "+512M", -EINVAL, 0 },
		{ "-512M", -EINVAL, 0 },
		{ "0x200M", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "1T", -EINVAL, 0 },
	};

	CHECK(parse_ram, cases);
}

static void
disk_sizes(void)
{
	static const struct number_case cases[] = {
		{ "4K", 0, DISK_MIN_BYTES },
		{ "10G", 0, 10ULL << 30 },
		{ "256G", 0, DISK_MAX_BYTES },
		{ "8192", 0, 8192 },
		{ "5K", -ERANGE, 0 },
		{ "2K", -ERANGE, 0 },
		{ "257G", -ERANGE, 0 },
		{ "17179869184G", -ERANGE, 0 },	/* 2^64: wraps to 0 */
		{ "10GB", -EINVAL, 0 },
		{ "-1G", -EINVAL, 0 },
		{ "disk.img", -EINVAL, 0 },
	};

	CHECK(parse_disk, cases);
}

static void
allowances(void)
{
	static const struct number_case cases[] = {
		{ "1M", 0, 1 << 20 },
		{ "8G", 0, RAM_MAX_BYTES },
		{ "1023K", -ERANGE, 0 },
		{ "9G", -ERANGE, 0 },
		{ "1048577", -ERANGE, 0 },
		{ "none", -EINVAL, 0 },
	};

	CHECK(parse_allowance, cases);
}

static void
link_rates(void)
{
	static const struct number_case cases[] = {
		{ "200Mbit", 0, 25000000 },
		{ "1Gbit", 0, 125000000 },
		{ "8kbit", 0, 1000 },
		{ "25M", 0, 25000000 },
		{ "3000000", 0, 3000000 },
		{ "8000bit", 0, 1000 },
		{ "999", -ERANGE, 0 },
		{ "0", -ERANGE, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "18446744073709551615G", -ERANGE, 0 },
		{ "200mbit", -EINVAL, 0 },
		{ "200Mbits", -EINVAL, 0 },
		{ "200Mb", -EINVAL, 0 },
		{ "200 Mbit", -EINVAL, 0 },
		{ "fast", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "-1M", -EINVAL, 0 },
	};

	CHECK(parse_rate, cases);
}

static void
plain_numbers_keep_to_their_range(void)
{
	const char *why;
	uint64_t v = 0;

	CU_ASSERT_EQUAL(parse_number("8", 1, 8, &v, &why), 0);
	CU_ASSERT_EQUAL(v, 8);
	CU_ASSERT_EQUAL(parse_number("9", 1, 8, &v, &why), -ERANGE);
	CU_ASSERT_EQUAL(parse_number("0", 1, 8, &v, &why), -ERANGE);
	CU_ASSERT_EQUAL(parse_number("8x", 1, 8, &v, &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_number("", 0, 8, &v, &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_number("-1", 0, 8, &v, &why), -EINVAL);
}

static void
persona_names(void)
{
	char longest[PERSONA_NAME_MAX + 2];
	const char *why;

	CU_ASSERT_EQUAL(parse_persona_name("work", &why), 0);
	CU_ASSERT_EQUAL(parse_persona_name("2nd-work", &why), 0);
	CU_ASSERT_EQUAL(parse_persona_name("a", &why), 0);
	CU_ASSERT_EQUAL(parse_persona_name("", &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_persona_name("-work", &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_persona_name("Work", &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_persona_name("wo rk", &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_persona_name("../etc", &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_persona_name("w\xc3\xb6rk", &why), -EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[PERSONA_NAME_MAX] = '\0';
	CU_ASSERT_EQUAL(parse_persona_name(longest, &why), 0);
	longest[PERSONA_NAME_MAX] = 'a';
	longest[PERSONA_NAME_MAX + 1] = '\0';
	CU_ASSERT_EQUAL(parse_persona_name(longest, &why), -ERANGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "63"));
}

static void
peer_names(void)
{
	char text[HANDSET_NAME_MAX + FINGERPRINT_MAX + 2];
	const char *why;

	CU_ASSERT_EQUAL(parse_peer("bob", &why), 0);
	CU_ASSERT_EQUAL(parse_peer("Bob's phone", &why), 0);
	CU_ASSERT_EQUAL(parse_peer("gr\xc3\xbc\xc3\x9f", &why), 0);
	CU_ASSERT_EQUAL(parse_peer("[fe80::1%wlan0]:7272", &why), 0);
	CU_ASSERT_EQUAL(parse_peer("", &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_peer("a\nb", &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_peer("a\x7f", &why), -EINVAL);
	CU_ASSERT_EQUAL(parse_peer("\xff", &why), -EINVAL);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT_EQUAL(parse_peer(text, &why), -ERANGE);
}

static void
expect_text(void (*fn)(char *, size_t, uint64_t), uint64_t v,
    const char *expected)
{
	char out[32];

	fn(out, sizeof(out), v);
	CU_ASSERT_STRING_EQUAL(out, expected);
}

static void
numbers_for_people(void)
{
	expect_text(text_size, 0, "0 B");
	expect_text(text_size, 1023, "1023 B");
	expect_text(text_size, 512ULL << 20, "512 MiB");
	expect_text(text_size, 3ULL << 29, "1.5 GiB");
	expect_text(text_size, (1ULL << 30) - 1, "1 GiB");
	expect_text(text_rate, 25000000, "200 Mbit/s");
	expect_text(text_rate, 100, "800 bit/s");
	expect_text(text_rate, 300000000, "2.4 Gbit/s");
	expect_text(text_duration, 43, "43 ms");
	expect_text(text_duration, 6400, "6.4 s");
	expect_text(text_duration, 6000, "6 s");
	expect_text(text_duration, 59960, "1 min 00 s");
	expect_text(text_duration, 125000, "2 min 05 s");
	expect_text(text_duration, 4200000, "1 h 10 min");
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "memory sizes", memory_sizes },
		{ "disk sizes", disk_sizes },
		{ "amounts of memory that are given or taken", allowances },
		{ "link rates", link_rates },
		{ "plain numbers keep to their range",
		    plain_numbers_keep_to_their_range },
		{ "persona names", persona_names },
		{ "peer names", peer_names },
		{ "numbers for people", numbers_for_people },
	};

	return unit_main("ctl parse", tests, sizeof(tests) / sizeof(tests[0]));
}
