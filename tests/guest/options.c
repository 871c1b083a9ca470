/* SPDX-License-Identifier: ISC */
/*
 * Read the guest's command line into numbers. Knows no libc and no device.
 */
#include <stddef.h>

#include "options.h"
#include "timer.h"

struct word {
	const char	*at, *end;
};

/* Advance past `lit` when the word begins with it. */
static int
take(struct word *w, const char *lit)
{
	const char *p = w->at;

	for (; *lit != '\0'; lit++, p++)
		if (p == w->end || *p != *lit)
			return 0;
	w->at = p;
	return 1;
}

static int
is_all(struct word w, const char *lit)
{
	return take(&w, lit) && w.at == w.end;
}

/* Digits at the front of the word. 1, or 0 when there are none or too many. */
static int
take_digits(struct word *w, uint64_t *out)
{
	const char *start = w->at;
	uint64_t v = 0;

	while (w->at < w->end && *w->at >= '0' && *w->at <= '9') {
		if (w->at - start >= 18)
			return 0;
		v = v * 10 + (uint64_t)(*w->at++ - '0');
	}
	*out = v;
	return w->at > start;
}

/* A whole word that is a number with an optional K, M or G. */
static int
number(struct word w, uint64_t *out)
{
	unsigned int shift = 0;
	uint64_t v;

	if (!take_digits(&w, &v))
		return 0;
	if (take(&w, "K"))
		shift = 10;
	else if (take(&w, "M"))
		shift = 20;
	else if (take(&w, "G"))
		shift = 30;
	if (w.at != w.end || v > UINT64_MAX >> (shift + 1))
		return 0;
	*out = v << shift;
	return 1;
}

/* kind:percent,... that sum to 100; kinds left out get none. */
static int
mix(struct word w, uint8_t out[FILL_KINDS])
{
	static const char *const names[FILL_KINDS] = {
		[FILL_ZERO] = "zero:", [FILL_TEXT] = "text:",
		[FILL_REPEAT] = "repeat:", [FILL_RANDOM] = "random:",
	};
	uint64_t part[FILL_KINDS] = { 0 }, sum = 0;
	unsigned int i;

	do {
		for (i = 0; i < FILL_KINDS && !take(&w, names[i]); i++)
			;
		if (i == FILL_KINDS || !take_digits(&w, &part[i]) ||
		    part[i] > 100)
			return 0;
	} while (take(&w, ","));
	for (i = 0; i < FILL_KINDS; i++)
		sum += part[i];
	if (w.at != w.end || sum != 100)
		return 0;
	for (i = 0; i < FILL_KINDS; i++)
		out[i] = (uint8_t)part[i];
	return 1;
}

static int
timer(struct word w, uint64_t *out)
{
	uint64_t hz;

	if (!number(w, &hz) ||
	    (hz != 0 && (hz < TIMER_HZ_MIN || hz > TIMER_HZ_MAX)))
		return 0;
	*out = hz;
	return 1;
}

static int
option(struct options *o, struct word w)
{
	if (take(&w, "mem="))
		return number(w, &o->mem_bytes);
	if (take(&w, "hot="))
		return number(w, &o->hot_bytes);
	if (take(&w, "rate="))
		return number(w, &o->rate);
	if (take(&w, "beat="))
		return number(w, &o->beat_ms);
	if (take(&w, "tick="))
		return number(w, &o->tick_ms);
	if (take(&w, "exit="))
		return number(w, &o->exit_ms);
	if (take(&w, "disk="))
		return number(w, &o->disk_rate);
	if (take(&w, "timer="))
		return timer(w, &o->timer_hz);
	if (take(&w, "seed="))
		return number(w, &o->seed);
	if (take(&w, "mix="))
		return mix(w, o->mix);
	if (take(&w, "verify=")) {
		o->verify_off = (uint8_t)is_all(w, "off");
		return o->verify_off || number(w, &o->verify_rate);
	}
	if (take(&w, "rewrite=")) {
		o->rewrite_whole = (uint8_t)is_all(w, "full");
		return o->rewrite_whole || is_all(w, "words");
	}
	if (take(&w, "clock=")) {
		o->clock = is_all(w, "tsc") ? 't' : is_all(w, "kvm") ? 'k' : 0;
		return o->clock != 0 || is_all(w, "auto");
	}
	return 0;
}

static void
keep_bad(struct options *o, struct word w)
{
	size_t n = 0;

	if (o->bad[0] != '\0')
		return;
	while (n < OPTIONS_BAD_MAX && w.at < w.end)
		o->bad[n++] = *w.at++;
	o->bad[n] = '\0';
}

static int
is_path(struct word w)
{
	for (; w.at < w.end && *w.at != '='; w.at++)
		;
	return w.at == w.end;
}

void
options_parse(struct options *o, const char *cmdline)
{
	*o = (struct options){
		.hot_bytes = 32 << 20,
		.rate = 10 << 20,
		.beat_ms = 200,
		.seed = 1,
		.mix = { 25, 25, 25, 25 },
	};
	for (const char *p = cmdline; *p != '\0';) {
		struct word w = { .at = p };

		while (*p != '\0' && *p != ' ')
			p++;
		w.end = p;
		while (*p == ' ')
			p++;
		/* Some loaders put the kernel's path first; it is no option. */
		if (w.at < w.end && !(w.at == cmdline && is_path(w)) &&
		    !option(o, w))
			keep_bad(o, w);
	}
}
