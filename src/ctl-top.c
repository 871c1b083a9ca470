/* SPDX-License-Identifier: ISC */
/*
 * What personas take of this handset, as a table that refreshes, and the limits on
 * it. Asks personad; knows no way to count.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "bounds.h"
#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-parse.h"
#include "ctl-table.h"
#include "ctl-text.h"
#include "ctl.h"

#define DELAY_MAX_S	3600
#define LOOKS_MAX	1000000
#define CPU_PERCENT_MAX	(VCPUS_MAX * 100u)
/* Home, and what was below is gone: so much of VT100 is everywhere. */
#define CLEAR		"\033[H\033[J"

/* Ask once. CTL_OK, or another ctl_exit that has been reported. */
static int
look(struct ctl *ctl, Persona__Control__Reply **reply)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Top top = PERSONA__CONTROL__TOP__INIT;

	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_TOP;
	req.top = &top;
	return ctl_call(ctl, &req, reply);
}

static const Persona__Control__Usage *
usage_of(const Persona__Control__Reply *l, const char *id)
{
	for (size_t i = 0; i < l->n_personas; i++)
		if (strcmp(l->personas[i]->id, id) == 0)
			return l->personas[i]->usage;
	return NULL;
}

/* Tenths of a percent of one processor between two looks; -1: not known. */
static int
cpu_permille(const Persona__Control__Reply *before,
    const Persona__Control__PersonaInfo *p)
{
	const Persona__Control__Usage *was = usage_of(before, p->id);
	const Persona__Control__Usage *is = p->usage;

	/* A persona that was started anew has used less than it had. */
	if (was == NULL || is->at_ns <= was->at_ns || is->cpu_ns < was->cpu_ns)
		return -1;
	return (int)((is->cpu_ns - was->cpu_ns) * 1000 /
	    (is->at_ns - was->at_ns));
}

/* What its disks take of the handset's storage. */
static uint64_t
disk_bytes(const Persona__Control__PersonaInfo *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->n_disks; i++)
		sum += p->disks[i]->used_bytes;
	return sum;
}

/* --- showing -------------------------------------------------------------------- */

static void
row_json(struct json *j, const Persona__Control__Reply *before,
    const Persona__Control__PersonaInfo *p)
{
	const Persona__Control__Usage *u = p->usage;
	int cpu = cpu_permille(before, p);

	json_object(j, NULL);
	json_string(j, "name", p->name);
	json_string(j, "id", p->id);
	if (cpu >= 0)
		json_u64(j, "cpu_permille", (uint64_t)cpu);
	json_u64(j, "cpu_ns", u->cpu_ns);
	json_u64(j, "ram_bytes", p->ram_bytes);
	json_u64(j, "resident_bytes", u->resident_bytes);
	json_u64(j, "private_bytes", u->private_bytes);
	json_u64(j, "disk_bytes", disk_bytes(p));
	if (u->has_group_bytes) {
		json_u64(j, "group_bytes", u->group_bytes);
		json_u64(j, "oom_kills", u->oom_kills);
	}
	if (u->has_net_in_bytes) {
		json_u64(j, "net_in_bytes", u->net_in_bytes);
		json_u64(j, "net_out_bytes", u->net_out_bytes);
	}
	if (p->has_limit_cpu_percent)
		json_u64(j, "limit_cpu_percent", p->limit_cpu_percent);
	if (p->has_limit_memory_bytes)
		json_u64(j, "limit_memory_bytes", p->limit_memory_bytes);
	json_end(j);
}

static void
cell_size(struct table *t, uint64_t bytes)
{
	char text[32];

	text_size(text, sizeof(text), bytes);
	table_cell(t, text);
}

/* Bytes a second over its network card, one way; "-" without one. */
static void
cell_rate(struct table *t, const Persona__Control__Usage *was,
    const Persona__Control__Usage *is, bool in)
{
	uint64_t now = in ? is->net_in_bytes : is->net_out_bytes, before;
	char size[32];

	/* persona-net may have been started anew, and counts from 0 then. */
	before = was == NULL ? UINT64_MAX : in ? was->net_in_bytes :
	    was->net_out_bytes;
	if (!is->has_net_in_bytes || before > now || is->at_ns <= was->at_ns) {
		table_cell(t, "-");
		return;
	}
	text_size(size, sizeof(size), (uint64_t)((double)(now - before) * 1e9 /
	    (double)(is->at_ns - was->at_ns)));
	table_cellf(t, "%s/s", size);
}

static void
row_table(struct table *t, const Persona__Control__Reply *before,
    const Persona__Control__PersonaInfo *p)
{
	const Persona__Control__Usage *u = p->usage;
	int cpu = cpu_permille(before, p);

	table_cell(t, p->name);
	if (cpu >= 0)
		table_cellf(t, "%d.%d %%", cpu / 10, cpu % 10);
	else
		table_cell(t, "-");
	if (p->has_limit_cpu_percent)
		table_cellf(t, "%u %%", p->limit_cpu_percent);
	else
		table_cell(t, "-");
	cell_size(t, p->ram_bytes);
	cell_size(t, u->resident_bytes);
	cell_size(t, u->private_bytes);
	cell_size(t, disk_bytes(p));
	cell_rate(t, usage_of(before, p->id), u, true);
	cell_rate(t, usage_of(before, p->id), u, false);
}

static int
show_json(const Persona__Control__Reply *before,
    const Persona__Control__Reply *now)
{
	struct json j;

	json_begin(&j, stdout);
	json_bool(&j, "ok", true);
	json_array(&j, "personas");
	for (size_t i = 0; i < now->n_personas; i++)
		if (now->personas[i]->usage != NULL)
			row_json(&j, before, now->personas[i]);
	json_end(&j);
	return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
}

