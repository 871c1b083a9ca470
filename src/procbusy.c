/* SPDX-License-Identifier: ISC */
/* The states of threads, from /proc. Deliberately measures no time. */
#include "procbusy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool
proc_stat_is_busy(const char *stat)
{
	/* proc(5): the name may hold anything, so look behind its last ')'. */
	const char *p = strrchr(stat, ')');

	return p != NULL && p[1] == ' ' && (p[2] == 'R' || p[2] == 'D');
}

static bool
thread_is_busy(int tasks, const char *tid)
{
	char path[64], text[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.32s/stat", tid);
	if ((fd = openat(tasks, path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return proc_stat_is_busy(text);
}

bool
proc_is_busy(pid_t pid)
{
	char path[48];
	struct dirent *e;
	bool busy = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	if ((dir = opendir(path)) == NULL)
		return false;
	while (!busy && (e = readdir(dir)) != NULL)
		busy = e->d_name[0] != '.' &&
		    thread_is_busy(dirfd(dir), e->d_name);
	closedir(dir);
	return busy;
}
