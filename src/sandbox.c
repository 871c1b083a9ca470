/* SPDX-License-Identifier: ISC */
/*
 * Privileges and system calls given up for good, by role. The lists below are
 * what each role was seen to use and may use; each group says what for. Knows no
 * protocol; SANITIZERS builds keep their system calls, as their runtime needs more.
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define ROLE(r)		(1u << (r))
#define ALL		(ROLE(SANDBOX_PAIR) | ROLE(SANDBOX_SEND) | \
			    ROLE(SANDBOX_RECEIVE) | ROLE(SANDBOX_GATE) | \
			    ROLE(SANDBOX_FILE))
#define SYNC		(ROLE(SANDBOX_SEND) | ROLE(SANDBOX_RECEIVE) | \
			    ROLE(SANDBOX_FILE))
#define FILES		ROLE(SANDBOX_FILE)
#define CALLS		(ROLE(SANDBOX_PAIR) | ROLE(SANDBOX_SEND))
#define LOOP		(ALL & ~ROLE(SANDBOX_GATE))

/* Argument n: some bits of it, or its lower half, which is all an int fills. */
#define ARG_BITS(n, mask, value) \
	{ .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), \
	    .datum_b = (value) }
#define ARG_IS(n, value)	ARG_BITS(n, 0xffffffffu, value)

#define SOCK_TYPE_MASK	0xf	/* below are SOCK_CLOEXEC and SOCK_NONBLOCK */

/* Allowed whatever the arguments. */
static const struct {
	unsigned int	roles;
	int		nr;
} plain[] = {
	/* bytes through descriptors that are open already */
	{ ALL, SCMP_SYS(read) }, { ALL, SCMP_SYS(write) },
	{ ALL, SCMP_SYS(readv) }, { ALL, SCMP_SYS(writev) },
	{ ALL, SCMP_SYS(recvmsg) }, { ALL, SCMP_SYS(sendmsg) },
	{ ALL, SCMP_SYS(recvfrom) }, { ALL, SCMP_SYS(sendto) },
	{ ALL, SCMP_SYS(close) }, { ALL, SCMP_SYS(shutdown) },
	{ ALL, SCMP_SYS(fcntl) }, { ALL, SCMP_SYS(fstat) },
	{ ALL, SCMP_SYS(newfstatat) }, { ALL, SCMP_SYS(lseek) },
	{ ALL, SCMP_SYS(dup) }, { ALL, SCMP_SYS(poll) },
	{ ALL, SCMP_SYS(ppoll) },
	/* memory; what asks for PROT_EXEC is not here but below */
	{ ALL, SCMP_SYS(brk) }, { ALL, SCMP_SYS(munmap) },
	{ ALL, SCMP_SYS(mremap) }, { ALL, SCMP_SYS(madvise) },
	/* time, chance and identity */
	{ ALL, SCMP_SYS(clock_gettime) }, { ALL, SCMP_SYS(gettimeofday) },
	{ ALL, SCMP_SYS(clock_nanosleep) }, { ALL, SCMP_SYS(nanosleep) },
	{ ALL, SCMP_SYS(time) }, { ALL, SCMP_SYS(getrandom) },
	{ ALL, SCMP_SYS(getpid) }, { ALL, SCMP_SYS(gettid) },
	{ ALL, SCMP_SYS(getppid) }, { ALL, SCMP_SYS(getuid) },
	{ ALL, SCMP_SYS(geteuid) }, { ALL, SCMP_SYS(getgid) },
	{ ALL, SCMP_SYS(getegid) }, { ALL, SCMP_SYS(uname) },
	/* the C library's own housekeeping, signals, the end */
	{ ALL, SCMP_SYS(futex) }, { ALL, SCMP_SYS(rt_sigaction) },
	{ ALL, SCMP_SYS(rt_sigprocmask) }, { ALL, SCMP_SYS(rt_sigreturn) },
	{ ALL, SCMP_SYS(sigaltstack) }, { ALL, SCMP_SYS(restart_syscall) },
	{ ALL, SCMP_SYS(set_robust_list) }, { ALL, SCMP_SYS(rseq) },
	{ ALL, SCMP_SYS(exit) }, { ALL, SCMP_SYS(exit_group) },
	/* libevent */
	{ LOOP, SCMP_SYS(epoll_create1) }, { LOOP, SCMP_SYS(epoll_ctl) },
	{ LOOP, SCMP_SYS(epoll_wait) }, { LOOP, SCMP_SYS(epoll_pwait) },
	{ LOOP, SCMP_SYS(epoll_pwait2) }, { LOOP, SCMP_SYS(timerfd_create) },
	{ LOOP, SCMP_SYS(timerfd_settime) }, { LOOP, SCMP_SYS(eventfd2) },
	{ LOOP, SCMP_SYS(pipe2) },
	/* one stream to the peer: what can be set and asked of it */
	{ LOOP, SCMP_SYS(getsockopt) }, { LOOP, SCMP_SYS(setsockopt) },
	{ LOOP, SCMP_SYS(getsockname) }, { LOOP, SCMP_SYS(getpeername) },
	{ CALLS, SCMP_SYS(connect) },
	/* guest memory, the machine state's memfd, several threads */
	{ SYNC, SCMP_SYS(memfd_create) }, { SYNC, SCMP_SYS(ftruncate) },
	{ SYNC, SCMP_SYS(fallocate) }, { SYNC, SCMP_SYS(pread64) },
	{ SYNC, SCMP_SYS(pwrite64) }, { SYNC, SCMP_SYS(msync) },
	{ SYNC, SCMP_SYS(fdatasync) }, { SYNC, SCMP_SYS(sync_file_range) },
	{ SYNC, SCMP_SYS(mincore) },
	{ SYNC, SCMP_SYS(sched_yield) }, { SYNC, SCMP_SYS(sched_getaffinity) },
	{ SYNC, SCMP_SYS(sysinfo) }, { SYNC, SCMP_SYS(getrusage) },
	{ SYNC, SCMP_SYS(times) },
	/* files of an image: on stable storage before anybody is told */
	{ FILES, SCMP_SYS(fsync) }, { FILES, SCMP_SYS(fdatasync) },
};

