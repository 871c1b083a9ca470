/* SPDX-License-Identifier: ISC */
/* The words for a preflight. Knows no command and no terminal. */
#include "ctl-preflight.h"

#include <errno.h>
#include <string.h>

#include "config.h"
#include "ctl-table.h"
#include "ctl-text.h"
#include "reason.h"

#define CELL_MAX		32
#define BATTERY_LOW_PERCENT	20u

/* --- the verdict ------------------------------------------------------------ */

bool
preflight_is_yes(const Persona__Transfer__Preflight *p)
{
	return p->answer->n_objections == 0 && p->estimate != NULL &&
	    p->estimate->ends;
}

void
preflight_yes(char out[PREFLIGHT_LINE_MAX],
    const Persona__Transfer__Estimate *e)
{
	char about[CELL_MAX], low[CELL_MAX], high[CELL_MAX], bytes[CELL_MAX];
	char pause[CELL_MAX], held[2 * CELL_MAX] = "";

	text_duration(about, sizeof(about), e->time_ms);
	text_duration(low, sizeof(low), e->time_low_ms);
	text_duration(high, sizeof(high), e->time_high_ms);
	text_size(bytes, sizeof(bytes), e->bytes);
	text_duration(pause, sizeof(pause), e->blackout_ms);
	if (e->throttle_percent > 0)
		snprintf(held, sizeof(held), ", held back by up to %u %%",
		    e->throttle_percent);
	snprintf(out, PREFLIGHT_LINE_MAX, "yes: about %s (%s to %s), %s, pause "
	    "about %s%s", about, low, high, bytes, pause, held);
}

static bool
is_low(bool known, unsigned int percent, bool charging)
{
	return known && percent < BATTERY_LOW_PERCENT && !charging;
}

void
preflight_care(char out[PREFLIGHT_LINE_MAX],
    const Persona__Transfer__Preflight *p)
{
	const Persona__Transfer__Answer *a = p->answer;

	out[0] = '\0';
	if (is_low(p->has_battery_percent, p->battery_percent,
	    p->battery_charging))
		snprintf(out, PREFLIGHT_LINE_MAX, "take care: the battery here "
		    "is at %u %% and not charging", p->battery_percent);
	else if (is_low(a->has_battery_percent, a->battery_percent,
	    a->battery_charging))
		snprintf(out, PREFLIGHT_LINE_MAX, "take care: the battery "
		    "there is at %u %% and not charging", a->battery_percent);
}

/* --- the table --------------------------------------------------------------- */

static bool
objected(const Persona__Transfer__Answer *a, uint32_t reason)
{
	for (size_t i = 0; i < a->n_objections; i++)
		if (a->objections[i]->reason == reason)
			return true;
	return false;
}

static const char *
verdict(const Persona__Transfer__Answer *a, uint32_t reason, uint32_t or_reason)
{
	return objected(a, reason) || objected(a, or_reason) ? "no" : "ok";
}

static void
row(struct table *t, const char *what, const char *needed, const char *there,
    const char *verdict)
{
	table_cell(t, what);
	table_cell(t, needed);
	table_cell(t, there);
	table_cell(t, verdict);
}

static void
size_row(struct table *t, const char *what, bool has_needed, uint64_t needed,
    bool has_there, uint64_t there, const char *verdict)
{
	char need[CELL_MAX] = "-", has[CELL_MAX] = "not known";

	if (has_needed)
		text_size(need, sizeof(need), needed);
	if (has_there)
		text_size(has, sizeof(has), there);
	row(t, what, need, has, verdict);
}

static void
battery_row(struct table *t, const Persona__Transfer__Preflight *p)
{
	const Persona__Transfer__Answer *a = p->answer;
	char care[PREFLIGHT_LINE_MAX], here[CELL_MAX] = "-";
	char there[CELL_MAX] = "-";

	if (!p->has_battery_percent && !a->has_battery_percent)
		return;
	if (p->has_battery_percent)
		snprintf(here, sizeof(here), "here %u %%%s",
		    p->battery_percent, p->battery_charging ?
		    ", charging" : "");
	if (a->has_battery_percent)
		snprintf(there, sizeof(there), "%u %%%s", a->battery_percent,
		    a->battery_charging ? ", charging" : "");
	preflight_care(care, p);
	row(t, "battery", here, there, care[0] != '\0' ? "low" : "ok");
}

