/* SPDX-License-Identifier: ISC */
/*
 * The vCPU threads of one machine and the place where they park. Each thread runs
 * its vCPU, carries out its exits on the bus, and stops at a safe point while
 * anyone holds the crew. Knows exits; deliberately knows no device, no register
 * and no reason why somebody holds it.
 */
#ifndef VCPU_H
#define VCPU_H

#include <stdint.h>

struct bus;
struct crew;
struct kvm;
struct kvm_cpu;

/* Independent reasons to hold the crew; it runs while none is given. */
enum crew_hold {
	CREW_HOLD_PAUSE = 1 << 0,	/* the owner paused the machine */
	CREW_HOLD_THROTTLE = 1 << 1,	/* this slice of the duty cycle is off */
	CREW_HOLD_END = 1 << 2,		/* the guest has ended; for ever */
};

/* How a vCPU can end the machine by itself. */
enum crew_end {
	CREW_POWER_OFF,
	CREW_RESET,
	CREW_CRASH,
	CREW_CANNOT_EMULATE,	/* a crash: KVM does not know the instruction */
};

struct crew_ops {
	/* The guest has ended, from a vCPU thread; `text` is one sentence. May
	 * come several times (other vCPUs); the first one counts. */
	void	(*ended)(void *arg, enum crew_end end, const char *text);
};

/*
 * Make n vCPUs and their threads, held by CREW_HOLD_PAUSE. 0 or -errno.
 */
int	crew_new(struct crew **cp, struct kvm *kvm, struct bus *bus,
	    unsigned int n, const struct crew_ops *ops, void *arg);
/* Stop the threads and free the vCPUs. */
void	crew_free(struct crew *c);

/* The vCPUs, for whoever sets or reads their state while they are parked. */
struct kvm_cpu	*const *crew_cpus(struct crew *c);

/*
 * Add a reason to hold; returns at once (hold) or when every thread is parked
 * with its last exit completed, so that its state may be read (hold_wait: 0, or
 * -ETIMEDOUT after timeout_ms; the hold stays).
 */
void	crew_hold(struct crew *c, enum crew_hold why);
int	crew_hold_wait(struct crew *c, enum crew_hold why,
	    unsigned int timeout_ms);
/* Take a reason away; the threads go on when none is left. */
void	crew_release(struct crew *c, enum crew_hold why);

/* Time the vCPUs were let run, summed; exits carried out here. Any thread. */
void	crew_stats(struct crew *c, uint64_t *run_ns, uint64_t *exits);

#endif
