/* SPDX-License-Identifier: ISC */
/*
 * A whole machine's state as bytes: packed into a sealed memfd, unpacked with the
 * checks that need no KVM. Deliberately knows no field of a vCPU or device.
 */
#ifndef STATE_H
#define STATE_H

#include <stddef.h>
#include <stdint.h>

#include "state.pb-c.h"

/* What a state must be of to fit a machine. */
struct state_identity {
	const char	*arch;
	const char	*cpu_baseline;
	uint64_t	ram_bytes;
	unsigned int	vcpus;
};

/* An empty message of this identity; free with state_free. NULL: no memory. */
Persona__State__MachineState	*state_new(const struct state_identity *id);
void	state_free(Persona__State__MachineState *s);

/* Pack into a memfd and seal it against change. 0 or -errno. */
int	state_pack(const Persona__State__MachineState *s, int *fd,
	    uint64_t *len_bytes);

/*
 * Unpack and compare with `id`. 0, or -EBADMSG (no state at all), -EPROTO
 * (another version), -EINVAL (another machine) with a sentence in why.
 */
int	state_unpack(Persona__State__MachineState **sp, const uint8_t *bytes,
	    size_t len_bytes, const struct state_identity *id, char *why,
	    size_t why_len);

#endif