static void
measured_rows(struct table *t, const Persona__Transfer__Estimate *e)
{
	char need[2 * CELL_MAX], there[2 * CELL_MAX], rate[CELL_MAX];

	text_rate(rate, sizeof(rate), e->dirty_rate * 4096);
	snprintf(need, sizeof(need), "changes %s", rate);
	text_rate(rate, sizeof(rate), e->rate);
	snprintf(there, sizeof(there), "%s, %llu.%llu ms", rate,
	    (unsigned long long)(e->rtt_us / 1000),
	    (unsigned long long)(e->rtt_us / 100 % 10));
	row(t, "link", need, there, e->ends ? "ok" : "no");
}

int
preflight_table(const Persona__Transfer__Preflight *p, FILE *f)
{
	static const char *const headings[] = {
		"WHAT", "NEEDED", "THERE", "VERDICT" };
	const Persona__Transfer__Answer *a = p->answer;
	struct table *t = table_new(headings, 4);
	int r;

	if (t == NULL)
		return -ENOMEM;
	size_row(t, "memory", a->has_memory_needed, a->memory_needed,
	    a->has_memory_free, a->memory_free,
	    verdict(a, REASON_NO_MEMORY, REASON_NO_MEMORY));
	size_row(t, "disk", a->has_disk_needed, a->disk_needed,
	    a->has_disk_free, a->disk_free,
	    verdict(a, REASON_DISK_FULL, REASON_DISK_FULL));
	row(t, "processor", a->cpu_needed, a->cpu_highest != NULL ?
	    a->cpu_highest : "not known", objected(a, REASON_ARCH) ? "no" :
	    verdict(a, REASON_CPU_BASELINE, REASON_NO_KVM));
	row(t, "version", PACKAGE_VERSION, a->version,
	    verdict(a, REASON_VERSION, REASON_VERSION));
	row(t, "policy", "", "", verdict(a, REASON_POLICY, REASON_POLICY));
	row(t, "name", "", "", verdict(a, REASON_NAME_TAKEN, REASON_BUSY));
	if (p->estimate != NULL)
		measured_rows(t, p->estimate);
	battery_row(t, p);
	r = table_print(t, f);
	table_free(t);
	return r;
}

/* --- JSON ---------------------------------------------------------------------- */

static void
answer_json(struct json *j, const Persona__Transfer__Answer *a)
{
	json_array(j, "objections");
	for (size_t i = 0; i < a->n_objections; i++) {
		json_object(j, NULL);
		json_string(j, "reason", reason_word(a->objections[i]->reason));
		json_string(j, "message", a->objections[i]->message);
		json_end(j);
	}
	json_end(j);
	if (a->has_memory_needed)
		json_u64(j, "memory_needed", a->memory_needed);
	if (a->has_memory_free)
		json_u64(j, "memory_free", a->memory_free);
	if (a->has_disk_needed)
		json_u64(j, "disk_needed", a->disk_needed);
	if (a->has_disk_free)
		json_u64(j, "disk_free", a->disk_free);
	if (a->cpu_needed != NULL)
		json_string(j, "cpu_needed", a->cpu_needed);
	if (a->cpu_highest != NULL)
		json_string(j, "cpu_highest", a->cpu_highest);
	if (a->version != NULL)
		json_string(j, "peer_version", a->version);
	if (a->has_battery_percent) {
		json_u64(j, "peer_battery_percent", a->battery_percent);
		json_bool(j, "peer_battery_charging", a->battery_charging);
	}
}

static void
estimate_json(struct json *j, const Persona__Transfer__Estimate *e)
{
	json_object(j, "estimate");
	json_bool(j, "ends", e->ends);
	json_u64(j, "time_ms", e->time_ms);
	json_u64(j, "time_low_ms", e->time_low_ms);
	json_u64(j, "time_high_ms", e->time_high_ms);
	json_u64(j, "bytes", e->bytes);
	json_u64(j, "blackout_ms", e->blackout_ms);
	json_u64(j, "throttle_percent", e->throttle_percent);
	json_u64(j, "rate", e->rate);
	json_u64(j, "rtt_us", e->rtt_us);
	json_u64(j, "pages", e->pages);
	json_u64(j, "page_bytes", e->page_bytes / 256);
	json_u64(j, "dirty_pages_per_s", e->dirty_rate);
	json_end(j);
}

void
preflight_json(struct json *j, const char *key,
    const Persona__Transfer__Preflight *p)
{
	json_object(j, key);
	json_bool(j, "yes", preflight_is_yes(p));
	answer_json(j, p->answer);
	if (p->estimate != NULL)
		estimate_json(j, p->estimate);
	if (p->has_battery_percent) {
		json_u64(j, "battery_percent", p->battery_percent);
		json_bool(j, "battery_charging", p->battery_charging);
	}
	json_end(j);
}