static int
show_table(const Persona__Control__Reply *before,
    const Persona__Control__Reply *now, bool screen)
{
	static const char *const headings[] = { "NAME", "CPU", "LIMIT",
	    "MEMORY", "HELD", "OWN", "DISK", "NET IN", "NET OUT" };
	struct table *t = table_new(headings,
	    sizeof(headings) / sizeof(headings[0]));
	int r;

	if (t == NULL)
		return CTL_FAILED;
	for (size_t i = 0; i < now->n_personas; i++)
		if (now->personas[i]->usage != NULL)
			row_table(t, before, now->personas[i]);
	if (screen)
		fputs(CLEAR, stdout);
	r = table_print(t, stdout);
	table_free(t);
	fflush(stdout);
	return r == 0 ? CTL_OK : CTL_FAILED;
}

/* --- going on -------------------------------------------------------------------- */

/* Wait; true when the person has typed q meanwhile. */
static bool
wait_or_quit(unsigned int delay_s, bool keys)
{
	struct pollfd p = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
	struct timespec until, now;
	char c;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += delay_s;
	for (;;) {
		int64_t left_ms;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left_ms = (until.tv_sec - now.tv_sec) * 1000 +
		    (until.tv_nsec - now.tv_nsec) / 1000000;
		if (left_ms <= 0)
			return false;
		if (poll(&p, 1, (int)left_ms) <= 0)
			continue;
		if (read(STDIN_FILENO, &c, 1) != 1)
			p.fd = -1;
		else if (c == 'q' || c == 'Q')
			return true;
	}
}

/* Single keys, unseen; Ctrl-C stays what it is. false: this is no terminal. */
static bool
keys_on(struct termios *saved)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, saved) < 0)
		return false;
	t = *saved;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	return tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

/* Table after table; the first needs two looks, as a share needs a time. */
static int
watch(struct ctl *ctl, unsigned int delay_s, uint64_t count, bool keys)
{
	bool screen = isatty(STDOUT_FILENO) && count != 1;
	Persona__Control__Reply *before = NULL, *now = NULL;
	int status = look(ctl, &before);

	for (uint64_t i = 0; status == CTL_OK && (count == 0 || i < count);
	    i++) {
		if (wait_or_quit(delay_s, keys))
			break;
		if ((status = look(ctl, &now)) == CTL_OK)
			status = ctl->json ? show_json(before, now) :
			    show_table(before, now, screen);
		persona__control__reply__free_unpacked(before, NULL);
		before = now;
		now = NULL;
	}
	persona__control__reply__free_unpacked(before, NULL);
	return status;
}

int
ctl_top(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'n' },
		{ 0 }
	};
	uint64_t delay_s = 2, count = isatty(STDOUT_FILENO) ? 0 : 1;
	struct termios saved;
	const char *why;
	bool keys;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		if (c == 'd' ? parse_number(optarg, 1, DELAY_MAX_S, &delay_s,
		    &why) < 0 : parse_number(optarg, 1, LOOKS_MAX, &count,
		    &why) < 0)
			return ctl_usage(ctl, "--%s %s: %s", c == 'd' ?
			    "delay" : "count", optarg, why);
	}
	if ((status = ctl_arguments(ctl, argc, argv, 0, 0, NULL)) != CTL_OK)
		return status;
	keys = count == 0 && keys_on(&saved);
	status = watch(ctl, (unsigned int)delay_s, count, keys);
	if (keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	return status;
}

/* --- limit ------------------------------------------------------------------------ */

/* A size in bytes, or "none" for 0. */
static int
take_size(struct ctl *ctl, const char *option, uint64_t *bytes)
{
	const char *why;

	*bytes = 0;
	if (strcmp(optarg, "none") == 0 || strcmp(optarg, "0") == 0)
		return CTL_OK;
	if (parse_allowance(optarg, bytes, &why) < 0)
		return ctl_usage(ctl, "%s %s: %s", option, optarg, why);
	return CTL_OK;
}

static int
take_limit(struct ctl *ctl, int c, Persona__Control__Limit *l)
{
	const char *why;
	uint64_t n = 0;

	switch (c) {
	case 'c':
		if (strcmp(optarg, "none") != 0 && parse_number(optarg, 1,
		    CPU_PERCENT_MAX, &n, &why) < 0)
			return ctl_usage(ctl, "--cpu %s: %s", optarg, why);
		l->has_cpu_percent = true;
		l->cpu_percent = (uint32_t)n;
		return CTL_OK;
	case 'm':
		l->has_memory_bytes = true;
		return take_size(ctl, "--memory", &l->memory_bytes);
	case 'b':
		l->has_balloon_bytes = true;
		return take_size(ctl, "--take-back", &l->balloon_bytes);
	default:
		return CTL_USAGE;
	}
}

int
ctl_limit(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "cpu", required_argument, NULL, 'c' },
		{ "memory", required_argument, NULL, 'm' },
		{ "take-back", required_argument, NULL, 'b' },
		{ 0 }
	};
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Limit limit = PERSONA__CONTROL__LIMIT__INIT;
	const char *name;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1)
		if ((status = take_limit(ctl, c, &limit)) != CTL_OK)
			return status;
	if ((status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	if (!limit.has_cpu_percent && !limit.has_memory_bytes &&
	    !limit.has_balloon_bytes)
		return ctl_usage(ctl, "limit %s in what?", name);
	limit.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_LIMIT;
	req.limit = &limit;
	status = ctl_call(ctl, &req, NULL);
	return status == CTL_OK ? ctl_done(ctl) : status;
}
