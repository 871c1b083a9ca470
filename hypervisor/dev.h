/* SPDX-License-Identifier: ISC */
/*
 * What every device is: a row of the one table (machine.c) that boot, save, load
 * and stop walk alike. Knows no particular device.
 */
#ifndef DEV_H
#define DEV_H

#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"
#include "state.pb-c.h"

struct bus;
struct disk;
struct event_base;
struct gmem;
struct machine;

/* The persona's network card, when it has one. */
struct dev_net {
	uint8_t		mac[6];
};

/* One device. Each device's file completes this type for itself alone. */
struct dev;

/* What a device asks of the whole machine. */
enum machine_request {
	MACHINE_POWER_OFF,	/* the guest wishes it */
	MACHINE_RESET,
	MACHINE_NO_ROOM,	/* stand still: the host's storage is full. The device
				 * does nothing until it is started again. */
};

/* What a device may use; owned by the machine, outlives every device. */
struct dev_env {
	struct bus	*bus;
	struct gmem	*gmem;
	struct event_base *base;	/* main thread's loop */
	struct disk	*disks[DISKS_MAX];	/* NULL: none in this slot */
	/* Set an interrupt line's level. Any thread. */
	void	(*irq_line)(void *arg, unsigned int gsi, bool level);
	/* Wish to end or stop the machine; returns at once. Any thread. */
	void	(*request)(void *arg, enum machine_request what);
	void	*arg;
	/* What not every persona has; read while the devices are created. An
	 * absent one leaves its slot empty: virtio device id 0. */
	const struct dev_net *net;
};

/* A place in the guest's address space, from the table's row. */
struct dev_place {
	uint64_t	addr;		/* MMIO or port base */
	unsigned int	gsi;
	unsigned int	unit;		/* which disk of several */
};

/* What a guest tells of its memory, in bytes; 0 while it has not told. */
enum dev_guest_stat {
	DEV_GUEST_TOTAL, DEV_GUEST_FREE, DEV_GUEST_AVAILABLE, DEV_GUEST_STATS
};

struct dev_guest_memory {
	uint64_t	target_bytes;	/* asked back of the guest */
	uint64_t	balloon_bytes;	/* given back so far */
	uint64_t	stats[DEV_GUEST_STATS];
};

/* Of the device that speaks with the guest of its memory. Main thread, bus locked;
 * whether and when the guest follows is up to the guest. */
struct dev_memory_ops {
	/* Let the guest tell now which memory it does not use, or stop that. */
	void	(*hint)(struct dev *d, bool on);
	/* Ask for this many bytes of its memory back. */
	void	(*balloon)(struct dev *d, uint64_t bytes);
	/* What it told last; a running one is asked anew for the next look. */
	void	(*look)(struct dev *d, struct dev_guest_memory *m);
};

struct dev_ops {
	const char	*kind;		/* "serial", "virtio-console" */
	uint32_t	version;	/* of its state message */

	/* Make a device in its power-on state and claim its regions. */
	int	(*create)(struct dev **dp, const struct dev_env *env,
		    const struct dev_place *place);
	/* All below are called from the main thread with the bus locked.
	 * save: the vCPUs are parked; fill in `out`'s kind with
	 * malloc'ed children (freed by the protobuf library). 0 or -errno. */
	int	(*save)(struct dev *d, Persona__State__DeviceState *out);
	/* Could this state be loaded? It may come from a liar, so everything
	 * is looked at. 0, or -EINVAL. */
	int	(*check)(struct dev *d, const Persona__State__DeviceState *in);
	/* Take on what `check` has accepted, on a freshly created device. */
	void	(*load)(struct dev *d, const Persona__State__DeviceState *in);
	/* After a load: another machine lives on from the same state. NULL: this
	 * device has nothing to say to that. 0 or -errno. */
	int	(*renew)(struct dev *d);
	/* Give the guest's host-side input/output a stream, or a network card
	 * its cable (SOCK_SEQPACKET, a frame a datagram); -1 to take it away
	 * (NULL when the device has none). Takes the descriptor. */
	int	(*attach)(struct dev *d, int stream_fd);
	/* Let host-side activity (input from a console) begin or go on. A
	 * device is created stopped. NULL: it has none. */
	void	(*start)(struct dev *d);
	/* Quiesce it; returns when nothing is under way. Until the next start
	 * the device changes neither guest memory nor an interrupt line by
	 * itself: what was saved stays true. A device with a thread lets go of
	 * the bus while it waits for it. NULL: it has none. */
	void	(*stop)(struct dev *d);
	/* NULL for all but one device. */
	const struct dev_memory_ops *memory;
	/* Give up everything, the claimed regions excepted: the bus goes too. */
	void	(*free)(struct dev *d);
};

#endif
