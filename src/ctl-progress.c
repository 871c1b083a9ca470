/* SPDX-License-Identifier: ISC */
/*
 * Pictures of a move, made from one MoveInfo each. Knows nothing of how often
 * they are drawn or where.
 */
#include "ctl-progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ctl-text.h"
#include "reason.h"

#define BAR_COLUMNS_MIN 10
#define BAR_COLUMNS_MAX 30

static const char *const phases[] = { "connecting", "copying", "stopped",
    "finishing" };

static const char *
phase_word(const Persona__Transfer__Progress *p)
{
	return (size_t)p->phase < 4 ? phases[p->phase] : "unknown";
}

/* snprintf at the end of what stands in out; cut when it does not fit. */
__attribute__((format(printf, 2, 3)))
static void
append(char out[PROGRESS_LINE_MAX], const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + len, PROGRESS_LINE_MAX - len, fmt, ap);
	va_end(ap);
}

static void
append_route(char out[PROGRESS_LINE_MAX], const Persona__Control__MoveInfo *m)
{
	char *peer = text_printable(m->peer);

	append(out, "%s %s %s", m->persona, m->outgoing ? "->" : "<-",
	    peer != NULL ? peer : "?");
	free(peer);
}

/*
 * Before there is a rate, pages are all there is to count; empty ones fly past and
 * promise nothing, so they may move the bar only this far.
 */
#define UNTIMED_PERCENT	10.0

static double
estimate(const Persona__Control__MoveInfo *m)
{
	const Persona__Transfer__Progress *t = m->progress;

	if (t->has_eta_ms && m->has_elapsed_ms && m->elapsed_ms > 0)
		return 100.0 * (double)m->elapsed_ms /
		    ((double)m->elapsed_ms + (double)t->eta_ms);
	if (t->round == 1 && t->pages_total > 0 &&
	    t->pages_left <= t->pages_total)
		return UNTIMED_PERCENT *
		    (double)(t->pages_total - t->pages_left) /
		    (double)t->pages_total;
	return 0;
}

unsigned int
progress_percent(struct progress *p, const Persona__Control__MoveInfo *m)
{
	double now = estimate(m);

	if (m->ended && m->reason == REASON_OK)
		return p->percent = 100;
	if (now > 99)
		now = 99;	/* it is not over before it is */
	if (now > p->percent)
		p->percent = (unsigned int)now;
	return p->percent;
}

/* What stands right of the bar, by falling importance. */
enum detail { DETAIL_LEFT, DETAIL_RATE, DETAIL_ROUND, DETAIL_SENT,
    DETAIL_THROTTLE, N_DETAILS };

static void
append_detail(char out[PROGRESS_LINE_MAX], enum detail d,
    const Persona__Transfer__Progress *t)
{
	char text[64];

	switch (d) {
	case DETAIL_LEFT:
		if (t->phase != PERSONA__TRANSFER__PROGRESS__PHASE__COPYING)
			append(out, "  %s", phase_word(t));
		else if (t->has_eta_ms) {
			text_duration(text, sizeof(text),
			    t->eta_ms < 1000 ? 1000 : t->eta_ms / 1000 * 1000);
			append(out, "  %s left", text);
		}
		break;
	case DETAIL_RATE:
		if (!t->has_rate || t->rate == 0)
			break;		/* nothing was measured yet */
		text_rate(text, sizeof(text), t->rate);
		append(out, "  %s", text);
		break;
	case DETAIL_ROUND:
		if (t->round > 0)
			append(out, "  round %u", t->round);
		break;
	case DETAIL_SENT:
		if (!t->has_bytes_sent)
			break;
		text_size(text, sizeof(text), t->bytes_sent);
		append(out, "  %s", text);
		break;
	case DETAIL_THROTTLE:
		if (t->throttle_percent > 0)
			append(out, "  slowed %u%%", t->throttle_percent);
		break;
	case N_DETAILS:
		break;
	}
}

void
progress_bar(char out[PROGRESS_LINE_MAX], struct progress *p,
    const Persona__Control__MoveInfo *m, unsigned int columns)
{
	char details[PROGRESS_LINE_MAX];
	unsigned int percent = progress_percent(p, m), fixed, width, full;
	int n = N_DETAILS;

	out[0] = '\0';
	append_route(out, m);
	do {
		details[0] = '\0';
		for (int d = 0; d < n; d++)
			append_detail(details, (enum detail)d, m->progress);
		/* "  [" + "]" + " 100%" */
		fixed = text_columns(out) + text_columns(details) + 9;
	} while (fixed + BAR_COLUMNS_MIN > columns && n-- > 0);
	if (fixed + BAR_COLUMNS_MIN > columns) {
		/* Not even a name fits beside a bar: the number alone. */
		snprintf(out, PROGRESS_LINE_MAX, "%3u%%", percent);
		return;
	}
	width = columns - fixed;
	if (width > BAR_COLUMNS_MAX)
		width = BAR_COLUMNS_MAX;
	full = width * percent / 100;
	append(out, "  [");
	for (unsigned int i = 0; i < width; i++)
		append(out, "%c", i < full ? '=' : i == full ? '>' : ' ');
	append(out, "] %3u%%%s", percent, details);
}

void
progress_line(char out[PROGRESS_LINE_MAX], struct progress *p,
    const Persona__Control__MoveInfo *m)
{
	out[0] = '\0';
	append_route(out, m);
	append(out, ": %u%%", progress_percent(p, m));
	for (int d = 0; d < N_DETAILS; d++)
		append_detail(out, (enum detail)d, m->progress);
	if (m->progress->has_pages_left)
		append(out, "  %" PRIu64 " pages of this round to go",
		    m->progress->pages_left);
}

