/* SPDX-License-Identifier: ISC */
/*
 * The times after which a link is no longer believed in. What a heartbeat looks
 * like is bundle.c's.
 */
#include "pulse.h"

#include <stddef.h>

#define NS			1000000000ULL
#define BEAT_NS			NS
#define BEAT_EARLY_NS		(NS / 20)	/* to learn the round trip */
#define BEAT_EARLY_COUNT	8u
#define FAINT_NS		NS
#define SILENCE_NS		(10 * NS)	/* of a peer that is alive */
/* A phone that changes its access point is back within this, and TCP tries then. */
#define DOUBT_NS		(2 * NS)
#define ON_ITS_WAY_NS		(NS / 5)	/* heard since, sent before */

void
pulse_init(struct pulse *p, uint64_t now_ns)
{
	*p = (struct pulse){ .heard_ns = now_ns };
}

void
pulse_heard(struct pulse *p, uint64_t now_ns)
{
	p->heard_ns = now_ns;
}

void
pulse_doubt(struct pulse *p, uint64_t now_ns)
{
	if (p->doubt_ns == 0)
		p->doubt_ns = now_ns;
}

bool
pulse_beat_due(const struct pulse *p, uint64_t now_ns)
{
	uint64_t every = BEAT_NS;

	if (p->beats < BEAT_EARLY_COUNT || p->doubt_ns != 0)
		every = BEAT_EARLY_NS;
	return p->beats == 0 || now_ns - p->beat_ns >= every;
}

void
pulse_beaten(struct pulse *p, uint64_t now_ns)
{
	p->beat_ns = now_ns;
	p->beats++;
}

const char *
pulse_lost(struct pulse *p, uint64_t now_ns)
{
	if (p->doubt_ns != 0 && p->heard_ns > p->doubt_ns + ON_ITS_WAY_NS)
		p->doubt_ns = 0;
	if (p->doubt_ns != 0 && now_ns - p->doubt_ns > DOUBT_NS)
		return "the link is down";
	if (now_ns - p->heard_ns > SILENCE_NS)
		return "the link went silent";
	return NULL;
}

bool
pulse_faint(const struct pulse *p, uint64_t now_ns)
{
	return now_ns - p->heard_ns > FAINT_NS;
}
