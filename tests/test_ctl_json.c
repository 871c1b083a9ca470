/* SPDX-License-Identifier: ISC */
/* What personactl writes as JSON is JSON, whatever the strings hold. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl-json.h"
#include "ctl-table.h"
#include "ctl-text.h"
#include "json-valid.h"
#include "unit.h"

/* Write {"k": value} and give the line back (the caller's to free). */
static char *
write_string(const char *value)
{
	char *text = NULL;
	size_t len;
	struct json j;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	json_begin(&j, f);
	json_string(&j, "k", value);
	CU_ASSERT_EQUAL(json_finish(&j), 0);
	fclose(f);
	return text;
}

static void
expect_string(const char *value, const char *json)
{
	char *text = write_string(value);

	CU_ASSERT_STRING_EQUAL(text, json);
	CU_ASSERT_TRUE(json_valid(text));
	free(text);
}

static void
the_checker_knows_wrong_from_right(void)
{
	CU_ASSERT_TRUE(json_valid("{\"a\":[1,-2.5e3,true,null,{}],\"b\":[]}"));
	CU_ASSERT_FALSE(json_valid(""));
	CU_ASSERT_FALSE(json_valid("{\"a\":1"));
	CU_ASSERT_FALSE(json_valid("{\"a\":1}}"));
	CU_ASSERT_FALSE(json_valid("{\"a\":1,}"));
	CU_ASSERT_FALSE(json_valid("{a:1}"));
	CU_ASSERT_FALSE(json_valid("{\"a\":01}"));
	CU_ASSERT_FALSE(json_valid("{\"a\":\"\n\"}"));
	CU_ASSERT_FALSE(json_valid("{\"a\":\"\\x\"}"));
	CU_ASSERT_FALSE(json_valid("[1 2]"));
}

static void
hostile_strings_are_escaped(void)
{
	expect_string("plain", "{\"k\":\"plain\"}\n");
	expect_string("", "{\"k\":\"\"}\n");
	expect_string(NULL, "{\"k\":null}\n");
	expect_string("a\"b\\c", "{\"k\":\"a\\\"b\\\\c\"}\n");
	expect_string("\n\t\r", "{\"k\":\"\\n\\t\\r\"}\n");
	expect_string("\033[31m\x7f", "{\"k\":\"\\u001b[31m\\u007f\"}\n");
	expect_string("gr\xc3\xbc\xc3\x9f", "{\"k\":\"gr\xc3\xbc\xc3\x9f\"}\n");
	expect_string("\xf0\x9f\x93\xb1", "{\"k\":\"\xf0\x9f\x93\xb1\"}\n");
}

static void
bytes_that_are_not_utf8_are_replaced(void)
{
	expect_string("a\xff" "b", "{\"k\":\"a\\ufffdb\"}\n");
	/* overlong '/', a lone continuation, a surrogate, a cut sequence */
	expect_string("\xc0\xaf", "{\"k\":\"\\ufffd\\ufffd\"}\n");
	expect_string("\x80", "{\"k\":\"\\ufffd\"}\n");
	expect_string("\xed\xa0\x80", "{\"k\":\"\\ufffd\\ufffd\\ufffd\"}\n");
	expect_string("\xe2\x82", "{\"k\":\"\\ufffd\\ufffd\"}\n");
	/* the replacement character itself is a character like any other */
	expect_string("\xef\xbf\xbd", "{\"k\":\"\xef\xbf\xbd\"}\n");
}

static void
every_byte_survives_json_bytes(void)
{
	char all[256], *text = NULL;
	size_t len;
	struct json j;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	json_begin(&j, f);
	json_bytes(&j, "k", all, sizeof(all));
	CU_ASSERT_EQUAL(json_finish(&j), 0);
	fclose(f);
	CU_ASSERT_TRUE(json_valid(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\\u0000\\u0001"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\\u00fe\\u00ff"));
	free(text);
}

static void
nesting_and_numbers_come_out_whole(void)
{
	char *text = NULL;
	size_t len;
	struct json j;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	json_begin(&j, f);
	json_array(&j, "a");
	json_end(&j);
	json_object(&j, "o");
	json_u64(&j, "u", UINT64_MAX);
	json_i64(&j, "i", INT64_MIN);
	json_end(&j);
	json_array(&j, "l");
	json_string(&j, NULL, "x");
	json_bool(&j, NULL, true);
	json_object(&j, NULL);
	json_end(&j);
	json_end(&j);
	json_raw(&j, "r", "{\"n\":1}");
	CU_ASSERT_EQUAL(json_finish(&j), 0);
	fclose(f);
	CU_ASSERT_STRING_EQUAL(text,
	    "{\"a\":[],\"o\":{\"u\":18446744073709551615,"
	    "\"i\":-9223372036854775808},\"l\":[\"x\",true,{}],"
	    "\"r\":{\"n\":1}}\n");
	CU_ASSERT_TRUE(json_valid(text));
	free(text);
}

static void
a_full_disk_is_reported(void)
{
	FILE *f = fopen("/dev/full", "w");
	struct json j;

	if (f == NULL)
		return;
	json_begin(&j, f);
	CU_ASSERT_EQUAL(json_finish(&j), -EIO);
	fclose(f);
}

static void
text_cannot_steer_the_terminal(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "work", "work" },
		{ "\033[2Jx", "?[2Jx" },
		{ "a\nb\r", "a?b?" },
		{ "\xc2\x9b" "31m", "?31m" },		/* C1 CSI */
		{ "\xe2\x80\xae" "evil", "?evil" },	/* right-to-left */
		{ "\xff\xfe", "??" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ NULL, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *s = text_printable(cases[i].in);

		CU_ASSERT_STRING_EQUAL(s, cases[i].out);
		free(s);
	}
}

static void
columns_align_by_what_the_eye_sees(void)
{
	static const char *const headings[] = { "N", "WHERE" };
	struct table *t = table_new(headings, 2);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	table_cell(t, "gr\xc3\xbc\xc3\x9f");		/* 4 columns */
	table_cell(t, "here");
	table_cell(t, "\xe6\x9d\xb1\xe4\xba\xac");	/* 2 wide: 4 columns */
	table_cellf(t, "%d", 7);
	table_cell(t, "e\xcc\x81");			/* combining: 1 */
	table_cell(t, NULL);
	CU_ASSERT_EQUAL(table_print(t, f), 0);
	fclose(f);
	CU_ASSERT_STRING_EQUAL(text,
	    "N     WHERE\n"
	    "gr\xc3\xbc\xc3\x9f  here\n"
	    "\xe6\x9d\xb1\xe4\xba\xac  7\n"
	    "e\xcc\x81     \n");
	free(text);
	table_free(t);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "the checker knows wrong from right",
		    the_checker_knows_wrong_from_right },
		{ "hostile strings are escaped", hostile_strings_are_escaped },
		{ "bytes that are not UTF-8 are replaced",
		    bytes_that_are_not_utf8_are_replaced },
		{ "every byte survives json_bytes",
		    every_byte_survives_json_bytes },
		{ "nesting and numbers come out whole",
		    nesting_and_numbers_come_out_whole },
		{ "a full disk is reported", a_full_disk_is_reported },
		{ "text cannot steer the terminal",
		    text_cannot_steer_the_terminal },
		{ "columns align by what the eye sees",
		    columns_align_by_what_the_eye_sees },
	};

	return unit_main("ctl json and text", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
