/* SPDX-License-Identifier: ISC */
/*
 * The surroundings a device needs, for unit tests: a bus, guest memory, an event
 * loop, and a record of the interrupt lines and of what was requested.
 */
#ifndef FAKE_ENV_H
#define FAKE_ENV_H

#include "bus.h"
#include "dev.h"
#include "gmem.h"

#define FAKE_GSIS	24u

struct fake_env {
	struct dev_env	env;
	bool		line[FAKE_GSIS];
	unsigned int	raised[FAKE_GSIS];	/* low-to-high changes */
	unsigned int	n_requests;
	enum machine_request request;		/* the latest */
};

/* Aborts when it cannot be had: a test without surroundings proves nothing. */
void	fake_env_init(struct fake_env *f, uint64_t ram_bytes);
void	fake_env_fini(struct fake_env *f);

/* Let the event loop handle what is ready now. */
void	fake_env_run(struct fake_env *f);

#endif
