/* SPDX-License-Identifier: ISC */
/*
 * Start the other programs with exactly the descriptors they are meant to have,
 * and hear of their end, also of processes that an earlier personad started.
 * Knows no protocol and no reason why a child should live or die.
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct launcher;
struct child;

#define LAUNCH_FDS_MAX	4
/* The first descriptor a child is given; the next ones follow in order. */
#define LAUNCH_FD_BASE	3

struct launch_spec {
	const char	*path;		/* absolute */
	char *const	*argv;		/* NULL at the end */
	int		fds[LAUNCH_FDS_MAX]; /* become 3, 4, ...; stay the caller's */
	size_t		n_fds;
	int		out_fd;		/* its standard output; 0: our log */
	bool		die_with_us;	/* false: survives personad's end */
	uid_t		uid;		/* who it will make itself; 0: who we are */
};

/*
 * The process has ended. `status` is wait(2)'s, or -1 when it was not our child.
 * The child handle is gone after the callback.
 */
typedef void child_end_fn(void *arg, int status);

/* No child yet. 0 or -ENOMEM. */
int	launcher_new(struct launcher **lp, struct event_base *base);

/* Forgets every child; those with die_with_us are killed. NULL is fine. */
void	launcher_free(struct launcher *l);

/* 0 with *cp set, or -errno (a missing program is -ENOENT here, not later). */
int	launcher_spawn(struct launcher *l, const struct launch_spec *spec,
	    child_end_fn *ended, void *arg, struct child **cp);

/*
 * Take over a child of this process that somebody else in it forked, and reap it as
 * one from launcher_spawn. 0 with *cp set, or -errno.
 */
int	launcher_take(struct launcher *l, pid_t pid, child_end_fn *ended,
	    void *arg, struct child **cp);

/*
 * Watch a process that already runs; also one that was started here, beside whoever
 * did and reaps it. start_ticks (0: do not care) must be its
 * start time as child_start_ticks gave it, else -ESRCH: the pid was reused.
 */
int	launcher_watch(struct launcher *l, pid_t pid, uint64_t start_ticks,
	    child_end_fn *ended, void *arg, struct child **cp);

/*
 * The lowest user number from `first` on, of `n`, that no process we watch has or
 * will make itself; 0: all are taken.
 */
uid_t	launcher_free_uid(const struct launcher *l, uid_t first, uint32_t n);

/* Is this process among those we watch? */
bool	launcher_watches(const struct launcher *l, pid_t pid);

/* 0 for NULL. */
pid_t	child_pid(const struct child *c);

/* When it started, in clock ticks since boot; 0 when it is gone. */
uint64_t child_start_ticks(pid_t pid);

/* A signal to this very process, never to a reused pid. NULL is fine. */
void	child_kill(struct child *c, int sig);

/* No callback any more; the process lives on or not. It is still reaped. */
void	child_forget(struct child *c);

/* wait(2)'s status in words, in buf: "was killed by signal 9". */
const char *child_status_text(int status, char *buf, size_t size);

#endif