/* Allowed for certain arguments only; those that are not fall to `otherwise`. */
static const struct {
	unsigned int	roles;
	int		nr;
	struct scmp_arg_cmp arg[2];
	unsigned int	n_args;
} narrow[] = {
	/* memory that is never run */
	{ ALL, SCMP_SYS(mmap), { ARG_BITS(2, PROT_EXEC, 0) }, 1 },
	{ ALL, SCMP_SYS(mprotect), { ARG_BITS(2, PROT_EXEC, 0) }, 1 },
	/* threads, but no processes */
	{ SYNC, SCMP_SYS(clone), { ARG_BITS(0, CLONE_THREAD, CLONE_THREAD) },
	    1 },
	/* calling the peer: TCP only, so none of this host's Unix sockets */
	{ CALLS, SCMP_SYS(socket), { ARG_IS(0, AF_INET),
	    ARG_BITS(1, SOCK_TYPE_MASK, SOCK_STREAM) }, 2 },
	{ CALLS, SCMP_SYS(socket), { ARG_IS(0, AF_INET6),
	    ARG_BITS(1, SOCK_TYPE_MASK, SOCK_STREAM) }, 2 },
	/* "fe80::1%wlan0", read and written: asked through a datagram socket */
	{ CALLS, SCMP_SYS(socket), { ARG_IS(0, AF_UNIX),
	    ARG_BITS(1, SOCK_TYPE_MASK, SOCK_DGRAM) }, 2 },
	{ CALLS, SCMP_SYS(ioctl), { ARG_IS(1, SIOCGIFINDEX) }, 1 },
	{ CALLS, SCMP_SYS(ioctl), { ARG_IS(1, SIOCGIFNAME) }, 1 },
	/* how much is still queued; how much has come */
	{ SYNC, SCMP_SYS(ioctl), { ARG_IS(1, SIOCOUTQ) }, 1 },
	{ LOOP, SCMP_SYS(ioctl), { ARG_IS(1, FIONREAD) }, 1 },
	{ LOOP, SCMP_SYS(ioctl), { ARG_IS(1, FIONBIO) }, 1 },
};

