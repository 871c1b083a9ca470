/* SPDX-License-Identifier: ISC */
/*
 * vCPU threads: run, have the exit carried out, park when held. Deliberately knows
 * no device, no processor state and not what an exit asks for (vcpu-exit.c).
 *
 * Parking: a holder sets its bit, then immediate_exit, then sends the kick
 * signal. A thread clears immediate_exit only before it looks at the bits under
 * the lock, so a kick is never lost: it either is in KVM (the signal takes it
 * out), about to enter (immediate_exit sends it back) or about to look.
 */
#include "vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch.h"
#include "bounds.h"
#include "clock.h"
#include "kvm.h"
#include "vcpu-exit.h"

struct member {
	struct crew	*crew;
	unsigned int	index;
	struct kvm_cpu	*cpu;
	pthread_t	thread;
	bool		has_thread;
	bool		has_run;	/* own thread only */
	uint64_t	exits;		/* atomic */
	uint64_t	run_ns;		/* atomic; completed stretches */
	uint64_t	since_ns;	/* atomic; 0 while parked */
};

struct crew {
	struct bus	*bus;
	const struct crew_ops *ops;
	void		*arg;
	pthread_mutex_t	lock;
	pthread_cond_t	changed;	/* holds, quit or parked */
	unsigned int	holds;		/* bits of enum crew_hold */
	unsigned int	parked;		/* threads at the parking place */
	bool		quit;
	unsigned int	n;
	struct kvm_cpu	*cpus[VCPUS_MAX];
	struct member	members[VCPUS_MAX];
};

static int
kick_signal(void)
{
	return SIGRTMIN;
}

/* Its arrival is all we want: it takes the thread out of KVM_RUN. */
static void
kicked(int sig)
{
	(void)sig;
}

/* The machine is over, for all of its vCPUs. */
static void
end_machine(struct member *m, enum crew_end how, const char *what)
{
	char text[256];

	if (how == CREW_POWER_OFF || how == CREW_RESET)
		snprintf(text, sizeof(text), "%s", what);
	else
		snprintf(text, sizeof(text), "vCPU %u at 0x%" PRIx64 ": %s",
		    m->index, arch_where(m->cpu), what);
	m->crew->ops->ended(m->crew->arg, how, text);
	crew_hold(m->crew, CREW_HOLD_END);
}

/* Enter once and carry out what comes. Whether it was an exit to carry out. */
static bool
run_once(struct member *m)
{
	int r = kvm_cpu_run(m->cpu);
	struct exit_end end;

	m->has_run = true;
	if (r == 0) {
		__atomic_fetch_add(&m->exits, 1, __ATOMIC_RELAXED);
		if (!exit_carry_out(m->crew->bus, kvm_cpu_area(m->cpu), &end))
			end_machine(m, end.how, end.text);
		return true;
	}
	/* EAGAIN: a vCPU that waits for its INIT or SIPI was woken. */
	if (r != -EINTR && r != -EAGAIN) {
		snprintf(end.text, sizeof(end.text), "KVM_RUN: %s",
		    strerror(-r));
		end_machine(m, CREW_CRASH, end.text);
	}
	return false;
}

/*
 * The result of a port read is taken by the next KVM_RUN: complete it without
 * running the guest, so that registers and memory belong to one instant.
 */
