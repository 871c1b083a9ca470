/* SPDX-License-Identifier: ISC */
/*
 * A guest's persona-net: started with it, started again when it dies, told which
 * ports lead in. It outlives personad as the guest does, and ends with the guest's
 * card. Knows no registry; what becomes of the cable is the guest's business.
 */
#ifndef GUEST_NET_H
#define GUEST_NET_H

#include <sys/types.h>

#include "spec.pb-c.h"

struct daemon;
struct guest_net;

#define NET_MAC_BYTES	6u

/* The cable to another persona-net, to be plugged in; the callee's to close. */
typedef void guest_net_cable_fn(void *arg, int fd);

/* `id` and `name` outlive it. Nothing is started yet. 0 or -errno. */
int	guest_net_new(struct guest_net **np, struct daemon *d, const char *id,
	    const char *name, const Persona__Spec__Net *net,
	    guest_net_cable_fn *cable, void *arg);

/* The process lives on until its cable is cut. NULL is fine. */
void	guest_net_free(struct guest_net *n);

/* Start one; its cable's other end is the caller's. 0 or -errno. */
int	guest_net_start(struct guest_net *n, int *cable_fd);

/* Take back the one of an earlier personad, or start another (`cable` comes). */
void	guest_net_find(struct guest_net *n);

/* From now on these ports lead in. */
int	guest_net_configure(struct guest_net *n, const Persona__Spec__Net *net);

/*
 * How much has gone over its cable since persona-net began, as it told when it was
 * asked by the last call of this; which asks it anew.
 */
void	guest_net_traffic(struct guest_net *n, uint64_t *to_guest_bytes,
	    uint64_t *from_guest_bytes);

const uint8_t *guest_net_mac(const struct guest_net *n);
pid_t	guest_net_pid(const struct guest_net *n);

/* Why forward i is not open: a -errno, else 0. */
int	guest_net_error(const struct guest_net *n, size_t i);

#endif
