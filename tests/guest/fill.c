/* SPDX-License-Identifier: ISC */
/*
 * Page content from numbers. Text is words of a made-up language with earlier
 * phrases quoted again, which LZ4 shrinks about as C headers shrink (2.4 to 1 by
 * the page). Knows nothing of where the pages lie.
 */
#include <stddef.h>

#include "fill.h"

#define HOT_SLOTS	8u	/* places a hot page is written at in turn */
#define HOT_SLOT_WORDS	4u	/* of 8 bytes */
#define PAGE_WORDS	(FILL_PAGE_BYTES / 8)

/* Separate streams of numbers for separate purposes, whatever the seed. */
enum { ROOM_KIND = 1, ROOM_RANDOM, ROOM_DICT, ROOM_TEXT, ROOM_VOCAB, ROOM_SLOT,
    ROOM_VALUE, ROOM_SUM, ROOM_HOT_SUM };

static uint64_t
scramble(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t
fill_mix(uint64_t a, uint64_t b)
{
	return scramble(scramble(a + 0x9e3779b97f4a7c15u) ^
	    (b * 0xd6e8feb86659fd93u + 1));
}

static uint64_t
stream_seed(const struct fill *f, unsigned int room, uint64_t n)
{
	return fill_mix(f->seed * 16 + room, n);
}

static uint64_t
next(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	return scramble(*state);
}

static unsigned int
make_word(uint64_t r, char *out)
{
	static const char first[16] = "bcdfghklmnprstvw";
	static const char vowel[8] = "aaeeeiou";
	static const char last[8] = "nrstlm";
	unsigned int syllables = 1 + ((r & 7) > 1) + ((r & 7) > 5);
	unsigned int len = 0;

	r >>= 3;
	for (unsigned int i = 0; i < syllables; i++, r >>= 11) {
		out[len++] = first[r & 15];
		out[len++] = vowel[r >> 4 & 7];
		if (last[r >> 7 & 7] != '\0' && (r >> 10 & 1))
			out[len++] = last[r >> 7 & 7];
	}
	return len;
}

void
fill_init(struct fill *f, uint64_t seed, const uint8_t percent[FILL_KINDS])
{
	uint64_t state;

	f->seed = seed;
	for (unsigned int i = 0; i < FILL_KINDS; i++)
		f->percent[i] = percent[i];
	state = stream_seed(f, ROOM_VOCAB, 0);
	for (unsigned int i = 0; i < FILL_WORDS; i++)
		f->word_len[i] = (uint8_t)make_word(next(&state), f->words[i]);
}

enum fill_kind
fill_kind_of(const struct fill *f, uint64_t page)
{
	uint64_t r = (stream_seed(f, ROOM_KIND, page) >> 32) * 100 >> 32;
	unsigned int kind = 0;

	while (kind < FILL_KINDS - 1 && r >= f->percent[kind])
		r -= f->percent[kind++];
	return (enum fill_kind)kind;
}

static void
fill_words(uint64_t state, uint64_t *w)
{
	for (unsigned int i = 0; i < PAGE_WORDS; i++)
		w[i] = next(&state);
}

/* Quote 6 to 45 bytes that stand earlier in the page. */
static unsigned int
quote(char *page, unsigned int pos, uint64_t r)
{
	unsigned int len = 6 + ((r >> 8 & 0xff) * 40 >> 8);
	unsigned int from = (unsigned int)((r >> 16 & 0xffff) * pos >> 16);

	for (unsigned int i = 0; i < len && pos < FILL_PAGE_BYTES; i++)
		page[pos++] = page[from + i];
	return pos;
}

static void
fill_text(const struct fill *f, uint64_t state, char *page)
{
	unsigned int pos = 0;

	while (pos < FILL_PAGE_BYTES) {
		uint64_t r = next(&state);
		uint64_t u = r >> 40 & 1023;
		unsigned int word;

		if (pos > 256 && (r & 255) < 108) {
			pos = quote(page, pos, r);
			continue;
		}
		/* Squared: a few words are said often, most seldom. */
		word = (unsigned int)(u * u >> 10);
		for (unsigned int i = 0; i < f->word_len[word] &&
		    pos < FILL_PAGE_BYTES; i++)
			page[pos++] = f->words[word][i];
		if (pos < FILL_PAGE_BYTES)
			page[pos++] = (r >> 52 & 15) == 0 ? '\n' : ' ';
	}
}

void
fill_static(const struct fill *f, uint64_t page, void *buf)
{
	uint64_t *w = buf;
	uint64_t entry;

	switch (fill_kind_of(f, page)) {
	case FILL_TEXT:
		fill_text(f, stream_seed(f, ROOM_TEXT, page), buf);
		break;
	case FILL_REPEAT:
		entry = stream_seed(f, ROOM_DICT, page) % FILL_DICTIONARY;
		fill_words(stream_seed(f, ROOM_DICT, ~entry), w);
		break;
	case FILL_RANDOM:
		fill_words(stream_seed(f, ROOM_RANDOM, page), w);
		break;
	case FILL_ZERO:
	default:
		for (unsigned int i = 0; i < PAGE_WORDS; i++)
			w[i] = 0;
		break;
	}
}

/* Dirtying number `count` (from 1) of a page that is not rewritten whole. */
static void
hot_write(const struct fill *f, uint64_t page, uint64_t count, uint64_t *w)
{
	uint64_t where = stream_seed(f, ROOM_SLOT,
	    page * HOT_SLOTS + count % HOT_SLOTS);
	uint64_t what = stream_seed(f, ROOM_VALUE, fill_mix(page, count));
	uint64_t at = 1 + where % (PAGE_WORDS - 1 - HOT_SLOT_WORDS);

	w[0] = count;
	for (unsigned int i = 0; i < HOT_SLOT_WORDS; i++)
		w[at + i] = next(&what);
}

static void
hot_text(const struct fill *f, uint64_t page, uint64_t count, uint64_t *w)
{
	fill_text(f, stream_seed(f, ROOM_TEXT, fill_mix(page, ~count)),
	    (char *)w);
	w[0] = count;
}

void
fill_hot_step(const struct fill *f, uint64_t page, uint64_t count, int whole,
    void *buf)
{
	if (whole)
		hot_text(f, page, count, buf);
	else
		hot_write(f, page, count, buf);
}

void
fill_hot(const struct fill *f, uint64_t page, uint64_t count, int whole,
    void *buf)
{
	if (whole) {
		hot_text(f, page, count, buf);
		return;
	}
	/* Each slot was last written within the last HOT_SLOTS dirtyings. */
	hot_text(f, page, 0, buf);
	for (uint64_t c = count > HOT_SLOTS ? count - HOT_SLOTS + 1 : 1;
	    c <= count; c++)
		hot_write(f, page, c, buf);
}

uint64_t
fill_page_sum(uint64_t page, const void *buf)
{
	const uint64_t *w = buf;
	uint64_t a = ROOM_SUM, b = page;

	for (unsigned int i = 0; i < PAGE_WORDS; i += 2) {
		a = (a ^ w[i]) * 0x9e3779b97f4a7c15u;
		b = (b ^ w[i + 1]) * 0xbf58476d1ce4e5b9u;
		a ^= a >> 29;
		b ^= b >> 31;
	}
	return fill_mix(a, fill_mix(b, page));
}

uint64_t
fill_hot_sum(uint64_t page, uint64_t count)
{
	return fill_mix(page * 16 + ROOM_HOT_SUM, count);
}
