/* SPDX-License-Identifier: ISC */
/* A stranger's TXT record is taken whole, or not at all. */
#include <stdio.h>
#include <string.h>

#include "text.h"
#include "txt.h"
#include "unit.h"

#define FP "SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123+/9"

static void
add(struct txt *t, const char *item)
{
	txt_item(t, (const uint8_t *)item, strlen(item));
}

static bool
complete_with(const char *version, const char *name, const char *fp)
{
	struct txt t;

	txt_init(&t);
	add(&t, version);
	add(&t, name);
	add(&t, fp);
	return txt_complete(&t);
}

static void
a_true_record_is_read(void)
{
	struct txt t;

	txt_init(&t);
	CU_ASSERT_FALSE(txt_complete(&t));
	add(&t, "colour=green");
	add(&t, "flag");
	add(&t, "=nothing");
	add(&t, "v=3");
	add(&t, "Name=Jürgens Telefon");
	CU_ASSERT_FALSE(txt_complete(&t));
	add(&t, "fp=" FP);
	CU_ASSERT_TRUE(txt_complete(&t));
	CU_ASSERT_EQUAL(t.version, 3);
	CU_ASSERT_STRING_EQUAL(t.name, "Jürgens Telefon");
	CU_ASSERT_STRING_EQUAL(t.fingerprint, FP);
	/* The first of two counts (RFC 6763, 6.4). */
	add(&t, "v=4");
	add(&t, "name=\n");
	CU_ASSERT_TRUE(txt_complete(&t));
	CU_ASSERT_EQUAL(t.version, 3);
}

static void
hostile_values_spoil_the_record(void)
{
	static const char *const versions[] = { "v=", "v=0", "v=-1", "v=1 ",
	    "v=4294967296", "v=99999999999999999999", "v=0x1" };
	static const char *const names[] = { "name=", "name=a\nb",
	    "name=\x1b[2J", "name=\xff\xfe", "name=\xc0\xaf",
	    "name=\xed\xa0\x80", "name=a\xe2\x80\xae" "b", "name=\xe2\x82",
	    "name=\xf4\x90\x80\x80", "name=\xc2\x85", "name="
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	static const char *const fps[] = { "fp=", "fp=SHA256:", "fp=" FP "A",
	    "fp=MD5:abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123+/9000",
	    "fp=SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123+/ " };

	CU_ASSERT_TRUE_FATAL(complete_with("v=1", "name=b", "fp=" FP));
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		CU_ASSERT_FALSE(complete_with(versions[i], "name=b", "fp=" FP));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CU_ASSERT_FALSE(complete_with("v=1", names[i], "fp=" FP));
	for (size_t i = 0; i < sizeof(fps) / sizeof(fps[0]); i++)
		CU_ASSERT_FALSE(complete_with("v=1", "name=b", fps[i]));
}

static void
zero_bytes_and_long_items_are_harmless(void)
{
	static uint8_t long_item[70000];
	struct txt t;

	txt_init(&t);
	txt_item(&t, (const uint8_t *)"name=a\0b", 8);
	CU_ASSERT_TRUE(t.bad);
	txt_init(&t);
	memset(long_item, 'x', sizeof(long_item));
	memcpy(long_item, "name=", 5);
	txt_item(&t, long_item, sizeof(long_item));
	CU_ASSERT_EQUAL(t.seen, 0);
	txt_item(&t, NULL, 0);
	CU_ASSERT_FALSE(txt_complete(&t));
}

static void
lines_end_where_they_may(void)
{
	CU_ASSERT_TRUE(text_is_line("\xf0\x9f\x93\xb1", 4, 4));
	CU_ASSERT_FALSE(text_is_line("\xf0\x9f\x93\xb1", 4, 3));
	CU_ASSERT_FALSE(text_is_line("\xf0\x9f\x93\xb1", 3, 4));
	CU_ASSERT_FALSE(text_is_line("", 0, 4));
	CU_ASSERT_FALSE(text_is_line("\x80", 1, 4));
	CU_ASSERT_TRUE(text_is_fingerprint(FP, strlen(FP)));
	CU_ASSERT_FALSE(text_is_fingerprint(FP, strlen(FP) - 1));
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a true record is read", a_true_record_is_read },
		{ "hostile values spoil the record",
		    hostile_values_spoil_the_record },
		{ "zero bytes and long items are harmless",
		    zero_bytes_and_long_items_are_harmless },
		{ "lines end where they may", lines_end_where_they_may },
	};

	return unit_main("txt", tests, sizeof(tests) / sizeof(tests[0]));
}
