/* SPDX-License-Identifier: ISC */
/*
 * Capabilities given up and a system call filter: what libavahi-client, libdbus and
 * libevent use once they are loaded. Deliberately knows no message.
 */
#include "mdns-sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As it stands in a table: a call, what comes of it, and for which arguments. */
struct rule {
	int		nr;
	int		error;		/* instead of doing it; 0: it is done */
	unsigned int	n_args;		/* 0: whatever they are */
	struct scmp_arg_cmp arg[2];
};

/* Bits of argument n; all of an int that is passed in it. */
#define BITS(n, mask, value) \
	{ .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), \
	    .datum_b = (value) }
#define IS(n, value)	BITS(n, 0xffffffffu, value)

#define DONE(call)		{ .nr = SCMP_SYS(call) }
#define DONE_IF(call, ...) \
	{ .nr = SCMP_SYS(call), .n_args = 1, .arg = { __VA_ARGS__ } }
#define REFUSED(call, with)	{ .nr = SCMP_SYS(call), .error = (with) }
#define SOCKET(type) \
	{ .nr = SCMP_SYS(socket), .n_args = 2, \
	    .arg = { IS(0, AF_UNIX), BITS(1, 0xf, type) } }

static const struct rule rules[] = {
	/* the bus, personad, the log */
	DONE(read), DONE(write), DONE(readv), DONE(writev), DONE(recvfrom),
	DONE(sendto), DONE(recvmsg), DONE(sendmsg), DONE(close), DONE(shutdown),
	DONE(fcntl), DONE(fstat), DONE(lseek),
	/* calling the bus again, and telling it who we are */
	SOCKET(SOCK_STREAM), DONE(connect), DONE(getsockname),
	DONE(getpeername), DONE(getsockopt), DONE(setsockopt), DONE(getuid),
	DONE(geteuid), DONE(getgid), DONE(getegid), DONE(getresuid),
	DONE(getresgid), DONE(getpid), DONE(gettid), DONE(getrandom),
	/* the name of the interface that an announcement came by */
	SOCKET(SOCK_DGRAM), DONE_IF(ioctl, IS(1, SIOCGIFNAME)),
	DONE_IF(ioctl, IS(1, SIOCGIFINDEX)), DONE_IF(ioctl, IS(1, FIONREAD)),
	/* the loop */
	DONE(epoll_create1), DONE(epoll_ctl), DONE(epoll_wait),
	DONE(epoll_pwait), DONE(epoll_pwait2), DONE(timerfd_create),
	DONE(timerfd_settime), DONE(pipe2), DONE(eventfd2), DONE(poll),
	DONE(ppoll), DONE(clock_gettime), DONE(gettimeofday), DONE(time),
	DONE(clock_nanosleep), DONE(nanosleep),
	/* memory that is never run */
	DONE_IF(mmap, BITS(2, PROT_EXEC, 0)),
	DONE_IF(mprotect, BITS(2, PROT_EXEC, 0)), DONE(munmap), DONE(mremap),
	DONE(madvise), DONE(brk),
	/* the C library's housekeeping, signals, the end */
	DONE(futex), DONE(sched_yield), DONE(rt_sigaction),
	DONE(rt_sigprocmask), DONE(rt_sigreturn), DONE(sigaltstack),
	DONE(restart_syscall), DONE(exit), DONE(exit_group),
	/* files that libraries look for and do without */
	REFUSED(open, ENOENT), REFUSED(openat, ENOENT), REFUSED(access, ENOENT),
	REFUSED(faccessat, ENOENT), REFUSED(faccessat2, ENOENT),
	REFUSED(stat, ENOENT), REFUSED(lstat, ENOENT),
	REFUSED(newfstatat, ENOENT), REFUSED(statx, ENOSYS),
	REFUSED(readlink, ENOENT), REFUSED(prctl, EPERM),
};

/*
 * Read by the address sanitizer where a build has it: its leak checker traces the
 * process at its end, which the filter does not allow.
 */
const char	*__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* Nothing but write(2) and _exit(2): it may come anywhere. */
static void
violation(int sig, siginfo_t *info, void *context)
{
	static const char text[] = "persona-mdns: ended by its sandbox: system "
	    "call ";
	unsigned int nr = (unsigned int)info->si_syscall;
	char digits[] = "    \n";

	(void)sig;
	(void)context;
	for (int at = 3; at >= 0 && (nr > 0 || at == 3); at--, nr /= 10)
		digits[at] = (char)('0' + nr % 10);
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)!write(STDERR_FILENO, digits, sizeof(digits) - 1);
	_exit(EXIT_MDNS_SANDBOX);
}

static int
filter_calls(void)
{
	struct sigaction sa = { .sa_sigaction = violation,
	    .sa_flags = SA_SIGINFO };
	scmp_filter_ctx f;
	int r = 0;

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGSYS, &sa, NULL) < 0)
		return -errno;
	if ((f = seccomp_init(SCMP_ACT_TRAP)) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && r == 0; i++) {
		const struct rule *rule = &rules[i];

		r = seccomp_rule_add_array(f, rule->error == 0 ?
		    SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint16_t)rule->error),
		    rule->nr, rule->n_args, rule->arg);
	}
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r;
}

/* Nothing is run from here on, so what a program file could give is no matter. */
int
mdns_sandbox_enter(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	const struct rlimit no_core = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &no_core) < 0 ||
	    syscall(SYS_capset, &head, none) < 0)
		return -errno;
	return filter_calls();
}
