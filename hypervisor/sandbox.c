/* SPDX-License-Identifier: ISC */
/*
 * The system call filter. The list is what our code and the libraries below it
 * use after start-up, each group with the reason it is there. Deliberately knows
 * nothing of what runs inside.
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/kvm.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

/* Equality as a masked comparison: libseccomp's own macro for it leaves a field
 * out, which clang warns about. */
#define ALL_BITS	0xffffffffu

static const int allowed[] = {
	/* descriptors we hold: control messages, consoles, logs, kernels */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(lseek),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom),
	SCMP_SYS(sendto), SCMP_SYS(accept4), SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(socketpair),
	SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(ftruncate),
	SCMP_SYS(memfd_create), SCMP_SYS(eventfd2), SCMP_SYS(getrandom),
	/* disks: vectors at a place, durability, holes */
	SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(fdatasync),
	SCMP_SYS(fallocate),
	/* the event loop */
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_ctl),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	/* memory; never executable, see below */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(fallocate),	/* the guest gives pages back */
	/* threads: vCPUs and the throttle start after us */
	SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(gettid),
	SCMP_SYS(getpid), SCMP_SYS(geteuid), SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* time */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
};

/* Requests that are not KVM's own: queue lengths, terminal modes. */
static const unsigned int other_ioctls[] = {
	FIONREAD, FIONBIO, SIOCOUTQ, TCGETS, TCSETS,
};

/* "123\n" without stdio: we are in a signal handler. */
static void
put_number(int n)
{
	char buf[12];
	size_t at = sizeof(buf);

	buf[--at] = '\n';
	do
		buf[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0 && at > 0);
	(void)!write(STDERR_FILENO, buf + at, sizeof(buf) - at);
}

static void
violation(int sig, siginfo_t *info, void *context)
{
	static const char text[] = "persona-vmm: ended by its sandbox: system "
	    "call ";

	(void)sig;
	(void)context;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	put_number(info->si_syscall);
	_exit(1);
}

/*
 * Read by the address sanitizer where a build has it. Its leak checker attaches
 * to us with ptrace at the exit, which the filter does not allow.
 */
const char	*__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

static int
install_handler(void)
{
	struct sigaction sa = { .sa_sigaction = violation,
	    .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	return sigaction(SIGSYS, &sa, NULL) < 0 ? -errno : 0;
}

/* Calls that are fine only with certain arguments. */
static int
add_conditional(scmp_filter_ctx f)
{
	int r;

	/* Any ioctl of KVM's number space; no other device is open. */
	if ((r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
	    SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xff00u, (unsigned)KVMIO << 8))) < 0)
		return r;
	for (size_t i = 0; i < sizeof(other_ioctls) / sizeof(other_ioctls[0]);
	    i++)
		if ((r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl),
		    1, SCMP_A1_32(SCMP_CMP_MASKED_EQ, ALL_BITS,
		    other_ioctls[i]))) < 0)
			return r;
	if ((r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
	    SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0))) < 0 ||
	    (r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
	    SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0))) < 0)
		return r;
	/* Threads, not processes. clone3 hides its flags behind a pointer:
	 * told that it does not exist, libc takes clone. */
	if ((r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
	    SCMP_A0_32(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD))) < 0 ||
	    (r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS),
	    SCMP_SYS(clone3), 0)) < 0)
		return r;
	/* fstat by another name; without a path it reaches no file system. */
	if ((r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOENT),
	    SCMP_SYS(openat), 0)) < 0)
		return r;
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
	    SCMP_A0_32(SCMP_CMP_MASKED_EQ, ALL_BITS, PR_SET_NAME));
}

int
sandbox_enter(void)
{
	scmp_filter_ctx f;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if ((r = install_handler()) < 0)
		return r;
	if ((f = seccomp_init(SCMP_ACT_TRAP)) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if ((r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i],
		    0)) < 0)
			goto out;
	if ((r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
	    SCMP_A3_32(SCMP_CMP_MASKED_EQ, 0x1000, 0x1000))) < 0)
		goto out;		/* AT_EMPTY_PATH: fstat's other name */
	if ((r = add_conditional(f)) < 0)
		goto out;
	r = seccomp_load(f);
out:
	seccomp_release(f);
	return r;
}
