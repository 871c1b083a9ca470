/* SPDX-License-Identifier: ISC */
/*
 * persona-mdns can call the bus again and nothing else: each try is made in a child,
 * which does it or is ended. (Invariant 7.)
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mdns-sandbox.h"
#include "unit.h"

#define WRONG	1	/* a child's status for what should not have been */

/* How a child in the sandbox ends that tries this, or -1. */
static int
outcome(int (*try)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		/* The line about a forbidden call is no news here. */
		if (dup2(open("/dev/null", O_WRONLY), STDERR_FILENO) < 0 ||
		    mdns_sandbox_enter() < 0)
			_exit(99);
		_exit(try());
	}
	CU_ASSERT_TRUE_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
call_the_bus(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && close(fd) == 0 ? 0 : WRONG;
}

static int
look_for_a_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT &&
	    access("/etc/passwd", R_OK) < 0 ? 0 : WRONG;
}

static int
use_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? WRONG : 0;
}

static void
it_does_its_work(void)
{
	CU_ASSERT_EQUAL(outcome(call_the_bus), 0);
	CU_ASSERT_EQUAL(outcome(look_for_a_file), 0);
	CU_ASSERT_EQUAL(outcome(use_memory), 0);
}

static int
call_by_tcp(void)
{
	(void)socket(AF_INET, SOCK_STREAM, 0);
	return WRONG;
}

static int
send_datagrams(void)
{
	(void)socket(AF_INET6, SOCK_DGRAM, 0);
	return WRONG;
}

static int
ask_the_kernel(void)
{
	(void)socket(AF_NETLINK, SOCK_RAW, 0);
	return WRONG;
}

static int
listen_to_others(void)
{
	(void)listen(0, 1);
	return WRONG;
}

static int
start_a_process(void)
{
	(void)fork();
	return WRONG;
}

static int
run_a_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return WRONG;
}

static int
run_memory(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return WRONG;
}

static int
signal_its_parent(void)
{
	(void)kill(getppid(), 0);
	return WRONG;
}

static int
become_another(void)
{
	return setuid(getuid()) == 0 ? 0 : WRONG;
}

static void
it_does_nothing_else(void)
{
	int (*const tries[])(void) = { call_by_tcp, send_datagrams,
	    ask_the_kernel, listen_to_others, start_a_process, run_a_program,
	    run_memory, signal_its_parent, become_another };

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		CU_ASSERT_EQUAL(outcome(tries[i]), EXIT_MDNS_SANDBOX);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "it does its work", it_does_its_work },
		{ "it does nothing else", it_does_nothing_else },
	};

	return unit_main("mdns-sandbox", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