static void
settle(struct member *m)
{
	struct kvm_run *run = kvm_cpu_area(m->cpu);

	if (!m->has_run)
		return;
	do
		__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	while (run_once(m));
	__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

static void
count_stretch(struct member *m)
{
	uint64_t since = __atomic_exchange_n(&m->since_ns, 0, __ATOMIC_RELAXED);

	if (since != 0)
		__atomic_fetch_add(&m->run_ns, clock_now_ns() - since,
		    __ATOMIC_RELAXED);
}

/* Wait while held. False when the thread has to end. */
static bool
park_while_held(struct member *m)
{
	struct crew *c = m->crew;
	bool go_on;

	pthread_mutex_lock(&c->lock);
	if (c->holds != 0 && !c->quit) {
		pthread_mutex_unlock(&c->lock);
		settle(m);
		count_stretch(m);
		pthread_mutex_lock(&c->lock);
		c->parked++;
		pthread_cond_broadcast(&c->changed);
		while (c->holds != 0 && !c->quit)
			pthread_cond_wait(&c->changed, &c->lock);
		c->parked--;
	}
	go_on = !c->quit;
	if (go_on && m->since_ns == 0)
		__atomic_store_n(&m->since_ns, clock_now_ns(), __ATOMIC_RELAXED);
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

static void *
vcpu_main(void *arg)
{
	struct member *m = arg;
	struct kvm_run *run = kvm_cpu_area(m->cpu);
	char name[16];

	/* Its own: for another's, libc opens a file and the sandbox has none. */
	snprintf(name, sizeof(name), "vcpu%u",
	    (unsigned int)(m - m->crew->members));
	(void)pthread_setname_np(pthread_self(), name);
	for (;;) {
		__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (!park_while_held(m))
			break;
		run_once(m);
	}
	return NULL;
}

static int
install_kick(void)
{
	struct sigaction sa = { .sa_handler = kicked };

	sigemptyset(&sa.sa_mask);
	return sigaction(kick_signal(), &sa, NULL) < 0 ? -errno : 0;
}

/* vCPU threads take the kick and nothing else: signals are main's. */
static int
start_threads(struct crew *c)
{
	sigset_t all, old;
	int r = 0;

	sigfillset(&all);
	sigdelset(&all, kick_signal());
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned int i = 0; i < c->n && r == 0; i++) {
		struct member *m = &c->members[i];

		r = -pthread_create(&m->thread, NULL, vcpu_main, m);
		m->has_thread = r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int
crew_new(struct crew **cp, struct kvm *kvm, struct bus *bus, unsigned int n,
    const struct crew_ops *ops, void *arg)
{
	pthread_condattr_t attr;
	struct crew *c;
	int r;

	if (n == 0 || n > VCPUS_MAX)
		return -EINVAL;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return -ENOMEM;
	c->bus = bus;
	c->ops = ops;
	c->arg = arg;
	c->n = n;
	c->holds = CREW_HOLD_PAUSE;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	if ((r = install_kick()) < 0)
		goto out;
	for (unsigned int i = 0; i < n; i++) {
		struct member *m = &c->members[i];

		m->crew = c;
		m->index = i;
		if ((r = kvm_cpu_new(&m->cpu, kvm, i)) < 0)
			goto out;
		c->cpus[i] = m->cpu;
	}
	if ((r = start_threads(c)) < 0)
		goto out;
	*cp = c;
	return 0;
out:
	crew_free(c);
	return r;
}

static void
kick_all(struct crew *c)
{
	for (unsigned int i = 0; i < c->n; i++) {
		struct member *m = &c->members[i];

		if (!m->has_thread || pthread_equal(m->thread, pthread_self()))
			continue;
		__atomic_store_n(&kvm_cpu_area(m->cpu)->immediate_exit, 1,
		    __ATOMIC_SEQ_CST);
		pthread_kill(m->thread, kick_signal());
	}
}

void
crew_free(struct crew *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->quit = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	kick_all(c);
	for (unsigned int i = 0; i < c->n; i++)
		if (c->members[i].has_thread)
			pthread_join(c->members[i].thread, NULL);
	for (unsigned int i = 0; i < c->n; i++)
		kvm_cpu_free(c->members[i].cpu);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

struct kvm_cpu *const *
crew_cpus(struct crew *c)
{
	return c->cpus;
}

void
crew_hold(struct crew *c, enum crew_hold why)
{
	bool was_free;

	pthread_mutex_lock(&c->lock);
	was_free = c->holds == 0;
	c->holds |= why;
	pthread_mutex_unlock(&c->lock);
	if (was_free)
		kick_all(c);
}

int
crew_hold_wait(struct crew *c, enum crew_hold why, unsigned int timeout_ms)
{
	struct timespec until;
	int r = 0;

	crew_hold(c, why);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&c->lock);
	while (c->parked < c->n && r == 0)
		r = -pthread_cond_timedwait(&c->changed, &c->lock, &until);
	if (c->parked == c->n)
		r = 0;
	pthread_mutex_unlock(&c->lock);
	return r;
}

void
crew_release(struct crew *c, enum crew_hold why)
{
	pthread_mutex_lock(&c->lock);
	c->holds &= ~(unsigned int)why;
	if (c->holds == 0)
		pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void
crew_stats(struct crew *c, uint64_t *run_ns, uint64_t *exits)
{
	uint64_t now = clock_now_ns();

	*run_ns = *exits = 0;
	for (unsigned int i = 0; i < c->n; i++) {
		struct member *m = &c->members[i];
		uint64_t since = __atomic_load_n(&m->since_ns, __ATOMIC_RELAXED);

		*run_ns += __atomic_load_n(&m->run_ns, __ATOMIC_RELAXED);
		if (since != 0 && since < now)
			*run_ns += now - since;
		*exits += __atomic_load_n(&m->exits, __ATOMIC_RELAXED);
	}
}