static void
append_share(char out[PROGRESS_LINE_MAX], const char *what, uint64_t pages,
    uint64_t all, bool *first)
{
	/* What would read as 0% is not worth a word. */
	if (pages * 200 < all)
		return;
	append(out, "%s%s %.0f%%", *first ? "" : ", ", what,
	    100.0 * (double)pages / (double)all);
	*first = false;
}

/* "; of the pages 40% zero, 5% already there, 10% as differences ..." */
static void
append_savings(char out[PROGRESS_LINE_MAX],
    const Persona__Transfer__Savings *s)
{
	uint64_t packed = s->lz4_pages + s->zstd_pages;
	uint64_t all = s->zero_pages + s->known_pages + s->delta_pages +
	    packed + s->raw_pages + s->unchanged_pages;
	bool first = true;

	if (all == 0)
		return;
	append(out, "; of the pages ");
	append_share(out, "zero", s->zero_pages, all, &first);
	append_share(out, "already there", s->known_pages, all, &first);
	append_share(out, "unchanged", s->unchanged_pages, all, &first);
	append_share(out, "as differences", s->delta_pages, all, &first);
	append_share(out, "compressed", packed, all, &first);
	append_share(out, "as they are", s->raw_pages, all, &first);
}

void
progress_summary(char out[PROGRESS_LINE_MAX],
    const Persona__Control__MoveInfo *m)
{
	const Persona__Transfer__Progress *t = m->progress;
	char *peer = text_printable(m->peer);
	char text[64];

	out[0] = '\0';
	append(out, "%s now runs on %s", m->persona,
	    !m->outgoing ? "this handset" : peer != NULL ? peer : "?");
	free(peer);
	text_duration(text, sizeof(text), m->elapsed_ms);
	if (m->has_elapsed_ms)
		append(out, ": %s in all", text);
	text_duration(text, sizeof(text),
	    (m->blackout_ns + 500000) / 1000000);
	if (m->has_blackout_ns)
		append(out, ", stood still for %s%s", text,
		    m->blackout_by_guest ? " by its own clock" : "");
	text_size(text, sizeof(text), t->bytes_sent);
	if (t->has_bytes_sent)
		append(out, ", %s sent", text);
	text_size(text, sizeof(text), m->ram_bytes);
	if (m->has_ram_bytes && t->has_bytes_sent)
		append(out, " for %s of memory", text);
	if (t->savings != NULL)
		append_savings(out, t->savings);
}

/* --- JSON --------------------------------------------------------------- */

static void
savings_json(struct json *j, const Persona__Transfer__Savings *s)
{
	json_object(j, "savings");
	json_u64(j, "zero_pages", s->zero_pages);
	json_u64(j, "known_pages", s->known_pages);
	json_u64(j, "unchanged_pages", s->unchanged_pages);
	json_u64(j, "delta_pages", s->delta_pages);
	json_u64(j, "delta_bytes", s->delta_bytes);
	json_u64(j, "lz4_pages", s->lz4_pages);
	json_u64(j, "lz4_bytes", s->lz4_bytes);
	json_u64(j, "zstd_pages", s->zstd_pages);
	json_u64(j, "zstd_bytes", s->zstd_bytes);
	json_u64(j, "raw_pages", s->raw_pages);
	json_end(j);
}

static void
optional_u64(struct json *j, const char *key, bool has, uint64_t value)
{
	if (has)
		json_u64(j, key, value);
}

static void
transfer_json(struct json *j, const Persona__Transfer__Progress *t)
{
	if (t->has_phase)
		json_string(j, "phase", phase_word(t));
	optional_u64(j, "round", t->has_round, t->round);
	optional_u64(j, "pages_total", t->has_pages_total, t->pages_total);
	optional_u64(j, "pages_left", t->has_pages_left, t->pages_left);
	optional_u64(j, "bytes_sent", t->has_bytes_sent, t->bytes_sent);
	optional_u64(j, "rate_bytes_per_s", t->has_rate, t->rate);
	optional_u64(j, "eta_ms", t->has_eta_ms, t->eta_ms);
	optional_u64(j, "projected_blackout_ms", t->has_projected_blackout_ms,
	    t->projected_blackout_ms);
	optional_u64(j, "throttle_percent", t->has_throttle_percent,
	    t->throttle_percent);
	if (t->savings != NULL)
		savings_json(j, t->savings);
}

void
progress_json(struct json *j, const char *key,
    const Persona__Control__MoveInfo *m)
{
	json_object(j, key);
	json_string(j, "persona", m->persona);
	json_string(j, "peer", m->peer);
	json_bool(j, "outgoing", m->outgoing);
	optional_u64(j, "attempt", m->has_attempt, m->attempt);
	optional_u64(j, "elapsed_ms", m->has_elapsed_ms, m->elapsed_ms);
	transfer_json(j, m->progress);
	json_bool(j, "ended", m->ended);
	if (m->has_reason)
		json_string(j, "reason", reason_word(m->reason));
	if (m->message != NULL)
		json_string(j, "message", m->message);
	optional_u64(j, "blackout_ns", m->has_blackout_ns, m->blackout_ns);
	if (m->has_blackout_ns)
		json_string(j, "blackout_clock", m->blackout_by_guest ?
		    "guest" : "handsets");
	optional_u64(j, "ram_bytes", m->has_ram_bytes, m->ram_bytes);
	optional_u64(j, "cpu_ms", m->has_cpu_ms, m->cpu_ms);
	json_end(j);
}
