/* SPDX-License-Identifier: ISC */
/*
 * A process in its role can do its work, and nothing else: each try is made in a
 * child, which either lives or dies of SIGSYS. (Invariant 7.)
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

#include "sandbox.h"
#include "unit.h"

#define WRONG	1	/* a child's status for what should not have been */

/* Run `try` in a child of that role; wait(2)'s status. */
static int
in_role(enum sandbox_role role, int (*try)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		/* The line about a forbidden call is no news here. */
		if (dup2(open("/dev/null", O_WRONLY), STDERR_FILENO) < 0 ||
		    sandbox_enter(role) < 0)
			_exit(99);
		_exit(try());
	}
	CU_ASSERT_TRUE_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return status;
}

static bool
lives(enum sandbox_role role, int (*try)(void))
{
	int status = in_role(role, try);

	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool
dies(enum sandbox_role role, int (*try)(void))
{
	int status = in_role(role, try);

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static int
open_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT ? 0 : WRONG;
}

static int
have_no_privilege(void)
{
	return setuid(getuid() + 1) < 0 && errno == EPERM ? 0 : WRONG;
}

static int
start_process(void)
{
	(void)fork();
	return WRONG;
}

static int
run_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return WRONG;
}

static int
map_code(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return WRONG;
}

static int
map_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? WRONG : 0;
}

static int
call_by_tcp(void)
{
	return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 &&
	    errno != EAFNOSUPPORT ? WRONG : 0;
}

static int
call_by_unix(void)
{
	(void)socket(AF_UNIX, SOCK_SEQPACKET, 0);
	return WRONG;
}

static int
signal_parent(void)
{
	(void)kill(getppid(), 0);
	return WRONG;
}

static int
make_memfd(void)
{
	return memfd_create("test", 0) < 0 ? WRONG : 0;
}

static const enum sandbox_role roles[] = { SANDBOX_PAIR, SANDBOX_SEND,
	SANDBOX_RECEIVE, SANDBOX_GATE };
#define ROLES (sizeof(roles) / sizeof(roles[0]))

static void
privileges_are_gone(void)
{
	/* Where system calls are filtered, setuid(2) does not even get there. */
	for (size_t i = 0; i < ROLES; i++)
		CU_ASSERT_TRUE(sandbox_filters() ?
		    dies(roles[i], have_no_privilege) :
		    lives(roles[i], have_no_privilege));
}

static void
no_role_starts_anything(void)
{
	for (size_t i = 0; i < ROLES; i++) {
		CU_ASSERT_TRUE(dies(roles[i], start_process));
		CU_ASSERT_TRUE(dies(roles[i], run_program));
		CU_ASSERT_TRUE(dies(roles[i], map_code));
		CU_ASSERT_TRUE(dies(roles[i], signal_parent));
		CU_ASSERT_TRUE(lives(roles[i], map_memory));
	}
}

static void
no_role_opens_anything(void)
{
	for (size_t i = 0; i < ROLES; i++) {
		CU_ASSERT_TRUE(lives(roles[i], open_file));
		CU_ASSERT_TRUE(dies(roles[i], call_by_unix));
	}
}

static void
only_who_calls_may_call(void)
{
	CU_ASSERT_TRUE(lives(SANDBOX_PAIR, call_by_tcp));
	CU_ASSERT_TRUE(lives(SANDBOX_SEND, call_by_tcp));
	CU_ASSERT_TRUE(dies(SANDBOX_RECEIVE, call_by_tcp));
	CU_ASSERT_TRUE(dies(SANDBOX_GATE, call_by_tcp));
	CU_ASSERT_TRUE(lives(SANDBOX_RECEIVE, make_memfd));
	CU_ASSERT_TRUE(dies(SANDBOX_PAIR, make_memfd));
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "privileges are gone", privileges_are_gone },
		{ "no role starts anything", no_role_starts_anything },
		{ "no role opens anything", no_role_opens_anything },
		{ "only who calls may call", only_who_calls_may_call },
	};

	/* Sanitizers' runtimes need their system calls: privileges only. */
	return unit_main("sandbox", tests, sandbox_filters() ?
	    sizeof(tests) / sizeof(tests[0]) : 1);
}
