/* SPDX-License-Identifier: ISC */
/*
 * Reach a handset: TCP to one of several addresses, in order, the first that
 * answers. Knows nothing of what is said on the connection.
 */
#ifndef PAIR_DIAL_H
#define PAIR_DIAL_H

#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

#define DIAL_HOST_MAX		63u	/* bytes */
#define DIAL_ADDRESSES_MAX	16u
#define DIAL_ADDRESS_MS		4000u	/* for one address to answer */

struct event_base;
struct pair_dial;

struct dial_address {
	char		host[DIAL_HOST_MAX + 1];	/* numeric, "%scope" allowed */
	uint16_t	port;
};

/*
 * It is over: r == 0 and a connected non-blocking socket, now the callee's, to
 * address number i; or the -errno of the last address. The callback may free d.
 */
typedef void dial_done_fn(void *arg, int r, int fd, size_t i);

/* Prepare; addresses are copied. 0, -EINVAL for none or too many, -ENOMEM. */
int	pair_dial_new(struct pair_dial **dp, struct event_base *base,
	    const struct dial_address *addresses, size_t n,
	    dial_done_fn *done, void *arg);
void	pair_dial_free(struct pair_dial *d);	/* NULL is fine */

/* Begin with the first address (again, after it was over). */
void	pair_dial_start(struct pair_dial *d);

#endif
