/* SPDX-License-Identifier: ISC */
/*
 * One thread, asleep between the edges of the duty cycle, gone at 0 percent.
 * Knows the crew's hold; deliberately knows no guest and no transfer.
 */
#include "throttle.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "vcpu.h"

struct throttle {
	struct crew	*crew;
	pthread_mutex_t	lock;
	pthread_cond_t	changed;
	unsigned int	percent;	/* guarded by lock */
	bool		has_thread;	/* the setter's only */
	pthread_t	thread;
};

void
throttle_plan(unsigned int percent, uint64_t *period_ns, uint64_t now_ns,
    bool *hold, uint64_t *until_ns)
{
	uint64_t held_ns = (uint64_t)THROTTLE_PERIOD_NS * percent / 100;
	uint64_t into;

	if (now_ns < *period_ns ||
	    now_ns - *period_ns >= 2 * (uint64_t)THROTTLE_PERIOD_NS)
		*period_ns = now_ns;
	else if (now_ns - *period_ns >= THROTTLE_PERIOD_NS)
		*period_ns += THROTTLE_PERIOD_NS;
	into = now_ns - *period_ns;
	*hold = into < held_ns;
	*until_ns = *period_ns + (*hold ? held_ns : THROTTLE_PERIOD_NS);
}

static void *
throttle_main(void *arg)
{
	struct throttle *t = arg;
	uint64_t period_ns = clock_now_ns(), until_ns;
	bool hold;

	pthread_mutex_lock(&t->lock);
	while (t->percent > 0) {
		struct timespec until;

		throttle_plan(t->percent, &period_ns, clock_now_ns(), &hold,
		    &until_ns);
		if (hold)
			crew_hold(t->crew, CREW_HOLD_THROTTLE);
		else
			crew_release(t->crew, CREW_HOLD_THROTTLE);
		until.tv_sec = (time_t)(until_ns / 1000000000u);
		until.tv_nsec = (long)(until_ns % 1000000000u);
		pthread_cond_timedwait(&t->changed, &t->lock, &until);
	}
	pthread_mutex_unlock(&t->lock);
	crew_release(t->crew, CREW_HOLD_THROTTLE);
	return NULL;
}

int
throttle_new(struct throttle **tp, struct crew *crew)
{
	pthread_condattr_t attr;
	struct throttle *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return -ENOMEM;
	t->crew = crew;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
	*tp = t;
	return 0;
}

void
throttle_free(struct throttle *t)
{
	if (t == NULL)
		return;
	(void)throttle_set(t, 0);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static int
start_thread(struct throttle *t)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&t->thread, NULL, throttle_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	t->has_thread = r == 0;
	return r;
}

int
throttle_set(struct throttle *t, unsigned int percent)
{
	if (percent > THROTTLE_MAX_PERCENT)
		return -EINVAL;
	pthread_mutex_lock(&t->lock);
	t->percent = percent;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (percent == 0 && t->has_thread) {
		pthread_join(t->thread, NULL);
		t->has_thread = false;
	}
	if (percent > 0 && !t->has_thread)
		return start_thread(t);
	return 0;
}

unsigned int
throttle_get(const struct throttle *t)
{
	return __atomic_load_n(&t->percent, __ATOMIC_RELAXED);
}
