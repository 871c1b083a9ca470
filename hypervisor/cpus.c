/* SPDX-License-Identifier: ISC */
/*
 * vCPUs that park, run and keep time together. Deliberately knows no register and
 * nothing of the machine around them.
 */
#include "cpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "clock.h"
#include "throttle.h"

/* vCPUs park within microseconds; a host that swaps may need longer. */
#define PARK_TIMEOUT_MS	5000u

struct cpus {
	struct kvm	*kvm;
	unsigned int	n;
	struct arch_model *model;
	struct crew	*crew;
	struct throttle	*throttle;
	struct arch_clock *clock;
	bool		clock_is_loaded; /* not yet run since a load */
	uint64_t	parked_at_ns;	/* cpus_parked_at_ns() */
	uint64_t	moved_on_at_ns;	/* in cpus_set_clocks(); 0 once let go */
	uint64_t	held_ns;	/* cpus_held_ns() */
};

/* --- making --------------------------------------------------------------- */

static int
start(struct cpus *c, const struct cpus_config *config)
{
	struct kvm_cpu *const *cpus;
	int r;

	r = crew_new(&c->crew, c->kvm, config->bus, c->n, config->ops,
	    config->arg);
	if (r < 0)
		return r;
	cpus = crew_cpus(c->crew);
	for (unsigned int i = 0; i < c->n; i++)
		if ((r = arch_model_apply(c->model, cpus[i], i)) < 0)
			return r;
	if ((r = arch_clock_new(&c->clock, c->n)) < 0)
		return r;
	return throttle_new(&c->throttle, c->crew);
}

int
cpus_new(struct cpus **cp, const struct cpus_config *config, char *why,
    size_t why_len)
{
	struct cpus *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->kvm = config->kvm;
	c->n = config->vcpus;
	if ((r = arch_model_new(&c->model, c->kvm, config->baseline,
	    c->n)) < 0)
		snprintf(why, why_len, "KVM makes no machine: %s",
		    strerror(-r));
	else
		r = start(c, config);
	if (r < 0) {
		cpus_free(c);
		return r;
	}
	*cp = c;
	return 0;
}

void
cpus_free(struct cpus *c)
{
	if (c == NULL)
		return;
	throttle_free(c->throttle);
	crew_free(c->crew);
	arch_clock_free(c->clock);
	arch_model_free(c->model);
	free(c);
}

int
cpus_boot(struct cpus *c, const struct boot_entry *e)
{
	return arch_boot(crew_cpus(c->crew)[0], e);
}

/* --- standing and running ------------------------------------------------- */

int
cpus_park(struct cpus *c)
{
	int r;

	/* The clocks at once: for the guest, its last instruction was now. */
	if ((r = crew_hold_wait(c->crew, CREW_HOLD_PAUSE,
	    PARK_TIMEOUT_MS)) < 0 || (r = arch_clock_freeze(c->clock, c->kvm,
	    crew_cpus(c->crew))) < 0) {
		cpus_unpark(c);
		return r;
	}
	c->parked_at_ns = clock_now_ns();
	return 0;
}

int
cpus_set_clocks(struct cpus *c, bool has_advance, uint64_t advance_ns)
{
	struct kvm_cpu *const *cpus = crew_cpus(c->crew);
	int r = 0;

	if (has_advance || c->clock_is_loaded)
		r = arch_clock_thaw(c->clock, c->kvm, cpus, advance_ns);
	if (has_advance)
		c->moved_on_at_ns = clock_now_ns();
	c->clock_is_loaded = false;
	for (unsigned int i = 0; i < c->n; i++)
		arch_clock_was_paused(cpus[i]);
	return r;
}

void
cpus_unpark(struct cpus *c)
{
	/* Before, not after: they may run at once, and we much later. */
	if (c->moved_on_at_ns > 0)
		c->held_ns = clock_now_ns() - c->moved_on_at_ns;
	c->moved_on_at_ns = 0;
	crew_release(c->crew, CREW_HOLD_PAUSE);
}

uint64_t
cpus_parked_at_ns(const struct cpus *c)
{
	return c->parked_at_ns;
}

uint64_t
cpus_held_ns(const struct cpus *c)
{
	return c->held_ns;
}

void
cpus_end(struct cpus *c)
{
	crew_hold(c->crew, CREW_HOLD_END);
}

void
cpus_end_wait(struct cpus *c)
{
	(void)crew_hold_wait(c->crew, CREW_HOLD_END, PARK_TIMEOUT_MS);
	(void)throttle_set(c->throttle, 0);
}

int
cpus_throttle(struct cpus *c, unsigned int percent)
{
	return throttle_set(c->throttle, percent);
}

unsigned int
cpus_throttled(const struct cpus *c)
{
	return throttle_get(c->throttle);
}

void
cpus_stats(struct cpus *c, uint64_t *run_ns, uint64_t *exits)
{
	crew_stats(c->crew, run_ns, exits);
}

/* --- state ---------------------------------------------------------------- */

int
cpus_save(struct cpus *c, Persona__State__MachineState *out)
{
	return arch_save(c->clock, c->kvm, c->model, crew_cpus(c->crew), c->n,
	    out);
}

int
cpus_check(struct cpus *c, const Persona__State__MachineState *in, char *why,
    size_t why_len)
{
	return arch_check(c->kvm, c->model, c->n, in, why, why_len);
}

int
cpus_load(struct cpus *c, const Persona__State__MachineState *in, char *why,
    size_t why_len)
{
	int r = arch_load(c->clock, c->kvm, c->model, crew_cpus(c->crew), c->n,
	    in, why, why_len);

	if (r == 0)
		c->clock_is_loaded = true;
	return r;
}
