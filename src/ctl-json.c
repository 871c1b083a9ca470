/* SPDX-License-Identifier: ISC */
/*
 * JSON by RFC 8259, on one line. Deliberately has no pretty form: programs read
 * it, and streaming commands write an object a line.
 */
#include "ctl-json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ctl-text.h"

static void
put_string(FILE *f, const char *s)
{
	fputc('"', f);
	while (*s != '\0') {
		const char *from = s;
		uint32_t cp = text_next(&s);

		if (cp == '"' || cp == '\\')
			fprintf(f, "\\%c", (int)cp);
		else if (cp == '\n')
			fputs("\\n", f);
		else if (cp == '\t')
			fputs("\\t", f);
		else if (cp == '\r')
			fputs("\\r", f);
		else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			fprintf(f, "\\u%04" PRIx32, cp);
		else if (cp == TEXT_REPLACEMENT && s - from == 1)
			fputs("\\ufffd", f);
		else
			fwrite(from, 1, (size_t)(s - from), f);
	}
	fputc('"', f);
}

/* The comma and the key that go before a value. */
static void
before_value(struct json *j, const char *key)
{
	assert((key != NULL) == (j->closing[j->depth] == '}'));
	if (j->filled[j->depth])
		fputc(',', j->f);
	j->filled[j->depth] = true;
	if (key != NULL) {
		put_string(j->f, key);
		fputc(':', j->f);
	}
}

static void
nest(struct json *j, char opening, char closing)
{
	assert(j->depth < JSON_DEPTH_MAX);
	fputc(opening, j->f);
	j->depth++;
	j->filled[j->depth] = false;
	j->closing[j->depth] = closing;
}

void
json_begin(struct json *j, FILE *f)
{
	memset(j, 0, sizeof(*j));
	j->f = f;
	nest(j, '{', '}');
}

int
json_finish(struct json *j)
{
	json_end(j);
	assert(j->depth == 0);
	fputc('\n', j->f);
	return fflush(j->f) == 0 && !ferror(j->f) ? 0 : -EIO;
}

void
json_object(struct json *j, const char *key)
{
	before_value(j, key);
	nest(j, '{', '}');
}

void
json_array(struct json *j, const char *key)
{
	before_value(j, key);
	nest(j, '[', ']');
}

void
json_end(struct json *j)
{
	assert(j->depth > 0);
	fputc(j->closing[j->depth], j->f);
	j->depth--;
}

void
json_string(struct json *j, const char *key, const char *value)
{
	before_value(j, key);
	if (value == NULL)
		fputs("null", j->f);
	else
		put_string(j->f, value);
}

void
json_bytes(struct json *j, const char *key, const char *bytes, size_t len)
{
	before_value(j, key);
	fputc('"', j->f);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			fputc(c, j->f);
		else
			fprintf(j->f, "\\u%04x", c);
	}
	fputc('"', j->f);
}

void
json_u64(struct json *j, const char *key, uint64_t value)
{
	before_value(j, key);
	fprintf(j->f, "%" PRIu64, value);
}

void
json_i64(struct json *j, const char *key, int64_t value)
{
	before_value(j, key);
	fprintf(j->f, "%" PRId64, value);
}

void
json_bool(struct json *j, const char *key, bool value)
{
	before_value(j, key);
	fputs(value ? "true" : "false", j->f);
}

void
json_raw(struct json *j, const char *key, const char *value)
{
	before_value(j, key);
	fputs(value, j->f);
}
