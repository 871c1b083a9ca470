/* SPDX-License-Identifier: ISC */
/*
 * The processors of one machine and their time: vCPU threads, the processor that
 * the guest sees, its clocks, the duty cycle. Says what is true of all of them at
 * once. Knows no device, no memory and not why the machine stops or goes on. Main
 * thread, but for cpus_end().
 */
#ifndef CPUS_H
#define CPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state.pb-c.h"
#include "vcpu.h"

struct boot_entry;
struct bus;
struct cpus;
struct kvm;

struct cpus_config {
	struct kvm	*kvm;		/* with a machine; outlives them */
	struct bus	*bus;		/* outlives them */
	const char	*baseline;	/* of arch.h; checked */
	unsigned int	vcpus;
	const struct crew_ops *ops;	/* a guest that ends; vcpu.h */
	void		*arg;
};

/*
 * Make them, parked. 0 or -errno; then possibly a sentence in why, of why_len
 * bytes, which is left alone otherwise.
 */
int	cpus_new(struct cpus **cp, const struct cpus_config *c, char *why,
	    size_t why_len);
/* Stops their threads. NULL is fine. */
void	cpus_free(struct cpus *c);

/* Start fresh ones at a kernel's entry point. 0 or -errno. */
int	cpus_boot(struct cpus *c, const struct boot_entry *e);

/*
 * Park them all and read their clocks; returns when it is so. 0, or -ETIMEDOUT or
 * -errno, and then they run as before.
 */
int	cpus_park(struct cpus *c);

/*
 * The clocks of parked ones for going on: with has_advance from where they were
 * parked or loaded, plus advance_ns; else as hv_resume() says. 0 or -errno.
 */
int	cpus_set_clocks(struct cpus *c, bool has_advance, uint64_t advance_ns);
/* Let parked ones run, at their clocks as they are. */
void	cpus_unpark(struct cpus *c);

/* When cpus_park() read the clocks last, in ns of clock.h; 0: never. */
uint64_t	cpus_parked_at_ns(const struct cpus *c);
/* As hv_held_ns(). */
uint64_t	cpus_held_ns(const struct cpus *c);

/* They stop at the next safe point, for ever. At once, from any thread. */
void	cpus_end(struct cpus *c);
/* The same, and returns when it is so, or when they take too long. */
void	cpus_end_wait(struct cpus *c);

/* Share of the time they are held back, 0..99 percent. 0 or -errno. */
int	cpus_throttle(struct cpus *c, unsigned int percent);
unsigned int	cpus_throttled(const struct cpus *c);

/* As crew_stats(). */
void	cpus_stats(struct cpus *c, uint64_t *run_ns, uint64_t *exits);

/*
 * Save parked ones and the chips into `out`; whether a state would be taken; apply
 * one that would to fresh ones. As arch_save(), arch_check() and arch_load().
 */
int	cpus_save(struct cpus *c, Persona__State__MachineState *out);
int	cpus_check(struct cpus *c, const Persona__State__MachineState *in,
	    char *why, size_t why_len);
int	cpus_load(struct cpus *c, const Persona__State__MachineState *in,
	    char *why, size_t why_len);

#endif
