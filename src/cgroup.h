/* SPDX-License-Identifier: ISC */
/*
 * A control group (cgroup v2) for each persona: how much memory, processor time
 * and how many threads its processes may take together. Knows no persona but by
 * its id, and no process but by its number.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdint.h>
#include <sys/types.h>

#include "hexid.h"

#define CGROUP_NAME_MAX	(HEXID_LEN + 20)	/* with NUL */
#define CGROUP_WHY_MAX	200

struct cgroups;

struct cgroup_limits {
	uint64_t	memory_bytes;	/* the guest's and the processes' own; 0: no limit */
	uint32_t	cpu_percent;	/* of one processor; 0: no limit */
};

struct cgroup_usage {
	uint64_t	memory_bytes;
	uint64_t	oom_kills;	/* how often its limit has killed */
};

/*
 * Find, or make, the place for our groups: "persona" at the top for root, else
 * below the group that personad was given for itself. What is missing (v2 at all,
 * a controller, the right to use it) is told as a sentence in why, empty when
 * nothing is; with no place at all -errno, too.
 */
int	cgroups_new(struct cgroups **cp, char why[CGROUP_WHY_MAX]);
void	cgroups_free(struct cgroups *c);

/*
 * Make a group for a persona, put its limits in force and its first process in;
 * clears away groups in which nobody is left. name is "" after a failure. `c` may
 * be NULL (-ENOTSUP), here and below.
 */
int	cgroup_make(struct cgroups *c, const char *id, pid_t first,
	    const struct cgroup_limits *l, char name[CGROUP_NAME_MAX]);

/* The group a process of ours is in already. 0 or -ENOENT, name "". */
int	cgroup_of(struct cgroups *c, pid_t pid, char name[CGROUP_NAME_MAX]);

/* All below: 0 or -errno. */
int	cgroup_add(struct cgroups *c, const char *name, pid_t pid);
int	cgroup_limit(struct cgroups *c, const char *name,
	    const struct cgroup_limits *l);
int	cgroup_usage(struct cgroups *c, const char *name,
	    struct cgroup_usage *u);

/* It goes when its last process has; a later cgroup_make sees to the rest. */
void	cgroup_remove(struct cgroups *c, const char *name);

/* --- for tests ------------------------------------------------------------ */

/*
 * Where cgroup v2 is mounted, from the text of /proc/self/mountinfo, and our own
 * group, from that of /proc/self/cgroup. 0, or -ENOENT when there is none.
 */
int	cgroup_parse_mount(const char *mountinfo, char *path, size_t size);
int	cgroup_parse_own(const char *text, char *path, size_t size);

#endif
