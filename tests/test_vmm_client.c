/* SPDX-License-Identifier: ISC */
/*
 * How long personad waits for a persona-vmm that does not answer: for as long as it
 * is at work, not for one that sleeps.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "procbusy.h"
#include "unit.h"
#include "vmm-client.h"

#define TIMEOUT_MS	20u

static void
states_are_read(void)
{
	CU_ASSERT_TRUE(proc_stat_is_busy("7 (persona-vmm) R 1 7 7 0 -1"));
	CU_ASSERT_TRUE(proc_stat_is_busy("7 (vcpu0) D 1 7 7 0 -1"));
	CU_ASSERT_TRUE(proc_stat_is_busy("7 (a) S (b) R 1 7"));
	CU_ASSERT_FALSE(proc_stat_is_busy("7 (a) R) S 1 7"));
	CU_ASSERT_FALSE(proc_stat_is_busy("7 (persona-vmm) S 1 7 7 0 -1"));
	CU_ASSERT_FALSE(proc_stat_is_busy("7 (persona-vmm) T 1 7 7 0 -1"));
	CU_ASSERT_FALSE(proc_stat_is_busy("7 (persona-vmm) Z 1 7 7 0 -1"));
	CU_ASSERT_FALSE(proc_stat_is_busy(""));
	CU_ASSERT_FALSE(proc_stat_is_busy(")"));
	CU_ASSERT_TRUE(proc_is_busy(getpid()));
	CU_ASSERT_FALSE(proc_is_busy(-1));
}

struct bed {
	struct event_base	*base;
	struct vmm		*vmm;
	int			fd;		/* the silent end */
	pid_t			pid;
	int			r;		/* 1: no answer yet */
};

static void
done(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct bed *b = arg;

	(void)why;
	(void)reply;
	(void)msg;
	b->r = r;
}

static void
lost(void *arg)
{
	(void)arg;
}

static const struct vmm_events events = { .lost = lost };

/* A process that works for ever, or one that waits for ever. */
static void
begin(struct bed *b, bool works)
{
	volatile unsigned int spin = 0;
	int sv[2];

	CU_ASSERT_FATAL((b->base = event_base_new()) != NULL);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
	    sv) == 0);
	CU_ASSERT_FATAL((b->pid = fork()) >= 0);
	if (b->pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (b->pid == 0)
		if (works)
			spin++;
		else
			pause();
	b->fd = sv[1];
	b->r = 1;
	CU_ASSERT_FATAL(vmm_new(&b->vmm, b->base, sv[0], &events, b) == 0);
	vmm_is_process(b->vmm, b->pid);
	CU_ASSERT_FATAL(vmm_pause(b->vmm, TIMEOUT_MS, done, b) == 0);
}

static void
end(struct bed *b)
{
	kill(b->pid, SIGKILL);
	(void)waitpid(b->pid, NULL, 0);
	vmm_free(b->vmm);
	close(b->fd);
	event_base_free(b->base);
}

/* Two deadlines pass while it works; then it is stopped, and the third is the last. */
static void
who_works_is_waited_for(void)
{
	struct bed b;

	begin(&b, true);
	for (int i = 0; i < 2; i++)
		event_base_loop(b.base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(b.r, 1);
	kill(b.pid, SIGSTOP);
	(void)waitpid(b.pid, NULL, WUNTRACED);
	event_base_loop(b.base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(b.r, -ETIMEDOUT);
	end(&b);
}

static void
but_not_for_ever(void)
{
	int deadlines = 0;
	struct bed b;

	begin(&b, true);
	for (; b.r == 1 && deadlines < 100; deadlines++)
		event_base_loop(b.base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(b.r, -ETIMEDOUT);
	CU_ASSERT_EQUAL(deadlines, 12);
	end(&b);
}

/* Stopped by a signal for certain, it does not depend on when it falls asleep. */
static void
who_sleeps_is_not(void)
{
	struct bed b;

	begin(&b, false);
	kill(b.pid, SIGSTOP);
	(void)waitpid(b.pid, NULL, WUNTRACED);
	event_base_loop(b.base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(b.r, -ETIMEDOUT);
	end(&b);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a thread's state is read", states_are_read },
		{ "who works is waited for", who_works_is_waited_for },
		{ "but not for ever", but_not_for_ever },
		{ "who sleeps is not", who_sleeps_is_not },
	};

	return unit_main("vmm-client", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
