/* SPDX-License-Identifier: ISC */
/*
 * What a persona may take of this handset, and what it takes. Knows numbers of
 * /proc and control groups; knows no command that asks for them.
 */
#include "guest-priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon.h"
#include "guest-net.h"
#include "launcher.h"
#include "log.h"

/* What persona-vmm needs beside the guest's memory, unless the persona says so: its
 * own few hundred kilobytes, and the page cache of what the guest reads. */
#define OWN_MEMORY_BYTES	(64ULL << 20)
/* The kernel's page tables for the guest and for us, at most. */
#define TABLES_SHARE		32u

static struct cgroup_limits
limits_of(const struct persona_record *rec)
{
	struct cgroup_limits l = { .memory_bytes = OWN_MEMORY_BYTES };
	Persona__Spec__Spec *spec = NULL;

	if (spec_unpack(&rec->spec, &spec) == 0 && spec->limits != NULL) {
		if (spec->limits->has_memory_bytes)
			l.memory_bytes = spec->limits->memory_bytes;
		l.cpu_percent = spec->limits->cpu_percent;
	}
	if (spec != NULL)
		persona__spec__spec__free_unpacked(spec, NULL);
	/* Both come from outside, but neither passes RAM_MAX_BYTES (spec.c). */
	l.memory_bytes += rec->ram_bytes + rec->ram_bytes / TABLES_SHARE;
	return l;
}

/*
 * Whoever touches a page first is charged for it, whoever needs it later: so the
 * worker that fills the memory of an arriving guest belongs to its group. It needs
 * memory of its own, and the guest stands still: while it lives there is no limit.
 */
static int
put_in_force(struct guest *g)
{
	static const struct cgroup_limits none = { 0 };

	return g->group[0] == '\0' ? -ENOTSUP :
	    cgroup_limit(g->daemon->cgroups, g->group,
	    g->filler != NULL ? &none : &g->limits);
}

void
guest_group_enter(struct guest *g, const struct persona_record *rec)
{
	int r;

	g->limits = limits_of(rec);
	r = cgroup_make(g->daemon->cgroups, g->id, child_pid(g->child),
	    &g->limits, g->group);
	if (r < 0 && r != -ENOTSUP)
		log_warn_r(r, "persona %s: runs without limits", g->name);
}

void
guest_group_find(struct guest *g, const struct persona_record *rec)
{
	(void)cgroup_of(g->daemon->cgroups, child_pid(g->child), g->group);
	(void)guest_limit(g, rec);
}

void
guest_group_add(struct guest *g, pid_t pid)
{
	int r = 0;

	if (g->group[0] != '\0' && pid > 0)
		r = cgroup_add(g->daemon->cgroups, g->group, pid);
	if (r < 0)
		log_warn_r(r, "persona %s: process %d does not count as its "
		    "own", g->name, (int)pid);
}

int
guest_limit(struct guest *g, const struct persona_record *rec)
{
	g->limits = limits_of(rec);
	return put_in_force(g);
}

static void
filler_ended(void *arg, int status)
{
	struct guest *g = arg;
	int r;

	(void)status;
	g->filler = NULL;
	if ((r = put_in_force(g)) < 0 && r != -ENOTSUP)
		log_warn_r(r, "persona %s: its limits are not in force",
		    g->name);
}

void
guest_filled_by(struct guest *g, pid_t pid)
{
	if (g->group[0] == '\0' || g->filler != NULL ||
	    launcher_watch(g->daemon->launcher, pid, 0, filler_ended, g,
	    &g->filler) < 0)
		return;
	(void)put_in_force(g);
	guest_group_add(g, pid);
}

static uint64_t
ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

/* Anonymous memory and its share of programs and libraries; the guest's memory is
 * a shared file and counts under another name. */
static uint64_t
private_bytes(pid_t pid)
{
	char path[48], line[128];
	unsigned long long kb, sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Pss_Anon: %llu kB", &kb) == 1 ||
		    sscanf(line, "Pss_File: %llu kB", &kb) == 1)
			sum += kb;
	fclose(f);
	return sum << 10;
}

void
guest_usage(const struct guest *g, struct guest_usage *u)
{
	pid_t pid = child_pid(g->child);
	struct cgroup_usage group;
	struct timespec t;
	clockid_t clock;
	struct stat st;

	memset(u, 0, sizeof(*u));
	clock_gettime(CLOCK_MONOTONIC, &t);
	u->at_ns = ns_of(&t);
	if (pid > 0 && clock_getcpuclockid(pid, &clock) == 0 &&
	    clock_gettime(clock, &t) == 0)
		u->cpu_ns = ns_of(&t);
	if (pid > 0)
		u->private_bytes = private_bytes(pid);
	if (g->ram_fd >= 0 && fstat(g->ram_fd, &st) == 0)
		u->resident_bytes = (uint64_t)st.st_blocks * 512;
	if (g->group[0] != '\0' && cgroup_usage(g->daemon->cgroups, g->group,
	    &group) == 0) {
		u->group_bytes = group.memory_bytes;
		u->oom_kills = group.oom_kills;
	}
	u->has_net = g->net != NULL;
	if (u->has_net)
		guest_net_traffic(g->net, &u->net_in_bytes, &u->net_out_bytes);
}
