/* SPDX-License-Identifier: ISC */
/*
 * Whether a process that does not answer is only slow. Knows /proc; knows no
 * program.
 */
#ifndef PROCBUSY_H
#define PROCBUSY_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Does any thread of it run, wait for a processor, or wait for storage? false also
 * when it is stopped, gone, or not ours to look at.
 */
bool	proc_is_busy(pid_t pid);

/* For tests: the same of one thread, from the text of its stat file. */
bool	proc_stat_is_busy(const char *stat);

#endif