/* What libraries try and can do without: refused, not fatal. */
static const struct {
	int	nr;
	int	error;
} refused[] = {
	/* optional files (locale, gai.conf, openssl.cnf): are not there */
	{ SCMP_SYS(open), ENOENT }, { SCMP_SYS(openat), ENOENT },
	{ SCMP_SYS(access), ENOENT }, { SCMP_SYS(faccessat), ENOENT },
	{ SCMP_SYS(faccessat2), ENOENT }, { SCMP_SYS(stat), ENOENT },
	{ SCMP_SYS(lstat), ENOENT }, { SCMP_SYS(readlink), ENOENT },
	{ SCMP_SYS(readlinkat), ENOENT }, { SCMP_SYS(statx), ENOSYS },
	/* the C library falls back to clone, which can be looked into */
	{ SCMP_SYS(clone3), ENOSYS },
	/* names of threads and memory areas */
	{ SCMP_SYS(prctl), EPERM },
};

/* --- privileges ---------------------------------------------------------------- */

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	/* Only who has CAP_SETPCAP can, and only he needs to. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 &&
	    errno != EINVAL)
		return -errno;
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

static int
drop_privileges(void)
{
	const struct rlimit no_core = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &no_core) < 0)
		return -errno;
	return drop_capabilities();
}

/* --- system calls --------------------------------------------------------------- */

/*
 * A call that is on no list: say which, then die of the signal. It may have come
 * anywhere, so only write(2) is used.
 */
static void
forbidden(int sig, siginfo_t *info, void *context)
{
	static const char head[] = "sandbox: this process may not make system "
	    "call ";
	char line[sizeof(head) + 16], *end = line + sizeof(line), *p = end;
	unsigned int nr = (unsigned int)info->si_syscall;

	(void)context;
	*--p = '\n';
	do
		*--p = (char)('0' + nr % 10);
	while ((nr /= 10) > 0);
	p -= sizeof(head) - 1;
	memcpy(p, head, sizeof(head) - 1);
	if (write(STDERR_FILENO, p, (size_t)(end - p)) < 0)
		_exit(128 + sig);
	signal(sig, SIG_DFL);
	raise(sig);
}

static int
add_rules(scmp_filter_ctx ctx, enum sandbox_role role)
{
	const size_t n_plain = sizeof(plain) / sizeof(plain[0]);
	const size_t n_narrow = sizeof(narrow) / sizeof(narrow[0]);
	const size_t n_refused = sizeof(refused) / sizeof(refused[0]);
	/* abort(3) and raise(3): signals to ourselves */
	const struct scmp_arg_cmp to_us = ARG_IS(0, (unsigned int)getpid());
	int r = 0;

	for (size_t i = 0; i < n_plain && r == 0; i++)
		if (plain[i].roles & ROLE(role))
			r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain[i].nr,
			    0);
	for (size_t i = 0; i < n_narrow && r == 0; i++)
		if (narrow[i].roles & ROLE(role))
			r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW,
			    narrow[i].nr, narrow[i].n_args, narrow[i].arg);
	for (size_t i = 0; i < n_refused && r == 0; i++)
		r = seccomp_rule_add(ctx,
		    SCMP_ACT_ERRNO((uint16_t)refused[i].error), refused[i].nr,
		    0);
	if (r == 0)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW,
		    SCMP_SYS(tgkill), 1, &to_us);
	return r;
}

static int
filter_calls(enum sandbox_role role)
{
	const struct sigaction sa = { .sa_sigaction = forbidden,
	    .sa_flags = SA_SIGINFO };
	scmp_filter_ctx ctx;
	int r = -ENOMEM;

	if (sigaction(SIGSYS, &sa, NULL) < 0)
		return -errno;
	if ((ctx = seccomp_init(SCMP_ACT_TRAP)) == NULL)
		return -ENOMEM;
	if ((r = add_rules(ctx, role)) == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

int
sandbox_enter(enum sandbox_role role)
{
	int r;

	tzset();	/* reads /etc/localtime now rather than in a log line */
	if ((r = drop_privileges()) < 0)
		return r;
	return SANITIZED ? 0 : filter_calls(role);
}

bool
sandbox_filters(void)
{
	return !SANITIZED;
}
