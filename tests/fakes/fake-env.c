/* SPDX-License-Identifier: ISC */
/* See fake-env.h. Knows no device. */
#include "fake-env.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

static void
irq_line(void *arg, unsigned int gsi, bool level)
{
	struct fake_env *f = arg;

	if (gsi >= FAKE_GSIS)
		abort();
	if (level && !f->line[gsi])
		f->raised[gsi]++;
	f->line[gsi] = level;
}

static void
request(void *arg, enum machine_request what)
{
	struct fake_env *f = arg;

	/* Whoever waits, on another thread, for the count finds what it was. */
	f->request = what;
	__atomic_add_fetch(&f->n_requests, 1, __ATOMIC_RELEASE);
}

void
fake_env_init(struct fake_env *f, uint64_t ram_bytes)
{
	memset(f, 0, sizeof(*f));
	f->env.irq_line = irq_line;
	f->env.request = request;
	f->env.arg = f;
	if (bus_new(&f->env.bus) < 0 ||
	    gmem_new(&f->env.gmem, NULL, -1, ram_bytes) < 0 ||
	    (f->env.base = event_base_new()) == NULL)
		abort();
}

void
fake_env_fini(struct fake_env *f)
{
	event_base_free(f->env.base);
	gmem_free(f->env.gmem);
	bus_free(f->env.bus);
}

void
fake_env_run(struct fake_env *f)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(f->env.base, EVLOOP_NONBLOCK);
}
