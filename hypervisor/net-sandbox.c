/* SPDX-License-Identifier: ISC */
/*
 * Landlock for files, no capabilities, and a system call filter. The list is what
 * libslirp, libevent and we use after start-up. Deliberately knows no frame.
 */
#include "net-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define RESOLV_CONF	"/etc/resolv.conf"
#define ALL_BITS	0xffffffffu
#define SOCK_TYPE_MASK	0xfu

/* Every right that the first version of Landlock knows (Linux 5.13). */
#define FILES_ALL	((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static const int allowed[] = {
	/* descriptors we hold: frames, control messages, sockets, logs */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fcntl),
	SCMP_SYS(fstat), SCMP_SYS(poll), SCMP_SYS(ppoll),
	/* the guest's connections */
	SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept),
	SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	/* resolv.conf: has it changed? (opening it: below) */
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
	/* the event loop */
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl), SCMP_SYS(timerfd_settime),
	/* memory; never executable, see below */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	/* the C library's own housekeeping, signals, the end */
	SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(geteuid),
	SCMP_SYS(getrandom), SCMP_SYS(sched_yield), SCMP_SYS(sigaltstack),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(tgkill),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* time */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
};

/* Allowed with certain arguments only; the mask of argument `arg` is `value`. */
static const struct {
	int		nr;
	unsigned int	arg;
	uint64_t	mask, value;
} narrow[] = {
	{ SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(ioctl), 1, ALL_BITS, FIONREAD },
	{ SCMP_SYS(ioctl), 1, ALL_BITS, FIONBIO },
	/* reading, should Landlock not be there to say which file */
	{ SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT, O_RDONLY },
	{ SCMP_SYS(open), 1, O_ACCMODE | O_CREAT, O_RDONLY },
};

/* Internet sockets for connections, datagrams, pings; no raw ones, no others. */
static const struct {
	int	family, type;
} sockets[] = {
	{ AF_INET, SOCK_STREAM }, { AF_INET, SOCK_DGRAM },
	{ AF_INET6, SOCK_STREAM }, { AF_INET6, SOCK_DGRAM },
};

#define N(array)	(sizeof(array) / sizeof((array)[0]))

/* --- files ---------------------------------------------------------------- */

static int
allow_path(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	int r = 0;

	if ((rule.parent_fd = open(path, O_PATH | O_CLOEXEC)) < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
	    &rule, 0) < 0)
		r = -errno;
	close(rule.parent_fd);
	return r;
}

/*
 * resolv.conf by itself, and, where it is a link into /run, the directory there:
 * who manages it puts new files in its place. /etc holds too much to be let in.
 */
static int
allow_names(int ruleset, struct net_names *names)
{
	char path[PATH_MAX], *slash;

	if (realpath(RESOLV_CONF, path) == NULL)
		return 0;	/* no names, then */
	if (strncmp(path, "/run/", 5) == 0 &&
	    (slash = strrchr(path, '/')) > path + 4) {
		*slash = '\0';
		names->follows = true;
	}
	return allow_path(ruleset, path, LANDLOCK_ACCESS_FS_READ_FILE);
}

static int
restrict_files(struct net_names *names)
{
	const struct landlock_ruleset_attr attr = {
		.handled_access_fs = FILES_ALL };
	int ruleset, r;

	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
	    sizeof(attr), 0);
	if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
		log_info("this kernel has no Landlock: files can be read");
		names->follows = true;
		return 0;
	}
	if (ruleset < 0)
		return -errno;
	if ((r = allow_names(ruleset, names)) == 0 &&
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	close(ruleset);
	return r;
}

bool
net_names_outdated(const struct net_names *names)
{
	struct stat now;

	return !names->follows && stat(RESOLV_CONF, &now) == 0 &&
	    (now.st_ino != names->ino || now.st_dev != names->dev);
}

/* --- privileges ----------------------------------------------------------- */

static int
drop_privileges(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	const struct rlimit no_core = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &no_core) < 0)
		return -errno;
	/* Only who has CAP_SETPCAP can, and only he needs to. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

/* --- system calls --------------------------------------------------------- */

/* Only async-signal-safe calls: it may come anywhere. */
static void
violation(int sig, siginfo_t *info, void *context)
{
	char line[] = "persona-net: ended by its sandbox: system call 0000\n";
	int nr = info->si_syscall;

	(void)sig;
	(void)context;
	for (size_t at = sizeof(line) - 3; at > sizeof(line) - 7; at--) {
		line[at] = (char)('0' + nr % 10);
		nr /= 10;
	}
	(void)!write(STDERR_FILENO, line, sizeof(line) - 1);
	_exit(1);
}

static int
add_rules(scmp_filter_ctx f)
{
	int r = 0;

	for (size_t i = 0; i < N(allowed) && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < N(narrow) && r == 0; i++) {
		const struct scmp_arg_cmp arg = { .arg = narrow[i].arg,
		    .op = SCMP_CMP_MASKED_EQ, .datum_a = narrow[i].mask,
		    .datum_b = narrow[i].value };

		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, narrow[i].nr, 1,
		    &arg);
	}
	for (size_t i = 0; i < N(sockets) && r == 0; i++) {
		const struct scmp_arg_cmp args[2] = {
			{ .arg = 0, .op = SCMP_CMP_MASKED_EQ,
			    .datum_a = ALL_BITS,
			    .datum_b = (unsigned int)sockets[i].family },
			{ .arg = 1, .op = SCMP_CMP_MASKED_EQ,
			    .datum_a = SOCK_TYPE_MASK,
			    .datum_b = (unsigned int)sockets[i].type },
		};

		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(socket),
		    2, args);
	}
	/* Names of threads and memory areas: libraries may ask. */
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl),
		    0);
	return r;
}

static int
filter_calls(void)
{
	struct sigaction sa = { .sa_sigaction = violation,
	    .sa_flags = SA_SIGINFO };
	scmp_filter_ctx f;
	int r;

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGSYS, &sa, NULL) < 0)
		return -errno;
	if ((f = seccomp_init(SCMP_ACT_TRAP)) == NULL)
		return -ENOMEM;
	if ((r = add_rules(f)) == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r;
}

int
net_sandbox_enter(struct net_names *names)
{
	struct stat st = { 0 };
	int r;

	(void)stat(RESOLV_CONF, &st);
	*names = (struct net_names){ .dev = st.st_dev, .ino = st.st_ino };

	tzset();	/* reads /etc/localtime now rather than in a log line */
	if ((r = drop_privileges()) < 0 ||
	    (r = restrict_files(names)) < 0)
		return r;
	return filter_calls();
}
